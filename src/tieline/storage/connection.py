"""Transactions of SQLAlchemy's engines on an event loop: its Core with an asyncio driver, and nothing of its ORM.

``greenlet_spawn`` runs the engine's own code in a greenlet; what its driver awaits there is awaited by the event loop
(docs.sqlalchemy.org, asyncio). The package ``sqlalchemy.ext.asyncio`` does the same, but loads the whole ORM for
sessions that nobody opens here: six MiB and sixty milliseconds in each process.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from sqlalchemy import Connection, CursorResult, Dialect, Engine, Executable
from sqlalchemy.util import greenlet_spawn

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
Rows: TypeAlias = "CursorResult[*tuple[Any, ...]]"  # text: SQLAlchemy 2.0 knows no such parameter


class AsyncConnection:
    """A connection within a transaction. Rows of a result are here whole once it has been executed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def dialect(self) -> Dialect:
        """What its SQL is written in."""
        return self._connection.dialect

    async def execute(self, statement: Executable, parameters: Any = None) -> Rows:
        """Execute ``statement``, with one mapping of parameters or a list of them."""
        return await greenlet_spawn(self._connection.execute, statement, parameters)

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> Rows:
        """Execute SQL text as the driver takes it."""
        return await greenlet_spawn(self._connection.exec_driver_sql, statement, parameters)

    async def run_sync(
        self, work: Callable[Concatenate[Connection, Arguments], Result], *args: Arguments.args, **kw: Arguments.kwargs
    ) -> Result:
        """What ``work`` returns, called with the connection as synchronous code sees it."""
        return await greenlet_spawn(lambda: work(self._connection, *args, **kw))


@asynccontextmanager
async def transaction(engine: Engine) -> AsyncIterator[AsyncConnection]:
    """A transaction on a connection of the pool: committed where the block ends, rolled back where it raises.

    The connection goes back to the pool in a task of its own, so that whoever is cancelled does not take it along.
    """
    connection = await greenlet_spawn(engine.connect)
    try:
        begun = await greenlet_spawn(connection.begin)
        try:
            yield AsyncConnection(connection)
        except BaseException:
            await greenlet_spawn(begun.rollback)
            raise
        await greenlet_spawn(begun.commit)
    finally:
        await asyncio.shield(asyncio.ensure_future(greenlet_spawn(connection.close)))


async def dispose(engine: Engine) -> None:
    """Close every connection of the pool."""
    await greenlet_spawn(engine.dispose)
