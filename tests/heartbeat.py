"""How long a loop did not run for what its own process did: counted in CPU time, so that other processes do not count.

A thread that holds the interpreter's lock stops the loop as surely as a callback that takes long, though the loop's own
thread uses no time meanwhile: so both are measured. Where the machine lets the process wait, neither grows, and where
the loop's thread could run but has no processor, since another thread of its process has it, that is no gap either.
"""

import asyncio
import ctypes
import os
import time
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

BEAT = 0.001
_SCHEDSTAT = "/proc/thread-self/schedstat"


class _Moment(NamedTuple):
    """The clock, what process and thread worked, and how long the thread waited for a processor, in seconds."""

    clock: float
    process: float
    thread: float
    queued: float


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
        with _Queue() as queue:
            after = queue.now()
            while True:
                before = after
                await asyncio.sleep(BEAT)
                after = queue.now()
                gap = after.clock - before.clock - BEAT - (after.queued - before.queued)
                self.longest = max(self.longest, min(gap, after.process - before.process))
                self.own = max(self.own, after.thread - before.thread)
                self.beats += 1


def spend(seconds: float) -> None:
    """Work for at least so many seconds of CPU time in one call into C, which lets no other thread run meanwhile."""
    quickest = min(_summing(100_000) for _ in range(9))  # as machines differ, and are slower now and then
    _summing(round(100_000 * seconds / quickest))


def _summing(many: int) -> float:
    began = time.thread_time()
    sum(range(many))
    return time.thread_time() - began


class _Queue:
    """The thread's place in the scheduler's queue.

    It is asked without letting go of the interpreter's lock, for which the loop would have to wait once more each time:
    what is measured would grow by being measured.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._text = ctypes.create_string_buffer(96)
        self._read = ctypes.PyDLL(None).pread

    def __enter__(self) -> Self:
        with suppress(FileNotFoundError):  # no Linux, or a kernel that does not count
            self._file = os.open(_SCHEDSTAT, os.O_RDONLY)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)

    def now(self) -> _Moment:
        """This moment of the thread that opened it."""
        return _Moment(time.perf_counter(), time.process_time(), time.thread_time(), self._queued())

    def _queued(self) -> float:
        if self._file is None:
            return 0.0
        count = self._read(self._file, self._text, len(self._text), ctypes.c_long(0))
        return int(self._text.raw[:count].split()[1]) / 1e9
