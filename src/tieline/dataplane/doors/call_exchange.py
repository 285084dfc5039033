"""One request to ``/call/`` and its answer: reads the arguments of a run out of HTTP, and writes what the run gives.

States, and who owns the client's request:

    reading ── the arguments are here ──▶ running ── the run gave all ──▶ over: answered, recorded
       │                                     │ ├──── it raised ─────────▶ over: refused, or cut after a beginning
       │ client leaves                       │ └──── client leaves, under an idempotency key ──▶ left ──▶ over
       ▼                                     ▼ client leaves
     over: the task is cancelled, the upstream closed

In ``left`` nothing is written any more; the run ends for whoever asks again under its key.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from tieline.core.errors import InvalidRequest, TielineError, UpstreamError, UpstreamFailed
from tieline.dataplane.admission.admit import Admitted
from tieline.dataplane.admission.fields import IDEMPOTENCY_KEY
from tieline.dataplane.answers.streams import CONTENT_TYPE, Done, Failed, encode
from tieline.dataplane.answers.streams.items import size_of
from tieline.dataplane.attempt.send import Order
from tieline.dataplane.awaited import AwaitedRecord, unrecorded
from tieline.dataplane.calls.arguments import Arguments
from tieline.dataplane.calls.reading import LARGE
from tieline.dataplane.calls.results import FileHead, PageItem, PagesDone, RunItem, WholeAnswer
from tieline.dataplane.calls.run import CallRunner, CallTarget, Run, Terms
from tieline.dataplane.doors.body import RequestBody
from tieline.dataplane.doors.form import from_form
from tieline.dataplane.doors.parameters import from_json, from_query
from tieline.dataplane.doors.reply import Reply
from tieline.dataplane.doors.spending import Purse
from tieline.dataplane.limits.bounds import BodyBound, Bounds
from tieline.dataplane.limits.fields import fields_of
from tieline.dataplane.limits.held import Held, charged
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.dataplane.tokens.holder import Holder
from tieline.dataplane.tracing.trace import Trace
from tieline.definitions.fill.scope import BODY_MOST
from tieline.ports.requests import Outcome
from tieline.wire.request import Request

_JSON_FIELD = b"content-type: application/json\r\n"
_EVENTS_FIELDS = b"content-type: %b\r\nx-accel-buffering: no\r\n" % CONTENT_TYPE


@dataclass(frozen=True, slots=True)
class CallRequest:
    """An admitted request that asks for a call, the same for every body. ``query`` is without the app key.

    ``boundary`` is that of a form, None for JSON; ``holder`` the end user that was named, None where nobody was.
    ``body`` is the largest body, ``bounds`` are the limits that hold, None where there are none; ``asks_stream``: it
    gives a stream.
    """

    admitted: Admitted
    target: CallTarget
    holder: Holder | None
    query: bytes
    boundary: bytes | None
    body: BodyBound
    bounds: Bounds | None = None
    asks_stream: bool = False

    @property
    def key(self) -> AppKey:
        """Whose request it is."""
        return self.target.key

    @property
    def plan(self) -> Plan:
        """What it is sent by."""
        return self.target.plan

    @property
    def sends(self) -> int | None:
        """How many requests are answered for it: one, or any number where every page is asked for."""
        return None if self.target.walks else 1


class RunLedger(Protocol):
    """Called once when a run has ended, to write its request record, which the end of its answer may wait for."""

    def ran(self, exchange: "CallExchange", outcome: Outcome, error: TielineError | None) -> AwaitedRecord | None: ...


class RunDoor(Protocol):
    """What a worker's calls share, and a second look where one would be refused for what may have been granted."""

    runner: CallRunner

    @property
    def ledger(self) -> RunLedger: ...

    def trace_of(self, request_id: str) -> Trace | None:
        """The trace that a request is part of, if any."""
        ...

    async def again(self, request: Request, admitted: Admitted, error: TielineError) -> CallRequest:
        """What is asked for by what the store knows now; raises ``error`` where nothing has changed."""
        ...

    def left(self, task: "asyncio.Task[None]") -> None:
        """A run goes on though its client left; it is waited for when the worker stops."""
        ...


class CallExchange:
    """The sink of one request, and the receiver of its run. ``run`` has the facts for a record.

    ``query`` is the one that the call was asked by, without the app key; ``written``, once it has ended, the bytes of
    the answer's body with what waits for the record.

    Where the API says ``audit: strict``, whatever would make the answer whole is held back until the record is stored.
    """

    __slots__ = (
        "_asked",
        "_body",
        "_door",
        "_error",
        "_held",
        "_is_gone",
        "_kept_back",
        "_over",
        "_task",
        "id",
        "query",
        "reply",
        "request",
        "run",
        "written",
    )

    def __init__(
        self, door: RunDoor, request: Request, request_id: str, asked: CallRequest, held: Held | None = None
    ) -> None:
        key = request.noted.get(IDEMPOTENCY_KEY)
        self.id = request_id
        self.request = request
        self._body: RequestBody | None = None
        self.reply = Reply(request, request_id)
        terms = Terms(asked.holder, key, self._sends, door.trace_of(request_id))
        self.run = Run(door.runner, asked.target, terms, self._again)
        self._asked = asked
        self._door = door
        self._held = held
        self._error: TielineError | None = None
        self._kept_back = b""
        self.query = asked.query
        self.written = 0
        self._is_gone = False
        self._over = False
        self._task: asyncio.Task[None] | None = None

    @property
    def received(self) -> int:
        """Bytes of the request's body that were read."""
        return self._body.received if self._body is not None else 0

    def begin(self) -> None:
        """Run beside everything else."""
        self.request.sink = self
        self._task = self.request.run(self._run())

    async def _run(self) -> None:
        try:
            await self.run.run(await self._arguments(), self)
        except TielineError as error:
            self._fail(error)
        if self._is_gone:
            self._end("client_gone", self._error)

    async def _arguments(self) -> Arguments:
        request, asked = self.request, self._asked
        digest = hashlib.sha256(request.method + b"\0" + asked.query) if IDEMPOTENCY_KEY in request.noted else None
        if request.method == b"GET":
            return from_query(asked.target.call.call, asked.query, digest)
        if asked.query:
            raise InvalidRequest("The parameters of a call by POST go into its body. Take them out of the query.")
        waited = self._body = RequestBody(request, asked.body)
        if asked.boundary is not None:
            in_thread = self._door.runner.in_thread
            return await from_form(asked.target.call.call, waited, asked.boundary, digest, in_thread)
        body = waited.rest()
        if body is None:
            body = await waited.read_all(BODY_MOST)
        if len(body) <= LARGE:
            return from_json(body, digest)
        return await self._door.runner.in_thread(lambda: from_json(body, digest))

    async def _again(self, error: TielineError) -> CallTarget:
        self._asked = await self._door.again(self.request, self._asked.admitted, error)
        return self._asked.target

    async def _sends(self, order: Order) -> None:
        """The run is about to send ``order``, if its budgets allow it. Raises what they refuse it with."""
        held = self._held
        if held is not None:
            if isinstance(held.spending, Purse):
                await held.spending.reserve(order, self._asked.sends)
            held.sent()

    # -- what the client does

    def body_arrived(self) -> None:
        if self._body is not None:  # else the run begins with the loop's next turn
            self._body.arrived()

    def client_gone(self) -> None:
        self._is_gone = True
        self.reply.resumed()
        if self.request.complete and self._task is not None and self.run.leave():
            self._door.left(self._task)
            return
        self._end("client_gone", None)
        if self._task is not None:
            self._task.cancel()

    def client_paused(self) -> None:
        self.reply.paused()

    def client_resumed(self) -> None:
        self.reply.resumed()

    def client_bytes(self, data: bytes) -> None:
        """There is no tunnel."""

    def client_ended(self) -> None:
        """There is no tunnel."""

    # -- what the run gives

    def whole(self, answer: WholeAnswer) -> None:
        self._answered(stream=False)
        if answer.json is None:
            status, fields, body = 204, self._facts(), b""
        else:
            status, fields, body = 200, _JSON_FIELD + self._facts(), answer.json
        if not self.run.target.plan.strict:
            self.reply.whole(status, fields, body)
            self._end("complete", None)
            return
        self._kept_back = body
        self._finish(lambda: self.reply.whole(status, fields, body), "complete", None)

    def begin_file(self, head: FileHead) -> None:
        self._answered(stream=False)
        fields = b"content-type: %b\r\n" % head.content_type
        fields += b"".join([b"%b: %b\r\n" % pair for pair in head.fields])
        if head.attachment:
            fields += b"content-disposition: attachment\r\n"  # no browser shows a stranger's page as if it were ours
        self.reply.begin(200, fields + self._facts(), head.length)

    async def piece(self, data: bytes) -> None:
        if self.run.target.plan.strict:
            self._kept_back, data = data, self._kept_back
        await self.reply.write(data)

    def begin_events(self) -> None:
        self._answered(stream=True)
        self.reply.begin_events(_EVENTS_FIELDS + self._replayed() + self._limits())

    async def items(self, items: Sequence[RunItem]) -> None:
        last = items[-1] if items else None
        if isinstance(last, Failed):
            self._error = last.error
        if sum([_size(item) for item in items]) <= LARGE:
            data = self._written(items)
        else:
            data = await self._door.runner.in_thread(lambda: self._written(items))
        if self.run.target.plan.strict and isinstance(last, Done | Failed | PagesDone):
            self._kept_back = data
            return
        await self.reply.write(data)

    def _written(self, items: Sequence[RunItem]) -> bytes:
        return b"".join([_event(item, self.id) for item in items])

    def end(self) -> None:
        outcome: Outcome = "complete" if self._error is None else "upstream_cut"
        if self.run.target.plan.strict:
            self._finish(lambda: self.reply.end(self._kept_back), outcome, self._error)
        else:
            self.reply.end()
            self._end(outcome, self._error)

    def _facts(self) -> bytes:
        """``Server-Timing``: what Tieline took, and what the upstream took until its answer began; ``Age``."""
        run = self.run
        upstream = run.answered_at - run.sent_at
        ours = time.perf_counter() - self.request.began - upstream
        timing = b"server-timing: tieline;dur=%.3f, upstream;dur=%.3f\r\n" % (ours * 1000, upstream * 1000)
        if self._held is not None:
            timing += self._limits()
        if run.age is not None:
            return b"age: %d\r\n%b%b" % (run.age, self._replayed(), timing)
        return self._replayed() + timing if run.replayed else timing

    def _answered(self, *, stream: bool) -> None:
        """It is known whether this is a stream. Raises ConcurrencyLimited where too many streams are open already."""
        error = None if self._held is None else self._held.answered(stream=stream)
        if error is not None:
            raise error

    def _limits(self) -> bytes:
        return b"" if self._held is None else fields_of(self._held.left)

    def _replayed(self) -> bytes:
        return b"idempotency-replayed: true\r\n" if self.run.replayed else b""

    # -- ends

    def _fail(self, error: TielineError) -> None:
        self._error = error
        if self._over or self._is_gone:
            return
        if self.request.answer_begun:
            self._end("upstream_cut", error)
            self.reply.cut()
            return
        status = self.run.status
        is_told = isinstance(error, UpstreamFailed) and status >= 400
        told = status if is_told else None
        self._finish(lambda: self.reply.refuse(error, told), "refused" if not status else "complete", error)

    def _finish(self, write: Callable[[], None], outcome: Outcome, error: TielineError | None) -> None:
        """Write the last of the answer, once the record is stored where the API says so."""
        awaited = self._end(outcome, error)
        if awaited is None:
            write()
            return

        def recorded(stored: bool) -> None:  # noqa: FBT001  as ``awaited.Told`` is
            if stored:
                write()
            else:
                self._withhold(unrecorded(sent=self.run.sends > 0))

        awaited.then(recorded)

    def _withhold(self, error: TielineError) -> None:
        if not self.request.answer_begun:
            self.reply.refuse(error)
        elif self.request.live:
            self.reply.end(_event(Failed(error), self.id))
        else:
            self.reply.cut()

    def _end(self, outcome: Outcome, error: TielineError | None) -> AwaitedRecord | None:
        if self._over:
            return None
        self._over = True
        self.written = self.reply.written + len(self._kept_back)
        usage = self.run.settled()
        if self._held is not None:
            self._held.end(usage, self._charged(outcome, error))
        return self._door.ledger.ran(self, outcome, error)

    def _charged(self, outcome: Outcome, error: TielineError | None) -> int:
        """How many requests the upstream may charge: those that it answered well, or one whose end nobody knows."""
        run = self.run
        if run.charged or run.status or run.replayed or run.age is not None:
            return run.charged
        return charged(0, error, sent=isinstance(error, UpstreamError) or outcome == "client_gone")


def _size(item: RunItem) -> int:
    """About how many bytes are written for an item that are not written yet."""
    return 0 if isinstance(item, PageItem | PagesDone) else size_of(item)


def _event(item: RunItem, request_id: str) -> bytes:
    if isinstance(item, PageItem):
        return b"event: item\ndata: " + item.json + b"\n\n"
    if isinstance(item, PagesDone):
        told = {"items": item.items, "pages": item.pages, "more": item.more}
        return b"event: done\ndata: " + orjson.dumps(told) + b"\n\n"
    return encode(item, request_id)
