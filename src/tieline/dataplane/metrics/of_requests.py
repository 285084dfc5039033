"""Metrics of requests, from their records: a request costs one append, and is counted with others later.

Owns what a record means in metrics. Labels are names that operators gave and words of our own; a model is named where
it has a price, so that what clients make up cannot fill the table.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

from tieline.ports.requests import AT_ONCE as SENT_AT_ONCE
from tieline.ports.requests import NONE_USED, RequestRecord, Sendings, Used
from tieline.telemetry.metrics import families
from tieline.telemetry.metrics.counting import Counts
from tieline.telemetry.metrics.families import OTHER, Family

WAITING_MOST: Final = 100_000
"""Records that wait to be counted; a worker whose loop is kept for seconds counts no more than these."""
AT_ONCE: Final = 1_000
"""Records that are counted in one go, in a millisecond or two."""
LIMIT_CODES: Final = frozenset({"rate_limited", "concurrency_limited", "budget_exceeded"})
_UPSTREAM: Final = "upstream_"
_SERVER_ERRORS: Final = 500
_TOO_MANY: Final = 429
_MICROSECONDS: Final = 1000
"""In a millisecond, which records are in."""

_ended = attrgetter("api", "call", "status", "code", "outcome")
Ended = tuple[str | None, str | None, int, str | None, str]


class RequestMetrics:
    """Takes records, and counts them when :meth:`count` is called: those that ended in the same way at once."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._waiting: deque[RequestRecord] = deque(maxlen=WAITING_MOST)

    @property
    def listener(self) -> Callable[[RequestRecord], None]:
        """What is called with each record."""
        return self._waiting.append

    def count(self, most: int = AT_ONCE) -> bool:
        """Count so many of the records that wait; whether more do."""
        waiting = self._waiting
        alike: defaultdict[Ended, list[RequestRecord]] = defaultdict(list)
        for _ in range(min(most, len(waiting))):
            record = waiting.popleft()
            alike[_ended(record)].append(record)
        for records in alike.values():
            self._count(records)
        return bool(waiting)

    def _count(self, records: Sequence[RequestRecord]) -> None:
        """Count records that ended in the same way."""
        counts, first = self._counts, records[0]
        api, code, number = first.api or "", first.code, len(records)
        door = "relay" if first.call is None else "call"
        counts.add(families.REQUESTS, number, api, door, status_class(first.status), code or "", first.outcome)
        self._observe(families.DURATION, api, [each.duration_ms for each in records])
        if first.outcome != "refused":
            self._observe(families.ADMISSION, api, [ms for each in records if (ms := each.admission_ms) is not None])
        self._observe(families.FIRST_BYTE, api, [ms for each in records if (ms := each.upstream_ms) is not None])
        counts.add(families.BODY_BYTES, sum([each.bytes_in for each in records]), api, "in")
        counts.add(families.BODY_BYTES, sum([each.bytes_out for each in records]), api, "out")
        reason = upstream_reason(first)
        if reason is not None:
            counts.add(families.UPSTREAM_ERRORS, number, api, reason)
        if code in LIMIT_CODES:
            counts.add(families.LIMITED, number, code)
        self._count_sendings([each.sending for each in records if each.sending is not SENT_AT_ONCE], api)
        self._count_use([each.used for each in records if each.used is not NONE_USED], api)

    def _count_sendings(self, sendings: Sequence[Sendings], api: str) -> None:
        if sendings:
            self._counts.add(families.RETRIES, sum([each.retries for each in sendings]), api)
            dialled = [ms + (each.tls_ms or 0.0) for each in sendings if (ms := each.connect_ms) is not None]
            self._observe(families.CONNECT, api, dialled)

    def _count_use(self, uses: Sequence[Used], api: str) -> None:
        amounts: defaultdict[tuple[str, str], int] = defaultdict(int)
        costs: defaultdict[str, int] = defaultdict(int)
        for used in uses:
            model = OTHER if used.cost_nano is None else used.model or ""
            for name, amount in (used.quantities or {}).items():
                amounts[model, name] += amount
            if used.cost_nano:
                costs[model] += used.cost_nano
        for (model, name), amount in amounts.items():
            if amount > 0:
                self._counts.add(families.USAGE, amount, api, model, name)
        for model, cost in costs.items():
            self._counts.add(families.COST, cost, api, model)
        unpriced = sum([bool(used.unpriced) for used in uses])
        if unpriced:
            self._counts.add(families.UNPRICED, unpriced, api)

    def _observe(self, family: Family, api: str, milliseconds: Sequence[float]) -> None:
        if milliseconds:
            self._counts.observe_all(family, [int(each * _MICROSECONDS) for each in milliseconds], api)


def status_class(status: int) -> str:
    """``2xx``; ``none`` where nothing was answered."""
    return f"{status // 100}xx" if status else "none"


def upstream_reason(record: RequestRecord) -> str | None:
    """What was wrong at the upstream, None where nothing was: an error code of ours, or the status that it answered."""
    code = record.code
    if code is not None:
        return code if code.startswith(_UPSTREAM) else None
    if record.status == _TOO_MANY or record.status >= _SERVER_ERRORS:
        return f"status_{record.status}" if record.status < 600 else "status_other"
    return None
