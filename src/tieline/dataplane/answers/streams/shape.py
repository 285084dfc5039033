"""A stream's description, compiled: what a reader asks of each event. Knows no bytes and keeps no state.

A preset says how, and what the description gives of its own replaces the preset's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tieline.dataplane.answers.streams.paths import Get, getter
from tieline.dataplane.answers.streams.presets import PRESETS, Read, error_of
from tieline.definitions.model import Field, Spot, Stream, StreamEvent

Test = Callable[[str | None, Any], bool]
CUSTOMARY_END = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked of each event of one stream; see ``presets.Preset`` for the members they share.

    ``raw`` names the event whose data is the text as it stands ("" for every event); None where there is none.
    ``strict`` says that data must be JSON even where it could be plain text. ``declared`` are the names of the typed
    events, None when nothing was declared and events are handed out as they come.
    """

    format: str
    text: Read
    usage: Read
    error: Read
    event: Read
    kept: tuple[tuple[str, Get], ...]
    end: bytes | None
    ending: str | None
    done: Test | None
    whole: Test | None
    raw: str | None
    strict: bool
    declared: frozenset[str | None] | None


def shape_of(stream: Stream, fields: Sequence[Field] = ()) -> Shape:
    """Compile ``stream``; ``fields`` are kept from all events, the last value of each, and handed out with the end.

    Some twenty microseconds: a caller with many streams of one shape compiles it once.
    """
    preset = PRESETS[stream.preset] if stream.preset is not None else None
    plain = preset is None and stream.format == "sse"
    end = stream.end.encode() if stream.end is not None else preset.end if preset else None
    done = _flag(stream.done) if stream.done is not None else preset.done if preset else None
    whole = None if stream.end is not None or stream.done is not None or not preset else preset.whole
    return Shape(
        format=preset.format if preset else stream.format,
        text=_spot(stream.text) or (preset.text if preset else _nothing),
        usage=_spot(stream.usage) or (preset.usage if preset else _nothing),
        error=_spot(stream.error) or (preset.error if preset else _customary_error),
        event=_typed(stream) if stream.events else preset.event if preset else _as_it_comes,
        kept=tuple({**(preset.kept if preset else {}), **dict(_labelled(fields))}.items()),
        end=end or (CUSTOMARY_END if plain and done is None else None),
        ending=_ending(end, done, whole),
        done=done,
        whole=whole,
        raw=(stream.text.event or "") if plain and stream.text is not None and stream.text.path == "$" else None,
        strict=not plain,
        declared=frozenset(each.name for each in stream.events) if stream.events else None,
    )


def _ending(end: bytes | None, done: Test | None, whole: Test | None) -> str | None:
    """What is missed when a stream ends without its end mark; None where the end of the bytes is the end."""
    if end is not None and done is None:
        return f"it ended before {end.decode()!r}"
    if end is not None or done is not None:
        return "it ended before the event that marks its end"
    return "it ended before an event with a reason to" if whole is not None else None


def _nothing(_: str | None, __: Any) -> None:
    return None


def _customary_error(name: str | None, value: Any) -> Any:
    """An event named ``error``, or an object that has nothing else; elsewhere an ``error`` may be an item's own."""
    sole = isinstance(value, dict) and value.keys() == {"error"}
    return error_of(name, value) if sole or name == "error" else None


def _as_it_comes(_: str | None, value: Any) -> Any:
    return value


def _spot(spot: Spot | None) -> Read | None:
    if spot is None:
        return None
    get, event = getter(spot.path), spot.event
    if event is None:
        return lambda _, value: get(value)
    return lambda name, value: get(value) if name == event else None


def _flag(spot: Spot) -> Test:
    """Whether the value is something: an event named so with the path ``$`` is one, whatever it holds."""
    get, event = getter(spot.path), spot.event
    if event is not None and spot.path == "$":
        return lambda name, _: name == event
    return lambda name, value: (event is None or name == event) and get(value) not in (None, False, "")


def _labelled(fields: Iterable[Field]) -> list[tuple[str, Get]]:
    return [
        (field.name or field.path, _parsed(getter(field.path)) if field.parse else getter(field.path))
        for field in fields
        if field.include
    ]


def _parsed(get: Get) -> Get:
    """Text that holds JSON, as what it holds; as it is where it does not."""

    def find(value: Any) -> Any:
        found = get(value)
        if not isinstance(found, str):
            return found
        try:
            return orjson.loads(found)
        except orjson.JSONDecodeError:
            return found

    return find


def _typed(stream: Stream) -> Read:
    text = stream.text
    table: Mapping[str | None, list[tuple[str, Get]]] = {
        event.name: _labelled(
            field
            for field in event.fields
            if text is None or field.path != text.path or text.event not in {None, event.name}
        )
        for event in _merged(stream.events)
    }

    def find(name: str | None, value: Any) -> Any:
        found = {label: get(value) for label, get in table.get(name, ())}
        return {label: each for label, each in found.items() if each is not None} or None

    return find


def _merged(events: Iterable[StreamEvent]) -> list[StreamEvent]:
    """One for each name: the fields of events that are declared twice add up."""
    found: dict[str | None, tuple[Field, ...]] = {}
    for event in events:
        found[event.name] = found.get(event.name, ()) + event.fields
    return [StreamEvent(name, fields) for name, fields in found.items()]
