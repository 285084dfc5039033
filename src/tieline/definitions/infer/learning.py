"""What a call's response learns from answers: its type, its fields, its stream, and what that changes.

Owns how detection is put together for a whole response. What people decided (a type, a shape of a stream, pinned and
excluded fields) stays, unless they ask for all anew. Knows no network, and no secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from tieline.definitions.infer.answers import read_answer
from tieline.definitions.infer.detect import Source, detect, merge, renew
from tieline.definitions.infer.difference import Difference, diff
from tieline.definitions.infer.markup import read_xml
from tieline.definitions.infer.media import kind_of_answer, kind_of_bytes
from tieline.definitions.infer.unreadable import UnreadableAnswer
from tieline.definitions.model import Field, Response, Stream, StreamEvent

_WITH_FIELDS = frozenset({"json", "xml", "csv"})
_UNREAD = frozenset({"text", "image", "file", "empty"})
_MOST_EVENTS = 200
_STREAM_WANTED = (
    "the call says that it answers with a stream, and this is none; ask for a stream, or initialize anew to take "
    "what came"
)
_EMPTY = "the answer is empty, and the call has fields of another one; initialize anew to take that"
_TOO_LONG = "the answer is too long to be looked at whole, or did not end in time; ask for less, such as fewer items"
_STREAM_CAME = "the answer is a stream, and the call has fields of another answer; initialize anew to take it"


@dataclass(frozen=True, slots=True)
class StreamSample:
    """A stream as its beginning shows it: the shape it has or seems to have, its events by name and value, its text."""

    stream: Stream
    events: tuple[tuple[str | None, Any], ...]
    text: str


@dataclass(frozen=True, slots=True)
class AnswerSample:
    """An answer to learn from: its body, the headers of these names, and what was seen where it streams.

    ``whole`` is False where only the beginning of the body is here.
    """

    body: bytes
    content_type: str = ""
    disposition: str = ""
    seen: StreamSample | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """One answer as its response type reads it: the ``document``, or what was ``seen`` of a stream."""

    kind: str
    document: Any = None
    seen: StreamSample | None = None


@dataclass(frozen=True, slots=True)
class ResponseChange:
    """One thing that learning changed: a field's difference, in the stream's event of that name or in the answer."""

    difference: Difference
    event: str | None = None


def read_samples(before: Response, answers: Sequence[AnswerSample], *, anew: bool = False) -> tuple[ReadAnswer, ...]:
    """Each answer as a response of the type that ``before`` has, or that all of them seem to have.

    A type counts as chosen when it is not the default or has fields. Empty answers beside others say nothing. Raises
    ``UnreadableAnswer`` where an answer is not of the chosen type, or the answers are of several.
    """
    chosen = None if anew or (before.type == "json" and not before.fields) else before.type
    samples = [_read(before, answer, chosen) for answer in answers]
    samples = [each for each in samples if each.kind != "empty"] or samples[:1]
    if samples[0].kind == "empty" and chosen not in {None, "empty"}:
        raise UnreadableAnswer(_EMPTY)
    kinds = sorted({each.kind for each in samples})
    if len(kinds) > 1:
        raise UnreadableAnswer(f"the answers are of several types: {', '.join(kinds)}; give answers of one type")
    return tuple(samples)


def learn(before: Response, samples: Sequence[ReadAnswer], *, anew: bool = False) -> Response:
    """``before`` with what ``samples``, all of one kind, teach; samples are whole.

    Fields that are there are widened; with ``anew``, or where the type is another, what earlier answers showed is
    forgotten and only people's decisions stay.
    """
    kind = samples[0].kind
    if kind == "stream":
        stream = _stream(before, [each.seen for each in samples if each.seen], anew)
        return replace(before, type=kind, stream=stream, fields=before.fields if before.type == kind else ())
    if kind not in _WITH_FIELDS:
        return replace(before, type=kind, fields=(), stream=None)
    source = cast("Source", kind)
    documents = [each.document for each in samples]
    fields = before.fields if before.type == kind else ()
    widened = renew if anew or not fields else merge
    fields = widened(fields, *documents, source=source)
    return replace(before, type=kind, fields=fields, stream=None)


def changes(before: Response, after: Response) -> tuple[ResponseChange, ...]:
    """The differences of the fields, then those of each event's fields in the order of ``after``."""
    found = [ResponseChange(each) for each in diff(before.fields, after.fields)]
    old = {event.name: event.fields for event in before.stream.events} if before.stream is not None else {}
    new = {event.name: event.fields for event in after.stream.events} if after.stream is not None else {}
    for name in dict.fromkeys((*new, *old)):
        found += [ResponseChange(each, name or "message") for each in diff(old.get(name, ()), new.get(name, ()))]
    return tuple(found)


def typed_events(seen: Sequence[StreamSample]) -> tuple[StreamEvent, ...]:
    """The events that were seen, each name once, with the fields of all that it stood over."""
    values: dict[str | None, list[Any]] = {}
    for name, value in (event for each in seen for event in each.events):
        if name in values or len(values) < _MOST_EVENTS:
            values.setdefault(name, []).append(value)
    return tuple(StreamEvent(name, _merged((), held)) for name, held in values.items())


def _read(before: Response, answer: AnswerSample, chosen: str | None) -> ReadAnswer:
    if chosen in _UNREAD:
        return ReadAnswer(chosen)
    if answer.seen is not None:
        if chosen not in {None, "stream"}:
            raise UnreadableAnswer(_STREAM_CAME)
        return ReadAnswer("stream", seen=answer.seen)
    if chosen == "stream":
        raise UnreadableAnswer(_STREAM_WANTED)
    if not answer.whole:
        kind = kind_of_bytes(answer.body, answer.content_type)
        if chosen is not None or kind is None:
            raise UnreadableAnswer(_TOO_LONG)
        return ReadAnswer(kind)
    kind = chosen or kind_of_answer(answer.body, answer.content_type, answer.disposition)
    if kind in _UNREAD or (chosen is not None and not answer.body.strip()):
        return ReadAnswer(kind if kind in _UNREAD else "empty")
    try:
        text = answer.body.decode("utf-8-sig")
    except UnicodeDecodeError:
        if kind == "xml":
            return ReadAnswer(kind, read_xml(answer.body, before.fields))  # its declaration names the encoding
        raise UnreadableAnswer("the answer is not UTF-8 text; check the answer's type") from None
    return ReadAnswer(kind, read_answer(kind, text, before.fields))


def _stream(before: Response, seen: Sequence[StreamSample], anew: bool) -> Stream:  # noqa: FBT001  says what it says
    known = before.stream
    if known is None or known == Stream() or anew:
        proposed = seen[0].stream
        return proposed if proposed.preset is not None else replace(proposed, events=typed_events(seen))
    values = [event for each in seen for event in each.events]
    events = (
        replace(event, fields=_merged(event.fields, [value for name, value in values if name == event.name]))
        for event in known.events
    )
    return replace(known, events=tuple(events))


def _merged(fields: tuple[Field, ...], documents: Sequence[Any]) -> tuple[Field, ...]:
    return merge(fields, *documents) if fields else detect(*documents)
