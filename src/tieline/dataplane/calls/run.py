"""One run of a call for an app key: arguments in, an answer, a file or a stream of items out. Knows no HTTP.

Owns the order: the template is filled, permission is decided on the very path that is sent, what was answered before is
looked for, the request is sent, and what comes is read, shaped, masked and handed to a ``Receiver``. Each of these is a
module of its own. Whoever asked (``doors.call``, or another door) owns the arguments, the receiver and the record.

A run is one coroutine. Cancel it when its receiver leaves, and the upstream is closed; a run under an idempotency key
may be left to go on instead (``leave``): it then ends for nobody, and its answer is there for who asks again.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar

from tieline.access.appkey import hidden
from tieline.access.decide import Denied, decide
from tieline.access.verdict import Allowed
from tieline.core.errors import DefinitionUnusable, MissingPermission, TielineError
from tieline.dataplane.attempt.model_list import check_body, check_target
from tieline.dataplane.attempt.send import CallSender, Order, UpstreamAnswer
from tieline.dataplane.attempt.target import Target, target_of
from tieline.dataplane.calls.answering import FILES, answer_of, gathered, pass_file
from tieline.dataplane.calls.arguments import Arguments
from tieline.dataplane.calls.caching import AnswerCache, CachedAnswer
from tieline.dataplane.calls.drift import Drifts, Watched
from tieline.dataplane.calls.idempotency import FinishedRun, Idempotency, Scope, recorded_for
from tieline.dataplane.calls.metered import MeteredRun, asking_for_usage
from tieline.dataplane.calls.pages import Walk
from tieline.dataplane.calls.reading import LARGE
from tieline.dataplane.calls.recording import Recorder, give_again
from tieline.dataplane.calls.results import Receiver
from tieline.dataplane.calls.streaming import REST_SECONDS, pass_stream
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.dataplane.tokens.holder import Holder
from tieline.dataplane.tracing.trace import Trace
from tieline.definitions.fill.request import Filled
from tieline.metering.reading import UsageReading
from tieline.wire.egress import Dialled

_Done = TypeVar("_Done")
_AS_THEY_COME = frozenset({*FILES, "stream"})
_Cached = tuple[Hashable | None, int]
"""What an answer is kept by, None for not at all, and the epoch of the cache when it was asked for."""
_UNKEPT: _Cached = (None, 0)
_ERRORS = 400


@dataclass(frozen=True, slots=True)
class CallTarget:
    """What is asked for: a call of an API, as it is compiled now, for an app key; ``walks``: every page of it."""

    plan: Plan
    call: ReadyCall
    key: AppKey
    walks: bool = False


class Terms(NamedTuple):
    """How it is asked for: in whose name, under which idempotency key, if any, and who hears that an order is sent.

    ``sending`` is awaited just before the first order of a run that nothing kept answers; what it raises ends the run.
    ``trace`` is what its orders are a part of.
    """

    holder: Holder | None = None
    idempotency_key: bytes | None = None
    sending: Callable[[Order], Awaitable[None]] | None = None
    trace: Trace | None = None


class Way(NamedTuple):
    """What a key may do with a filled path: the path as it is sent, as records show it, and what it is allowed as."""

    below: bytes
    shown: str
    verdict: Allowed


Again = Callable[[TielineError], Awaitable[CallTarget]]
"""What is asked for by what the store knows now; raises the error where nothing has changed for the better."""


class CallRunner:
    """What all runs of a worker share: the way out, answers kept, keys, counts of drift."""

    def __init__(self, sender: CallSender) -> None:
        self.sender = sender
        self.cache = AnswerCache()
        self.idempotency = Idempotency()
        self.drifts = Drifts()
        self._large = asyncio.Semaphore(1)

    async def in_thread(self, work: Callable[[], _Done]) -> _Done:
        """What ``work`` returns, which is done in a thread: one such at a time, so that memory stays bounded."""
        async with self._large:
            return await asyncio.to_thread(_without_collecting, work)

    def changed(self, refs: Collection[str] | None) -> None:
        """APIs, credentials or connections (by id) are not what they were; None: everything was read anew.

        What was answered with them is dropped, from memory too.
        """
        self.cache.changed(refs)
        self.idempotency.changed(refs)


class Run:
    """One run, and the facts that a record is made of.

    ``path`` is what was sent first, as records show it, ``area`` and ``level`` what it was permitted as; ``status`` is
    the upstream's, ``sent_at`` and ``answered_at`` are on the clock of ``time.perf_counter``, all 0 before. ``age`` is
    how many seconds ago the answer was fetched, None where it is fresh; ``replayed`` says that it was given before
    under the same idempotency key. ``first_at`` is when it was first on its way; ``sends`` and ``dialled`` are as an
    exchange has them. ``usage`` is known once it was ``settled``: that of every answer it got of the upstream.
    ``charged`` counts the answers that were no errors.
    """

    __slots__ = (
        "_again",
        "_connections",
        "_grown",
        "_metered",
        "_recorder",
        "_runner",
        "_terms",
        "age",
        "answered_at",
        "area",
        "charged",
        "dialled",
        "first_at",
        "level",
        "path",
        "replayed",
        "sends",
        "sent_at",
        "status",
        "target",
        "usage",
    )

    def __init__(self, runner: CallRunner, target: CallTarget, terms: Terms, again: Again) -> None:
        self.target = target
        self.path = ""
        self.area: str | None = None
        self.level: str | None = None
        self.status = 0
        self.charged = 0
        self.sent_at = 0.0
        self.answered_at = 0.0
        self.first_at = 0.0
        self.sends = 0
        self.dialled: Dialled | None = None
        self.usage: UsageReading | None = None
        self._metered: MeteredRun | None = None
        self._grown = 0  # by which usage is asked for
        self.age: int | None = None
        self.replayed = False
        self._runner = runner
        self._terms = terms
        self._again = again
        self._connections: frozenset[str] = frozenset()
        self._recorder: Recorder | None = None

    async def run(self, arguments: Arguments, receiver: Receiver) -> None:
        """Run to the end; raises a TielineError where that is not the receiver's to hear (see ``Receiver``)."""
        key, target = self._terms.idempotency_key, self.target
        if key is not None:
            scope = Scope(target.key.key_id, key)
            order = await self._order(arguments, scope.sent_as(target.plan.name, target.call.name))
            await self._answer_once(arguments, order, scope, receiver)
            return
        order = await self._order(arguments, "")
        if self.target.walks or order.call.call.cache is not None:
            await self._answer(arguments, order, receiver)
        else:
            await self._pass_on(order.call, await self._sent(order), receiver)

    def leave(self) -> bool:
        """The receiver is gone; whether the run goes on without one, as it is under a key. Else cancel it."""
        if self._recorder is None:
            return False
        self._recorder.leave()
        return True

    def settled(self) -> UsageReading | None:
        """What it used, now that it has ended."""
        if self._metered is not None:
            self.usage = self._metered.reading()
        return self.usage

    # -- what is sent

    async def _order(self, arguments: Arguments, sent_as: str) -> Order:
        """What is to be sent, permitted; looks again before it refuses what may just have been granted."""
        try:
            return await self._draw(arguments.values, arguments, self.target.call, sent_as)
        except TielineError as error:
            self.target = await self._again(error)
            return await self._draw(arguments.values, arguments, self.target.call, sent_as)
        finally:
            self.first_at = time.perf_counter()

    async def _draw(self, values: Mapping[str, Any], arguments: Arguments, call: ReadyCall, sent_as: str) -> Order:
        """The template of ``call`` filled with ``values`` and the files of the arguments, permitted."""
        plan, key = self.target.plan, self.target.key
        if arguments.size <= LARGE:
            filled = call.template.fill(values, call.private, arguments.files)
        else:
            filled = await self._runner.in_thread(lambda: call.template.fill(values, call.private, arguments.files))
        way: Way | None = call.ways.get((key, filled.path)) if filled.path is not None else None
        if way is not None:
            target = Target(way.below, filled.query)
            shown, verdict = way.shown, way.verdict
        else:
            target = target_of(plan, filled)
            verdict = self._allowed(call, call.method, target.below)
            shown = hidden(target.path.decode("ascii"))
            if filled.path is not None:
                call.ways.keep((key, filled.path), Way(target.path, shown, verdict), len(shown))
        if key.models and plan.usage is not None:
            await self._check_models(call, filled, target)
        if not self.path:
            self.path = shown
        if not self.sent_at:
            self.area, self.level = verdict.area, verdict.level
        if plan.problem is not None:
            raise plan.problem
        if plan.usage is not None and (asking := asking_for_usage(plan.usage, call, target.path, filled)) is not None:
            filled, self._grown = asking
        permit = partial(self._permit, call)
        holder, key_id = self._terms.holder, self.target.key.key_id
        order = Order(plan, call, filled, arguments.uploads, holder, sent_as, permit, target, target, who=key_id)
        order.trace = self._terms.trace
        return order

    async def _check_models(self, call: ReadyCall, filled: Filled, target: Target) -> None:
        """Raise ModelNotAllowed where what is sent names a model that the key may not use. Looks into no file."""
        models = self.target.key.models
        check_target(models, target.path, target.query)
        if filled.body is not None:
            headers = [*filled.headers, (b"content-type", filled.body.content_type)]
            body = b"".join([piece for piece in filled.body.pieces if isinstance(piece, bytes)])
            asked = (call.method, target.path, target.query, headers)
            if len(body) <= LARGE:
                check_body(models, asked, body)
            else:
                await self._runner.in_thread(lambda: check_body(models, asked, body))

    def _permit(self, call: ReadyCall, method: bytes, below: bytes | None) -> None:
        """Whether the key may send this, too, on the path as it is sent. Raises MissingPermission."""
        verdict = self._allowed(call, method, below)
        if not self.sent_at:
            self.area, self.level = verdict.area, verdict.level

    def _allowed(self, call: ReadyCall, method: bytes, below: bytes | None) -> Allowed:
        """What the key may send a method on a path for. Raises MissingPermission."""
        plan, key = self.target.plan, self.target.key
        asked = (key, method, below)
        known = call.permitted.get(asked)
        if known is not None:
            return known
        found = decide(
            key.permissions, plan.name, plan.table, plan.title, method, below if below is not None else b"/",
            level=call.level, elsewhere=below is None,
        )  # fmt: skip
        if isinstance(found, Denied):
            raise MissingPermission(found.reason, param=found.param)
        return call.permitted.keep(asked, found, len(below or b""))

    # -- what is answered

    async def _answer_once(self, arguments: Arguments, order: Order, scope: Scope, receiver: Receiver) -> None:
        """Give what was given under the caller's idempotency key, or run and keep what is given."""
        idempotency = self._runner.idempotency
        done = idempotency.begin(scope)
        if done is not None:
            recorded = recorded_for(done, self._fingerprint(await arguments.fingerprint()))
            self.replayed = True
            await give_again(recorded, receiver)
            return
        recorder = self._recorder = Recorder(receiver)
        try:
            await self._answer(arguments, order, recorder)
            if 200 <= self.status < 300 and not recorder.failed:
                fingerprint = self._fingerprint(await arguments.fingerprint())
                done = FinishedRun(
                    fingerprint, recorder.recorded, recorder.size if recorder.recorded is not None else 0
                )
        finally:
            idempotency.end(scope, done, {order.plan.api_id, *self._connections})

    def _fingerprint(self, asked: bytes) -> bytes:
        """All that decides whose answer it is and what to, beside the app key."""
        target, holder = self.target, self._terms.holder
        whose = (target.plan.calls.serial, target.call.name, target.walks, holder.user if holder is not None else None)
        return sha256(repr(whose).encode("utf-8", "surrogatepass") + asked).digest()

    async def _answer(self, arguments: Arguments, order: Order, receiver: Receiver) -> None:
        runner, call = self._runner, order.call
        if self.target.walks:
            await self._tell_sending(order)
            await self._walk(arguments, order, receiver)
            return
        key: Hashable | None = None
        epoch = runner.cache.epoch
        if call.call.cache is not None:
            self._connections = await runner.sender.connections(order)
            key = AnswerCache.key(order.plan, call, order.holder, arguments, self._connections)
            if key is not None and self._answer_cached(key, receiver):
                return
        await self._pass_on(call, await self._sent(order), receiver, (key, epoch))

    async def _sent(self, order: Order) -> UpstreamAnswer:
        await self._tell_sending(order)
        return await self._runner.sender.send(order)

    async def _tell_sending(self, order: Order) -> None:
        if self._terms.sending is not None:
            await self._terms.sending(order)

    async def _walk(self, arguments: Arguments, order: Order, receiver: Receiver) -> None:
        """Every page. Where another call asks for the later ones, it gets those of the caller's values that it takes.

        That call must be permitted like any other, on the path that it sends.
        """
        call = order.call
        named = call.call.pagination.call if call.call.pagination is not None else None
        onward = await asyncio.to_thread(order.plan.calls.find, named) if named is not None else call
        if onward is None:
            raise DefinitionUnusable(
                f"The call {call.name} goes on with {named}, which this API has no more. An operator corrects its "
                "pagination.call.",
                param=call.name,
            )

        async def draw(instead: Mapping[str, Any], sent: ReadyCall) -> Order:
            values = {**arguments.values, **instead}
            if sent is not call:
                values = {name: value for name, value in values.items() if name in sent.call.parameters}
            return await self._draw(values, arguments, sent, order.key)

        def hear(reached: UpstreamAnswer) -> None:
            if not self.sent_at:
                self._heard(reached)
            self._listen(call, reached)

        await Walk(self._runner, call, onward, arguments, draw).run(receiver, hear)

    def _answer_cached(self, key: Hashable, receiver: Receiver) -> bool:
        """Whether the answer was kept, and is given again."""
        found = self._runner.cache.find(key)
        if found is None:
            return False
        self.status = found.status
        self.age = found.age
        receiver.whole(found.whole)
        return True

    async def _pass_on(
        self, call: ReadyCall, reached: UpstreamAnswer, receiver: Receiver, cached: _Cached = _UNKEPT
    ) -> None:
        """Hand out an answer, which is closed then."""
        self._heard(reached)
        self._listen(call, reached)
        try:
            if reached.status < 300 and call.call.response.type in _AS_THEY_COME:
                await self._pass_through(call, reached, receiver)
                return
            body = await gathered(call, reached)
            if body is None or len(body) <= LARGE:
                answer = answer_of(call, reached, body)
            else:
                answer = await self._runner.in_thread(lambda: answer_of(call, reached, body))
            if answer.drifts:
                self._runner.drifts.note(self._watched(call), answer.drifts)
            key, epoch = cached
            if key is not None and call.call.cache is not None and reached.status < 300:
                rests_on = {self.target.plan.api_id, *self._connections}
                kept = CachedAnswer.now(answer.whole, reached.status)
                self._runner.cache.keep(key, kept, call.call.cache.ttl, rests_on, epoch)
            receiver.whole(answer.whole)
        finally:
            reached.close()

    async def _pass_through(self, call: ReadyCall, reached: UpstreamAnswer, receiver: Receiver) -> None:
        """Hand out a stream or a file as it comes."""
        if call.call.response.type in FILES:
            await pass_file(receiver, call, reached)
            return
        in_thread = self._runner.in_thread
        undeclared = await pass_stream(receiver, reached, call, in_thread, hides_usage=self._grown > 0)
        if undeclared:
            self._runner.drifts.note_events(self._watched(call), undeclared)
        with suppress(asyncio.CancelledError):  # all is said: this is for the connection's sake only
            await reached.spend(REST_SECONDS)

    def _watched(self, call: ReadyCall) -> Watched:
        plan = self.target.plan
        return Watched(plan.name, plan.environment, call.name)

    def _listen(self, call: ReadyCall, reached: UpstreamAnswer) -> None:
        """Have what the answer used read as it comes."""
        reader = self.target.plan.usage
        if reader is not None:
            if self._metered is None:
                self._metered = MeteredRun()
            self._metered.listen(reader, call, reached, self._grown)

    def _heard(self, reached: UpstreamAnswer) -> None:
        self.status = reached.status
        self.charged += reached.status < _ERRORS
        self.sent_at = reached.sent_at
        self.answered_at = reached.answered_at
        self.sends = reached.sends
        self.dialled = reached.dialled
        if self._recorder is not None and not self._connections:
            self._connections = self._runner.sender.connections_of(self.target.plan, reached)


def _without_collecting(work: Callable[[], _Done]) -> _Done:
    """Do ``work`` while the cyclic collector rests.

    A large document has very many containers and no cycle; each pass through all of them, made while they are built,
    would keep everybody waiting.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        return work()
    finally:
        if was_on:
            gc.enable()
