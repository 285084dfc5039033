"""How long a loop did not run for what its own process did: counted in CPU time, so that other processes do not count.

A thread that holds the interpreter's lock stops the loop as surely as a callback that takes long, though the loop's own
thread uses no time meanwhile: so both are measured. Where the machine lets the process wait, neither grows.
"""

import asyncio
import time
from types import TracebackType
from typing import Self

BEAT = 0.001


class Heartbeat:
    """Beats within the block of an ``async with``.

    ``longest`` is the greatest gap between two beats, in seconds: as the clock has it, but no more than all threads of
    this process worked in it. ``own`` is the most that the loop's own thread worked in one.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self.own = 0.0
        self.beats = 0
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._beating = asyncio.create_task(self._beat())
        await asyncio.sleep(0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.sleep(2 * BEAT)  # what came last is in a gap too
        assert self._beating is not None
        self._beating.cancel()
        await asyncio.wait([self._beating])

    async def _beat(self) -> None:
        clock, process, thread = time.perf_counter(), time.process_time(), time.thread_time()
        while True:
            await asyncio.sleep(BEAT)
            before = clock, process, thread
            clock, process, thread = time.perf_counter(), time.process_time(), time.thread_time()
            self.longest = max(self.longest, min(clock - before[0] - BEAT, process - before[1]))
            self.own = max(self.own, thread - before[2])
            self.beats += 1
