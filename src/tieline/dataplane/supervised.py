"""A task that a worker cannot do without: begun again whenever it fails, ended when the worker ends."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger("tieline.dataplane.supervised")

PAUSE_SECONDS = 1.0


class SupervisedTask:
    """Runs ``work`` until ``stop``. Whatever it ends with is logged, and it is begun again a second later."""

    def __init__(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._name = name
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._work(), name=self._name)
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """End the work and wait until it has ended."""
        if self._again is not None:
            self._again.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            log.error("%s failed and is begun again", self._name, exc_info=task.exception())
            self._again = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self.start)
