"""What is kept about requests: records and last uses, gathered in memory and saved four times a second.

A lost process loses at most what it gathered since. Owns the batches; the store owns the tables. While the store hangs
or is away, at most 50,000 records wait and the oldest are given up, beside the one batch on its way (``saving``).
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping

from tieline.access.appkey import hidden
from tieline.core.errors import ANSWERS, TielineError
from tieline.core.names import is_api_name, is_plain_name
from tieline.dataplane import saving
from tieline.dataplane.admission.admit import Rejected
from tieline.dataplane.admission.fields import CONNECTION, TAG
from tieline.dataplane.answers.error_word import error_word
from tieline.dataplane.awaited import AwaitedRecord
from tieline.dataplane.calls.run import Run
from tieline.dataplane.doors.call_exchange import CallExchange
from tieline.dataplane.records.bodies import RecordedBodiesSaver, RecordedRequest
from tieline.dataplane.records.strict import StrictRecords
from tieline.dataplane.relaying.exchange import Exchange
from tieline.dataplane.saving import Saving
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import KEYS_MOST
from tieline.metering.rates import Cost, PriceTable
from tieline.metering.reading import UsageReading
from tieline.ports.requests import (
    AT_ONCE,
    NONE_USED,
    UNNAMED,
    AppWords,
    CacheUse,
    Outcome,
    RequestRecord,
    Sendings,
    Used,
)
from tieline.ports.snapshot import SnapshotSource
from tieline.vault.intake import Intake
from tieline.wire.egress import Dialled
from tieline.wire.request import Request

log = logging.getLogger("tieline.dataplane.records.recorder")

FLUSH_SECONDS = 0.25
WAITING_MOST = 50_000
TOUCHED_MOST = 500
_PATH_MOST = 512
_REASON_MOST = 500
_WORD_MOST = 200
_FAILED = 400
_MINUTE = 60
_CALL_DOOR = "/call/"
_DOORS = ("/relay/", _CALL_DOOR)

Listener = Callable[[RequestRecord], None]


class Records(Saving):
    """The records of the worker with the number ``worker``; whoever wants to know of each one listens.

    Without an ``intake`` no bodies are recorded, whatever an API says.

    ``given_up`` counts those that were lost because the store did not take them in time, ``strangers`` the requests
    without a good key, by the code of their refusal. ``on_stored`` is told how many seconds the store took for a batch.
    """

    def __init__(self, source: SnapshotSource, worker: int = 0, intake: Intake | None = None) -> None:
        super().__init__(FLUSH_SECONDS)
        self.given_up = 0
        self.strangers: Counter[str] = Counter()
        self.on_stored: Callable[[float], None] = lambda _seconds: None
        self._source = source
        self._worker = worker
        self._listeners: list[Listener] = []
        self._of_failures: list[Listener] = []
        self._waiting: deque[RequestRecord] = deque(maxlen=WAITING_MOST)
        self.bodies = RecordedBodiesSaver(source, intake) if intake is not None else None
        self.strict = StrictRecords(source.add_records_durably, self._keep_for_later)
        self._used: dict[str, float] = {}
        self._saved: set[str] = set()
        self._minute = 0.0

    def listen(self, listener: Listener, *, to_failures: bool = False) -> None:
        """Call ``listener`` with each record as soon as its request has ended, or with those of requests that failed.

        It raises nothing and is quick.
        """
        (self._of_failures if to_failures else self._listeners).append(listener)

    @property
    def waiting(self) -> int:
        """Records that wait to be saved."""
        return len(self._waiting)

    def takes(self, plan: Plan) -> bool:
        """Whether a request that is sent by ``plan`` will have its record, as far as anybody knows."""
        return not plan.strict or self.strict.usable

    def ended(self, exchange: Exchange, outcome: Outcome, error: TielineError | None) -> AwaitedRecord | None:
        """Note how an admitted request ended; what the end of its answer waits for, if it does."""
        route, request = exchange.route, exchange.request
        key = route.key
        now, ended = time.time(), time.perf_counter()
        sent_at, dialled = exchange.sent_at, exchange.dialled
        self._used[key.key_id] = now
        return self._gather(
            RequestRecord(
                exchange.id,
                now,
                key.app_id,
                key.key_id,
                route.plan.name,
                key.environment,
                request.method.decode("ascii"),
                route.path[:_PATH_MOST],
                route.area,
                route.level,
                exchange.status or (ANSWERS[error.code].status if error is not None else 0),
                error.code if error is not None else None,
                (ended - request.began) * 1000,
                ((exchange.answered_at or ended) - sent_at) * 1000 if sent_at else None,
                exchange.bytes_in,
                exchange.bytes_out,
                outcome,
                None,
                _why(exchange, error) if error is not None or exchange.status >= _FAILED else None,
                ((exchange.first_at or sent_at or ended) - request.began) * 1000,
                self._worker,
                None,
                bool(route.message.target.query),
                _used(exchange.usage, route.plan.prices, now) if exchange.usage is not None else NONE_USED,
                _sending(dialled, exchange.sends) if dialled is not None or exchange.sends > 1 else AT_ONCE,
                _named(request.noted) if request.noted else UNNAMED,
                key.app_name,
                self._relayed(exchange) if exchange.copies is not None else None,
            ),
            strict=route.plan.strict,
        )

    def ran(self, exchange: CallExchange, outcome: Outcome, error: TielineError | None) -> AwaitedRecord | None:
        """Note how a run of a call ended; what the end of its answer waits for, if it does."""
        run, request = exchange.run, exchange.request
        target = run.target
        key = target.key
        now, ended = time.time(), time.perf_counter()
        self._used[key.key_id] = now
        return self._gather(
            RequestRecord(
                exchange.id,
                now,
                key.app_id,
                key.key_id,
                target.plan.name,
                key.environment,
                target.call.call.method,
                run.path[:_PATH_MOST] or _shown(request.target.partition(b"?")[0].decode("ascii", "replace")),
                run.area,
                run.level,
                run.status or (ANSWERS[error.code].status if error is not None else 0),
                error.code if error is not None else None,
                (ended - request.began) * 1000,
                (run.answered_at - run.sent_at) * 1000 if run.answered_at else None,
                exchange.received,
                exchange.written,
                outcome,
                target.call.name,
                _reason(error) if error is not None else None,
                ((run.first_at or ended) - request.began) * 1000,
                self._worker,
                _cache_use(run),
                bool(exchange.query),
                _used(run.usage, target.plan.prices, now) if run.usage is not None else NONE_USED,
                _sending(run.dialled, run.sends) if run.dialled is not None or run.sends > 1 else AT_ONCE,
                _named(request.noted) if request.noted else UNNAMED,
                key.app_name,
                self._called(exchange) if exchange.reply.copies is not None else None,
            ),
            strict=target.plan.strict,
        )

    def refused(self, request: Request, request_id: str, rejected: Rejected, plan: Plan | None) -> AwaitedRecord | None:
        """Note a request that was not admitted. Without a good key it is counted and leaves no record.

        Strangers fill no tables. ``plan`` is what it would have been sent by, as far as its path says.
        """
        key, error = rejected.key, rejected.error
        if key is None:
            self.strangers[error.code] += 1
            return None
        path = _shown(request.target.partition(b"?")[0].decode("ascii", "replace"), error.code)
        milliseconds = (time.perf_counter() - request.began) * 1000
        return self._gather(
            RequestRecord(
                request_id,
                time.time(),
                key.app_id,
                key.key_id,
                None,
                key.environment,
                request.method.decode("ascii"),
                path,
                None,
                None,
                ANSWERS[error.code].status,
                error.code,
                milliseconds,
                None,
                0,
                0,
                "refused",
                None,
                _reason(error),
                milliseconds,
                self._worker,
                has_query=b"?" in request.target,
                named=_named(request.noted) if request.noted else UNNAMED,
                app=key.app_name,
            ),
            strict=plan is not None and plan.strict,
        )

    async def close(self) -> None:
        """Save everything, those first that answers waited for."""
        await self.strict.close()
        await super().close()
        if self.bodies is not None:
            await self.bodies.close()

    def _left(self) -> int:
        return 0 if self._waiting else len(self._used)

    async def _save(self) -> None:
        """Save the records that wait, and the last uses of 500 keys at most."""
        waiting: Collection[RequestRecord] = self._waiting
        self._waiting = deque(maxlen=WAITING_MOST)
        used: dict[str, float] = {}
        try:
            if waiting:
                began = time.perf_counter()
                await self._source.add_records(list(waiting))
                self.on_stored(time.perf_counter() - began)
                waiting = ()
                self.strict.taken()
            used = self._due()
            if used:
                await self._source.touch_keys(used)
                used = {}
        except TielineError as error:
            log.warning("%d request records wait in memory, they could not be saved: %s", len(waiting), error.explained)
        finally:
            if waiting or used:
                self._keep(waiting, used)

    def _relayed(self, exchange: Exchange) -> int | None:
        """Keep the bodies of a relayed request; until when."""
        route, copies = exchange.route, exchange.copies
        if copies is None or route.plan.recorded is None or self.bodies is None:
            return None
        message = route.message
        target = message.target
        asked = RecordedRequest(
            message.method.decode("ascii"), target.path.decode("ascii"), target.query.decode("ascii"), message.headers
        )
        whose = (exchange.id, route.key.environment, route.plan.recorded)
        return self.bodies.keep(whose, asked, copies, exchange.status)

    def _called(self, exchange: CallExchange) -> int | None:
        """Keep the bodies of a run of a call, its arguments and its answer; until when."""
        target, copies, request = exchange.run.target, exchange.reply.copies, exchange.request
        if copies is None or target.plan.recorded is None or self.bodies is None:
            return None
        headers = [pair for pair in request.headers if pair[0].lower() == b"content-type"]
        asked = RecordedRequest(
            request.method.decode("ascii"), target.call.name, exchange.query.decode("ascii"), headers
        )
        whose = (exchange.id, target.key.environment, target.plan.recorded)
        return self.bodies.keep(whose, asked, copies, exchange.run.status)

    def _gather(self, record: RequestRecord, *, strict: bool = False) -> AwaitedRecord | None:
        for listener in self._listeners:
            listener(record)
        if failed(record):
            for listener in self._of_failures:
                listener(record)
        if strict:
            return self.strict.put(record)
        self._keep_for_later(record)
        return None

    def _keep_for_later(self, record: RequestRecord) -> None:
        if len(self._waiting) == WAITING_MOST:
            self.given_up += 1  # the deque drops its oldest
        self._waiting.append(record)

    def _warn_of_hanging(self) -> None:
        log.warning(
            "the store has not answered for %d s: %d request records wait in memory, %d are lost; look at the database",
            saving.HANGING_SECONDS,
            len(self._waiting),
            self.given_up,
        )

    def _warn_of_loss(self) -> None:
        log.warning("the store did not take the last request records within %d s: they are lost", saving.CLOSE_SECONDS)

    def _due(self) -> dict[str, float]:
        """Last uses to be saved now: once a minute for each key, and of many keys some after others.

        With a hundred thousand keys in use, all of them would be due in the first seconds of each minute.
        """
        minute = time.time() // _MINUTE
        if minute != self._minute or len(self._saved) > KEYS_MOST:
            self._minute = minute
            self._saved.clear()
        due: dict[str, float] = {}
        looked_at = []
        for key, at in self._used.items():
            if key not in self._saved:
                if len(due) == TOUCHED_MOST:
                    break
                due[key] = at
                if at // _MINUTE == minute:
                    self._saved.add(key)
            looked_at.append(key)
        for key in looked_at:
            del self._used[key]
        return due

    def _keep(self, waiting: Collection[RequestRecord], used: dict[str, float]) -> None:
        """Put back what was not saved, before what came since."""
        since, self._waiting = self._waiting, deque(maxlen=WAITING_MOST)
        self._waiting.extend(waiting)
        self._waiting.extend(since)
        self.given_up += len(waiting) + len(since) - len(self._waiting)
        self._saved.difference_update(used)
        self._used = used | self._used


def failed(record: RequestRecord) -> bool:
    """Whether a request failed: its answer says so, Tieline made it, or it did not come whole."""
    return record.status >= _FAILED or record.code is not None or record.outcome != "complete"


def _shown(path: str, code: str | None = None) -> str:
    """A path that was not admitted, without app keys and without what stands for an API or call and cannot be one.

    What is refused with the ``code`` unknown_api or unknown_call may be a provider's key, and is kept only where it
    looks like a name.
    """
    door = next((each for each in _DOORS if path.startswith(each)), "")
    name, slash, rest = path[len(door) :].partition("/")
    if door and not (is_plain_name if code == "unknown_api" else is_api_name)(name):
        name = "…"
    if door == _CALL_DOOR and not (is_api_name if code is None else is_plain_name)(rest):
        rest = "…" if rest else ""
    return hidden(door + name + slash + rest)[:_PATH_MOST]


def _reason(error: TielineError) -> str:
    """What the client was told, cut; never the ``detail``, which is for the log."""
    return hidden(error.public)[:_REASON_MOST]


def _why(exchange: Exchange, error: TielineError | None) -> str | None:
    if error is not None:
        return _reason(error)
    return error_word(exchange.said) if exchange.said else None


def _used(reading: UsageReading, prices: PriceTable | None, at: float) -> Used:
    """What a reading says and costs; what other models used in the same exchange is added to it."""
    if not reading.others:
        model, tier, counts, estimated, unread, _ = reading
        nano, lacking = _cost(reading, prices, at)
        return Used(model, tier, counts, nano, lacking, estimated, unread)
    quantities = Counter(reading.quantities)
    unpriced: set[str] = set()
    costs = []
    for each in (reading, *reading.others):
        if each is not reading:
            quantities.update(each.quantities)
        cost = _cost(each, prices, at)
        unpriced |= cost.unpriced
        costs.append(cost.nano)
    known = [nano for nano in costs if nano is not None]
    return Used(
        reading.model,
        reading.service_tier,
        dict(quantities),
        sum(known) if known else None,
        frozenset(unpriced),
        estimated=reading.estimated or any(each.estimated for each in reading.others),
        unread=reading.unread.union(*(each.unread for each in reading.others)),
    )


def _cost(reading: UsageReading, prices: PriceTable | None, at: float) -> Cost:
    """What one model's use costs; without prices nothing of it has one."""
    if prices is not None:
        return prices.cost(reading, at)
    return Cost(None, frozenset([name for name, count in reading.quantities.items() if count]))


def _sending(dialled: Dialled | None, sends: int) -> Sendings:
    connect_ms, tls_ms = dialled or (None, None)
    return Sendings(None, connect_ms, tls_ms, max(sends - 1, 0))


def _named(noted: Mapping[bytes, bytes]) -> AppWords:
    """The end user and the tag that the app named, in its own words."""
    named = AppWords(_word(noted.get(CONNECTION)), _word(noted.get(TAG)))
    return named if named != UNNAMED else UNNAMED


def _word(value: bytes | None) -> str | None:
    return hidden(value.decode("utf-8", "replace").strip())[:_WORD_MOST] if value is not None else None


def _cache_use(run: Run) -> CacheUse | None:
    if run.replayed:
        return "replay"
    if run.age is not None:
        return "hit"
    return "miss" if run.target.call.call.cache is not None else None
