"""Recorded bodies: ``ports.bodies.BodyStore`` for each engine.

On SQLite what expires within the same hour lies in one file of the folder ``tieline.bodies`` and goes with it, so that
nothing is deleted row by row; on PostgreSQL in the table ``request_bodies``. Opens nothing that is sealed.
"""

import asyncio
import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import delete, select

from tieline.core.errors import NotReady
from tieline.core.names import Environment
from tieline.ports.bodies import BodyStore, SealedBodies
from tieline.storage.engine import Database
from tieline.storage.schema import request_bodies
from tieline.vault.intake import SealedSecret

BUSY_SECONDS: Final = 10.0
_HOUR: Final = 3_600
_AT_ONCE: Final = 1_000
_OWN_FILE: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2})\.db(?:-journal)?")
_NAMES: Final = (
    "id", "expires", "environment", "request_key", "request_nonce", "request", "answer_key", "answer_nonce", "answer",
)  # fmt: skip
_TABLE: Final = f"CREATE TABLE IF NOT EXISTS bodies ({', '.join(_NAMES)}, PRIMARY KEY (id))"
_SCHEMA: Final = ("PRAGMA journal_mode=TRUNCATE", "PRAGMA synchronous=NORMAL", _TABLE)
_INSERT: Final = f"INSERT OR IGNORE INTO bodies VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608  our own words
_FIND: Final = "SELECT * FROM bodies WHERE id = ? AND expires = ?"
_INSERT_ROWS: Final = (
    f"INSERT INTO request_bodies ({', '.join(_NAMES)}) "  # noqa: S608  our own names
    f"VALUES ({', '.join(f'${number}' for number in range(1, len(_NAMES) + 1))}) ON CONFLICT DO NOTHING"
)

Result = TypeVar("Result")
_Row = tuple[object, ...]


def open_bodies(database: Database) -> BodyStore:
    """The recorded bodies that belong to ``database``; nothing is opened before the first batch."""
    if database.kind == "sqlite":
        return HourFiles(Path(database.location).with_suffix(".bodies"))
    return TableBodies(database)


class HourFiles:
    """Bodies in files of ``folder``, by the hour in which they expire. Several processes may use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread: ThreadPoolExecutor | None = None

    async def add(self, rows: Sequence[SealedBodies]) -> None:
        if rows:
            await self._in_thread(self._add, rows)

    async def find(self, request_id: str, expires: int) -> SealedBodies | None:
        return await self._in_thread(self._find, request_id, expires) if expires > time.time() else None

    async def forget(self, now: float) -> None:
        await self._in_thread(self._forget, now)

    async def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None

    async def _in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="bodies")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except (sqlite3.DatabaseError, OSError) as error:
            msg = "Recorded bodies cannot be saved or read: check that the disk has room and can be written."
            raise NotReady(msg, detail=str(error), retry_after=1.0) from error

    # -- what follows runs in the thread

    def _add(self, rows: Sequence[SealedBodies]) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        by_file: dict[Path, list[_Row]] = {}
        for row in rows:
            by_file.setdefault(self._path(row.expires), []).append(_values(row))
        for path, values in by_file.items():
            path.touch(mode=0o600)
            with closing(sqlite3.connect(path, BUSY_SECONDS, isolation_level=None)) as file:
                for statement in _SCHEMA:
                    file.execute(statement)
                file.execute("BEGIN IMMEDIATE")
                file.executemany(_INSERT, values)
                file.execute("COMMIT")

    def _find(self, request_id: str, expires: int) -> SealedBodies | None:
        path = self._path(expires)
        if not path.exists():
            return None
        with closing(sqlite3.connect(f"file:{path}?mode=rw", BUSY_SECONDS, isolation_level=None, uri=True)) as file:
            row = file.execute(_FIND, (request_id, expires)).fetchone()
        return None if row is None else _bodies(row)

    def _forget(self, now: float) -> None:
        current = self._path(int(now)).stem
        for path in self._folder.glob("*"):
            found = _OWN_FILE.fullmatch(path.name)
            if found is not None and found[1] < current:
                path.unlink(missing_ok=True)

    def _path(self, expires: int) -> Path:
        return self._folder / f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%dT%H}.db"


class TableBodies:
    """Bodies in PostgreSQL's table ``request_bodies``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, rows: Sequence[SealedBodies]) -> None:
        if rows:
            async with self._database.write() as connection:
                await connection.exec_driver_sql(_INSERT_ROWS, [_values(row) for row in rows])

    async def find(self, request_id: str, expires: int) -> SealedBodies | None:
        if expires <= time.time():
            return None
        columns = [request_bodies.c[name] for name in _NAMES]
        query = select(*columns).where(request_bodies.c.id == request_id, request_bodies.c.expires == expires)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _bodies(tuple(row))

    async def forget(self, now: float) -> None:
        """Delete 1,000 at a time, each in a transaction of its own, so that nobody waits long."""
        old = select(request_bodies.c.id).where(request_bodies.c.expires <= int(now)).limit(_AT_ONCE)
        gone = _AT_ONCE
        while gone == _AT_ONCE:
            async with self._database.write() as connection:
                found = await connection.execute(delete(request_bodies).where(request_bodies.c.id.in_(old)))
                gone = found.rowcount

    async def close(self) -> None:
        """The database is closed by whoever opened it."""


def _values(row: SealedBodies) -> _Row:
    sides = [(each.data_key_id, each.nonce, each.ciphertext) if each is not None else (None,) * 3
             for each in (row.request, row.answer)]  # fmt: skip
    return (row.request_id, row.expires, row.environment, *sides[0], *sides[1])


def _bodies(row: "Sequence[object]") -> SealedBodies:
    request_id, expires, environment, *sides = row
    assert isinstance(expires, int)
    name: Environment = "live" if environment == "live" else "development"
    return SealedBodies(str(request_id), expires, name, _sealed(sides[:3]), _sealed(sides[3:]))


def _sealed(side: Sequence[object]) -> SealedSecret | None:
    key, nonce, ciphertext = side
    if not isinstance(key, str) or not isinstance(nonce, bytes) or not isinstance(ciphertext, bytes):
        return None
    return SealedSecret(key, nonce, ciphertext)
