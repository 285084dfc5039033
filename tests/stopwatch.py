"""Time as it passes for whoever is allowed to run: what a test measures does not depend on what else the machine does.

Where the operating system lets this process wait, everything in it waits too, and a test that counts seconds would
count somebody else's work. A stopwatch looks at the clock all the time and leaves out the moments in which it could
not look. Knows nothing of what is measured.
"""

import asyncio
import time
from types import TracebackType
from typing import Self

TICK = 0.005
USUAL = 0.02  # so late a tick may come for the work of its own loop alone


class Stopwatch:
    """Measures the block of an ``async with``, also while it runs. ``worst`` is its longest stall, in seconds."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._stalled = 0.0
        self._began = self._ended = 0.0
        self._watching: asyncio.Task[None] | None = None

    @property
    def seconds(self) -> float:
        """How long the block has taken, in seconds, stalls left out."""
        return (self._ended or time.monotonic()) - self._began - self._stalled

    async def __aenter__(self) -> Self:
        self._began = time.monotonic()
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = time.monotonic()
        assert self._watching is not None
        self._watching.cancel()
        await asyncio.wait([self._watching])

    async def _watch(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK)
            late = time.monotonic() - before - TICK
            if late > USUAL:
                self._stalled += late
                self.worst = max(self.worst, late)
