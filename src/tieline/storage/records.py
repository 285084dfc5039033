"""Request records, as the data plane leaves them: batches in, each record once.

Owns the table ``requests``. Knows nothing of who reads it. Texts that came from a client are cut to the column's bound
and freed of what a database refuses, because one odd path must not lose the batch it travels with.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from sqlalchemy import delete, select

from tieline.dataplane.ports import RequestRecord
from tieline.storage.engine import Database, Kind
from tieline.storage.schema import NAME, PATH, requests

_MICROSECONDS = 1_000_000
_COLUMNS = RequestRecord._fields
_INSERT = f"INSERT INTO requests ({', '.join(_COLUMNS)}) VALUES {{}} ON CONFLICT DO NOTHING"  # noqa: S608  our own names
_MARKS: dict[Kind, str] = {
    "sqlite": f"({', '.join('?' for _ in _COLUMNS)})",
    "postgresql": f"({', '.join(f'${number}' for number in range(1, len(_COLUMNS) + 1))})",
}
_TOGETHER = 50  # rows; SQLite's older versions take 999 values


async def add_records(database: Database, records: Sequence[RequestRecord]) -> None:
    """Store ``records`` in one transaction; one whose id is already there is left alone.

    The rows go to the driver as they are: this runs in the process that serves requests, and building each row as an
    expression took five times the CPU. SQLite gets many rows in one statement: its thread hands the interpreter's lock
    back and forth with the loop's at each, which took a fifth of the CPU of a call.
    """
    if not records:
        return
    rows = [_row(record) for record in records]
    marks = _MARKS[database.kind]
    whole = len(rows) // _TOGETHER * _TOGETHER if database.kind == "sqlite" else 0
    async with database.write() as connection:
        if whole:
            many = _INSERT.format(", ".join([marks] * _TOGETHER))
            blocks = [tuple(chain(*rows[start : start + _TOGETHER])) for start in range(0, whole, _TOGETHER)]
            await connection.exec_driver_sql(many, blocks)
        if rows[whole:]:
            await connection.exec_driver_sql(_INSERT.format(marks), rows[whole:])


async def forget_records(database: Database, before: float, most: int = 5_000) -> int:
    """Delete at most ``most`` records older than ``before`` (seconds since the epoch); how many they were."""
    old = select(requests.c.id).where(requests.c.at < int(before * _MICROSECONDS)).limit(most)
    async with database.write() as connection:
        return (await connection.execute(delete(requests).where(requests.c.id.in_(old)))).rowcount


def _row(record: RequestRecord) -> tuple[Any, ...]:
    identity, at, app, key, api, environment, method, path, *rest, call = record
    return (
        identity,
        int(at * _MICROSECONDS),
        app,
        key,
        None if api is None else _storable(api, NAME),
        environment,
        _storable(method, NAME),
        _storable(path, PATH),
        *rest,
        None if call is None else _storable(call, NAME),
    )


def _storable(text: str, most: int) -> str:
    """``text`` without NUL and lone surrogates, which PostgreSQL refuses, and cut to ``most`` characters."""
    if len(text) <= most and text.isascii() and "\0" not in text:
        return text
    return text[:most].encode("utf-8", "replace").decode().replace("\0", "�")
