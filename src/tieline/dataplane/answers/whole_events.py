"""Passes a stream of server-sent events on a whole event at a time.

A client can do nothing with half an event; if the upstream leaves in the middle of one, the half that was not passed on
can be dropped, and the error that ends the stream is an event of its own (WHATWG HTML, section 9.2). Pieces that end
with an event, as nearly all do, go through untouched and at once.
"""

from typing import Final

from tieline.dataplane.answers.streams.sse import end_of_events

HELD_MOST: Final = 64 * 1024
_LONGEST_END: Final = 4


class WholeEvents:
    """Holds back what follows the last whole event, up to 64 KiB of it; a larger event is passed on in parts."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes, *, last: bool) -> bytes:
        """What can be passed on of the stream so far; everything once ``data`` is its ``last`` piece."""
        held = self._held
        if not held:
            end = len(data) if last else end_of_events(data)
            return data if end == len(data) or self._passes(data, end) else self._hold(data, end)
        # An end may lie across what is held and what came; what was held alone has none, and is not searched again.
        before = max(0, len(held) - _LONGEST_END + 1)
        found = end_of_events(bytes(held[before:]) + data)
        held += data
        if last or (found and before + found == len(held)) or len(held) > HELD_MOST or self._is_comment(held):
            whole = bytes(held)
            held.clear()
            return whole
        if not found:
            return b""
        return self._hold(bytes(held), before + found)

    def _passes(self, data: bytes, end: int) -> bool:
        """Whether all of ``data`` goes on though no event ends with it."""
        rest = data[end:]
        return len(rest) > HELD_MOST or self._is_comment(rest)

    def _is_comment(self, rest: bytes | bytearray) -> bool:
        """Whether ``rest`` keeps a connection alive, and waits for nothing."""
        return rest.startswith(b":") and rest.endswith(b"\n")

    def _hold(self, data: bytes, end: int) -> bytes:
        self._held = bytearray(data[end:])
        return data[:end]
