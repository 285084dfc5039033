"""A stream's description, compiled: what a reader asks of each event. Knows no bytes and keeps no state.

A preset says how, and what the description gives of its own replaces the preset's.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from tieline.dataplane.answers.streams.marks import is_set
from tieline.dataplane.answers.streams.presets import PRESETS, Read, error_of, is_error_object, nothing
from tieline.definitions.getters import Get, getter
from tieline.definitions.infer.embedded import MOST_TEXT
from tieline.definitions.infer.paths import split
from tieline.definitions.infer.shape import Shaper
from tieline.definitions.model import Field, Spot, Stream, StreamEvent

Test = Callable[[str | None, Any], bool]
Rests = tuple[dict[str, Any] | None, dict[str, Any] | None]
Beside = Callable[[str | None, Any], Rests]
CUSTOMARY_END = b"[DONE]"
_PLACE: Final = re.compile(r"\[[0-9]+\]")
_CODES: Final = frozenset({"code", "status", "status_code", "statusCode"})
_OF_ERRORS: Final = _CODES | {"error", "errors", "message", "detail", "type", "trace", "request_id"}
"""Members of objects that tell of an error and of nothing else (watsonx.ai, ElevenLabs)."""
_ENVELOPE: Final = frozenset({
    "id", "object", "created", "model", "type", "index", "message_id", "conversation_id", "request_id", "session_id",
    "created_at", "timestamp", "role", "system_fingerprint",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked of each event of one stream; see ``presets.Preset`` for the members they share.

    ``event`` gives what is handed out of an event without text, ``beside`` of one with text. The latter are two: what
    is handed out each time, and what events repeat, which is handed out where it is new; ``around`` gives the like of
    events without text. ``raw`` names the event whose data is the text as it stands ("" for every event); None where
    there is none. ``strict`` says that data must be JSON even where it could be plain text. ``declared`` are the names
    of the typed events, None when nothing was declared; ``keeps`` says that others are handed out as they come.
    """

    format: str
    text: Read
    usage: Read
    error: Read
    event: Read
    beside: Beside
    around: Read
    kept: tuple[tuple[str, Get], ...]
    end: bytes | None
    ending: str | None
    done: Test | None
    whole: Test | None
    raw: str | None
    strict: bool
    declared: frozenset[str | None] | None
    keeps: bool


def shape_of(stream: Stream, fields: Sequence[Field] = (), unknown: str = "keep") -> Shape:
    """Compile ``stream``; ``fields`` are kept from all events, the last value of each, and handed out with the end.

    ``unknown`` as in ``Response``. Some forty microseconds: a caller with many streams of one shape compiles it once.
    """
    preset = PRESETS[stream.preset] if stream.preset is not None else None
    plain = preset is None and stream.format == "sse"
    end = stream.end.encode() if stream.end is not None else preset.end if preset else None
    done = _flag(stream.done) if stream.done is not None else preset.done if preset else None
    whole = None if stream.end is not None or stream.done is not None or not preset else preset.whole
    keeps = unknown == "keep"
    by_preset = preset if not stream.events else None
    rest = _Rest(stream, fields, unknown)
    is_open = keeps or bool(stream.events)
    around = by_preset.around if by_preset and is_open else nothing
    return Shape(
        format=preset.format if preset else stream.format,
        text=_text_spot(stream.text) or (preset.text if preset else nothing),
        usage=_spot(stream.usage) or (preset.usage if preset else nothing),
        error=_spot(stream.error) or (preset.error if preset else _customary_error),
        event=by_preset.event if by_preset else rest.event,
        beside=_both(by_preset.event, around) if by_preset else rest.beside if is_open else _neither,
        around=around,
        kept=tuple({**(preset.kept if preset else {}), **dict(_labelled(fields))}.items()),
        end=end or (CUSTOMARY_END if plain and done is None else None),
        ending=_ending(end, done, whole),
        done=done,
        whole=whole,
        raw=(stream.text.event or "") if stream.text is not None and _is_raw(stream.text) and plain else None,
        strict=not plain,
        declared=frozenset(each.name for each in stream.events) if stream.events else None,
        keeps=keeps,
    )


def _both(event: Read, around: Read) -> Beside:
    return lambda name, value: (event(name, value), around(name, value))


def _neither(_name: str | None, _value: Any) -> Rests:
    return None, None


def _ending(end: bytes | None, done: Test | None, whole: Test | None) -> str | None:
    """What is missed when a stream ends without its end mark; None where the end of the bytes is the end."""
    if end is not None and done is None:
        return f"it ended before {end.decode()!r}"
    if end is not None or done is not None:
        return "it ended before the event that marks its end"
    return "it ended before an event with a reason to" if whole is not None else None


def _customary_error(name: str | None, value: Any) -> Any:
    """An event named ``error``, an object that calls itself one, or tells of nothing else; else it may be an item's."""
    if name == "error" or is_error_object(value):
        return error_of(name, value)
    if not isinstance(value, dict):
        return None
    if "error" in value and all(key.startswith("error") for key in value):
        return value["error"]
    if value.keys() == {"detail"}:
        return value if isinstance(value["detail"], dict) and "message" in value["detail"] else None
    is_coded = value.keys() <= _OF_ERRORS and not _CODES.isdisjoint(value)
    return value if is_coded and (value.get("errors") or value.get("error")) else None


def _spot(spot: Spot | None) -> Read | None:
    if spot is None:
        return None
    get, event = getter(spot.path), spot.event
    if spot.parse:
        get = _parsed(get)
    if event is None:
        return lambda _, value: get(value)
    return lambda name, value: get(value) if name == event else None


def _is_raw(text: Spot) -> bool:
    """Whether data is the text as it stands, unread."""
    return text.path == "$" and not text.parse


def _text_spot(spot: Spot | None) -> Read | None:
    """As ``_spot``; of text that is to be read, what is no text in quotes stays as it is."""
    read = _spot(replace(spot, parse=False)) if spot is not None else None
    if spot is None or read is None or not spot.parse:
        return read

    def find(name: str | None, value: Any) -> Any:
        found = read(name, value)
        parsed = _read_text(found)
        return parsed if isinstance(parsed, str) else found

    return find


def _flag(spot: Spot) -> Test:
    """Whether the value is something: an event named so with the path ``$`` is one, whatever it holds."""
    get, event = getter(spot.path), spot.event
    if event is not None and spot.path == "$":
        return lambda name, _: name == event
    return lambda name, value: (event is None or name == event) and is_set(get(value))


def _labelled(fields: Iterable[Field]) -> list[tuple[str, Get]]:
    return [
        (field.name or field.path, _parsed(getter(field.path)) if field.parse else getter(field.path))
        for field in fields
        if field.include
    ]


def _parsed(get: Get) -> Get:
    return lambda value: _read_text(get(value))


def _read_text(found: Any) -> Any:
    """Text of up to a million characters that holds JSON, as what it holds; as it is where it does not."""
    if not isinstance(found, str) or len(found) > MOST_TEXT:
        return found
    try:
        return orjson.loads(found)
    except orjson.JSONDecodeError:
        return found


class _Rest:
    """What is handed out of events beside what has a place of its own: the text, usage, marks, the end's fields."""

    def __init__(self, stream: Stream, kept: Sequence[Field], unknown: str) -> None:
        marks = (stream.text, stream.usage, stream.done, stream.error)
        self._taken = [(spot.event, spot.path) for spot in marks if spot is not None]
        self._taken += [(None, field.path) for field in kept if field.include]
        self._text = stream.text
        self._holder = next(iter(split(stream.text.path)), None) if stream.text is not None else None
        self._unknown = unknown
        self._whole: dict[str | None, Shaper] = {}
        self._left: dict[str | None, Shaper] = {}
        for event in _merged(stream.events):
            self._whole[event.name] = Shaper(self._without(event.fields, self._of_text(event.name)), unknown)
            self._left[event.name] = Shaper(self._without(event.fields, self._of_all(event.name)), unknown)
        self._unnamed = Shaper(self._without((), self._of_all(None)))

    def event(self, name: str | None, value: Any) -> Any:
        """All of an event without text."""
        shaper = self._whole.get(name)
        return value if shaper is None else _filled(shaper.apply(value))

    def beside(self, name: str | None, value: Any) -> Rests:
        """What an event with text holds beside it: what may be a piece of something too, and what events repeat.

        Blank and empty members, and the event's own name, are nothing.
        """
        if not isinstance(value, dict):
            return None, None
        rest = _pruned(self._left.get(name, self._unnamed).apply(value))
        if not isinstance(rest, dict):
            return None, None
        if name is not None and rest.get("type") == name:
            del rest["type"]
        pieces = {key: each for key, each in rest.items() if not self._repeats(key, each)}
        return pieces, {key: each for key, each in rest.items() if key not in pieces}

    def _repeats(self, name: str, value: Any) -> bool:
        """Whether a member is likely to say in each event what it said before; not where the text itself stands."""
        return name != self._holder and (name in _ENVELOPE or isinstance(value, dict | list | bool))

    def _of_text(self, name: str | None) -> list[str]:
        text = self._text
        return [text.path] if text is not None and text.event in {None, name} else []

    def _of_all(self, name: str | None) -> list[str]:
        return [path for event, path in self._taken if event is None or name is None or event == name]

    def _without(self, fields: Sequence[Field], taken: Iterable[str]) -> list[Field]:
        """``fields``, those at the paths ``taken`` excluded: in every item, unless fields pick places themselves."""
        picks = any(isinstance(step, int) for field in fields for step in split(field.path))
        taken = [path if picks else _PLACE.sub("[]", path) for path in taken if path != "$"]
        known = {field.path for field in fields}
        return [
            *(replace(field, include=False) if field.path in taken else field for field in fields),
            *(Field(path, "json", include=False) for path in dict.fromkeys(taken) if path not in known),
        ]


def _filled(value: Any) -> Any:
    """An event's fields without those that are null; None where none is left."""
    if not isinstance(value, dict):
        return value
    return {name: each for name, each in value.items() if each is not None} or None


def _pruned(value: Any) -> Any:
    """``value`` without what is null or empty in it, as deep as events nest."""
    if isinstance(value, dict):
        held = ((key, _pruned(each)) for key, each in value.items())
        return {key: each for key, each in held if each not in (None, "", {}, [])}
    if isinstance(value, list):
        return [each for each in map(_pruned, value) if each not in (None, {}, [])]
    return value


def _merged(events: Iterable[StreamEvent]) -> list[StreamEvent]:
    """One for each name: the fields of events that are declared twice add up."""
    found: dict[str | None, tuple[Field, ...]] = {}
    for event in events:
        found[event.name] = found.get(event.name, ()) + event.fields
    return [StreamEvent(name, fields) for name, fields in found.items()]
