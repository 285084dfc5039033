"""What a worker counts of requests, saved a second after the save before.

A lost process loses what ended since its last save that arrived began, and what was under way.

Owns the counts until the store has them. While the store is away they wait in memory: at most 2,000 of them, then
requests are counted with fewer words (``ports.usage``), so that sums are whole however long it takes. A batch whose
fate is not known is sent again as it was, and the store counts it once.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from tieline.core.errors import TielineError
from tieline.core.ids import new_id
from tieline.dataplane import saving
from tieline.dataplane.records.recorder import failed
from tieline.dataplane.saving import Saving
from tieline.metering.durations import STEPS, step_of
from tieline.ports import usage
from tieline.ports.requests import NONE_USED, UNNAMED, RequestRecord, Used
from tieline.ports.snapshot import SnapshotSource
from tieline.ports.usage import MINUTE, OTHERS, Series, SeriesCount, UsageBatch

log = logging.getLogger("tieline.dataplane.records.usage")

FLUSH_SECONDS: Final = 1.0
WAITING_MOST: Final = 2_000
"""Counts that wait with all their words; with fewer words as many again."""
_BATCH: Final = 200
_AT_ONCE: Final = 500
"""Records that are counted in one turn of the loop: a few milliseconds' work."""
_DURATIONS: Final = [f"{usage.DURATION}{step}" for step in range(STEPS)]
_Measures = dict[str, int]


class UsageTally(Saving):
    """Counts the requests of a worker. ``listener`` takes each record as it comes, and does nothing else with it."""

    def __init__(self, source: SnapshotSource) -> None:
        super().__init__(FLUSH_SECONDS)
        self._source = source
        self._writer = new_id("use")
        self._number = 0
        self._ended: list[RequestRecord] = []
        self._waiting: dict[tuple[int, Series], _Measures] = {}
        self._on_the_way: Sequence[UsageBatch] = ()

    @property
    def listener(self) -> Callable[[RequestRecord], None]:
        """What wants to hear of each request that has ended."""
        return self._ended.append

    async def keep_counting(self) -> None:
        """Count what has ended, once a second until cancelled: records do not pile up while the store hangs."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self._count_ended()

    async def _count_ended(self) -> None:
        while self._ended:
            some = self._ended[:_AT_ONCE]
            del self._ended[:_AT_ONCE]
            for record in some:
                self._count(record)
            await asyncio.sleep(0)  # others have their turn

    def _count(self, record: RequestRecord) -> None:
        used, named = record.used, record.named
        series = Series(
            record.environment or "",
            record.app_id or "",
            record.app or "",
            record.key_id or "",
            record.api or "",
            record.call or "",
            used.model or "",
            *(("", "") if named is UNNAMED else (named.end_user or "", named.tag or "")),
        )
        measures = self._measures(int(record.at) // MINUTE * MINUTE, series)
        _add(measures, usage.REQUESTS, 1)
        _add(measures, _DURATIONS[step_of(record.duration_ms)], 1)
        if failed(record):
            _add(measures, usage.ERRORS, 1)
        if record.cache is not None and record.cache != "miss":
            _add(measures, usage.CACHED, 1)
        if record.sending.retries:
            _add(measures, usage.RETRIES, record.sending.retries)
        if used is not NONE_USED:
            _count_used(measures, used)

    def _measures(self, minute: int, series: Series) -> _Measures:
        found = self._waiting.get((minute, series))
        if found is not None:
            return found
        most = WAITING_MOST
        for each in (series, series.without_words(), OTHERS):
            found = self._waiting.get((minute, each))
            if found is not None:
                return found
            if len(self._waiting) < most or each is OTHERS:
                break
            most += WAITING_MOST
        return self._waiting.setdefault((minute, each), {})

    async def _save(self) -> None:
        await self._count_ended()
        if not self._on_the_way:
            self._on_the_way = self._taken()
        try:
            while self._on_the_way:
                await self._source.add_usage(self._on_the_way[0])
                self._on_the_way = self._on_the_way[1:]
        except TielineError as error:
            log.warning("usage waits in memory, it could not be saved: %s", error.explained)

    def _taken(self) -> Sequence[UsageBatch]:
        """All that waits, in batches that are sent as they are from now on."""
        counted = [SeriesCount(minute, series, measures) for (minute, series), measures in self._waiting.items()]
        self._waiting = {}
        batches = []
        for start in range(0, len(counted), _BATCH):
            self._number += 1
            batches.append(UsageBatch(self._writer, self._number, counted[start : start + _BATCH]))
        return batches

    def _warn_of_hanging(self) -> None:
        log.warning(
            "the store has not answered for %d s: usage is counted in memory; look at the database",
            saving.HANGING_SECONDS,
        )

    def _warn_of_loss(self) -> None:
        log.warning("the store did not take the last usage within %d s: it is lost", saving.CLOSE_SECONDS)


def _add(measures: _Measures, name: str, amount: int) -> None:
    measures[name] = measures.get(name, 0) + amount


def _count_used(measures: _Measures, used: Used) -> None:
    quantities = {name: count for name, count in (used.quantities or {}).items() if count}
    for name, count in quantities.items():
        _add(measures, usage.USED + name, count)
    if used.cost_nano is not None:
        _add(measures, usage.PRICED, 1)
        _add(measures, usage.COST, used.cost_nano)
    if used.unpriced:
        _add(measures, usage.UNPRICED, 1)
        for name in used.unpriced & quantities.keys():
            _add(measures, usage.WITHOUT_PRICE + name, quantities[name])
    if used.unread:
        _add(measures, usage.UNREAD, 1)
    if used.estimated:
        _add(measures, usage.ESTIMATED, 1)
        _add(measures, usage.ESTIMATED_COST, used.cost_nano or 0)
        for name, count in quantities.items():
            _add(measures, usage.GUESSED + name, count)
