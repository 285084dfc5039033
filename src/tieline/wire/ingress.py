"""The listening side of the engine: connections of clients, the requests they carry, and the way back.

One ``asyncio.Protocol`` per connection with llhttp's callbacks, no task per request. A request is handed to the door
when its head is whole; its body arrives piece by piece at the request's sink. It owns the client's connection, its
deadlines and its framing; it does not know what a request means.
"""

import asyncio
import contextlib
import select
import socket
import struct
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, cast

import httptools

from tieline.core.errors import HeadersTooLarge, InvalidRequest, RequestError
from tieline.wire import framing
from tieline.wire.deadlines import NEVER, Deadlines
from tieline.wire.repeat import Repeat
from tieline.wire.request import HOLD_BUFFER, HOLD_QUEUE, HOLD_SINK, Request, Sink

BUFFERED_MOST = 64 * 1024
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 1024 * 1024
_LOOK_SECONDS = 0.0  # at every sweep
_PROBES = 2
_BODY_WINDOW = 10.0
_UPGRADES_MOST = 32
_QUEUE_MOST = 500
_PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"  # any other interim answer is taken for the final one by some clients
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is not sent yet is thrown away


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take, in seconds, and how slowly it may send a body, in bytes a second."""

    head: float = 10.0
    idle: float = 75.0
    stalled: float = 60.0
    body_rate: float = 240.0


class Host(Protocol):
    """What a connection belongs to; see ``wire.listener``."""

    deadlines: Deadlines
    patience: Patience
    draining: bool
    notable: frozenset[bytes]

    def opened(self, connection: "IngressConnection") -> None: ...

    def closed(self, connection: "IngressConnection") -> None: ...

    def serve(self, request: Request) -> None: ...

    def run(self, request: Request, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...


def _head_too_large() -> HeadersTooLarge:
    return HeadersTooLarge(
        f"The request's head is larger than {framing.HEAD_BYTES} bytes. Send fewer or shorter fields."
    )


class IngressConnection(asyncio.Protocol):
    """One client's connection: requests one after another, answered in their order."""

    __slots__ = (
        "_active",
        "_body_mark",
        "_chunk",
        "_closing",
        "_deaf",
        "_discarded",
        "_ended",
        "_head_bytes",
        "_head_parts",
        "_headers",
        "_holds",
        "_idle",
        "_in_head",
        "_parser",
        "_paused_writing",
        "_probes",
        "_queue",
        "_reading",
        "_received",
        "_repeat",
        "_serving",
        "_skipped",
        "_standing",
        "_surplus",
        "_target",
        "_transport",
        "_tunnel",
        "deadline",
        "listener",
        "memo",
        "peer",
    )

    def __init__(self, listener: Host) -> None:
        self.listener = listener
        self.deadline = NEVER
        self.peer = ""
        self.memo: object = None
        self._parser = httptools.HttpRequestParser(self)
        self._active: Request | None = None
        self._reading: Request | None = None
        self._queue: deque[Request] = deque()
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunk = b""
        self._head_parts: list[bytes] = []
        self._head_bytes = 0
        self._received = 0
        self._body_mark = 0
        self._discarded = 0
        self._probes = 0
        self._repeat: Repeat | None = None
        self._surplus: bytes | None = None
        self._tunnel: Sink | None = None
        self._in_head = False
        self._idle = False
        self._serving = False
        self._skipped = False
        self._standing = False
        self._closing = False
        self._deaf = False
        self._ended = False
        self._holds = 0
        self._paused_writing = False

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peername = transport.get_extra_info("peername")
        self.peer = peername[0] if peername else ""
        self._wait()
        self.listener.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.closed(self)
        self._closing = True
        self._queue.clear()
        active, self._active = self._active, None
        if self._tunnel is not None:
            tunnel, self._tunnel = self._tunnel, None
            tunnel.client_gone()
        elif active is not None and active.sink is not None:
            sink, active.sink = active.sink, None
            sink.client_gone()

    def eof_received(self) -> bool:
        """The client sent its last byte. It may still read: answer what is whole, but find out soon whether it does."""
        if self._ended:
            return True
        self._ended = True
        if self._tunnel is not None:
            self._tunnel.client_ended()
            return True
        if self._active is None or self._reading is not None:
            return False
        self._wait()
        return True

    def pause_writing(self) -> None:
        self._paused_writing = True
        if self._tunnel is not None:
            self._tunnel.client_paused()
            return
        self._wait()
        if self._active is not None and self._active.sink is not None:
            self._active.sink.client_paused()

    def resume_writing(self) -> None:
        self._paused_writing = False
        if self._tunnel is not None:
            self._tunnel.client_resumed()
            return
        self._wait()
        if self._active is None:
            self._serve()
        elif self._active.sink is not None:
            self._active.sink.client_resumed()

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.client_bytes(data)
            return
        if self._closing or self._deaf:
            self._discard(len(data))
            return
        if self._surplus is not None:
            self._keep_surplus(data)
            return
        self._received += len(data)
        if self._idle:
            self._idle = False
            self._first_read(data)
        else:
            self._repeat = None
            self._feed(data)
        active = self._active
        if active is not None and active.sink is not None and (active.pieces or active.complete):
            active.sink.body_arrived()
        if self._queue:
            self._serve()

    def _first_read(self, data: bytes) -> None:
        """A request begins, on a connection where nothing else is under way."""
        request = self._repeat.again(self, data) if self._repeat is not None else None
        if request is not None:  # the parser has not seen it, and stands where it would stand after it
            self._queue.append(request)
            return
        self.deadline = self.listener.deadlines.now + self.listener.patience.head
        self._feed(data)
        self._repeat = Repeat.of(data, self._queue[0]) if self._queue else None

    def _feed(self, data: bytes) -> None:
        self._chunk = data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            self._feed_rest(data[stop.args[0] :])
        except httptools.HttpParserError as error:
            self._malformed(error)
        else:
            if self._in_head:
                self._keep_head(data)
        self._chunk = b""

    def _feed_rest(self, data: bytes) -> None:
        """Go on where llhttp stopped for an upgrade. Only a WebSocket's ends HTTP; any other is an ordinary request."""
        for _ in range(_UPGRADES_MOST):
            last = self._queue[-1] if self._queue else self._active
            if last is not None and last.upgrade:
                self._surplus = data
                return
            self._parser = httptools.HttpRequestParser(self)
            if self._reading is not None:
                self._stand_before_body(self._reading)
            self._chunk = data
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                data = data[stop.args[0] :]
            except httptools.HttpParserError as error:
                self._malformed(error)
                return
            else:
                if self._in_head:
                    self._keep_head(data)
                return
        self._refuse_message(InvalidRequest("The connection asks for upgrades over and over. Ask once."))

    def _stand_before_body(self, request: Request) -> None:
        """Bring a new parser to where a body begins: llhttp skips the body of a request that asks for an upgrade."""
        self._standing = True
        frame = b"transfer-encoding: chunked" if request.chunked else b"content-length: %d" % (request.length or 0)
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % frame)
        self._standing = False
        self._in_head = False
        request.trailers.clear()

    def _keep_head(self, data: bytes) -> None:
        """A head that arrives in several reads is kept until it is whole, up to its limit."""
        if self._head_parts:
            self._head_bytes += len(data)
        self._head_parts.append(data)
        if self._head_bytes > framing.HEAD_BYTES:
            self._refuse_message(_head_too_large())

    # -- the parser's side

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_parts.clear()
        self._head_bytes = 0
        self._target = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > framing.TARGET_BYTES:
            raise framing.uri_too_long()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reading is None:
            self._headers.append((name, value))
            return
        trailers = self._reading.trailers
        trailers.append((name, value))
        if len(trailers) > framing.HEAD_FIELDS:
            raise HeadersTooLarge("The request has too many trailer fields.")

    def on_headers_complete(self) -> None:
        if self._standing:
            return
        parser = self._parser
        method: bytes = parser.get_method()
        version: str = parser.get_http_version()
        headers = self._headers
        request = Request(self, method, self._target, 1 if version == "1.1" else 0)
        framing.read_request(request, method, self._target, version, headers, self.listener.notable)
        self._check_head(method, headers)
        if len(self._queue) >= _QUEUE_MOST:
            raise InvalidRequest(f"More than {_QUEUE_MOST} requests wait on this connection. Read answers in between.")
        request.keep_alive = parser.should_keep_alive()
        if request.protocol and parser.should_upgrade():
            self._consider_upgrade(request)
        self._reading = request
        self._in_head = False
        self._body_mark = self._received
        self._queue.append(request)

    def _consider_upgrade(self, request: Request) -> None:
        self._skipped = request.chunked or bool(request.length)
        request.upgrade = (
            request.protocol == b"websocket" and request.method == b"GET" and request.minor == 1 and not self._skipped
        )
        if request.upgrade:
            request.keep_alive = False  # what follows is no HTTP, whatever the answer

    def on_body(self, data: bytes) -> None:
        assert self._reading is not None  # llhttp gives bodies after heads only
        self._reading.pieces.append(data)

    def on_message_complete(self) -> None:
        request = self._reading
        assert request is not None  # llhttp ends messages that it began
        if self._skipped:  # llhttp stops here for an upgrade that is not granted; the body is still to come
            self._skipped = False
            return
        request.complete = True
        self._reading = None
        if not self._paused_writing:
            self.deadline = NEVER

    def _check_head(self, method: bytes, headers: framing.Headers) -> None:
        """What can only be seen in the bytes of the head: its size, and single spaces in the request line."""
        raw = b"".join([*self._head_parts, self._chunk]) if self._head_parts else self._chunk
        self._head_parts.clear()
        if not raw.startswith(method + b" " + self._target + b" HTTP/1.") and not framing.has_line(raw, self._target):
            raise InvalidRequest("The request line must hold single spaces only (RFC 9112, section 3).")
        if len(raw) > framing.HEAD_BYTES and len(self._target) + framing.size(headers) > framing.HEAD_BYTES:
            raise _head_too_large()

    def _malformed(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, RequestError):
            self._refuse_message(cause)
        elif self._reading is None and "Data after" in str(error):
            self._deaf = True  # bytes after the last request of this connection: it is answered, they are not looked at
        else:
            self._refuse_message(InvalidRequest(f"The HTTP message is malformed: {error}. Send valid HTTP/1.1."))

    def _refuse_message(self, error: RequestError) -> None:
        """The bytes make no sense from here on: answer what can be answered, then close."""
        self._deaf = True
        self._in_head = False
        broken, self._reading = self._reading, None
        if broken is None:
            broken = Request(self, b"", b"", 1)
            self._queue.append(broken)
        broken.fault = error
        broken.keep_alive = False
        if broken is not self._active:
            return
        sink, broken.sink = broken.sink, None
        if sink is not None:
            sink.client_gone()
        if broken.answer_begun:
            self.abort()
        else:
            self.listener.serve(broken)

    # -- the request's side

    @property
    def draining(self) -> bool:
        return self.listener.draining

    def write(self, data: bytes) -> None:
        if not self._closing:
            self._transport.write(data)

    def hold(self, reason: int) -> None:
        """Read no further for ``reason`` (a bit), until every reason is released."""
        if self._closing:
            return
        if not self._holds:
            self._transport.pause_reading()
        self._holds |= reason
        self._wait()

    def release(self, reason: int) -> None:
        if not self._holds & reason:
            return
        self._holds &= ~reason
        if self._holds or self._closing:
            return
        self._body_mark = self._received
        self._wait()
        if not self._ended:
            self._transport.resume_reading()

    def run(self, request: Request, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self.listener.run(request, work)

    def finished(self, request: Request) -> None:
        request.sink = None
        if request is not self._active:
            return
        self._active = None
        if self._holds:
            self.release(HOLD_SINK)
        if not request.complete:
            self._linger()
        elif not request.keep_alive or self.listener.draining or self._ended:
            self.close()
        elif self._queue or self._in_head or self._paused_writing:
            self._wait()
            self._serve()
        else:
            self._idle = True
            self.deadline = self.listener.deadlines.now + self.listener.patience.idle

    def abort(self) -> None:
        """Cut the connection by a reset: a client must not take the end for the proper end of an answer."""
        self._closing = True
        self._queue.clear()
        with contextlib.suppress(OSError):  # it may be gone already
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def become_tunnel(self, request: Request) -> bytes:
        self._tunnel, request.sink = request.sink, None
        self._active = None
        self.deadline = NEVER
        rest, self._surplus = self._surplus or b"", None
        self.release(HOLD_BUFFER)
        if self._ended and self._tunnel is not None:
            asyncio.get_running_loop().call_soon(self._tunnel.client_ended)
        return rest

    def close(self) -> None:
        """Close once what was written is sent, as long as the client goes on reading."""
        if self._closing:
            return
        self._closing = True
        self._wait()
        self._transport.close()

    def close_if_idle(self) -> None:
        """Close unless a request is being read or answered."""
        if self._active is None and self._reading is None and not self._queue and self._tunnel is None:
            self.close()

    # -- time

    def _wait(self) -> None:
        """Set the deadline for what the client has to do next."""
        patience = self.listener.patience
        if self._closing or self._paused_writing:
            seconds = patience.stalled
        elif self._active is not None:
            if self._holds or self._ended:
                seconds = _LOOK_SECONDS
            else:
                seconds = _BODY_WINDOW if self._reading is self._active else NEVER
        elif self._tunnel is not None:
            seconds = _LOOK_SECONDS if self._holds else NEVER
        elif self._deaf:
            seconds = _LINGER_SECONDS
        else:
            seconds = patience.idle if self._idle else patience.head
        self.deadline = self.listener.deadlines.now + seconds

    def expired(self) -> None:
        """A deadline of this connection has passed."""
        if self._closing or self._paused_writing:
            self.abort()
        elif self._holds or (self._ended and self._active is not None):
            self._look()
        elif self._active is not None:
            self._check_rate(self._active)
        elif self._in_head:
            self._refuse_message(InvalidRequest("The request's head took too long to arrive. Send it faster."))
            self._serve()
        elif self._deaf:
            self.abort()
        else:
            self.close()

    def _check_rate(self, request: Request) -> None:
        arrived = self._received - self._body_mark
        self._body_mark = self._received
        enough = arrived >= self.listener.patience.body_rate * _BODY_WINDOW
        if enough or request.expects or request is not self._reading:
            self._wait()
        else:
            self._refuse_message(InvalidRequest("The request's body arrived too slowly. Send it faster."))

    def _look(self) -> None:
        """Find out whether a client that is not being read from is still there.

        One that closed and one that only sends no more look the same until something is written to them: an interim
        answer to the former comes back as a reset. Once an answer flows, writing it tells the same; a stream of events
        may be silent for long, so a client that ended counts as gone.
        """
        self._wait()
        active = self._active
        seen = self._events()
        if seen & (select.POLLHUP | select.POLLERR):
            self.abort()
        elif active is None or not (self._ended or seen & select.POLLRDHUP):
            return
        elif active.answer_begun:
            if active.live:
                self.abort()
        elif active.minor == 1 and self._probes < _PROBES:
            self._probes += 1
            self.write(_PROBE)

    def _events(self) -> int:
        """What the kernel knows of the connection's other end."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
        found = poll.poll(0)
        return found[0][1] if found else 0

    # -- what waits

    def _serve(self) -> None:
        if self._serving:
            return
        self._serving = True
        try:
            while self._queue and self._active is None and not self._closing and not self._paused_writing:
                request = self._active = self._queue.popleft()
                if self._reading is request:
                    self.deadline = self.listener.deadlines.now + _BODY_WINDOW
                else:
                    self.deadline = NEVER
                self.listener.serve(request)
        finally:
            self._serving = False
        if self._queue:
            self.hold(HOLD_QUEUE)
        elif self._holds:
            self.release(HOLD_QUEUE)

    def _keep_surplus(self, data: bytes) -> None:
        assert self._surplus is not None  # asked by the caller
        self._surplus += data
        if len(self._surplus) > BUFFERED_MOST:
            self.hold(HOLD_BUFFER)

    def _linger(self) -> None:
        """Close so that the answer is read even though the client still sends (RFC 9112 section 9.6)."""
        self._deaf = True
        self._reading = None
        self._discarded = 0
        self.release(self._holds)
        if not self._closing:
            self._wait()
            self._transport.write_eof()

    def _discard(self, count: int) -> None:
        self._discarded += count
        if self._discarded > _LINGER_BYTES:
            self.abort()
