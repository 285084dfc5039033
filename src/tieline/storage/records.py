"""Request records, as the data plane leaves them: batches in, each record once.

Owns the table ``requests``. Knows nothing of who reads it. Texts that came from a client are cut to the column's bound
and freed of what a database refuses, because one odd path must not lose the batch it travels with.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select

from tieline.dataplane.ports import RequestRecord
from tieline.storage.engine import Database
from tieline.storage.schema import NAME, PATH, requests

_MICROSECONDS = 1_000_000
_BATCH = 500


async def add_records(database: Database, records: Sequence[RequestRecord]) -> None:
    """Store ``records`` in one transaction; one whose id is already there is left alone."""
    if not records:
        return
    insert = database.insert_new(requests)
    async with database.write() as connection:
        for start in range(0, len(records), _BATCH):
            await connection.execute(insert, [_values(record) for record in records[start : start + _BATCH]])


async def forget_records(database: Database, before: float, most: int = 5_000) -> int:
    """Delete at most ``most`` records older than ``before`` (seconds since the epoch); how many they were."""
    old = select(requests.c.id).where(requests.c.at < int(before * _MICROSECONDS)).limit(most)
    async with database.write() as connection:
        return (await connection.execute(delete(requests).where(requests.c.id.in_(old)))).rowcount


def _values(record: RequestRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "at": int(record.at * _MICROSECONDS),
        "app_id": record.app_id,
        "key_id": record.key_id,
        "api": None if record.api is None else _storable(record.api, NAME),
        "environment": record.environment,
        "method": _storable(record.method, NAME),
        "path": _storable(record.path, PATH),
        "area": record.area,
        "level": record.level,
        "status": record.status,
        "code": record.code,
        "duration_ms": record.duration_ms,
        "upstream_ms": record.upstream_ms,
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "outcome": record.outcome,
    }


def _storable(text: str, most: int) -> str:
    """``text`` without NUL and lone surrogates, which PostgreSQL refuses, and cut to ``most`` characters."""
    return text[:most].encode("utf-8", "replace").decode().replace("\0", "�")
