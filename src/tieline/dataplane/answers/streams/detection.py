"""Proposes the shape of a stream from its first bytes, for an operator to confirm. The sample may be cut anywhere.

A provider's preset is sure; any other shape is a guess by the names that fields have, which says where text, usage and
the end seem to be and leaves out what it cannot see.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from tieline.core.errors import UpstreamError
from tieline.dataplane.answers.streams.frames import Frame, text_of, value_of
from tieline.dataplane.answers.streams.lines import BOM
from tieline.dataplane.answers.streams.presets import PRESETS
from tieline.dataplane.answers.streams.reader import decoder_of, type_of
from tieline.dataplane.answers.streams.shape import CUSTOMARY_END
from tieline.dataplane.answers.streams.usage import is_usage
from tieline.definitions.infer.names import words
from tieline.definitions.infer.paths import Steps, is_expressible, join
from tieline.definitions.model import Spot, Stream

MOST_SAMPLE: Final = 256 * 1024
_MOST_EVENTS: Final = 200
_MOST_LEVELS: Final = 8
_MEDIA: Final = {
    "text/event-stream": "sse",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonl": "ndjson",
    "application/jsonlines": "ndjson",
    "application/x-jsonlines": "ndjson",
    "application/stream+json": "ndjson",
    "application/json-seq": "json_concatenated",
}
_SSE: Final = re.compile(rb"(?:data|event|id|retry)?:")
# The words that providers use, the clearest first.
_TEXTS: Final = (
    "delta", "text", "content", "token", "chunk", "generated_text", "completion", "response", "answer", "output",
    "message", "data",
)  # fmt: skip
_USAGES: Final = ("usage", "usageMetadata", "token_usage", "usage_metadata")
_ENDS: Final = ("done", "finished", "is_finished", "is_final", "final", "complete", "completed", "stop", "end")
_END_WORDS: Final = frozenset({
    "done", "end", "ended", "finish", "finished", "complete", "completed", "stop", "stopped", "final", "closed",
})  # fmt: skip
_PIECES: Final = frozenset({"delta", "chunk", "token", "partial", "piece"})
# Texts of events and members that are named so are no part of the answer's.
_ASIDES: Final = frozenset({
    "reasoning", "thought", "thoughts", "thinking", "tool", "input", "function", "call", "arguments", "args", "audio",
    "refusal", "source", "citation", "status", "error", "title",
})  # fmt: skip

Seen = tuple[str | None, Any]
"""An event's name and value."""

_Leaf = tuple[str | None, Steps, str, Any]


def detect(sample: bytes, content_type: str = "") -> Stream:
    """The shape that ``sample``, the first bytes of an answer of ``content_type``, seems to have."""
    sample = sample[:MOST_SAMPLE]
    framing = _format(sample, content_type)
    frames = _all_frames(sample, framing)
    if framing == "text":
        return Stream(framing)
    ended = any(frame.data == CUSTOMARY_END for frame in frames) and framing == "sse"
    seen = [_seen(frame) for frame in frames if frame.data != CUSTOMARY_END]
    for name, preset in PRESETS.items():
        if preset.format == framing and any(preset.fits(*event) for event in seen):
            return Stream(preset=name)
    return Stream(
        framing,
        text=_quoted(_text(seen), frames) if framing == "sse" else _text(seen),
        usage=_usage(seen),
        end=CUSTOMARY_END.decode() if ended else None,
        done=_done(seen) if not ended else None,
    )


def events(sample: bytes, framing: str) -> list[Seen]:
    """The first events, 200 at most, of a stream of the format ``framing``; none of one that is ``text``."""
    frames = _all_frames(sample[:MOST_SAMPLE], framing)
    return [_seen(frame) for frame in frames if frame.data not in {CUSTOMARY_END, b""}]


def is_stream_type(content_type: str) -> bool:
    """Whether a media type says that a stream follows."""
    return _media(content_type) in _MEDIA


def _media(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _all_frames(sample: bytes, framing: str) -> list[Frame]:
    decoder = decoder_of(framing, CUSTOMARY_END)
    return [] if decoder is None else list(islice(_frames(decoder.feed(sample)), _MOST_EVENTS))


def _format(sample: bytes, content_type: str) -> str:
    media = _media(content_type)
    named = _MEDIA.get(media)
    head = sample.removeprefix(BOM).lstrip(b" \t\r\n\x1e")
    looks_otherwise = head[:1] in {b"{", b"["} if named == "sse" else _SSE.match(head) is not None
    if named is not None and not looks_otherwise:
        return named
    if _SSE.match(head):
        return "sse"
    if head[:1] not in {b"[", b"{", b'"'}:
        return "json_array" if not head and media == "application/json" else "text" if head else "sse"
    *lines, rest = head.split(b"\n")
    whole = [_is_json(line) for line in lines if line.strip()]
    if len(whole) > 1 and all(whole):
        return "ndjson"
    if head.startswith(b"["):
        return "json_array"
    if whole:
        return "ndjson" if all(whole) else "json_concatenated"
    decoder = decoder_of("json_concatenated")
    several = decoder is not None and len(list(_frames(decoder.feed(rest)))) > 1
    return "json_concatenated" if several else "ndjson"


def _frames(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The good frames before the first that is not."""
    try:
        yield from frames
    except UpstreamError:
        return


def _is_json(data: bytes) -> bool:
    try:
        value_of(data)
    except UpstreamError:
        return False
    return True


def _seen(frame: Frame) -> Seen:
    """An event's name and value; its text where it is no JSON, None where it is neither."""
    try:
        value = value_of(frame.data)
    except UpstreamError:
        try:
            return frame.name, text_of(frame.data)
        except UpstreamError:
            return frame.name, None
    name = type_of(value) if frame.name is None and isinstance(value, dict) else frame.name
    return name, value


def _leaves(seen: list[Seen]) -> Iterator[_Leaf]:
    """Everything in the events: event name, path, last member's name, value. The first item stands for a list's."""
    waiting: list[_Leaf] = [(name, (), "", value) for name, value in reversed(seen)]
    while waiting:
        name, steps, last, value = waiting.pop()
        if steps:
            yield name, steps, last, value
        if len(steps) == _MOST_LEVELS:
            continue
        if isinstance(value, dict):
            waiting += [
                (name, (*steps, key), key, child) for key, child in reversed(value.items()) if is_expressible(key)
            ]
        elif isinstance(value, list) and value:
            waiting.append((name, (*steps, 0), last, value[0]))


def _text(seen: list[Seen]) -> Spot | None:
    """Where text is: events that are texts altogether, or the clearest name; among equals, what most events have.

    Two events of different names may hold texts at one path (a thought and the answer): it is that of the answer.
    """
    plain: list[_Leaf] = [(name, (), "", value) for name, value in seen if isinstance(value, str) and value]
    if plain:
        return _spot(seen, plain)
    found: dict[Steps, list[_Leaf]] = {}
    for leaf in _leaves(seen):
        word = _text_word(leaf)
        is_text = word in _TEXTS and (word != "data" or not _PIECES.isdisjoint(words(leaf[0] or "")))
        if is_text and isinstance(leaf[3], str) and not any(map(_is_aside, leaf[1])):
            found.setdefault(leaf[1], []).append(leaf)
    if not found:
        return None
    best = min(found.values(), key=lambda leaves: (_TEXTS.index(_text_word(leaves[0])), -len(leaves)))
    answers = [leaf for leaf in best if not _is_aside(leaf[0])]
    pieces = [leaf for leaf in answers if isinstance(leaf[0], str) and not _PIECES.isdisjoint(words(leaf[0]))]
    answers = pieces or answers  # others tell the whole again
    if answers and len(answers) < len(best):
        name = Counter(leaf[0] for leaf in answers).most_common(1)[0][0]
        if name is not None:
            return Spot(join(best[0][1]), name)
    return _spot(seen, best)


def _quoted(text: Spot | None, frames: list[Frame]) -> Spot | None:
    """``text``, to be read where the data of all its events is text in quotes (LangServe)."""
    if text is None or text.path != "$":
        return text
    held = [frame.data.strip() for frame in frames if text.event in (None, frame.name) and frame.data.strip()]
    are_quoted = [data.startswith(b'"') and _is_json(data) for data in held]
    return replace(text, parse=True) if are_quoted and all(are_quoted) else text


def _usage(seen: list[Seen]) -> Spot | None:
    """An object that is named so, else the first that counts tokens under names that are known."""
    held = [leaf for leaf in _leaves(seen) if isinstance(leaf[3], dict)]
    named = [leaf for leaf in held if leaf[2] in _USAGES]
    return _spot(seen, named or [leaf for leaf in held if is_usage(leaf[3])])


def _text_word(leaf: _Leaf) -> str:
    """The name that says what a member is: of ``text: {value: …}`` (OpenAI's Assistants) it is ``text``."""
    above = leaf[1][-2] if len(leaf[1]) > 1 else None
    return above if leaf[2] == "value" and isinstance(above, str) else leaf[2]


def _is_aside(name: Any) -> bool:
    """Whether an event's or member's name speaks of something beside the answer."""
    return isinstance(name, str) and not _ASIDES.isdisjoint(words(name))


def _spot(seen: list[Seen], leaves: list[_Leaf]) -> Spot | None:
    """The path of the first leaf; its event where the others, which have names, do not hold it."""
    if not leaves:
        return None
    steps = leaves[0][1]
    holders = {name for name, where, _, _ in leaves if where == steps}
    others = {name for name, _ in seen} - holders
    return Spot(join(steps), next(iter(holders)) if len(holders) == 1 and others else None)


def _done(seen: list[Seen]) -> Spot | None:
    """A flag that is set in the last event alone, or a last event that is named for the end: ``message-end``."""
    if not seen:
        return None
    flags = [leaf for leaf in _leaves(seen) if leaf[2] in _ENDS and isinstance(leaf[3], bool)]
    values = [value for _, steps, _, value in flags if steps == flags[0][1]]
    if values and not any(values[:-1]):
        return Spot(join(flags[0][1]))
    last = seen[-1][0]
    is_end = last is not None and words(last)[-1:] != () and words(last)[-1] in _END_WORDS
    alone = is_end and sum(name == last for name, _ in seen) == 1
    return Spot("$", last) if alone and len(seen) > 1 else None
