"""Saves into the store what a worker gathers, one save on its way at a time: none is sent again before it was answered.

It may have been stored. Owns when a worker saves, how long a save may hang before the log says so, and how long a
worker that ends waits for the store; what is saved, and what becomes of what could not be, is its subclasses'.
"""

import asyncio
import math
from abc import ABC, abstractmethod
from typing import Final

HANGING_SECONDS: Final = 10.0
"""For so long a save may be on its way before the log says so."""
CLOSE_SECONDS: Final = 10.0
"""For so long a worker that ends waits for the store."""


class Saving(ABC):
    """Runs ``_save``, never twice at once, and ``pause`` seconds after the one before.

    After ``patience`` seconds, ``HANGING_SECONDS`` where none are given, one that is on its way hangs.
    """

    def __init__(self, pause: float, patience: float | None = None) -> None:
        self._pause = pause
        self._patience = patience
        self._on_its_way: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Save until cancelled."""
        while True:
            await self._wanted()
            await self.flush()
            await asyncio.sleep(self._pause)

    async def flush(self) -> None:
        """Save what waits now, after what is on its way; what cannot be saved waits on.

        Where whoever asked is cancelled, the save goes on, and the next flush waits for it first.
        """
        if self._on_its_way is not None and not self._on_its_way.done():
            await asyncio.wait([self._on_its_way])
        loop = asyncio.get_running_loop()
        self._on_its_way = loop.create_task(self._save())
        patience = HANGING_SECONDS if self._patience is None else self._patience
        hanging = loop.call_later(patience, self._warn_of_hanging)
        try:
            await asyncio.shield(self._on_its_way)
        finally:
            hanging.cancel()

    async def close(self) -> None:
        """Save everything, if the store takes it within ten seconds."""
        before: float = math.inf
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.flush()
                while 0 < (left := self._left()) < before:
                    before = left
                    await self.flush()
        except TimeoutError:
            self._warn_of_loss()

    async def _wanted(self) -> None:  # noqa: B027  most may have something at any time
        """Wait until there may be something to save."""

    def _left(self) -> int:
        """How much the last save left for the next one, although the store took what it was given."""
        return 0

    @abstractmethod
    async def _save(self) -> None:
        """Save what waits now. It keeps what the store refuses, says so in the log, and raises no TielineError."""

    @abstractmethod
    def _warn_of_hanging(self) -> None:
        """Say in the log that the store has not answered for ``HANGING_SECONDS``."""

    @abstractmethod
    def _warn_of_loss(self) -> None:
        """Say in the log that a worker ended whose last save the store did not take within ``CLOSE_SECONDS``."""
