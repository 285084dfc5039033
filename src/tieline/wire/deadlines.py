"""One coarse clock per worker for every deadline of every connection.

A timer per request costs a heap operation per request; a sweep over all connections four times a second costs a
thousandth of a core for ten thousand of them. Owns the sweep; does not know what a deadline means.
"""

import asyncio
import math
from typing import Protocol

NEVER = math.inf
RESOLUTION = 0.25


class Timed(Protocol):
    """Something with a deadline on the clock of ``Deadlines.now``."""

    deadline: float

    def expired(self) -> None:
        """The deadline has passed. Set another one or end; it is called again at the next sweep otherwise."""
        ...


class Deadlines:
    """Sweeps what it watches every 250 ms; a deadline ends up to 500 ms late, and early only where the loop is stalled.

    ``now`` is the time of the next sweep, so that what is set from it between two sweeps is never too short.
    """

    __slots__ = ("_handle", "_loop", "_watched", "now")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._watched: set[Timed] = set()
        self.now = 0.0

    def start(self) -> None:
        """Begin to sweep on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._sweep()

    def stop(self) -> None:
        """Sweep no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def watch(self, item: Timed) -> None:
        self._watched.add(item)

    def forget(self, item: Timed) -> None:
        self._watched.discard(item)

    def __len__(self) -> int:
        return len(self._watched)

    def _sweep(self) -> None:
        assert self._loop is not None  # start() has run
        self._handle = self._loop.call_later(RESOLUTION, self._sweep)
        now = self._loop.time()
        self.now = now + RESOLUTION
        for item in [each for each in self._watched if each.deadline <= now]:
            self._loop.call_soon(self._expire, item, now)  # one that fails does not keep the others

    def _expire(self, item: Timed, now: float) -> None:
        if item.deadline <= now and item in self._watched:
            item.expired()
