"""The data plane of one worker: its listener, its doors, its snapshot, its records; started, drained and stopped."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from tieline.core.errors import NotReady, UnknownApi
from tieline.core.ids import RequestIds
from tieline.dataplane.admission.admit import Admission
from tieline.dataplane.admission.fields import NOTABLE
from tieline.dataplane.attempt.prepare import Preparer
from tieline.dataplane.attempt.send import CallSender
from tieline.dataplane.calls.drift_flush import DriftFlush
from tieline.dataplane.doors.call import PREFIX as CALL_PREFIX
from tieline.dataplane.doors.call import CallDoor
from tieline.dataplane.doors.door import Controls
from tieline.dataplane.doors.key_limits import PATH as LIMITS_PATH
from tieline.dataplane.doors.key_limits import KeyLimits
from tieline.dataplane.doors.relay import PREFIX, Relay
from tieline.dataplane.ledger.ledger import Ledger
from tieline.dataplane.limits.limiter import Limiter
from tieline.dataplane.limits.table import NodeTables
from tieline.dataplane.metrics.worker import Parts, WorkerMetrics
from tieline.dataplane.openings import Openings
from tieline.dataplane.records.failures import FailureLog
from tieline.dataplane.records.recorder import Records
from tieline.dataplane.records.usage import UsageTally
from tieline.dataplane.shedding import Shedding
from tieline.dataplane.snapshot.view import Snapshot
from tieline.dataplane.supervised import SupervisedTask
from tieline.dataplane.tokens.sessions import TokenSessions
from tieline.dataplane.tracing.tracer import Tracer
from tieline.ports.audit import OpeningLog
from tieline.ports.budgets import LedgerStore
from tieline.ports.connections import ConnectionStore
from tieline.ports.snapshot import Change, SnapshotSource
from tieline.telemetry.logs import Log
from tieline.telemetry.metrics.counting import Counts
from tieline.vault.intake import Intake
from tieline.vault.keyring import Keyring
from tieline.wire.answers import text_answer
from tieline.wire.deadlines import Deadlines
from tieline.wire.guard import Guard
from tieline.wire.listener import Listener
from tieline.wire.pool import Pool
from tieline.wire.proxies import TrustedProxies
from tieline.wire.request import Request
from tieline.wire.tls import Trust

log = logging.getLogger("tieline.dataplane.service")

FINISH_SECONDS = 30.0
_OF_TOKENS = frozenset({"connection", "token"})  # kinds of changes that no key and no permission is of


@dataclass(frozen=True, slots=True)
class Resources:
    """What a worker is given: the store's side, opened keys, the egress guard, the counters that it shares with others.

    And whom to trust upstream and in front. ``worker`` is its number; ``log`` gets a line for each request that failed,
    ``openings`` hears of what was opened in the vault, ``counts`` is where it counts for metrics, ``tracer`` traces.
    """

    source: SnapshotSource
    connections: ConnectionStore
    keyring: Keyring
    guard: Guard
    tables: NodeTables
    ledger: LedgerStore
    trust: Trust = field(default_factory=Trust)
    proxies: TrustedProxies | None = None
    worker: int = 0
    log: Log | None = None
    openings: OpeningLog | None = None
    counts: Counts | None = None
    tracer: Tracer | None = None


class Service:
    """Serves the app listener's two doors and its health."""

    def __init__(self, resources: Resources) -> None:
        self.deadlines = Deadlines()
        self.pool = Pool(resources.guard, self.deadlines, resources.trust, resources.tables.limits.workers)
        self.openings = Openings(resources.openings)
        self.sessions = TokenSessions(resources.connections, resources.keyring, openings=self.openings)
        self.snapshot = Snapshot(
            resources.source,
            resources.keyring,
            resources.guard,
            self.pool,
            self._changed,
            self.openings.witness("serve"),
        )
        self.ledger = Ledger(resources.tables.limits, resources.ledger)
        self.snapshot.tell_budgets(self.ledger.change)
        self.records = Records(resources.source, resources.worker, Intake(resources.keyring))
        self.usage = UsageTally(resources.source)
        self.records.listen(self.usage.listener)
        if resources.log is not None:
            self.records.listen(FailureLog(resources.log), to_failures=True)
        self._new_request_id = new_id = RequestIds().next
        self.admission = admission = Admission(self.snapshot, resources.keyring.derive("app-key"))
        preparer = Preparer(self.sessions)
        limiter = Limiter(resources.tables)
        controls = Controls(limiter, self.ledger, resources.tracer)
        if resources.tracer is not None:
            self.records.listen(resources.tracer.ended)
        self._relay = Relay(admission, controls, preparer, self.records)
        self.calls = CallDoor(admission, controls, CallSender(preparer), self.records)
        self._key_limits = KeyLimits(self.snapshot, admission, controls)
        self.listener = Listener(self._door, self.deadlines, new_id, NOTABLE, resources.proxies)
        self.shedding = Shedding(self.listener, self.deadlines)
        self.drift_flush = DriftFlush(self.calls.runner.drifts, resources.source)
        self._metrics: WorkerMetrics | None = None
        if resources.counts is not None:
            process = f"data worker {resources.worker + 1}"
            parts = (self.records, self.snapshot, self.pool, self.listener, self.shedding, limiter)
            self._metrics = WorkerMetrics(resources.counts, Parts(process, *parts))
        metrics = () if self._metrics is None else (SupervisedTask("metrics", self._metrics.run),)
        self._supervised = (
            *metrics,
            SupervisedTask("snapshot", self.snapshot.follow),
            SupervisedTask("records", self.records.run),
            SupervisedTask("strict records", self.records.strict.run),
            SupervisedTask("usage", self.usage.run),
            SupervisedTask("usage counts", self.usage.keep_counting),
            *([SupervisedTask("bodies", self.records.bodies.run)] if self.records.bodies is not None else ()),
            SupervisedTask("drift", self.drift_flush.run),
            SupervisedTask("openings", self.openings.run),
            SupervisedTask("budgets", self.ledger.leasing.run),
        )
        self._loaded = False
        self._leaving = False

    @property
    def ready(self) -> bool:
        """Whether the snapshot is loaded, the store was reached within the last seconds, and this is not the end."""
        return self._loaded and self.snapshot.fresh and not self._leaving

    def retire(self) -> None:
        """Say that it is not ready from now on, and serve on: whoever balances load sends others elsewhere."""
        self._leaving = True

    async def start(self, sock: socket.socket) -> None:
        """Load the snapshot, then accept on ``sock``, which is bound."""
        await self.snapshot.load()
        await self.openings.close()  # told before anything is served, if the store takes it
        await self.ledger.leasing.adopt()
        self._loaded = True
        self.deadlines.start()
        self.shedding.start()
        for each in self._supervised:
            each.start()
        await self.listener.start(sock)

    async def stop(self, seconds: float = FINISH_SECONDS) -> None:
        """Accept no more, let requests end within ``seconds``, save what is to be saved."""
        self.retire()
        await self.listener.drain(seconds)
        await self.calls.stop(seconds)
        await self.sessions.close(seconds)
        for each in self._supervised:
            await each.stop()
        await asyncio.gather(
            self.records.close(),
            self.usage.close(),
            self.drift_flush.close(),
            self.openings.close(),
            self.ledger.leasing.close(),
        )
        if self._metrics is not None:
            self._metrics.close()
        self.shedding.stop()
        self.pool.close()
        self.deadlines.stop()

    def _changed(self, changes: Sequence[Change] | None) -> None:
        """Called by the snapshot once it serves what has changed; None where everything was read anew."""
        self.sessions.changed(changes)
        self.calls.changed(changes)
        if changes is None or any(change.kind not in _OF_TOKENS for change in changes):
            self.admission.changed()

    def _door(self, request: Request) -> None:
        target = request.target
        if self.shedding.watchful:
            self._unless_overloaded(request)
        if target.startswith(PREFIX):
            self._relay.open(request, self._new_request_id())
            return
        if target.startswith(CALL_PREFIX):
            self.calls.open(request, self._new_request_id())
            return
        path = target.partition(b"?")[0]
        if path == b"/healthz":
            self._answer(request, "ok\n")
        elif path == b"/readyz":
            if not self.ready:
                why = "The snapshot is not loaded, the store cannot be reached, or this server is about to end."
                raise NotReady(why, retry_after=1)
            self._answer(request, "ready\n")
        elif path == LIMITS_PATH:
            self._key_limits.open(request, self._new_request_id())
        else:
            raise UnknownApi("Nothing is served at this path. Requests go to /relay/{api}/… and /call/{api}/{call}.")

    def _unless_overloaded(self, request: Request) -> None:
        """Raise Overloaded where this worker takes no more requests of apps."""
        prefix = next((each for each in (PREFIX, CALL_PREFIX) if request.target.startswith(each)), None)
        if prefix is not None:
            request.error_shape = self.admission.error_shape(request, prefix)
            self.shedding.check()

    def _answer(self, request: Request, text: str) -> None:
        head_only = request.method == b"HEAD"
        request.send_last(text_answer(text, self._new_request_id(), close=request.closes, head_only=head_only))
