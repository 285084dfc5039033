"""Lines out of bytes that come in any pieces, at a cost that does not grow with how finely they are cut."""

from tieline.dataplane.answers.streams.items import MOST_EVENT, too_large

BOM = b"\xef\xbb\xbf"


class Lines:
    """Collects bytes and gives whole lines, without their ends.

    ``returns`` makes CR and CRLF end a line as LF does (WHATWG HTML, section 9.2.5).
    """

    __slots__ = ("_held", "_long", "_returned", "_returns", "_started")

    def __init__(self, *, returns: bool) -> None:
        self._returns = returns
        self._held = bytearray()
        self._long = False
        self._returned = False
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes, up to the first that is too long: ``check`` tells of that one."""
        if self._returns:
            data = self._with_feeds(data)
        if b"\n" not in data:
            self._held += data
            self._long = len(self._held) > MOST_EVENT
            return []
        if self._held:
            data = bytes(self._held) + data
            self._held.clear()
        lines = data.split(b"\n")
        if len(data) > MOST_EVENT:
            lines = self._until_long(lines)
        self._held += lines.pop()
        if lines and not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(BOM)
        return lines

    def check(self) -> None:
        """Raise UpstreamResponseTooLarge when the line after those given is over 1 MiB, whether it has ended or not."""
        if self._long:
            raise too_large()

    @property
    def between(self) -> bool:
        """Whether the next byte begins a line, and no line was begun before."""
        return self._started and not self._held and not self._returned

    def rest(self) -> bytes:
        """The line that has begun and not ended."""
        return bytes(self._held) if self._started else bytes(self._held).removeprefix(BOM)

    def _until_long(self, lines: list[bytes]) -> list[bytes]:
        for place, line in enumerate(lines):
            if len(line) > MOST_EVENT:
                self._long = True
                return lines[: place + 1]
        return lines

    def _with_feeds(self, data: bytes) -> bytes:
        if self._returned and data:
            self._returned = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._returned = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data
