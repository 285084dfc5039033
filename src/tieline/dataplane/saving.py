"""Saves into the store, one on its way at a time: it is not sent again before the store has answered.

It may have been stored. Owns how long a save may hang before the log says so, and how long a worker that ends waits for
it; what is saved, and what becomes of what could not be, is its user's.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

HANGING_SECONDS: Final = 10.0
"""For so long a save may be on its way before the log says so."""
CLOSE_SECONDS: Final = 10.0
"""For so long a worker that ends waits for the store."""


class Saving:
    """Runs ``save``, never twice at once; ``hangs`` is called where one takes long."""

    __slots__ = ("_hangs", "_save", "_under_way")

    def __init__(self, save: Callable[[], Coroutine[Any, Any, None]], hangs: Callable[[], None]) -> None:
        self._save = save
        self._hangs = hangs
        self._under_way: asyncio.Task[None] | None = None

    async def flush(self) -> None:
        """Save what waits now, after what is on its way.

        Where whoever asked is cancelled, the save goes on, and the next flush waits for it first.
        """
        if self._under_way is not None and not self._under_way.done():
            await asyncio.wait([self._under_way])
        loop = asyncio.get_running_loop()
        self._under_way = loop.create_task(self._save())
        hanging = loop.call_later(HANGING_SECONDS, self._hangs)
        try:
            await asyncio.shield(self._under_way)
        finally:
            hanging.cancel()
