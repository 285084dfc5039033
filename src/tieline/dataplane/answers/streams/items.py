"""What a stream is read into: deltas of the text, events, and one end. Knows neither bytes nor providers.

Exactly one ``Done`` or ``Failed`` ends a stream, and nothing follows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tieline.core.errors import (
    TielineError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamResponseTooLarge,
)
from tieline.dataplane.answers.error_text import message_and_code

MOST_EVENT = 16 * 1024 * 1024
"""Bytes of one event, and of one line of it: a picture in base64 fits."""
MOST_VALUES = 400_000
"""Commas and brackets of one event, so that reading it takes no longer than some hundredths of a second."""
MOST_TEXT = 1024 * 1024
"""Bytes (as UTF-8) of the whole text that is kept for the end."""
MOST_DEPTH = 64
"""Levels of nesting of one event's JSON."""
_MOST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the text; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event beside the text. ``fields`` are by the names that callers know; ``name`` None: it has no name.

    ``size`` is of how many bytes they were read, 0 where nobody counted.
    """

    name: str | None
    fields: Mapping[str, Any]
    size: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Done:
    """The stream's proper end: the whole text, the fields kept from all events, and usage.

    ``cut`` says that the text was longer than 1 MiB and ``text`` holds its beginning only; the deltas had it all.
    ``usage`` is as ``usage.normalise`` has it, None where none was sent. Without ``sure`` nothing tells the end from a
    cut: the connection ended, and no event said that the stream was over. ``size`` is of how many bytes the fields were
    read, 0 where nobody counted.
    """

    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, Any] | None = None
    cut: bool = False
    sure: bool = True
    size: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a stream that broke off: ``error`` goes to the caller, ``usage`` is the last that the stream said."""

    error: TielineError
    usage: Mapping[str, Any] | None = None


StreamItem = Delta | Event | Done | Failed


def size_of(item: StreamItem) -> int:
    """About how many bytes an item is written with."""
    match item:
        case Delta():
            return len(item.text)
        case Event():
            return item.size
        case Done():
            return len(item.text) + item.size
        case Failed():
            return 0


def malformed(what: str) -> UpstreamProtocolError:
    """``what`` finishes the sentence "The upstream's stream …"."""
    return UpstreamProtocolError(
        f"The upstream's stream {what}. Try again; if it stays, check the stream's format in the call's definition."
    )


def truncated(what: str) -> UpstreamProtocolError:
    """The stream ended where it must not; ``what`` says how one can tell."""
    return UpstreamProtocolError(f"The upstream's stream is not whole: {what}. What came so far stands; try again.")


def too_large() -> UpstreamResponseTooLarge:
    """An event is over the limit."""
    return UpstreamResponseTooLarge(
        f"The upstream's stream has an event of more than {MOST_EVENT // 1024**2} MiB. Ask the API for smaller pieces."
    )


def too_many() -> UpstreamResponseTooLarge:
    """An event holds more values than are read at once."""
    return UpstreamResponseTooLarge(
        f"The upstream's stream has an event of more than {MOST_VALUES:,} values. Ask the API for smaller pieces."
    )


def too_deep() -> UpstreamProtocolError:
    """An event nests deeper than is read."""
    return malformed(f"has an event that nests deeper than {MOST_DEPTH} levels")


_WORDS = ("message", "detail", "msg", "error", "errorText", "error_message", "data")


def reported(error: object) -> UpstreamFailed:
    """The upstream told an ``error`` of its own within the stream: text, or an object with message and code."""
    message, code = (error, None) if isinstance(error, str) else _told(error)
    said = " ".join(str(message or "").split())[:_MOST_MESSAGE] or "it did not say why"
    named = f" ({' '.join(code.split())[:100]})" if code and code not in said else ""
    return UpstreamFailed(f"The upstream stopped its stream with an error: {said}{named}. What came so far stands.")


def _told(error: object) -> tuple[str | None, str | None]:
    if not isinstance(error, dict):
        return None, None
    message = next((error[key] for key in _WORDS if isinstance(error.get(key), str)), None)
    if message is None:
        return message_and_code(error)
    codes = [error[key] for key in ("code", "type", "status") if isinstance(error.get(key), str | int) and error[key]]
    told = [code for code in codes if isinstance(code, str)] or [str(code) for code in codes if code is not True]
    return message, next(iter(told), None)
