"""Says in the log where the audit chain ends: at the start, and every hour in which something was added.

Whoever keeps the log elsewhere can hold the chain against such an anchor later (``tieline audit verify --anchor``): an
older state of the database that was put back, with its own older head, does not lead to it.
"""

import asyncio
import logging
from typing import Final

from tieline.audit.chain import Anchor
from tieline.core.errors import NotReady
from tieline.storage.audit import read_head
from tieline.storage.engine import Database
from tieline.telemetry.logs import Log

log = logging.getLogger("tieline.app.anchoring")

EVERY_SECONDS: Final = 3_600


async def note_anchors(database: Database, lines: Log) -> None:
    """Write a line ``audit.anchor`` to ``lines`` now and each hour in which the chain grew, until cancelled."""
    noted = 0
    while True:
        try:
            async with database.read() as connection:
                head = await read_head(connection)
            if head.seq != noted:
                noted = head.seq
                lines.info("audit.anchor", count=head.seq, detail=str(Anchor(head.seq, head.mac)))
        except NotReady as error:
            log.warning("the end of the audit log could not be read, it is tried again in an hour: %s", error.explained)
        await asyncio.sleep(EVERY_SECONDS)
