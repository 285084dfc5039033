"""One relayed request on its way: to the upstream as it came, and its answer back as it comes.

An exchange is the sink of its request and the owner of its upstream connection; bytes go through it in both directions
with back-pressure and are never collected. It owns the order of events, whoever ends first. What may be sent where was
decided before (``relay``).
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from tieline.access.appkey import holds_key
from tieline.core.errors import BodyTooLarge, TielineError, UpstreamError, UpstreamUnreachable
from tieline.dataplane.answers.mask import StreamMask, mask
from tieline.dataplane.answers.whole_events import WholeEvents
from tieline.dataplane.snapshot.header_fate import CONTENT_ENCODING, CONTENT_TYPE, HeaderFate
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.ports.requests import Outcome
from tieline.wire import answers, framing
from tieline.wire.egress import Answer, EgressConnection
from tieline.wire.pool import Lane
from tieline.wire.request import Request

_HELD_MOST = 64 * 1024
_SWITCHING = 101
_BODYLESS = frozenset({204, 304})
_REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
_BODY_METHODS = frozenset({b"POST", b"PUT", b"PATCH"})
_LIVE = (b"text/event-stream", b"application/x-ndjson", b"application/stream+json", b"application/jsonl")
_HALF_SECONDS = 10.0
_MEMORY = 1000
_status_lines: dict[tuple[int, bytes], bytes] = {}


@dataclass(slots=True, repr=False)
class Route:
    """How a request goes out: decided on, filtered, with the secret added.

    ``path`` is as it came, below the base URL; ``head`` is the request's head for the upstream, whole.
    """

    plan: Plan
    lane: Lane
    key: AppKey
    path: bytes
    area: str | None
    level: str | None
    head: bytes


class Ledger(Protocol):
    """Who is told how an exchange ended."""

    def ended(self, exchange: "Exchange", outcome: Outcome, error: TielineError | None) -> None: ...


class Exchange:
    """One admitted request and its answer.

    Sizes are bytes of bodies; ``sent_at`` and ``answered_at`` are on the clock of ``time.perf_counter``, 0 before;
    ``status`` is the upstream's, 0 before it answered.
    """

    __slots__ = (
        "_chunking",
        "_connection",
        "_done",
        "_encoded",
        "_first_write",
        "_half_closed",
        "_head_sent",
        "_ledger",
        "_mask",
        "_plan",
        "_reflections",
        "_sent",
        "_tries",
        "_until",
        "_unwanted",
        "_waiting",
        "_whole",
        "answered_at",
        "bytes_in",
        "bytes_out",
        "id",
        "request",
        "route",
        "sent_at",
        "status",
    )

    def __init__(self, request: Request, request_id: str, route: Route, ledger: Ledger) -> None:
        self.request = request
        self.id = request_id
        self.route = route
        self.bytes_in = 0
        self.bytes_out = 0
        self.sent_at = 0.0
        self.answered_at = 0.0
        self.status = 0
        self._plan = route.plan
        self._reflections = route.plan.reflections
        self._ledger = ledger
        self._connection: EgressConnection | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._first_write = b""
        self._tries = 0
        self._until = 0.0
        self._head_sent = False
        self._chunking = False
        self._encoded = False
        self._sent = False
        self._unwanted = False
        self._half_closed = False
        self._done = False
        self._mask: StreamMask | None = None
        self._whole: WholeEvents | None = None
        request.sink = self

    def open(self) -> None:
        """Send the request over an idle or a new connection, unless its Content-Length is more than the API takes."""
        if self._fits():
            self._start()

    def _fits(self) -> bool:
        length = self.request.length
        if length is None or length <= self._plan.limits.body:
            return True
        self._refuse(self._body_too_large())
        return False

    def _start(self) -> None:
        connection = self.route.lane.take()
        if connection is not None:
            self._send(connection)
        else:
            self._dial()

    def _refuse(self, error: TielineError) -> None:
        if self._done:
            return
        self._drop_connection()
        self._end("refused", error)
        self.request.refuse(error, self.id)

    # -- towards the upstream

    def _dial(self) -> None:
        self._waiting = self.request.run(self._dial_and_send())

    async def _dial_and_send(self) -> None:
        try:
            connection = await self.route.lane.dial(self._plan.limits.connect)
        except TielineError as error:
            self._waiting = None
            self._refuse(error)
            return
        self._waiting = None
        self._send(connection)

    def _send(self, connection: EgressConnection) -> None:
        request = self.request
        self._connection = connection
        self._tries += 1
        self.sent_at = time.perf_counter()
        self._until = connection.clock.now + self._plan.limits.total
        connection.begin(self, head_only=request.method == b"HEAD", expects_upgrade=request.upgrade)
        if self._first_write:
            data = self._first_write
        else:
            data = self.route.head + self._take_body()
            if self._done:
                return
            if request.complete and len(data) <= _HELD_MOST:
                self._first_write = data
        connection.write(data)
        if request.expects:
            request.continue_()
        if request.complete:
            self._sent = True
            connection.deadline = connection.clock.now + self._plan.first_byte
        else:
            self._expect_more(connection)
        request.resume()

    def _take_body(self) -> bytes:
        """The body bytes that wait, framed for the upstream."""
        request = self.request
        pieces = request.pieces
        data = b""
        if pieces:
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            request.pieces = []
            self.bytes_in += len(data)
            if self.bytes_in > self._plan.limits.body:
                self._overrun()
                return b""
            if request.chunked:
                data = framing.chunk(data)
        if request.chunked and request.complete:
            data += framing.last_chunk(_kept_trailers(request.trailers, self._plan.request_fate))
        return data

    def _overrun(self) -> None:
        if self._head_sent:
            self._cut(self._body_too_large(), "refused")
        else:
            self._refuse(self._body_too_large())

    def _body_too_large(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"The request's body is larger than the {self._plan.limits.body} bytes that {self._plan.title} takes. "
            "Send less, or raise limits.body of the API."
        )

    # -- what the client does

    def body_arrived(self) -> None:
        connection = self._connection
        request = self.request
        if connection is None:
            if sum([len(piece) for piece in request.pieces]) > _HELD_MOST:
                request.pause()
            return
        if self._sent or self._unwanted:
            request.pieces.clear()
            return
        if not request.pieces and not request.chunked:
            return
        data = self._take_body()
        if self._done:
            return
        connection.write(data)
        self._sent = request.complete
        if self._sent or self._head_sent:
            self._expect_more(connection)

    def client_gone(self) -> None:
        tunnelled = self._connection is not None and self._connection.tunnelled
        self._drop_connection()
        self._end("complete" if tunnelled else "client_gone", None)

    def client_paused(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.pause()
            if not connection.tunnelled:
                connection.deadline = self._until

    def client_resumed(self) -> None:
        if self._connection is not None:
            self._connection.resume()
            self._expect_more(self._connection)

    def client_bytes(self, data: bytes) -> None:
        if self._connection is not None:
            self.bytes_in += len(data)
            self._connection.write(data)
            self._expect_more(self._connection)

    def client_ended(self) -> None:
        connection = self._connection
        if connection is not None:
            self._half_closed = True
            connection.deadline = connection.clock.now + _HALF_SECONDS
            connection.end_writing()

    # -- what the upstream does

    def answer_arrived(self, connection: EgressConnection) -> None:
        request = self.request
        data = b""
        if not self._head_sent:
            answer = connection.answer
            assert answer is not None  # it arrived
            if answer.status == _SWITCHING:
                self._switch(connection, answer)
                return
            data = self._begin_answer(answer)
        complete = connection.complete
        pieces = connection.pieces
        if pieces or complete:
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            connection.pieces = []
            if self._mask is not None:
                body = self._mask.feed(body, last=complete)
            if self._whole is not None:
                body = self._whole.feed(body, last=complete)
            if body:
                self.bytes_out += len(body)
                data += b"%x\r\n%b\r\n" % (len(body), body) if self._chunking else body
        if not complete:
            connection.deadline = min(connection.clock.now + self._plan.limits.idle, self._until)
            if data:
                request.send(data)
            return
        self._connection = None
        if self._chunking:
            data += self._last_chunk(connection.trailers)
        request.send(data)
        connection.release(reusable=self._sent)
        self._end("complete", None)
        request.finish()

    def interim_arrived(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        if status == 100:  # the client was told already
            return
        fates = self._plan.answer_fate
        lines = b"".join([b"%b: %b\r\n" % pair for pair in headers if fates[pair[0]]])
        self.request.send_interim(b"HTTP/1.1 %d \r\n%b\r\n" % (status, mask(lines, self._reflections)))

    def upstream_failed(self, error: UpstreamError) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.tunnelled:
            self._end("complete", None)
            self.request.connection.close()
        elif self._head_sent:
            self._cut(error, "upstream_cut")
        elif (
            isinstance(error, UpstreamUnreachable)
            and connection is not None
            and connection.reused
            and self._tries < self._plan.limits.retry_attempts
            and self._may_repeat()
        ):
            self._dial()
        else:
            self._refuse(error)

    def upstream_paused(self) -> None:
        self.request.pause()

    def upstream_resumed(self) -> None:
        self.request.resume()

    def tunnel_bytes(self, data: bytes) -> None:
        self.bytes_out += len(data)
        if self._connection is not None:
            self._expect_more(self._connection)
        self.request.connection.write(mask(data, self._reflections))

    # -- the answer

    def _begin_answer(self, answer: Answer) -> bytes:
        """The head for the client; from here on the answer flows."""
        plan, request = self._plan, self.request
        self.answered_at = time.perf_counter()
        self._head_sent = True
        self._first_write = b""
        self._unwanted = answer.status >= 300  # the upstream has seen enough of the body
        self.status = answer.status
        out = [_status_line(answer.status, answer.reason)]
        fates = plan.answer_fate
        named = framing.named_by_connection(answer.connection)
        content_type = b""
        for name, value in answer.headers:
            fate = fates[name]
            if not fate or (named and name.lower() in named):
                continue
            out += (name, b": ", value, b"\r\n")
            if fate == CONTENT_TYPE:
                content_type = value.lower()
            elif fate == CONTENT_ENCODING:
                self._encoded = True
        bodyless = request.method == b"HEAD" or answer.status in _BODYLESS
        if answer.length is not None and answer.status != 204:
            out.append(b"content-length: %d\r\n" % answer.length)
        elif not bodyless:
            out.append(self._delimit())
        out.append(b"tieline-request-id: %b\r\n" % self.id.encode())
        if content_type.startswith(_LIVE):
            self._begin_stream(content_type)
        else:
            out.append(self._server_timing())
        out.append(self._persist())
        head = b"".join(out)
        if self._reflections:
            head = mask(head, self._reflections)
            if not bodyless:
                self._mask = StreamMask(self._reflections)
        return head

    def _delimit(self) -> bytes:
        """How a body of unknown length is delimited for this client."""
        if self.request.minor == 1:
            self._chunking = True
            return b"transfer-encoding: chunked\r\n"
        self.request.keep_alive = False
        return b""

    def _begin_stream(self, content_type: bytes) -> None:
        self.request.live = True
        if self._chunking and not self._encoded and content_type.startswith(b"text/event-stream"):
            self._whole = WholeEvents()

    def _persist(self) -> bytes:
        """The end of the head: whether the client's connection goes on after this answer."""
        request = self.request
        if request.closes:
            request.keep_alive = False
            return b"connection: close\r\n\r\n"
        return b"connection: keep-alive\r\n\r\n" if request.minor == 0 else b"\r\n"

    def _server_timing(self) -> bytes:
        upstream = self.answered_at - self.sent_at
        ours = self.answered_at - self.request.began - upstream
        return b"server-timing: tieline;dur=%.3f, upstream;dur=%.3f\r\n" % (ours * 1000, upstream * 1000)

    def _last_chunk(self, trailers: list[tuple[bytes, bytes]]) -> bytes:
        last = framing.last_chunk(_kept_trailers(trailers, self._plan.answer_fate))
        return mask(last, self._reflections)

    def _cut(self, error: TielineError, outcome: Outcome) -> None:
        """End an answer that has begun and will not be whole, so that nobody takes it for whole."""
        self._drop_connection()
        request = self.request
        if self._whole is not None:
            # an event so large that its beginning was passed on is ended by the empty line; else it means nothing
            event = b"\n\nevent: error\ndata: " + answers.error_body(error, self.id) + b"\n\n"
            request.send(framing.chunk(event) + framing.last_chunk(()))
            self._end(outcome, error)
            request.finish()
        else:
            self._end(outcome, error)
            request.cut()

    def _switch(self, connection: EgressConnection, answer: Answer) -> None:
        """The upstream agreed to leave HTTP: from here on bytes go both ways."""
        request = self.request
        fates = self._plan.answer_fate
        self.answered_at = time.perf_counter()
        self._head_sent = True
        self.status = answer.status
        lines = [_status_line(answer.status, answer.reason), b"upgrade: websocket\r\nconnection: upgrade\r\n"]
        lines += [b"%b: %b\r\n" % pair for pair in answer.headers if fates[pair[0]]]
        lines.append(b"tieline-request-id: %b\r\n\r\n" % self.id.encode())
        request.send(mask(b"".join(lines), self._reflections))
        early = b"".join(connection.pieces)
        connection.pieces = []
        rest = request.become_tunnel()
        if early:
            self.tunnel_bytes(early)
        if rest:
            self.client_bytes(rest)
        self._expect_more(connection)

    # -- ends

    def _expect_more(self, connection: EgressConnection) -> None:
        if self._half_closed:
            return
        now, plan = connection.clock.now, self._plan
        if connection.tunnelled or not (self._sent or self._head_sent):
            connection.deadline = now + plan.limits.total
        elif self._head_sent:
            connection.deadline = min(now + plan.limits.idle, self._until)
        else:
            connection.deadline = now + plan.first_byte

    def _may_repeat(self) -> bool:
        if not self._first_write:
            return False
        request = self.request
        return request.method in _REPEATABLE or b"idempotency-key" in request.noted

    def _drop_connection(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def _end(self, outcome: Outcome, error: TielineError | None) -> None:
        if not self._done:
            self._done = True
            self._ledger.ended(self, outcome, error)


def framing_of(request: Request) -> bytes:
    """The end of a request's head: what frames its body, and the empty line."""
    frame = b""
    if request.chunked:
        frame = b"transfer-encoding: chunked\r\n"
    elif request.sized or request.length or request.method in _BODY_METHODS:
        frame = b"content-length: %d\r\n" % (request.length or 0)
    if request.upgrade:
        frame += b"connection: upgrade\r\nupgrade: websocket\r\n"
    return frame + b"\r\n"


def _status_line(status: int, reason: bytes) -> bytes:
    known = _status_lines.get((status, reason))
    if known is None:
        known = b"HTTP/1.1 %d %b\r\n" % (status, reason if framing.is_value(reason) else b"")
        if len(_status_lines) < _MEMORY and len(reason) < _MEMORY:  # an upstream may make up reasons
            _status_lines[(status, reason)] = known
    return known


def _kept_trailers(trailers: list[tuple[bytes, bytes]], fates: HeaderFate) -> list[tuple[bytes, bytes]]:
    """Trailer fields that may go on: none that frame, route or authenticate (RFC 9110 section 6.5.1)."""
    if not trailers:
        return trailers
    kept = [pair for pair in trailers if fates[pair[0]] and pair[0].lower() not in _NEVER_TRAILING]
    return [pair for pair in kept if not holds_key(pair[1])]


_NEVER_TRAILING = frozenset(
    {b"authorization", b"x-api-key", b"api-key", b"cookie", b"set-cookie", b"content-type", b"content-encoding"}
)
