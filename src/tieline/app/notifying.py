"""Has events told and delivered, in the control plane's process, once a second while there is a store."""

import asyncio
import logging
from typing import Final

from tieline.controlplane.deliveries import Deliveries
from tieline.core.errors import NotReady

log = logging.getLogger("tieline.app.notifying")

EVERY_SECONDS: Final = 1.0


async def deliver_events(deliveries: Deliveries) -> None:
    """Take and send what there is until cancelled."""
    try:
        while True:
            try:
                await deliveries.turn()
            except NotReady as error:
                log.warning("events could not be looked for, they wait: %s", error.explained)
            await asyncio.sleep(EVERY_SECONDS)
    finally:
        await deliveries.close()
