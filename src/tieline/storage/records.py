"""Request records: ``ports.requests.RecordStore`` for each engine.

Owns what their texts may be. On SQLite the rows go to a file for each day (``recordfiles``), on PostgreSQL to the
table ``requests``. Texts that came from a client are cut and freed of what a database refuses, because one odd path
must not lose the batch it travels with.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import delete, select, text

from tieline.ports.requests import RecordStore, RequestRecord
from tieline.storage.columns import storable
from tieline.storage.engine import Database
from tieline.storage.recordfiles import DayFiles
from tieline.storage.schema import NAME, PATH, requests

_MICROSECONDS: Final = 1_000_000
_AT_ONCE: Final = 5_000
_PAUSE: Final = 0.1
_COLUMNS: Final = RequestRecord._fields
_INSERT: Final = (
    f"INSERT INTO requests ({', '.join(_COLUMNS)}) "  # noqa: S608  our own names
    f"VALUES ({', '.join(f'${number}' for number in range(1, len(_COLUMNS) + 1))}) ON CONFLICT DO NOTHING"
)
# A crash of the server may take the records of the last half second; nothing else is written in such a transaction.
_UNSYNCED: Final = text("SET LOCAL synchronous_commit = off")


def open_records(database: Database) -> RecordStore:
    """The records that belong to ``database``; nothing is opened before the first batch."""
    if database.kind == "sqlite":
        return DayFiles(records_folder(Path(database.location)), fit)
    return TableRecords(database)


def records_folder(store: Path) -> Path:
    """The folder of the day files beside the SQLite file ``store``: ``tieline.requests`` for ``tieline.db``."""
    return store.with_suffix(".requests")


class TableRecords:
    """Records in PostgreSQL's table ``requests``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, records: Sequence[RequestRecord]) -> None:
        """Store a batch. The rows go to the driver as they are: building expressions took five times the CPU."""
        if records:
            async with self._database.write() as connection:
                await connection.execute(_UNSYNCED)
                await connection.exec_driver_sql(_INSERT, [_row(fit(record)) for record in records])

    async def forget(self, before: float) -> None:
        """Delete 5,000 at a time, each in a transaction of its own, so that nobody waits long."""
        old = select(requests.c.id).where(requests.c.at < int(before * _MICROSECONDS)).limit(_AT_ONCE)
        while True:
            async with self._database.write() as connection:
                gone = (await connection.execute(delete(requests).where(requests.c.id.in_(old)))).rowcount
            if gone < _AT_ONCE:
                return
            await asyncio.sleep(_PAUSE)

    async def close(self) -> None:
        """The database is closed by whoever opened it."""


def fit(record: RequestRecord) -> RequestRecord:
    """``record`` with texts that every database takes; most are short and plain and stay what they are."""
    texts = f"{record.api}{record.method}{record.path}{record.call}"
    if len(texts) <= NAME and texts.isascii() and "\0" not in texts:
        return record
    return record._replace(
        api=None if record.api is None else storable(record.api, NAME),
        method=storable(record.method, NAME),
        path=storable(record.path, PATH),
        call=None if record.call is None else storable(record.call, NAME),
    )


def _row(record: RequestRecord) -> tuple[object, ...]:
    """The values in the order of the fields, the time in whole microseconds."""
    return record.id, int(record.at * _MICROSECONDS), *record[2:]
