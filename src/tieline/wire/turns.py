"""How much of one turn of the loop the bytes of one connection take, where they are slow to parse.

The loop reads a quarter of a MiB at once, and up to 32 times in a turn where more is there. Most of it is parsed in no
time; but a chunk of one byte takes as many steps as one of 64 KiB, and 40,000 of them come in one read. Such reads are
parsed in slices, and what is left once a connection had its share of the turn waits for the next one, as does what the
kernel has. Knows no message.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from tieline.wire.deadlines import Deadlines

LARGE: Final = 32 * 1024
"""Reads of more bytes go through a ``TurnShare``."""
FRAMES: Final = 4 * 1024
"""The same, where a tunnel's messages are read: of the smallest there are a thousand in so many bytes."""
_SHARE: Final = 0.005
"""Seconds of a turn after which the others have theirs."""
_DENSE: Final = 64
"""Where a line ends in fewer bytes than these, a read is slow to parse."""


def at_once(data: bytes, *, framed: bool) -> int:
    """How many bytes of a read of messages are parsed at once: all, unless it is slow to parse.

    ``framed``: it may be more than one long piece of a body, and has line ends of its own.
    """
    return LARGE if framed and data.count(b"\n") * _DENSE > len(data) else len(data)


class TurnShare:
    """What one connection has read and not parsed yet, and what it took of the turn.

    ``parse`` is called with each piece, ``pause`` when the turn's share is used up, ``resume`` in the next turn once
    nothing is left. ``parsing``: it is under way; ``waits``: for the next turn. Whoever wants no more empties ``left``.
    """

    __slots__ = ("_at_once", "_clock", "_parse", "_pause", "_resume", "_taken", "_turn", "left", "parsing", "waits")

    def __init__(
        self, clock: Deadlines, parse: Callable[[bytes], None], pause: Callable[[], None], resume: Callable[[], None]
    ) -> None:
        self.left = b""
        self.parsing = False
        self.waits = False
        self._clock = clock
        self._parse = parse
        self._pause = pause
        self._resume = resume
        self._at_once = LARGE
        self._turn = self._taken = 0.0

    def take(self, data: bytes, at_once: int) -> None:
        """Parse a large read, so many bytes at once: what has a place in this turn now, the rest in the next ones."""
        self._at_once = at_once
        self.left += data
        if not self.waits:
            self._go_on()

    def _go_on(self) -> None:
        turn = self._clock.turn()
        if turn != self._turn:
            self._turn, self._taken = turn, 0.0
        self.parsing = True
        began = time.perf_counter()
        try:
            while self.left and self._taken <= _SHARE:
                data, self.left = self.left[: self._at_once], self.left[self._at_once :]
                self._parse(data)
                now = time.perf_counter()
                self._taken, began = self._taken + now - began, now
        finally:
            self.parsing = False
        if self._taken > _SHARE:
            if not self.waits:
                self._pause()
            self.waits = True
            asyncio.get_running_loop().call_soon(self._next_turn)
        elif self.waits:
            self.waits = False
            self._resume()

    def _next_turn(self) -> None:
        self._turn = 0.0
        self._go_on()
