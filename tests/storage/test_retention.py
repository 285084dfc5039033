"""Request records do not pile up for ever."""

import asyncio
import time

from tests.storage.rows import record, stored_records
from tieline.app.retention import KEPT_SECONDS, forget_old_records
from tieline.storage.engine import Database
from tieline.storage.records import open_records, open_search

DAY = 86_400


async def test_records_older_than_thirty_days_are_deleted(database: Database) -> None:
    """And the others stay."""
    now = time.time()
    young = record(at=now - KEPT_SECONDS + 3600)
    records = open_records(database)
    await records.add([record(at=now - KEPT_SECONDS - DAY - number) for number in range(7, 0, -1)])
    await records.add([young])
    forgetting = asyncio.create_task(forget_old_records(database, open_search(database)))
    try:
        async with asyncio.timeout(10):
            while len(kept := await stored_records(database)) > 1:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.01)
    finally:
        forgetting.cancel()
        await asyncio.wait([forgetting])
        await records.close()
    assert [row["id"] for row in kept] == [young.id]
