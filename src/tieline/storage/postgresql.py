"""PostgreSQL by asyncpg: how it is connected to, what its loss looks like, and what listens for changes.

Loaded only where the database is one, because it takes five MiB. asyncpg reads the URL itself, so everything that libpq
users know about URLs holds.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg
from sqlalchemy import AsyncAdaptedQueuePool, Engine, create_engine
from sqlalchemy.dialects.postgresql import insert

from tieline.storage.changes import CHANNEL
from tieline.storage.schema import one_active

CONNECT_SECONDS = 10.0
COMMAND_SECONDS = 30.0
POLL = 1.0
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What it raises when a connection cannot be made or was cut."""

one_active.dialect_options["postgresql"]["where"] = one_active.dialect_options["sqlite"]["where"]

__all__ = ["LOST", "PostgresChangeNotifier", "insert", "open_engine"]


def open_engine(url: str, pool: int) -> Engine:
    """An engine with at most ``pool`` connections, each tried before it is used again."""
    return create_engine(
        "postgresql+asyncpg://",
        connect_args={"async_creator_fn": _connector(url, COMMAND_SECONDS)},
        poolclass=AsyncAdaptedQueuePool,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=CONNECT_SECONDS,
        pool_pre_ping=True,
    )


class PostgresChangeNotifier:
    """Listens on a connection of its own, opened again when it is lost; ends a wait after a second in any case."""

    def __init__(self, url: str) -> None:
        self._connect = _connector(url, CONNECT_SECONDS)
        self._connection: Any = None
        self._notified = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        if await self._listening():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._notified.wait(), min(POLL, seconds))
            self._notified.clear()
        else:
            await asyncio.sleep(min(POLL, seconds))

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _listening(self) -> bool:
        """Whether somebody would hear a notification; a connection that was opened just now counts as one."""
        if self._connection is not None and not self._connection.is_closed():
            return True
        try:
            self._connection = await self._connect()
            await self._connection.add_listener(CHANNEL, self.push)
            self._connection.add_termination_listener(self.push)
        except LOST:
            await self.close()
            return False
        self._notified.set()
        return True

    def push(self, *_about: object) -> None:
        self._notified.set()


def _connector(url: str, command_seconds: float | None) -> Callable[..., Any]:
    """A function that opens one connection to ``url``."""

    async def connect() -> Any:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=command_seconds,
            server_settings={"application_name": "tieline"},
        )

    return connect
