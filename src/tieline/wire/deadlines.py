"""One coarse clock per worker for every deadline of every connection.

A timer per request costs a heap operation per request; a sweep over all connections four times a second costs a
thousandth of a core for ten thousand of them. Owns the sweep; does not know what a deadline means.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

NEVER = math.inf
RESOLUTION = 0.25


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client of either listener may take, in seconds, and how slowly it may send a body, in bytes a second.

    ``head``: for a request's head. ``idle``: between two requests. ``stalled``: without reading what is written to it.
    ``body_window``: how long the rate of a body is measured. ``linger``: for what it still sends once it is answered.
    """

    head: float = 10.0
    idle: float = 75.0
    stalled: float = 60.0
    body_rate: float = 240.0
    body_window: float = 10.0
    linger: float = 2.0

    @property
    def body_least(self) -> float:
        """The bytes of a body that must arrive within ``body_window``."""
        return self.body_rate * self.body_window


class Timed(Protocol):
    """Something with a deadline on the clock of ``Deadlines.now``."""

    deadline: float

    def expired(self) -> None:
        """The deadline has passed. Set another one or end; it is called again at the next sweep otherwise."""
        ...


class Deadlines:
    """Sweeps what it watches every 250 ms; a deadline ends up to 500 ms late, and early only where the loop is stalled.

    ``late`` is how many seconds the last sweep came too late: something kept the loop for so long.

    ``now`` is the time of the next sweep, so that what is set from it between two sweeps is never too short. ``turn``
    tells turns of the loop apart: uvloop's clock goes on once a turn, in steps of a millisecond. Elsewhere, and before
    ``start``, no two calls of it agree.
    """

    __slots__ = ("_due", "_handle", "_loop", "_watched", "late", "now", "turn")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._watched: set[Timed] = set()
        self._due = NEVER
        self.late = 0.0
        self.now = 0.0
        self.turn: Callable[[], float] = time.perf_counter

    def start(self) -> None:
        """Begin to sweep on the running loop."""
        self._loop = asyncio.get_running_loop()
        self.turn = self._loop.time
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
        self.late = max(0.0, now - self._due)
        self.now = self._due = now + RESOLUTION
        for item in [each for each in self._watched if each.deadline <= now]:
            self._loop.call_soon(self._expire, item, now)  # one that fails does not keep the others

    def _expire(self, item: Timed, now: float) -> None:
        if item.deadline <= now and item in self._watched:
            item.expired()
