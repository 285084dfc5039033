"""A worker's own metrics: counts records, and looks at itself, by a task beside the requests.

Four times a second it counts what ended and how late it was woken; once a second it looks at connections, breakers and
memory. Counters of the parts it looks at are taken as they grew since the last look.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Final

from tieline.dataplane.limits.limiter import Limiter
from tieline.dataplane.metrics.of_requests import RequestMetrics
from tieline.dataplane.records.recorder import Records
from tieline.dataplane.shedding import Shedding
from tieline.dataplane.snapshot.view import Snapshot
from tieline.telemetry.metrics import families
from tieline.telemetry.metrics.counting import Counts
from tieline.telemetry.metrics.families import Family
from tieline.telemetry.metrics.process import ProcessMetrics
from tieline.wire.listener import Listener
from tieline.wire.pool import Lane, Pool

_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of, as far as it is looked at. ``process`` is its name."""

    process: str
    records: Records
    snapshot: Snapshot
    pool: Pool
    listener: Listener
    shedding: Shedding
    limiter: Limiter


class WorkerMetrics:
    """The metrics of one worker."""

    def __init__(self, counts: Counts, parts: Parts) -> None:
        self._counts = counts
        self._parts = parts
        self._process = ProcessMetrics(counts, parts.process, "data")
        self._requests = RequestMetrics(counts)
        self._seen: Counter[tuple[Family, tuple[str, ...]]] = Counter()
        self._lanes: dict[Lane, tuple[int, int]] = {}
        self._apis: set[str] = set()
        parts.records.listen(self._requests.listener)
        parts.records.on_stored = self._stored

    async def run(self) -> None:
        """Count until cancelled."""
        async for looks in self._process.turns():
            more = self._requests.count()
            while more:
                await asyncio.sleep(0)
                more = self._requests.count()
            if looks:
                self.look()

    def close(self) -> None:
        """Count what is left."""
        while self._requests.count():
            pass
        self.look()

    def look(self) -> None:
        """Look at the parts now."""
        parts, counts = self._parts, self._counts
        for code, number in parts.records.strangers.items():
            self._grew(families.STRANGERS, number, code)
        self._grew(families.SHED, parts.shedding.refused)
        self._grew(families.RECORDS_DROPPED, parts.records.given_up)
        counts.set(families.RECORDS_WAITING, parts.records.waiting)
        counts.set(families.STORE_FRESH, int(parts.snapshot.fresh))
        counts.set(families.SNAPSHOT_VERSION, parts.snapshot.version, parts.process)
        counts.set(families.IN_FLIGHT, parts.listener.requests_under_way)
        counts.set(families.STREAMS_OPEN, parts.listener.streams_under_way)
        counts.set(families.CLIENTS, parts.listener.open_connections)
        counts.set(families.SLOTS, parts.limiter.slots_in_use)
        self._look_at_lanes()

    def _look_at_lanes(self) -> None:
        """Connections, breakers and retries of all lanes; an API may have several."""
        counts, name_of = self._counts, self._parts.snapshot.name_of
        idle = busy = 0
        opened, waiting, left = Counter[str](), Counter[str](), Counter[str]()
        lanes = list(self._parts.pool.lanes)
        seen: dict[Lane, tuple[int, int]] = {}
        for lane in lanes:
            api = name_of(lane.key.credential.partition("/")[0])
            busy += lane.busy_connections
            idle += lane.open_connections - lane.busy_connections
            breaker, retries = lane.breaker, lane.retries
            opened[api] += breaker.open
            left[api] += int(retries.left)
            waiting[api] += lane.gate.waiting if lane.gate is not None else 0
            before = self._lanes.get(lane, (0, 0))
            seen[lane] = breaker.opened, retries.refused
            if breaker.opened != before[0]:
                counts.add(families.BREAKER_OPENED, breaker.opened - before[0], api)
            if retries.refused != before[1]:
                counts.add(families.RETRIES_REFUSED, retries.refused - before[1], api)
        self._lanes = seen
        counts.set(families.CONNECTIONS, idle, "idle")
        counts.set(families.CONNECTIONS, busy, "busy")
        gone, self._apis = self._apis - left.keys(), set(left)
        for api in (*left, *gone):
            counts.set(families.BREAKERS_OPEN, opened[api], api)
            counts.set(families.PLACES_WAITED_FOR, waiting[api], api)
            counts.set(families.RETRY_BUDGET, left[api], api)

    def _grew(self, family: Family, number: int, *labels: str) -> None:
        """A count of this process is at ``number`` now."""
        key = family, labels
        self._counts.add(family, number - self._seen[key], *labels)
        self._seen[key] = number

    def _stored(self, seconds: float) -> None:
        self._counts.observe(families.STORE_WRITE, round(seconds * _MILLION))
