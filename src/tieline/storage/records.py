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

from tieline.ports.recordsearch import RecordSearch
from tieline.ports.requests import NONE_USED, UNNAMED, AppWords, RecordStore, RequestRecord
from tieline.storage.columns import storable
from tieline.storage.engine import Database
from tieline.storage.recordfiles import DayFiles
from tieline.storage.recordrows import COLUMNS, values_of
from tieline.storage.recordsearch import DaySearch
from tieline.storage.recordtable import TableSearch
from tieline.storage.schema import NAME, PATH, requests

_MICROSECONDS: Final = 1_000_000
_AT_ONCE: Final = 5_000
_PAUSE: Final = 0.1
_INSERT: Final = (
    f"INSERT INTO requests ({', '.join(COLUMNS)}) "  # noqa: S608  our own names
    f"VALUES ({', '.join(f'${number}' for number in range(1, len(COLUMNS) + 1))}) ON CONFLICT DO NOTHING"
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

    async def add(self, records: Sequence[RequestRecord], *, durable: bool = False) -> None:
        """Store a batch. The rows go to the driver as they are: building expressions took five times the CPU."""
        if records:
            async with self._database.write() as connection:
                if not durable:
                    await connection.execute(_UNSYNCED)
                await connection.exec_driver_sql(_INSERT, [values_of(fit(record)) for record in records])

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
    if len(texts) > NAME or not texts.isascii() or "\0" in texts:
        record = record._replace(
            api=_fit(record.api),
            method=storable(record.method, NAME),
            path=storable(record.path, PATH),
            call=_fit(record.call),
        )
    if record.reason is not None:
        record = record._replace(reason=storable(record.reason, PATH))
    if record.used is not NONE_USED:
        used = record.used
        record = record._replace(used=used._replace(model=_fit(used.model), service_tier=_fit(used.service_tier)))
    if record.named is not UNNAMED:
        record = record._replace(named=AppWords(_fit(record.named.end_user), _fit(record.named.tag)))
    return record


def _fit(text: str | None) -> str | None:
    return None if text is None else storable(text, NAME)


def open_search(database: Database) -> RecordSearch:
    """The search in the records that belong to ``database``."""
    if database.kind == "sqlite":
        return DaySearch(records_folder(Path(database.location)))
    return TableSearch(database)
