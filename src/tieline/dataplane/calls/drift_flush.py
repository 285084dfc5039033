"""Tells the store what drifted, every few seconds. A lost process loses at most what it counted since.

Owns that nothing is lost while the store is away: what waits is bounded by ``drift``, what is on its way by ``saving``.
"""

import logging
from typing import Final

from tieline.core.errors import TielineError
from tieline.dataplane import saving
from tieline.dataplane.calls.drift import Drifts
from tieline.dataplane.saving import Saving
from tieline.ports.snapshot import SnapshotSource

log = logging.getLogger("tieline.dataplane.calls.drift_flush")

FLUSH_SECONDS: Final = 2.0


class DriftFlush(Saving):
    """Flushes a worker's counts into the store."""

    def __init__(self, drifts: Drifts, source: SnapshotSource) -> None:
        super().__init__(FLUSH_SECONDS)
        self._drifts = drifts
        self._source = source

    async def _save(self) -> None:
        taken = self._drifts.taken()
        if not taken:
            return
        try:
            await self._source.add_drifts(taken)
        except TielineError as error:
            log.warning("the drift of calls could not be saved yet: %s", error.explained)
            self._drifts.put_back(taken)

    def _warn_of_hanging(self) -> None:
        log.warning(
            "the store has not answered for %d s: what drifted is counted in memory; look at the database",
            saving.HANGING_SECONDS,
        )

    def _warn_of_loss(self) -> None:
        log.warning("the store did not take the last drift of calls within %d s: it is lost", saving.CLOSE_SECONDS)
