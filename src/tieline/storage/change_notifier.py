"""What wakes a data-plane worker when the database may have changed.

Owns the watching of SQLite, by ``PRAGMA data_version`` on a connection of its own; PostgreSQL's is in ``postgresql``.
Knows nothing of what changed; who is woken asks the change log.
"""

import asyncio
import sqlite3
from contextlib import suppress
from typing import Protocol

import aiosqlite

SQLITE_POLL = 0.1


class ChangeNotifier(Protocol):
    """Ends a wait when something may have changed since the last one ended; too often perhaps, never too seldom."""

    async def wait(self, seconds: float) -> None:
        """Return when something may have changed, at the latest after ``seconds``; also while the store is gone."""
        ...

    def push(self) -> None:
        """End the wait now, or the next one at once: another process of this server has changed something."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


class SqliteChangeNotifier:
    """Polls the file's ``data_version``, which any commit of another connection moves, ten times a second."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._pushed = asyncio.Event()
        self._connection: aiosqlite.Connection | None = None
        self._seen: int | None = None

    async def wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not (self._pushed.is_set() or await self._moved()):
            left = end - loop.time()
            if left <= 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(min(SQLITE_POLL, left)):
                    await self._pushed.wait()
        self._pushed.clear()

    def push(self) -> None:
        self._pushed.set()

    async def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def _moved(self) -> bool:
        """Whether the version moved since the last look; the first look, too, counts as moved."""
        try:
            if self._connection is None:
                self._connection = await aiosqlite.connect(self._path, isolation_level=None)
            ((version,),) = await self._connection.execute_fetchall("PRAGMA data_version")
        except sqlite3.Error:
            await self.close()
            return False
        before, self._seen = self._seen, version
        return before != self._seen
