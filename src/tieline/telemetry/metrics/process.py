"""What every process says of itself: that it lives, how late its loop is, its processor time and memory."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Literal

from tieline.telemetry.metrics import families
from tieline.telemetry.metrics.counting import Counts

EVERY_SECONDS: Final = 0.25
LOOK_EVERY: Final = 4
"""Turns between two looks at what costs more to look at."""
_MILLION: Final = 1_000_000
_STATM: Final = Path("/proc/self/statm")


class ProcessMetrics:
    """The metrics of the process called ``process``, of one plane."""

    def __init__(self, counts: Counts, process: str, plane: Literal["data", "control"]) -> None:
        self._counts = counts
        self._process = process
        self._plane = plane
        self._cpu = 0

    async def turns(self) -> AsyncIterator[bool]:
        """A turn four times a second, until cancelled: whether it is time for a look, too."""
        turn = 0
        while True:
            due = time.perf_counter() + EVERY_SECONDS
            await asyncio.sleep(EVERY_SECONDS)
            late = max(0.0, time.perf_counter() - due)
            self._counts.observe(families.LOOP_LAG, round(late * _MILLION), self._plane)
            self._counts.slot.beat()
            turn += 1
            looks = turn % LOOK_EVERY == 0
            if looks:
                self.look()
            yield looks

    def look(self) -> None:
        """Note processor time, which goes on from where the process before this one had come to, and memory."""
        used = round(time.process_time() * _MILLION)
        self._counts.add(families.CPU, used - self._cpu, self._process)
        self._cpu = used
        try:
            pages = int(_STATM.read_text(encoding="ascii").split()[1])
        except (OSError, ValueError, IndexError):
            return  # no Linux
        self._counts.set(families.MEMORY, pages * os.sysconf("SC_PAGE_SIZE"), self._process)
