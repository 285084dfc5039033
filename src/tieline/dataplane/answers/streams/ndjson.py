"""Newline-delimited JSON: a value on each line, from bytes cut anywhere. Blank lines mean nothing."""

from collections.abc import Iterator

from tieline.dataplane.answers.streams.frames import Frame
from tieline.dataplane.answers.streams.lines import Lines

_BLANK = b" \t\r"


class NdjsonDecoder:
    """Frames of lines. The last line needs no end: whether it is whole, its JSON tells."""

    __slots__ = ("_lines", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._lines = Lines(returns=False)

    def feed(self, data: bytes) -> Iterator[Frame]:
        for line in self._lines.feed(data):
            yield from self._frame(line)
        self._lines.check()

    def finish(self) -> Iterator[Frame]:
        return self._frame(self._lines.rest())

    def _frame(self, line: bytes) -> Iterator[Frame]:
        value = line.strip(_BLANK)
        if value:
            yield Frame(None, value)
