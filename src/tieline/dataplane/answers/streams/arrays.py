"""JSON values one after another, from bytes cut anywhere: the items of one array, or values with nothing between them.

Finds where values end, and leaves what they are to the reader. White space between values, and the record separator of
RFC 7464 between concatenated ones, mean nothing.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto

from tieline.core.errors import UpstreamError
from tieline.dataplane.answers.streams.frames import Frame, value_of
from tieline.dataplane.answers.streams.items import MOST_DEPTH, MOST_EVENT, malformed, too_deep, too_large, truncated
from tieline.dataplane.answers.streams.lines import BOM

_BLANK = re.compile(rb"[ \t\r\n\x1e]*+")
# Everything up to the next bracket: whole strings are passed over in one step, an unfinished one is stopped at.
_INSIDE = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_WORD = re.compile(rb'[^ \t\r\n\x1e,"{}\[\]]*+')
_OPENING, _CLOSING = b"{[", b"}]"


class _Sort(Enum):
    """What the value that is being read is, by its first byte."""

    NESTED = auto()
    STRING = auto()
    WORD = auto()


class _Value:
    """Finds the end of one JSON value, a piece at a time."""

    __slots__ = ("_begun", "_depth", "_escaped", "_quoted", "_sort")

    def __init__(self) -> None:
        self._begun = bytearray()
        self._sort: _Sort | None = None
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def __bool__(self) -> bool:
        return self._sort is not None

    def feed(self, data: bytes, start: int) -> int:
        """Take what belongs to the value from ``data[start:]``; where it ends, or -1 when it goes on.

        Raises UpstreamResponseTooLarge and UpstreamProtocolError (too deep).
        """
        room = MOST_EVENT - len(self._begun)
        if len(data) - start > room:
            end = self._end(data[: start + room + 1], start)
            if not start <= end <= start + room:
                raise too_large()
            return end
        end = self._end(data, start)
        if end < 0:
            self._begun += data[start:] if start else data
        return end

    def take(self, last: bytes = b"") -> Frame:
        """The whole value, whose end is ``last``; ready for the next one."""
        value = bytes(self._begun) + last if self._begun else last
        self._begun.clear()
        self._sort = None
        return Frame(None, value)

    def is_word(self) -> bool:
        """Whether it is a number or literal, which only what follows can end."""
        return self._sort is _Sort.WORD

    def _end(self, data: bytes, start: int) -> int:
        if self._sort is None:
            first = data[start]
            self._quoted = first == 0x22
            self._sort = _Sort.STRING if self._quoted else _Sort.NESTED if first in _OPENING else _Sort.WORD
            if self._quoted:
                place = self._unquoted(data, start + 1)
                return -1 if self._quoted else place
        if self._sort is _Sort.WORD:
            place = _word_end(data, start)
            return place if place < len(data) else -1
        if self._quoted:
            start = self._unquoted(data, start)
            if self._quoted:
                return -1
            if self._sort is _Sort.STRING:
                return start
        return self._nested(data, start)

    def _unquoted(self, data: bytes, place: int) -> int:
        """Where the string that has begun ends; it stays quoted when it does not."""
        if self._escaped:
            self._escaped = False
            place += 1
        match = _STRING.match(data, place)
        place = match.end() if match is not None else place
        if place == len(data):
            return place
        self._escaped = data[place] == 0x5C
        self._quoted = self._escaped
        return place + 1

    def _nested(self, data: bytes, place: int) -> int:
        size = len(data)
        inside = _INSIDE.match
        while True:
            match = inside(data, place)
            place = match.end() if match is not None else place
            if place >= size:
                return -1
            byte = data[place]
            place += 1
            if byte in _OPENING:
                self._depth += 1
                if self._depth > MOST_DEPTH:
                    raise too_deep()
            elif byte in _CLOSING:
                self._depth -= 1
                if self._depth == 0:
                    return place
            else:
                self._quoted = True
                place = self._unquoted(data, place)
                if self._quoted:
                    return -1


def _word_end(data: bytes, start: int) -> int:
    match = _WORD.match(data, start)
    return match.end() if match is not None else start


def _at_once(data: bytes, start: int) -> Frame | None:
    """The object that ``data`` holds from ``start`` to its last brace; None where that is not one object.

    Most pieces that a provider sends hold just one event: reading it costs less than finding its end first.
    """
    end = data.rfind(b"}") + 1
    if data[start] != 0x7B or not 0 < end - start <= MOST_EVENT:
        return None
    text = data[start:end]
    try:
        return Frame(None, text, value_of(text))
    except UpstreamError:
        return None


class ConcatenatedDecoder:
    """Frames of values that follow each other without a separator, or with white space."""

    __slots__ = ("_started", "_value", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._started = _Start()
        self._value = _Value()

    def feed(self, data: bytes) -> Iterator[Frame]:
        data = self._started.without_bom(data)
        place, size, fresh = 0, len(data), True
        while place < size:
            if not self._value:
                place = _after_blank(data, place)
                if place == size:
                    return
                if data[place] in b",}]":
                    raise malformed("has an event that is not JSON")
                frame = _at_once(data, place) if fresh else None
                fresh = False
                if frame is not None:
                    yield frame
                    place += len(frame.data)
                    continue
            end = self._value.feed(data, place)
            if end < 0:
                return
            yield self._value.take(data[place:end])
            place = end

    def finish(self) -> Iterator[Frame]:
        if self._value and not self._value.is_word():
            raise truncated("it ended in the middle of an event")
        if self._value:
            yield self._value.take()


class _Next(Enum):
    """What an array may have next."""

    OPENING = auto()
    FIRST = auto()
    ITEM = auto()
    COMMA = auto()


class ArrayDecoder:
    """Frames of the items of one array. Its closing bracket closes the stream; what follows is not looked at."""

    __slots__ = ("_next", "_started", "_value", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._started = _Start()
        self._next = _Next.OPENING
        self._value = _Value()

    def feed(self, data: bytes) -> Iterator[Frame]:
        data = self._started.without_bom(data)
        place, size, fresh = 0, len(data), True
        while place < size and not self.closed:
            if not self._value:
                place = _after_blank(data, place)
                if place == size:
                    return
                if self._between(data[place]):
                    place += 1
                    continue
                frame = _at_once(data, place) if fresh else None
                fresh = False
                if frame is not None:
                    self._next = _Next.COMMA
                    yield frame
                    place += len(frame.data)
                    continue
            end = self._value.feed(data, place)
            if end < 0:
                return
            self._next = _Next.COMMA
            yield self._value.take(data[place:end])
            place = end

    def finish(self) -> Iterator[Frame]:
        if not self.closed:
            raise truncated("its array is not closed")
        yield from ()

    def _between(self, byte: int) -> bool:
        """Whether ``byte`` stands between items. Raises UpstreamProtocolError where it may not."""
        state = self._next
        if byte == 0x5D and state in {_Next.FIRST, _Next.COMMA}:
            self.closed = True
        elif byte == 0x5B and state is _Next.OPENING:
            self._next = _Next.FIRST
        elif byte == 0x2C and state is _Next.COMMA:
            self._next = _Next.ITEM
        elif state in {_Next.OPENING, _Next.COMMA} or byte in b",}]":
            raise malformed("is not one JSON array")
        else:
            return False
        return True


class _Start:
    """Takes a byte order mark off the beginning, wherever it is cut."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: bytes | None = b""

    def without_bom(self, data: bytes) -> bytes:
        """``data`` without the mark; empty as long as it may be part of one."""
        if self._seen is None:
            return data
        seen = self._seen + data
        if len(seen) < len(BOM) and BOM.startswith(seen):
            self._seen = seen
            return b""
        self._seen = None
        return seen.removeprefix(BOM)


def _after_blank(data: bytes, place: int) -> int:
    match = _BLANK.match(data, place)
    return match.end() if match is not None else place
