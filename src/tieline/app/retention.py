"""How long request records are kept: thirty days, looked at every hour by the control plane's process.

Sign-ins that nobody finished go at the same time.
"""

import asyncio
import logging
import time
from typing import Final

from tieline.core.errors import NotReady
from tieline.storage.engine import Database
from tieline.storage.leases import forget_sign_ins
from tieline.storage.records import forget_records

log = logging.getLogger("tieline.app.retention")

KEPT_SECONDS: Final = 30 * 86_400
EVERY_SECONDS: Final = 3_600
_AT_ONCE: Final = 5_000


async def forget_old_records(database: Database) -> None:
    """Delete records older than thirty days, a few thousand at a time so that nobody waits long, until cancelled."""
    while True:
        try:
            while await forget_records(database, time.time() - KEPT_SECONDS, _AT_ONCE) == _AT_ONCE:  # noqa: ASYNC110  a pause, not a wait
                await asyncio.sleep(0.1)  # others write in between
            await forget_sign_ins(database, time.time())
        except NotReady as error:
            log.warning("old request records and sign-ins could not be deleted: %s", error.detail or error.public)
        await asyncio.sleep(EVERY_SECONDS)
