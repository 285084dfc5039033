"""Request records, as the data plane leaves them: batches in, each record once.

Owns the table ``requests``. Knows nothing of who reads it. Texts that came from a client are cut to the column's bound
and freed of what a database refuses, because one odd path must not lose the batch it travels with.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

from sqlalchemy import delete, select

from tieline.ports.requests import RequestRecord
from tieline.storage.columns import storable
from tieline.storage.engine import Database, Kind
from tieline.storage.schema import NAME, PATH, requests

_MICROSECONDS = 1_000_000
_COLUMNS = RequestRecord._fields
# Rows in one statement. SQLite took 999 values at most before 3.32; asyncpg sends all rows in one go anyway.
_SIZES: dict[Kind, tuple[int, ...]] = {
    "sqlite": (256, 32, 4, 1) if sqlite3.sqlite_version_info >= (3, 32) else (32, 4, 1),
    "postgresql": (1,),
}


def _insert(kind: Kind, size: int) -> str:
    marks = ("?" if kind == "sqlite" else f"${number}" for number in range(1, len(_COLUMNS) + 1))
    rows = ", ".join([f"({', '.join(marks)})"] * size)
    return f"INSERT INTO requests ({', '.join(_COLUMNS)}) VALUES {rows} ON CONFLICT DO NOTHING"  # noqa: S608  our own names


_INSERTS = {kind: [(size, _insert(kind, size)) for size in sizes] for kind, sizes in _SIZES.items()}


async def add_records(database: Database, records: Sequence[RequestRecord]) -> None:
    """Store ``records`` in one transaction; one whose id is already there is left alone.

    The rows go to the driver as they are: this runs in the process that serves requests, and building each row as an
    expression took five times the CPU. SQLite gets many rows in one statement: at each its thread and the loop's fight
    for the interpreter's lock, which took a fifth of the CPU of a call.
    """
    if not records:
        return
    rows = [_row(record) for record in records]
    done = 0
    async with database.write() as connection:
        for size, insert in _INSERTS[database.kind]:
            blocks = range(done, len(rows) - size + 1, size)
            if blocks:
                values = [tuple(chain.from_iterable(rows[start : start + size])) for start in blocks]
                await connection.exec_driver_sql(insert, values)
                done = blocks[-1] + size


async def forget_records(database: Database, before: float, most: int = 5_000) -> int:
    """Delete at most ``most`` records older than ``before`` (seconds since the epoch); how many they were."""
    old = select(requests.c.id).where(requests.c.at < int(before * _MICROSECONDS)).limit(most)
    async with database.write() as connection:
        return (await connection.execute(delete(requests).where(requests.c.id.in_(old)))).rowcount


def _row(record: RequestRecord) -> tuple[Any, ...]:
    texts = f"{record.api}{record.method}{record.path}{record.call}"
    if len(texts) > NAME or not texts.isascii() or "\0" in texts:  # few are not short and plain
        record = record._replace(
            api=None if record.api is None else storable(record.api, NAME),
            method=storable(record.method, NAME),
            path=storable(record.path, PATH),
            call=None if record.call is None else storable(record.call, NAME),
        )
    return record.id, int(record.at * _MICROSECONDS), *record[2:]
