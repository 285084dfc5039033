"""Connections and transactions: how each engine is opened, who may write, and what a lost store is called.

Owns the URL, the pool, the settings of every connection and the translation of the drivers' errors. Knows no table.

SQLite: one file, ``synchronous=FULL``, foreign keys on. Write-ahead logging only where the library has the fix of the
WAL-reset bug, which corrupts a database that two connections write to; elsewhere a rollback journal that is truncated,
because a truncated journal is synced at each commit and a deleted one is not (sqlite.org, PRAGMA synchronous, EXTRA).
Writers begin with ``BEGIN IMMEDIATE``: a transaction that reads first and writes later could deadlock with another.
PostgreSQL has a module of its own (``postgresql``), loaded where it is used.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from sqlalchemy import AsyncAdaptedQueuePool, Engine, Table, case, create_engine, event, literal_column, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.sql.elements import ColumnElement

from tieline.core.errors import NotReady, StorageError
from tieline.storage.connection import AsyncConnection, dispose, transaction
from tieline.storage.schema import REVISION

Kind = Literal["sqlite", "postgresql"]

POOL = 5
BUSY_SECONDS = 10.0
SUM_MOST = 4 * 10**18
_RETRY_AFTER = 1.0
_BEGIN = "tieline_begin"
_PRIMARY = 0xFF  # the low byte of an extended result code
_POSTGRESQL_NOW: ColumnElement[int] = literal_column("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)")
_PASSING_STATES = ("08", "25006", "40", "53", "57", "58")


class Database:
    """An open database. Both kinds of transaction raise ``NotReady`` while it cannot be reached or is full.

    ``insert`` makes its dialect's INSERT, ``lost`` is what its driver raises when a connection is gone.
    """

    def __init__(
        self,
        kind: Kind,
        location: str,
        engine: Engine,
        *,
        insert: Callable[[Table], Any] = sqlite.insert,
        lost: tuple[type[Exception], ...] = (OSError,),
    ) -> None:
        self.kind = kind
        self.location = location
        self._engine = engine
        self._reader: Engine
        self._writer: Engine
        self._insert = insert
        self._lost = lost
        if kind == "sqlite":
            self._reader = engine.execution_options(**{_BEGIN: "BEGIN"})
            self._writer = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        else:
            self._reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            self._writer = engine
        self._turn: AbstractAsyncContextManager[object] = asyncio.Lock() if kind == "sqlite" else nullcontext()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one state of the database. Keep it short: on SQLite a writer waits for it."""
        with _named_errors(), _lost_connections(self._lost):
            async with transaction(self._reader) as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is durable when the block has ended without an exception, and never was otherwise.

        On SQLite writers go one at a time, in this process by a queue and across processes by the file's lock.
        """
        async with self._turn:
            with _named_errors(), _lost_connections(self._lost):
                async with transaction(self._writer) as connection:
                    yield connection

    def insert_new(self, table: Table) -> Any:
        """An INSERT that leaves a row alone whose key is already there."""
        return self._insert(table).on_conflict_do_nothing()

    def insert_or_add(self, table: Table, key: Sequence[str], added: Sequence[str]) -> Any:
        """An INSERT that, where the ``key`` is already there, adds to its columns ``added`` instead.

        A sum stays where it is beyond ``SUM_MOST``: 64 bits are the engines' bound, and figures come from outsiders.
        """
        insert = self._insert(table)
        sums = {
            name: case((table.c[name] > SUM_MOST, table.c[name]), else_=table.c[name] + insert.excluded[name])
            for name in added
        }
        return insert.on_conflict_do_update(index_elements=key, set_=sums)

    def insert_or_advance(self, table: Table, key: str, grows: str) -> Any:
        """An INSERT that, where the ``key`` is there with a smaller value in the column ``grows``, takes its place."""
        insert = self._insert(table)
        rest = {column.name: insert.excluded[column.name] for column in table.c if column.name != key}
        return insert.on_conflict_do_update(
            index_elements=[key], set_=rest, where=table.c[grows] < insert.excluded[grows]
        )

    def now(self) -> ColumnElement[int]:
        """The store's clock in microseconds; a SQLite file is on one machine, whose clock every process reads."""
        return _POSTGRESQL_NOW if self.kind == "postgresql" else literal_column(str(time.time_ns() // 1_000))

    async def check_schema(self) -> None:
        """Raise ``OldSchema`` for no schema or an older one than this version's, ``StorageError`` for a newer one."""
        async with self.read() as connection:
            found = await connection.run_sync(revision_of)
        if found is not None and found > REVISION:
            raise StorageError(newer_schema(found))
        if found != REVISION:
            state = "has no Tieline schema" if found is None else f"has schema {found}"
            public = f"The database {state}, this version needs {REVISION}: start `tieline serve` of this version once."
            raise OldSchema(public)

    async def reachable(self) -> bool:
        """Whether the database answers now."""
        try:
            async with self.read() as connection:
                await connection.execute(text("SELECT 1"))
        except NotReady:
            return False
        return True

    async def close(self) -> None:
        """Close every connection."""
        await dispose(self._engine)


class OldSchema(StorageError):
    """The schema is not there yet or is of an older version; a start of the control plane brings it up."""


def newer_schema(found: str) -> str:
    """What to say of a schema that this version does not know."""
    return f"The database has schema {found}, which is newer than this version's {REVISION}: use a newer Tieline."


async def open_database(url: str) -> Database:
    """Open ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``postgresql://…`` or ``postgres://…``.

    A SQLite file is created, readable by its owner only, in a directory that must exist. Raises ``StorageError`` with
    a text that names neither user nor password.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        database = _open_sqlite(url)
    elif scheme in ("postgresql", "postgres"):
        database = _open_postgresql(url)
    else:
        msg = "The database URL must begin with sqlite:///, postgresql:// or postgres://."
        raise StorageError(msg)
    try:
        async with database.read() as connection:
            await connection.run_sync(revision_of)
    except (NotReady, DBAPIError) as error:
        await database.close()
        detail = error.detail if isinstance(error, NotReady) else str(error.orig)
        public = f"The database {database.location} cannot be opened: {_first_line(detail)}. Check the database URL."
        raise StorageError(public, detail=detail) from error
    return database


def revision_of(connection: Connection) -> str | None:
    """The schema's revision as Alembic noted it, None for a database without one."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite version resets its write-ahead log without the bug that can corrupt the database.

    Fixed in 3.51.3 and, on older lines, in 3.50.7 and 3.44.6 (sqlite.org/wal.html, "WAL-reset bug").
    """
    if version[:2] == (3, 50):
        return version >= (3, 50, 7)
    if version[:2] == (3, 44):
        return version >= (3, 44, 6)
    return version >= (3, 51, 3)


def sqlite_file(url: str) -> Path:
    """The file a ``sqlite:`` URL names. Raises ``StorageError`` for one that names none."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        msg = "The database URL is malformed: write sqlite:///file.db or sqlite:////absolute/file.db."
        raise StorageError(msg) from error
    if parsed.host or parsed.query or not parsed.database or parsed.database == ":memory:":
        msg = "A SQLite database URL names a file and nothing else: sqlite:///file.db or sqlite:////absolute/file.db."
        raise StorageError(msg)
    return Path(parsed.database)


def _open_sqlite(url: str) -> Database:
    """SQLite by aiosqlite, a thread for each connection."""
    path = sqlite_file(url)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        public = f"The database file {path} cannot be opened: {error.strerror}. Check the path and its permissions."
        raise StorageError(public) from error
    engine = create_engine(
        f"sqlite+aiosqlite:///{path}",
        poolclass=AsyncAdaptedQueuePool,
        connect_args={"isolation_level": None, "timeout": BUSY_SECONDS},
        pool_size=POOL,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Database("sqlite", str(path), engine)


def _set_up_sqlite(connection: DBAPIConnection, _record: object) -> None:
    """What every SQLite connection is told once."""
    cursor = connection.cursor()
    journal = "WAL" if wal_is_safe(sqlite3.sqlite_version_info) else "TRUNCATE"
    for pragma in (
        f"journal_mode={journal}",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _open_postgresql(url: str) -> Database:
    from tieline.storage import postgresql  # noqa: PLC0415  most run on SQLite and need not load it

    parts = urlsplit(url)
    location = f"{parts.hostname or 'localhost'}{parts.path}"
    engine = postgresql.open_engine(url, POOL)
    return Database("postgresql", location, engine, insert=postgresql.insert, lost=postgresql.LOST)


def _begin_sqlite(connection: Connection) -> None:
    """Begin the transaction the way its side asked for: the driver itself is told to begin none."""
    connection.exec_driver_sql(connection.get_execution_options()[_BEGIN])


@contextmanager
def _lost_connections(lost: tuple[type[Exception], ...]) -> Iterator[None]:
    """Connections that cannot be made or were cut, as ``NotReady``."""
    try:
        yield
    except PoolTimeout as error:
        msg = "The store is busy: try again."
        raise NotReady(msg, detail="no database connection became free", retry_after=_RETRY_AFTER) from error
    except lost as error:
        msg = "The store cannot be reached: try again, and check the database."
        raise NotReady(msg, detail=f"{type(error).__name__}: {error}", retry_after=_RETRY_AFTER) from error


@contextmanager
def _named_errors() -> Iterator[None]:
    """Errors of the engines that pass (busy, full, cut off, failed over) as ``NotReady``; bugs stay what they are."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        original = error.orig
        if isinstance(original, sqlite3.OperationalError):
            raise _sqlite_state(error, original) from error
        state = getattr(original, "sqlstate", None)
        if error.connection_invalidated or (state and str(state).startswith(_PASSING_STATES)):
            msg = "The store cannot be used now: try again, and check the database."
            raise NotReady(msg, detail=_first_line(str(original)), retry_after=_RETRY_AFTER) from error
        raise


def _sqlite_state(error: DBAPIError, original: sqlite3.OperationalError) -> Exception:
    """What an operational error of SQLite means for whoever asked; a malformed statement stays the bug that it is."""
    code = getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY
    if code == sqlite3.SQLITE_ERROR:
        return error
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return NotReady("The store is busy: try again.", detail=str(original), retry_after=_RETRY_AFTER)
    msg = "The store refused this, nothing was saved: check that its disk has room and can be written."
    return NotReady(msg, detail=str(original), retry_after=_RETRY_AFTER)


def _first_line(words: str) -> str:
    return words.strip().splitlines()[0].rstrip(".") if words.strip() else "no reason given"
