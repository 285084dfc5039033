"""Passes a stream of server-sent events on a whole event at a time.

A client can do nothing with half an event; if the upstream leaves in the middle of one, the half that was not passed on
can be dropped, and the error that ends the stream is an event of its own (WHATWG HTML, section 9.2). Pieces that end
with an event, as nearly all do, go through untouched and at once.
"""

from typing import Final

HELD_MOST: Final = 64 * 1024
_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")


class WholeEvents:
    """Holds back what follows the last whole event, up to 64 KiB of it; a larger event is passed on in parts."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes, *, last: bool) -> bytes:
        """What can be passed on of the stream so far; everything once ``data`` is its ``last`` piece."""
        if self._held:
            data = self._held + data
            self._held = b""
        if last or data.endswith(_ENDS):
            return data
        end = max([data.rfind(mark) + len(mark) for mark in _ENDS if mark in data], default=0)
        rest = data[end:]
        is_comment = rest.startswith(b":") and rest.endswith(b"\n")  # keeps a connection alive and waits for nothing
        if is_comment or len(rest) > HELD_MOST:
            return data
        self._held = rest
        return data[:end]
