"""Server-sent events as WHATWG HTML section 9.2 has them, from bytes cut anywhere. Knows no provider.

Two things are stricter than in a browser: bytes that are not UTF-8 are an error rather than replaced, and so is an
event that the end of the stream cuts, where a browser drops it.
"""

from collections.abc import Iterator
from typing import Final

from tieline.dataplane.answers.streams.frames import Frame, text_of
from tieline.dataplane.answers.streams.items import MOST_EVENT, MOST_VALUES, too_large, too_many, truncated
from tieline.dataplane.answers.streams.lines import Lines

EVENT_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")
"""What ends an event: the end of its last line, then an empty line (section 9.2.5)."""


def end_of_events(data: bytes) -> int:
    """Where the last whole event in ``data`` ends; 0 where none does."""
    if data.endswith(EVENT_ENDS):
        return len(data)
    return max([data.rfind(mark) + len(mark) for mark in EVENT_ENDS if mark in data], default=0)


class SseDecoder:
    """Frames of an event stream; the fields ``id`` and ``retry``, which are for reconnecting, are passed over.

    ``end`` is data that counts as a whole event even where the stream ends before the empty line after it, as servers
    that send ``[DONE]`` often do.
    """

    __slots__ = ("_data", "_end", "_lines", "_name", "_size", "closed")

    def __init__(self, end: bytes | None = None) -> None:
        self.closed = False
        self._end = end
        self._lines = Lines(returns=True)
        self._name: str | None = None
        self._data: list[bytes] = []
        self._size = 0

    @property
    def between(self) -> bool:
        """Whether the next byte begins an event."""
        return not self._data and self._name is None and self._lines.between

    def feed(self, data: bytes) -> Iterator[Frame]:
        for line in self._lines.feed(data):
            if line.startswith(b"data: "):
                self._add(line[6:])
            elif line:
                self._field(line)
            elif self._data:
                frame = Frame(self._name, self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._clear()
                yield frame
            else:
                self._name = None
        self._lines.check()

    def finish(self) -> Iterator[Frame]:
        rest = self._lines.rest()
        if rest and not rest.startswith(b":"):
            self._field(rest)
        elif not self._data and self._name is None:
            return
        data = b"\n".join(self._data)
        if data != self._end:
            raise truncated("it ended in the middle of an event")
        yield Frame(self._name, data)

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._add(value)
        elif name == b"event":
            self._name = text_of(value) or None

    def _add(self, value: bytes) -> None:
        self._size += len(value) + 1
        if self._size > MOST_EVENT:
            raise too_large()
        if len(self._data) >= MOST_VALUES:  # empty lines are few bytes, and have to be joined all the same
            raise too_many()
        self._data.append(value)

    def _clear(self) -> None:
        self._name = None
        self._data = []
        self._size = 0
