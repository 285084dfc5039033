"""Request records in SQLite files of their own, one for each day (UTC); dropping a day is deleting its file.

Owns the files, their tables ``entries`` and ``kinds``, and the view ``requests`` that reads both as one. They have no
part in the store's journal: a batch never waits for the store's transactions, nor those for it. What most requests have
in common (API, area, status …) is written once, as a kind; each connection numbers its own kinds, so that nothing is
looked up. Entries are appended in the order in which requests ended and no index is kept, since a day is written far
more often than read. ``synchronous=NORMAL``: a commit that a power cut follows at once may be lost, never the file;
``FULL`` for a batch that somebody waits for. One thread writes, many rows in a statement, because at each statement the
thread and the event loop fight for the interpreter's lock.
"""

import asyncio
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tieline.core.errors import NotReady
from tieline.ports.requests import RequestRecord
from tieline.storage.recordrows import (
    APP_WAS,
    OWN,
    SELECTED,
    SHARED,
    Row,
    details_of,
    is_plain,
    kind_of,
    kind_values,
    own_of,
)
from tieline.storage.schema import NAME

log = logging.getLogger("tieline.storage.recordfiles")

BUSY_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 1.0
_DAY: Final = 86_400
_EPOCH: Final = date(1970, 1, 1)
_FORM: Final = 3
"""What ``user_version`` of a file says whose tables have all columns."""
_KINDS_MOST: Final = 20_000
"""Kinds that a connection remembers; then it begins anew, and writes again what comes again."""
_UNSYNCED: Final = "PRAGMA synchronous=NORMAL"
_DURABLE: Final = "PRAGMA synchronous=FULL"
"""With it the end of the journal, which is the commit, is on the disk too."""
_SCHEMA: Final = ("PRAGMA journal_mode=TRUNCATE", _UNSYNCED)
_TABLES: Final = {
    "kinds": ("kind INTEGER PRIMARY KEY", *SHARED),
    "entries": ("number INTEGER PRIMARY KEY", "kind INTEGER", *OWN, "details", APP_WAS),
}
_VIEW: Final = f"CREATE VIEW requests AS SELECT number, {SELECTED} FROM entries CROSS JOIN kinds USING (kind)"  # noqa: S608
_NEW_KIND: Final = f"INSERT INTO kinds ({', '.join(SHARED)}) VALUES ({', '.join('?' * len(SHARED))})"  # noqa: S608
_SIZES: Final = (1024, 64, 8, 1) if sqlite3.sqlite_version_info >= (3, 32) else (64, 8, 1)
"""Rows in one statement, largest first; SQLite took 999 values at most before 3.32."""
_WIDTH: Final = 2 + len(OWN)
_OWN_FILE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\.(?:db|db-journal|index|index-journal|broken)")
_BROKEN: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _insert(size: int) -> str:
    row = f"({', '.join('?' * _WIDTH)})"
    return f"INSERT INTO entries (kind, {', '.join(OWN)}, details) VALUES {', '.join([row] * size)}"  # noqa: S608  our own names


_INSERTS: Final = [(size * _WIDTH, _insert(size)) for size in _SIZES]


class DayFiles:
    """``ports.requests.RecordStore`` in the files of ``folder``; ``fit`` mends texts that SQLite refuses.

    A batch goes whole into the file of the day on which the last of its requests ended. Several processes may write the
    same file. A batch that fails was rolled back, so sending it again stores nothing twice.
    """

    def __init__(self, folder: Path, fit: Callable[[RequestRecord], RequestRecord]) -> None:
        self._folder = folder
        self._fit = fit
        self._thread: ThreadPoolExecutor | None = None
        self._day: int | None = None
        self._connection: sqlite3.Connection | None = None
        self._kinds: dict[Row, int] = {}
        self._durable = False

    async def add(self, records: Sequence[RequestRecord], *, durable: bool = False) -> None:
        if records:
            await self._in_thread(self._add, records, durable)

    async def forget(self, before: float) -> None:
        """Delete the files of the days that had ended at ``before``."""
        await self._in_thread(self._forget, datetime.fromtimestamp(before, UTC).date())

    async def close(self) -> None:
        if self._thread is not None:
            with suppress(TimeoutError):  # a file that hangs keeps its thread, and nobody else
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._in_thread(self._let_go)
            self._thread.shutdown(wait=False)
            self._thread = None

    async def _in_thread(self, work: Callable[..., None], *arguments: object) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="records")
        await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    # -- what follows runs in the thread

    def _add(self, records: Sequence[RequestRecord], durable: bool) -> None:  # noqa: FBT001  a thread is told so
        day = int(records[-1].at // _DAY)
        with self._refusals(day):
            try:
                connection = self._opened(day)
                if durable is not self._durable:
                    connection.execute(_DURABLE if durable else _UNSYNCED)
                    self._durable = durable
                connection.execute("BEGIN IMMEDIATE")
                self._append(connection, self._values(connection, records))
                connection.execute("COMMIT")
            except BaseException:
                self._let_go()  # that rolls back, and kinds that were numbered in vain are forgotten
                raise

    def _values(self, connection: sqlite3.Connection, records: Sequence[RequestRecord]) -> list[Any]:
        """The values of all rows one after another; kinds that are new are written."""
        values: list[Any] = []
        kinds = self._kinds
        for each in records:
            record, path = each, each.path
            plain = is_plain(record)
            if not plain or len(path) > NAME or not path.isascii() or "\0" in path:
                record = self._fit(record)
            shared = kind_of(record)
            kind = kinds.get(shared)
            if kind is None:
                if len(kinds) >= _KINDS_MOST:
                    kinds.clear()
                fitting = kind_values(kind_of(self._fit(record)))
                kind = kinds[shared] = connection.execute(_NEW_KIND, fitting).lastrowid or 0
            values.append(kind)
            values += own_of(record)
            values.append(None if plain else details_of(record))
        return values

    def _append(self, connection: sqlite3.Connection, values: list[Any]) -> None:
        done = 0
        for width, insert in _INSERTS:
            for start in range(done, len(values) - width + 1, width):
                connection.execute(insert, values[start : start + width])
                done = start + width

    def _opened(self, day: int) -> sqlite3.Connection:
        """The connection to the file of ``day``, which is opened again where somebody deleted it."""
        path = self._path(day)
        if self._connection is None or self._day != day or not path.exists():
            self._let_go()
            self._folder.mkdir(mode=0o700, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._day = day
            self._connection = sqlite3.connect(path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            for statement in _SCHEMA:
                self._connection.execute(statement)
            bring_up(self._connection)
        return self._connection

    @contextmanager
    def _refusals(self, day: int) -> Iterator[None]:
        """What the file refuses, as ``NotReady``; a file that is broken is set aside, and a new one begun."""
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN:
                broken = self._path(day)
                broken.rename(broken.with_suffix(".broken"))
                log.warning("%s is no SQLite file that can be used: it is kept as .broken, a new one is begun", broken)
            msg = "Request records could not be saved: check that the disk has room and can be written."
            raise NotReady(msg, detail=f"{self._path(day)}: {error}", retry_after=1.0) from error

    def _forget(self, day: date) -> None:
        for path in self._folder.glob("*"):
            if _OWN_FILE.fullmatch(path.name) and path.name[:10] < day.isoformat():
                path.unlink(missing_ok=True)

    def _let_go(self) -> None:
        self._kinds.clear()
        self._durable = False
        if self._connection is not None:
            with closing(self._connection):
                self._connection = None

    def _path(self, day: int) -> Path:
        return self._folder / f"{_EPOCH + timedelta(days=day)}.db"


def bring_up(connection: sqlite3.Connection) -> None:
    """Give a file its tables, or the columns that it lacks: one of an earlier version is read and written like others.

    Safe with any number of processes at once. ``connection`` is in no transaction.
    """
    if connection.execute("PRAGMA user_version").fetchone()[0] == _FORM:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("DROP VIEW IF EXISTS requests")
        for table, columns in _TABLES.items():
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(columns)})")
            there = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}
            if table == "entries" and "app_id" in there:
                connection.execute(f"ALTER TABLE entries RENAME COLUMN app_id TO {APP_WAS}")
                there.add(APP_WAS)
            for each in columns:
                if each.partition(" ")[0] not in there:
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {each}")
        connection.execute(_VIEW)
        connection.execute(f"PRAGMA user_version={_FORM}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
