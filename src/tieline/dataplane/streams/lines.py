"""Lines out of bytes that come in any pieces, at a cost that does not grow with how finely they are cut."""

from tieline.dataplane.streams.items import MOST_EVENT, too_large

BOM = b"\xef\xbb\xbf"


class Lines:
    """Collects bytes and gives whole lines, without their ends. A line over 1 MiB is an error.

    ``returns`` makes CR and CRLF end a line as LF does (WHATWG HTML, section 9.2.5).
    """

    __slots__ = ("_held", "_returned", "_returns", "_size", "_started")

    def __init__(self, *, returns: bool) -> None:
        self._returns = returns
        self._held: list[bytes] = []
        self._size = 0
        self._returned = False
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes; a line that is too long is the last of them, see ``check``."""
        if self._returns:
            data = self._with_feeds(data)
        if b"\n" not in data:
            self._hold(data)
            return []
        if self._held:
            data = b"".join((*self._held, data))
            self._held.clear()
        lines = data.split(b"\n")
        rest = lines.pop()
        self._size = 0
        self._hold(rest)
        if not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(BOM)
        return lines

    def check(self) -> None:
        """Raise UpstreamResponseTooLarge when the line that has begun is too long already."""
        if self._size > MOST_EVENT:
            raise too_large("a line")

    def rest(self) -> bytes:
        """The line that has begun and not ended."""
        rest = b"".join(self._held)
        return rest if self._started else rest.removeprefix(BOM)

    def _hold(self, data: bytes) -> None:
        if data:
            self._held.append(data)
            self._size += len(data)

    def _with_feeds(self, data: bytes) -> bytes:
        if self._returned and data:
            self._returned = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._returned = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data
