"""What framing hands to the reader: one event's name and bytes, and the bytes as a JSON value within bounds."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from tieline.dataplane.answers.large_json import read_json_by_size
from tieline.dataplane.answers.streams.items import MOST_DEPTH, MOST_VALUES, malformed, too_deep, too_many


class Frame(NamedTuple):
    """One event as it was framed; ``name`` is set by SSE only, ``value`` where framing had to read the JSON anyway."""

    name: str | None
    data: bytes
    value: Any = None


class Decoder(Protocol):
    """Cuts bytes, which come in any pieces, into frames. An error that it raises ends the stream."""

    closed: bool
    """Whether the framing itself has said that the stream is over."""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The events that ``data`` completes. Raises UpstreamProtocolError, UpstreamResponseTooLarge."""
        ...

    def finish(self) -> Iterator[Frame]:
        """What the end of the bytes completes. Raises UpstreamProtocolError where the end cuts an event."""
        ...


def value_of(data: bytes) -> Any:
    """The JSON value that ``data`` is, its numbers exact and halves of characters kept (RFC 8259 section 8.2).

    Raises UpstreamProtocolError when it is none or nests too deep, UpstreamResponseTooLarge for too many values.
    """
    nested = len(data) > MOST_DEPTH and data.count(b"{") + data.count(b"[")
    if len(data) > MOST_VALUES and nested + data.count(b",") > MOST_VALUES:
        raise too_many()
    try:
        value = read_json_by_size(data)
    except ValueError:
        raise malformed(_problem(data)) from None
    if nested > MOST_DEPTH:
        _check_depth(value)
    return value


def text_of(data: bytes) -> str:
    """``data`` as text. Raises UpstreamProtocolError when it is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise malformed("holds bytes that are not UTF-8") from None


def _problem(data: bytes) -> str:
    try:
        data.decode()
    except UnicodeDecodeError:
        return "holds bytes that are not UTF-8"
    return "has an event that is not JSON" if data.strip() else "has an empty event where JSON belongs"


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [child for each in level for child in _children(each) if isinstance(child, dict | list)]
        if not level:
            return
    raise too_deep()


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
