"""Request records do not pile up for ever."""

import asyncio
import time

from sqlalchemy import select

from tests.storage.rows import record
from tieline.app.retention import KEPT_SECONDS, forget_old_records
from tieline.storage.engine import Database
from tieline.storage.records import add_records
from tieline.storage.schema import requests


async def test_records_older_than_thirty_days_are_deleted(database: Database) -> None:
    """And the others stay."""
    now = time.time()
    young = record(at=now - KEPT_SECONDS + 3600)
    await add_records(database, [record(at=now - KEPT_SECONDS - number) for number in range(1, 8)] + [young])
    forgetting = asyncio.create_task(forget_old_records(database))
    try:
        async with asyncio.timeout(10):
            while len(kept := await ids(database)) > 1:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.01)
    finally:
        forgetting.cancel()
    assert kept == [young.id]


async def ids(database: Database) -> list[str]:
    """The ids of all records."""
    async with database.read() as connection:
        return list((await connection.execute(select(requests.c.id))).scalars())
