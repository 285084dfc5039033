"""What wakes a data-plane worker when the database may have changed.

Owns the watching: SQLite by ``PRAGMA data_version`` on a connection of its own, PostgreSQL by LISTEN with a poll behind
it. Knows nothing of what changed; who is woken asks the change log.
"""

import asyncio
import sqlite3
from contextlib import suppress
from typing import Any, Protocol

import aiosqlite
import asyncpg

from tieline.storage.changes import CHANNEL
from tieline.storage.engine import CONNECT_SECONDS, connector

SQLITE_POLL = 0.1
POSTGRESQL_POLL = 1.0


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


class PostgresBell:
    """Listens on a connection of its own, opened again when it is lost; rings each second in any case."""

    def __init__(self, url: str) -> None:
        self._connect = connector(url, CONNECT_SECONDS)
        self._connection: Any = None
        self._rung = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        if await self._listening():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._rung.wait(), min(POSTGRESQL_POLL, seconds))
            self._rung.clear()
        else:
            await asyncio.sleep(min(POSTGRESQL_POLL, seconds))

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _listening(self) -> bool:
        """Whether somebody would hear a notification; a connection that was opened just now rings at once."""
        if self._connection is not None and not self._connection.is_closed():
            return True
        try:
            self._connection = await self._connect()
            await self._connection.add_listener(CHANNEL, self._ring)
            self._connection.add_termination_listener(self._ring)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await self.close()
            return False
        self._rung.set()
        return True

    def _ring(self, *_about: object) -> None:
        self._rung.set()
