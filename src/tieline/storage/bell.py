"""What wakes a data-plane worker when the database may have changed.

Owns the watching of SQLite, by ``PRAGMA data_version`` on a connection of its own; PostgreSQL's is in ``postgresql``.
Knows nothing of what changed; who is woken asks the change log.
"""

import asyncio
import sqlite3
from typing import Protocol

import aiosqlite

SQLITE_POLL = 0.1


class Bell(Protocol):
    """Rings when something may have changed since it last rang; it may ring too often, never too seldom."""

    async def wait(self, seconds: float) -> None:
        """Return when it rings, at the latest after ``seconds``. A store that is gone makes no noise here."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


class SqliteBell:
    """Polls the file's ``data_version``, which any commit of another connection moves, ten times a second."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: aiosqlite.Connection | None = None
        self._seen: int | None = None

    async def wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not await self._moved():
            left = end - loop.time()
            if left <= 0:
                return
            await asyncio.sleep(min(SQLITE_POLL, left))

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
