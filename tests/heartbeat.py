"""How long a loop did not run for what its own process did: counted in CPU time, so that other processes do not count.

A thread that holds the interpreter's lock stops the loop as surely as a callback that takes long, though the loop's own
thread uses no time meanwhile: so both are measured. Where the machine lets the process wait, neither grows, and where
the loop's thread could run but has no processor, since another thread of its process has it, that is no gap either.
"""

import asyncio
import time
from pathlib import Path
from types import TracebackType
from typing import Self

BEAT = 0.001


class Heartbeat:
    """Beats within the block of an ``async with``.

    ``longest`` is the greatest gap between two beats, in seconds: as the clock has it, less what the loop's thread
    waited for a processor (Linux tells), and no more than all threads of this process worked in it. ``own`` is the most
    that the loop's own thread worked in one.
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
        clock, process, thread, queued = _now()
        while True:
            await asyncio.sleep(BEAT)
            before = clock, process, thread, queued
            clock, process, thread, queued = _now()
            gap = clock - before[0] - BEAT - (queued - before[3])
            self.longest = max(self.longest, min(gap, process - before[1]))
            self.own = max(self.own, thread - before[2])
            self.beats += 1


def _now() -> tuple[float, float, float, float]:
    """The clock, what process and thread worked, and how long the thread waited for a processor, in seconds."""
    return time.perf_counter(), time.process_time(), time.thread_time(), _queued()


def _queued() -> float:
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):  # no Linux, or a kernel that does not count it
        return 0.0
