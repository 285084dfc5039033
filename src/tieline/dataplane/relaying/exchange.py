"""One relayed request on its way: to the upstream as it came, and its answer back as it comes.

An exchange is the sink of its request and, while there is one, the owner of its upstream connection; bytes go through
it in both directions with back-pressure and are never collected. What may be sent where was decided before (``doors``).

States, and who owns the upstream's connection:

    opened      nobody: the body waits in the request. Straight to *sending* over an idle connection where the API's
                scheme needs no more than the head; else to *attempting*
    attempting  a task runs the attempt loop, for which the exchange is the sender: it waits for tokens, gathers a body
                that a scheme reads, dials, sends, and looks at the answer's head before anything of it goes on
    sending     the exchange: body pieces go out as they come. The connection is lost before an answer ──▶ *attempting*
    answering   the exchange: the head went to the client, the body follows; whatever goes wrong now cuts the answer
    tunnelled   ``Tunnel``, since the upstream switched protocols (101)
    ended       nobody: the connection went back to its lane or was cut, limits were freed, the ledger was told, once

The client may leave in any state: the task is cancelled and the upstream's connection cut.
"""

import asyncio
import time
from dataclasses import replace
from functools import partial
from typing import Final

from tieline.core.errors import TielineError, UpstreamError, UpstreamUnreachable
from tieline.dataplane.attempt.loop import Attempts, Job, Policy
from tieline.dataplane.attempt.prepare import Message, Prepared
from tieline.dataplane.awaited import AwaitedRecord, unrecorded
from tieline.dataplane.copies import BodyCopies
from tieline.dataplane.limits.held import Held, charged
from tieline.dataplane.relaying.answer import RelayedAnswer, interim_head, switch_head
from tieline.dataplane.relaying.body import chunked, framing_of, take_pieces
from tieline.dataplane.relaying.metered import Metered
from tieline.dataplane.relaying.peeked_head import PeekedHead
from tieline.dataplane.relaying.route import Route
from tieline.dataplane.relaying.shared import Relaying
from tieline.dataplane.relaying.tunnel import Tunnel
from tieline.metering.reading import UsageReading
from tieline.ports.requests import Outcome
from tieline.wire import answers, framing
from tieline.wire.breaker import Breaker
from tieline.wire.egress import Answer, Dialled, EgressConnection
from tieline.wire.request import Request

HELD_MOST: Final = 64 * 1024
"""Bytes of a body that wait for a connection, and that are kept to be sent once more."""
_SWITCHING, _ENOUGH, _SERVER_ERRORS = 101, 300, 500


class Exchange:
    """One admitted request and its answer.

    Sizes are bytes of bodies; ``sent_at`` and ``answered_at`` are on the clock of ``time.perf_counter``, 0 before;
    ``first_at`` too, which is when it was first on its way where it was not sent at once. ``status`` is the upstream's,
    0 before it answered; ``usage`` is known once it has ended. ``sends`` counts how often it was sent, ``dialled``
    tells of the last connection opened for it. ``unsent``, ``sent`` and ``stale`` are as ``attempt.loop.Sender`` says.
    """

    __slots__ = (
        "_answer", "_attempting", "_breaker", "_connection", "_done", "_failure", "_held", "_metered", "_plan",
        "_reflections", "_relaying", "_spliced", "_task", "_trace", "_until", "_unwanted", "_wake", "_whole_body",
        "answered_at", "bytes_in", "bytes_out", "copies", "dialled", "first_at", "id", "request", "route", "said",
        "sends", "sent", "sent_at", "stale", "status", "unsent", "usage",
    )  # fmt: skip

    def __init__(
        self, request: Request, request_id: str, route: Route, relaying: Relaying, held: Held | None = None
    ) -> None:
        self.request = request
        self.id = request_id
        self.route = route
        self.bytes_in = self.bytes_out = self.sends = self.status = 0
        self.sent_at = self.answered_at = self.first_at = 0.0
        self.dialled: Dialled | None = None
        self.unsent = True
        self.stale = self._attempting = self._done = False
        self._plan = route.plan
        self._held = held
        self._reflections = route.plan.reflections
        self._relaying = relaying
        self._trace = relaying.tracer.of(request_id) if relaying.tracer is not None else None
        self._connection: EgressConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._breaker: Breaker | None = None  # that has to be told what becomes of it, where the loop does not
        self._wake: asyncio.Future[None] | None = None
        self._failure: UpstreamError | None = None
        self._whole_body: bytes | None = None  # framed; to be sent once more
        usage = route.plan.usage
        self._metered = Metered(usage, request, route) if usage is not None else None
        self._spliced: bytes | None = None  # the whole body, which asks for usage
        self.usage: UsageReading | None = None
        self.copies: BodyCopies | None = None  # where they are recorded
        self._until = 0.0
        self.sent = self._unwanted = False
        self._answer: RelayedAnswer | None = None
        self.said = b""
        request.sink = self

    def open(self) -> None:
        """Send the request, unless its Content-Length is more than it may be."""
        length = self.request.length
        if self._spliced is None and length is not None and length > self.route.body.most:
            self._refuse(self.route.body.error())
            return
        if self._metered is not None and self._spliced is None and self._metered.asks():
            if self.request.complete:
                if not self._splice(self._metered, take_pieces(self.request)):
                    return
            else:
                self._task = self.request.run(self._gather_to_splice(self._metered, length or 0))
                return
        prepared = self.route.prepared
        lane = prepared.lane if prepared is not None and not prepared.lane.breaker.open else None
        if prepared is not None and lane is not None and (connection := lane.take()) is not None:
            self.stale = True
            self._breaker = lane.breaker if self._plan.limits.breaker else None
            self._send(connection, prepared)
        else:
            self._attempt(None)

    async def _gather_to_splice(self, metered: Metered, length: int) -> None:
        body = await self.gather(length)
        self._task = None
        assert body is not None  # no more than its length comes
        if self._splice(metered, body):
            self.open()

    def _splice(self, metered: Metered, body: bytes) -> bool:
        self._spliced = metered.ask(body)
        self._frame_whole(self._spliced)
        self.bytes_in = len(body)
        error = metered.too_many_streams(body, self._held)
        if error is not None:
            self._refuse(error)
        return error is None

    # -- attempting

    def _attempt(self, lost: UpstreamUnreachable | None) -> None:
        self._attempting = True
        self.first_at = self.sent_at or time.perf_counter()
        self._breaker = None
        self._task = self.request.run(self._attempts(lost))

    async def _attempts(self, lost: UpstreamUnreachable | None) -> None:
        request, route = self.request, self.route
        message = replace(route.message, length=request.length, body=b"" if request.length == 0 else self._spliced)
        idempotent = request.method in framing.IDEMPOTENT or b"idempotency-key" in request.noted
        policy = Policy(route.plan.limits.retry_attempts, idempotent)
        job = Job(route.plan, message, policy, route.holder, permitted=message.target, prepared=route.prepared)
        job.trace = self._trace
        try:
            head = await Attempts(job, self, self._relaying.preparer).run(lost)
        except TielineError as error:
            self._task = None
            self._refuse(error)
            return
        self._task = None
        self._attempting = False
        if self._failure is not None:
            self._refuse(self._failure)
        else:
            self.answer_arrived(head.connection)

    async def send(self, message: Message, prepared: Prepared) -> "PeekedHead":
        """As ``attempt.loop.Sender`` says; the answer's head is not passed on yet."""
        fresh, lane = self.stale, prepared.lane
        connection = None if fresh else lane.take()
        self.unsent = True
        if connection is None:
            self.stale = False
            connection = await lane.connect(self.route.key.key_id, self._plan.limits.connect, fresh=fresh)
            self.dialled = self.dialled if connection.reused else connection.dialled
        self.stale = connection.reused
        self._reflections = prepared.reflections
        self._failure = None
        body = prepared.body if prepared.body is not None else message.body
        if body is not None:
            self._frame_whole(body)
        self._send(connection, prepared)
        while connection.answer is None:
            await self._woken()
            if self._failure is not None:
                raise self._failure
        self.stale = False
        return PeekedHead(self, connection, connection.answer)

    def repeatable(self, message: Message) -> bool:
        return self._whole_body is not None

    def small(self) -> bool:
        return not self.request.upgrade and self.request.length is not None and self.request.length <= HELD_MOST

    async def gather(self, most: int) -> bytes | None:
        request = self.request
        request.continue_()
        pieces: list[bytes] = []
        size = 0
        while True:
            pieces.append(take_pieces(request))
            size += len(pieces[-1])
            if size > self.route.body.most:
                raise self.route.body.error()
            if size > most:
                return None
            if request.complete:
                return b"".join(pieces)
            request.resume()
            await self._woken()

    async def peek(self, connection: EgressConnection, most: int) -> bytes | None:
        """The whole body of an answer that is not passed on yet; None where it has more than ``most`` bytes."""
        size = counted = 0
        while True:
            pieces = connection.pieces
            size += sum([len(piece) for piece in pieces[counted:]])
            counted = len(pieces)
            if size > most:
                return None
            if connection.complete:
                return b"".join(pieces)
            if self._failure is not None:
                raise self._failure
            await self._woken()

    def give_back(self, connection: EgressConnection) -> None:
        """Nobody reads the answer that came over ``connection``."""
        self._connection = None
        connection.release(reusable=self.sent)
        self.sent = False

    async def _woken(self) -> None:
        """Wait until the client or the upstream sent something, or the upstream failed."""
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _frame_whole(self, body: bytes) -> None:
        """``body`` is all that is sent, whatever came: a scheme may have changed it."""
        request = self.request
        request.pieces = []
        request.length = len(body)
        request.chunked = False
        self.bytes_in = self.bytes_in or len(body)  # what came, not what is sent
        self._whole_body = body

    # -- sending

    def _send(self, connection: EgressConnection, prepared: Prepared) -> None:
        request = self.request
        self._connection = connection
        if self._held is not None:
            self._held.sent()
        self.unsent = False
        self.sends += 1
        self.sent_at = time.perf_counter()
        self._until = connection.clock.now + self._plan.limits.total
        body = self._whole_body
        if body is None:
            body = self._take_body() if request.pieces or request.chunked else b""
            if self._done:
                return
            if request.complete and len(body) <= HELD_MOST:
                self._whole_body = body
        head = prepared.head if self._trace is None else prepared.head + self._trace.sending(prepared.lane.key.origin)
        data = head + framing_of(request) + body
        connection.begin(self, head_only=request.method == b"HEAD", expects_upgrade=request.upgrade)
        connection.write(data)
        if request.expects:
            request.continue_()
        if request.complete:
            self.sent = True
            connection.deadline = connection.clock.now + self._plan.first_byte
        else:
            self._expect_more(connection)
        if request.paused:
            request.resume()

    def _take_body(self) -> bytes:
        """The body bytes that wait, framed for the upstream; refuses or cuts the request where they are too many."""
        request = self.request
        data = take_pieces(request)
        self.bytes_in += len(data)
        if self.bytes_in > self.route.body.most:
            if self._answer is not None:
                self._cut(self.route.body.error(), "refused")
            else:
                self._refuse(self.route.body.error())
            return b""
        return chunked(request, data, self._plan.request_fate) if request.chunked else data

    # -- what the client does

    def body_arrived(self) -> None:
        connection = self._connection
        request = self.request
        if connection is None:
            if self._wake is None and request.is_over(HELD_MOST):
                request.pause()
            self._rouse()
            return
        if self.sent or self._unwanted:
            request.pieces.clear()
            return
        if not request.pieces and not request.chunked:
            return
        data = self._take_body()
        if self._done:
            return
        connection.write(data)
        self.sent = request.complete
        if self.sent or self._answer is not None:
            self._expect_more(connection)

    def client_gone(self) -> None:
        self._drop_connection()
        self._end("client_gone", None)

    def client_paused(self) -> None:
        if self._connection is not None:
            self._connection.pause()
            self._connection.deadline = self._until

    def client_resumed(self) -> None:
        if self._connection is not None:
            self._connection.resume()
            self._expect_more(self._connection)

    def client_bytes(self, data: bytes) -> None:
        """Never called: after a 101 a ``Tunnel`` is the sink of these bytes."""

    def client_ended(self) -> None:
        """Never called: after a 101 a ``Tunnel`` is the sink."""

    # -- what the upstream does

    def answer_arrived(self, connection: EgressConnection) -> None:
        """Pass on what came of the answer since, unless the attempt loop has to look at it first."""
        if self._attempting:
            connection.deadline = min(connection.clock.now + self._plan.limits.idle, self._until)
            self._rouse()
            return
        request = self.request
        answer = self._answer or self._begun(connection)
        if answer is None:
            return
        pieces = connection.pieces
        if pieces:
            connection.pieces = []
            if self._metered is not None:
                self._metered.heard(pieces)
        if not connection.complete:
            connection.deadline = min(connection.clock.now + self._plan.limits.idle, self._until)
            data = answer.pieces(pieces)
            if data:
                request.send(data)
            return
        self._connection = None
        data = answer.last(pieces, connection.trailers)
        connection.release(reusable=self.sent)
        self._finish(data, "complete", None)

    def _begun(self, connection: EgressConnection) -> RelayedAnswer | None:
        """The answer whose head is here; None where nothing is left to do."""
        request, held, head = self.request, self._held, connection.answer
        assert head is not None  # it arrived
        self.answered_at = time.perf_counter()
        status = self.status = head.status
        if self._breaker is not None and status < _SERVER_ERRORS:
            self._breaker.successes += 1
        elif self._breaker is not None:
            self._breaker.answered(status, self.sent_at)
        self._unwanted = status >= _ENOUGH  # the upstream has seen enough of the body
        self._whole_body = None
        if status == _SWITCHING:
            self._switch(connection, head)
            return None
        answer = RelayedAnswer(self, head, self._reflections, held)
        if held is not None and (error := held.answered(stream=request.live)) is not None:
            request.live = False
            self.status = 0  # for the client there was no such answer
            self._refuse(error)
            return None
        self._answer = answer
        if self._metered is not None:
            self._metered.answered(head, answer.content_type, self.bytes_in)
            answer.hides_usage = self._metered.hides
        return answer

    def interim_arrived(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        if status != 100:  # of which the client was told already
            self.request.send_interim(interim_head(self._plan, self.request, status, headers, self._reflections))

    def upstream_failed(self, error: UpstreamError) -> None:
        self._connection = None
        if self._attempting:
            self._failure = error
            self._rouse()
        elif self._answer is not None:
            self._cut(error, "upstream_cut")
        elif isinstance(error, UpstreamUnreachable):
            self._attempt(error)
        else:
            if self._breaker is not None and self.sent:
                self._breaker.ended(good=False, since=self.sent_at)
            self._refuse(error)

    def upstream_paused(self) -> None:
        self.request.pause()

    def upstream_resumed(self) -> None:
        self.request.resume()

    def tunnel_bytes(self, data: bytes) -> None:
        """The upstream sends on before the switch was passed on."""
        if self._connection is not None:
            self._connection.pieces.append(data)

    def _switch(self, connection: EgressConnection, answer: Answer) -> None:
        """The upstream agreed to leave HTTP: from here on a tunnel owns both connections."""
        left = () if self._held is None else self._held.left
        self.request.send(switch_head(self._plan, answer, (self.id, left), self._reflections))
        self._connection = None
        Tunnel(self, connection, answer.headers, self._reflections).begin()

    # -- ends

    def tunnel_ended(self, usage: UsageReading | None, error: TielineError | None) -> None:
        """Either side left the tunnel, or ``error`` says why it was ended."""
        self.usage = usage
        self._end("complete" if error is None else "refused", error)

    def _expect_more(self, connection: EgressConnection) -> None:
        now, plan = connection.clock.now, self._plan
        if self._answer is not None:
            connection.deadline = min(now + plan.limits.idle, self._until)
        else:
            connection.deadline = now + (plan.first_byte if self.sent else plan.limits.total)

    def _refuse(self, error: TielineError) -> None:
        """Answer with ``error``; nothing was answered yet."""
        if not self._done:
            self._drop_connection()
            self._finish(answers.error_answer(error, self.request, self.id), "refused", error)

    def _cut(self, error: TielineError, outcome: Outcome) -> None:
        """End an answer that has begun and will not be whole, so that nobody takes it for whole."""
        self._drop_connection()
        event = self._answer.error_event(error) if self._answer is not None else b""
        if event:
            self._finish(event, outcome, error)
        else:
            self._end(outcome, error)
            self.request.cut()

    def _finish(self, last: bytes, outcome: Outcome, error: TielineError | None) -> None:
        """Write the ``last`` of the answer, once the record is stored where the API says so."""
        awaited = self._end(outcome, error)
        if awaited is None:
            self.request.send_last(last)
        else:
            awaited.then(partial(self._recorded, last))

    def _recorded(self, last: bytes, stored: bool) -> None:  # noqa: FBT001  as ``awaited.Told`` is
        request, error = self.request, unrecorded(sent=self.sends > 0)
        event = self._answer.error_event(error) if self._answer is not None and request.answer_begun else b""
        if stored or event:
            request.send_last(last if stored else event)
        elif request.answer_begun:
            request.cut()
        else:
            request.refuse(error, self.id)

    def _drop_connection(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def _end(self, outcome: Outcome, error: TielineError | None) -> AwaitedRecord | None:
        if self._done:
            return None
        self._done = True
        if self._answer is not None:
            self.bytes_out, self.said = self._answer.passed, self._answer.said
            if self._metered is not None:
                self.usage = self._metered.reading(ended=outcome == "complete")
        if self._held is not None:
            self._held.end(self.usage, charged(self.status, error, sent=bool(self.sent_at)))
        return self._relaying.ledger.ended(self, outcome, error)
