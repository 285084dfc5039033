"""How long request records are kept: thirty days, looked at every hour by the control plane's process.

Recorded bodies that have expired go at the same time, sign-ins that nobody finished, leases of budgets whose node has
gone, events that are as old, and usage by its own terms (``ports.usage.KEPT_SECONDS``).
"""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from tieline.core.errors import NotReady
from tieline.ports.recordsearch import RecordSearch
from tieline.storage.bodies import open_bodies
from tieline.storage.engine import Database
from tieline.storage.leases import forget_sign_ins
from tieline.storage.ledger import SqlLedger
from tieline.storage.outbox import SqlOutbox
from tieline.storage.records import open_records
from tieline.storage.usage import SqlUsage

log = logging.getLogger("tieline.app.retention")

KEPT_SECONDS: Final = 30 * 86_400
EVERY_SECONDS: Final = 3_600


async def forget_old_records(database: Database, search: RecordSearch) -> None:
    """Delete records older than thirty days, and sign-ins that have expired, every hour until cancelled.

    Then whoever searches records gets ready for those that came.
    """
    records, bodies, ledger = open_records(database), open_bodies(database), SqlLedger(database)
    outbox = SqlOutbox(database)
    try:
        while True:
            try:
                await bodies.forget(time.time())
                await records.forget(time.time() - KEPT_SECONDS)
                await forget_sign_ins(database, time.time())
                await ledger.expire()
                await ledger.forget()
                await outbox.forget(datetime.now(UTC) - timedelta(seconds=KEPT_SECONDS))
                await SqlUsage(database).forget(time.time())
                await search.prepare()
            except NotReady as error:
                log.warning(
                    "old request records and sign-ins could not be deleted, it is tried again in an hour: %s",
                    error.explained,
                )
            await asyncio.sleep(EVERY_SECONDS)
    finally:
        await records.close()
        await bodies.close()
