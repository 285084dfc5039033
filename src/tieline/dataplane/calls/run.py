"""One run of a call, from its parameters to the record of its end. Whoever ends first, nothing is left behind.

Owns the order: parameters, idempotency, permission on the very path that is sent, cache, sending, answering. Each of
these is a module of its own.
"""

import asyncio
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tieline.access.decide import Denied, decide
from tieline.core.errors import InvalidRequest, MissingPermission, TielineError, UpstreamFailed
from tieline.dataplane.admission.admit import Admitted
from tieline.dataplane.admission.fields import CONNECTION, IDEMPOTENCY_KEY
from tieline.dataplane.attempt.send import Order, Reached, Running
from tieline.dataplane.attempt.target import target_of
from tieline.dataplane.calls import answering
from tieline.dataplane.calls.caching import Cache
from tieline.dataplane.calls.drift import Drifts, Watched
from tieline.dataplane.calls.idempotency import Done, Idempotency, Scope, replayed
from tieline.dataplane.calls.pages import Walk
from tieline.dataplane.calls.parameters import Given, from_form, from_json, from_query
from tieline.dataplane.calls.reply import Reply
from tieline.dataplane.calls.request_body import Caller
from tieline.dataplane.calls.streaming import REST_SECONDS, pass_stream
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.dataplane.tokens.holder import named_holder
from tieline.definitions.fill.scope import BODY_MOST
from tieline.ports.requests import Outcome
from tieline.wire.request import Request


@dataclass(frozen=True, slots=True)
class CallRequest:
    """An admitted request that asks for this call, the same for every body. ``query`` is without the app key.

    ``boundary`` is that of a form, None for JSON; ``walks`` says that every page is asked for.
    """

    admitted: Admitted
    plan: Plan
    call: ReadyCall
    key: AppKey
    query: bytes
    boundary: bytes | None
    walks: bool


class Ledger(Protocol):
    """Who is told how a run ended."""

    def ran(self, run: "Run", outcome: Outcome, error: TielineError | None) -> None: ...


class Door(Protocol):
    """What all runs of a worker share, and a second look where one would be refused for what may have been granted."""

    running: Running
    cache: Cache
    idempotency: Idempotency
    drifts: Drifts

    @property
    def ledger(self) -> Ledger: ...

    async def again(self, request: Request, admitted: Admitted, error: TielineError) -> CallRequest:
        """What is asked for by what the store knows now; raises ``error`` where nothing has changed."""
        ...


class Run(Caller):
    """One run. ``path`` is what was sent; ``status`` the upstream's; ``sent_at`` and ``answered_at`` 0 before."""

    __slots__ = (
        "_done",
        "_door",
        "_task",
        "admitted",
        "answered_at",
        "area",
        "id",
        "level",
        "path",
        "reply",
        "sent_at",
        "status",
    )

    def __init__(self, door: Door, request: Request, request_id: str, admitted: CallRequest) -> None:
        super().__init__(request, admitted.plan.limits.body)
        self.id = request_id
        self.admitted = admitted
        self.reply = Reply(request, request_id)
        self.path = ""
        self.area: str | None = None
        self.level: str | None = None
        self.status = 0
        self.sent_at = 0.0
        self.answered_at = 0.0
        self._door = door
        self._done = False
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Run beside everything else."""
        self.request.sink = self
        self._task = self.request.run(self._run())

    def client_gone(self) -> None:
        self._end("client_gone", None)
        if self._task is not None:
            self._task.cancel()

    def client_paused(self) -> None:
        self.reply.paused()

    def client_resumed(self) -> None:
        self.reply.resumed()

    async def _run(self) -> None:
        try:
            given = await self._given()
            key = self.request.noted.get(IDEMPOTENCY_KEY)
            scope = Scope(self.admitted.key.key_id, key) if key is not None else None
            order = await self._order(given, scope)
            if scope is None:
                await self._answer(given, order)
            else:
                await self._answer_once(given, order, scope)
        except TielineError as error:
            self._fail(error)

    # -- what it is run with

    async def _given(self) -> Given:
        request, admitted = self.request, self.admitted
        call = admitted.call.call
        if request.method == b"GET":
            return from_query(call, admitted.query)
        if admitted.query:
            raise InvalidRequest("The parameters of a call by POST go into its body. Take them out of the query.")
        fingerprint = IDEMPOTENCY_KEY in request.noted
        if admitted.boundary is not None:
            return await from_form(call, self, admitted.boundary, fingerprint=fingerprint)
        body = self.rest()
        if body is None:
            body = await self.read_all(min(BODY_MOST, admitted.plan.limits.body))
        return from_json(body, fingerprint=fingerprint)

    async def _order(self, given: Given, scope: Scope | None) -> Order:
        """What is to be sent, permitted; looks again before it refuses what may just have been granted."""
        admitted = self.admitted
        sent_as = scope.sent_as(admitted.plan.name, admitted.call.name) if scope is not None else ""
        try:
            return self._draw(given, {}, sent_as)
        except TielineError as error:
            self.admitted = await self._door.again(self.request, admitted.admitted, error)
        return self._draw(given, {}, sent_as)

    def _draw(self, given: Given, instead: Mapping[str, Any], sent_as: str) -> Order:
        admitted = self.admitted
        plan, call = admitted.plan, admitted.call
        filled = call.template.fill({**given.values, **instead} if instead else given.values, call.private, given.files)
        target = target_of(plan, filled)
        self._permit(call.method, target.below)
        if not self.path:
            self.path = target.path.decode("ascii")
        if plan.problem is not None:
            raise plan.problem
        holder = named_holder(admitted.key.app_id, self.request.noted.get(CONNECTION))
        return Order(plan, call, filled, given.upload, holder, sent_as, self._permit, target)

    def _permit(self, method: bytes, below: bytes | None) -> None:
        """Whether the key may send this, decided on the path as it is sent. Raises MissingPermission."""
        admitted = self.admitted
        plan, key = admitted.plan, admitted.key
        asked = (key, method, below)
        verdict = admitted.call.permitted.get(asked)
        if verdict is None:
            found = decide(
                key.permissions, plan.name, plan.table, plan.title, method, below if below is not None else b"/",
                level=admitted.call.level, elsewhere=below is None,
            )  # fmt: skip
            if isinstance(found, Denied):
                raise MissingPermission(found.reason, param=found.param)
            verdict = admitted.call.permitted.keep(asked, found, len(below or b""))
        if not self.sent_at:
            self.area, self.level = verdict.area, verdict.level

    # -- what is answered

    async def _answer_once(self, given: Given, order: Order, scope: Scope) -> None:
        """Answer what was answered under the caller's idempotency key, or run and keep what is answered."""
        idempotency, admitted = self._door.idempotency, self.admitted
        names = f"{admitted.plan.calls.serial}/{admitted.call.name} {'every page' if admitted.walks else ''}"
        user = order.holder.user if order.holder is not None else ""
        asked = b"\0".join((self.request.method, names.encode(), user.encode(), admitted.query, b""))
        done = idempotency.begin(scope)
        if done is not None:
            self.reply.whole(replayed(done, asked + await given.fingerprint()), b"idempotency-replayed: true\r\n")
            self._end("complete", None)
            return
        self.reply = Reply(self.request, self.id, tape=True)
        try:
            await self._answer(given, order)
            if 200 <= self.status < 300:
                done = Done(asked + await given.fingerprint(), self.reply.taped)
        finally:
            idempotency.end(scope, done)

    async def _answer(self, given: Given, order: Order) -> None:
        door, call = self._door, order.call
        if self.admitted.walks:
            await self._walk(given, order)
            return
        key = Cache.key(order.plan, call, order.holder, given) if call.call.cache is not None else None
        if key is not None and self._answer_kept(key):
            return
        reached = await door.running.send(order)
        self._heard(reached)
        try:
            await self._pass_on(call, reached, key)
        finally:
            reached.close()

    def _answer_kept(self, key: Hashable) -> bool:
        """Whether the answer was kept, and is given again."""
        kept = self._door.cache.find(key)
        if kept is None:
            return False
        self.status = kept.written.status
        self.reply.whole(kept.written, b"age: %d\r\n%b" % (kept.age, self._timing()))
        self._end("complete", None)
        return True

    async def _pass_on(self, call: ReadyCall, reached: Reached, key: Hashable | None) -> None:
        kind = call.call.response.type
        if reached.status < 300 and kind == "stream":
            end = await pass_stream(self.reply, reached, call, self.id)
            if end.undeclared:
                self._door.drifts.note_events(self._watched(call), end.undeclared)
            self._end("complete" if end.error is None else "upstream_cut", end.error)
            await reached.spend(REST_SECONDS)
            return
        if reached.status < 300 and answering.is_file(call):
            await answering.pass_file(self.reply, call, reached, self._timing())
            self._end("complete", None)
            return
        made = await answering.made(call, reached)
        if made.drifts:
            self._door.drifts.note(self._watched(call), made.drifts)
        if key is not None and call.call.cache is not None and reached.status < 300:
            self._door.cache.keep(key, made.written, call.call.cache.ttl)
        self.reply.whole(made.written, self._timing())
        self._end("complete", None)

    async def _walk(self, given: Given, order: Order) -> None:
        def draw(instead: Mapping[str, Any]) -> Order:
            return self._draw(given, instead, order.key)

        walk = Walk(self._door.running, order.call, given.values, draw)
        await walk.run(self.reply, self.id, self._heard)
        self._end("complete" if walk.error is None else "upstream_cut", walk.error)

    def _watched(self, call: ReadyCall) -> Watched:
        plan = self.admitted.plan
        return Watched(plan.name, plan.environment, call.name)

    def _heard(self, reached: Reached) -> None:
        self.status = reached.status
        self.sent_at = reached.sent_at
        self.answered_at = reached.answered_at

    def _timing(self) -> bytes:
        """``Server-Timing``: what Tieline took, and what the upstream took until its answer began."""
        upstream = self.answered_at - self.sent_at
        ours = time.perf_counter() - self.request.began - upstream
        return b"server-timing: tieline;dur=%.3f, upstream;dur=%.3f\r\n" % (ours * 1000, upstream * 1000)

    # -- ends

    def _fail(self, error: TielineError) -> None:
        if self._done:
            return
        if self.request.answer_begun:
            self._end("upstream_cut", error)
            self.reply.cut()
            return
        self._end("refused" if not self.status else "complete", error)
        is_told = isinstance(error, UpstreamFailed) and self.status >= 400
        self.reply.refuse(error, self.status if is_told else None)

    def _end(self, outcome: Outcome, error: TielineError | None) -> None:
        if not self._done:
            self._done = True
            self._door.ledger.ran(self, outcome, error)
