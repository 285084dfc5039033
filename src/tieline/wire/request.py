"""A request as it came, and the way to answer it: what the door and its exchanges see of a client.

It owns no socket: the connection that carries the request does (``wire.ingress``).
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Protocol

from tieline.core.errors import RequestError, TielineError
from tieline.wire import answers
from tieline.wire.proxies import TrustedProxies

HOLD_SINK = 1
HOLD_QUEUE = 2
HOLD_BUFFER = 4
HOLD_TURN = 8
PIECES_MOST = 1024


class Sink(Protocol):
    """What takes a request's body and hears of its client."""

    def body_arrived(self) -> None:
        """Something was added to ``request.pieces``, or ``request.complete`` became true."""

    def client_gone(self) -> None:
        """The client left; nothing can be answered any more."""

    def client_paused(self) -> None:
        """The client reads more slowly than it is written to: write no more for now."""

    def client_resumed(self) -> None:
        """The client caught up."""

    def client_bytes(self, data: bytes) -> None:
        """Bytes of a connection that is no longer HTTP (after ``become_tunnel``)."""

    def client_ended(self) -> None:
        """The client of a tunnel will send no more."""


class ClientConnection(Protocol):
    """The connection that carries a request."""

    peer: str
    proxies: TrustedProxies | None
    """The proxies in front that are believed; None where there are none."""
    memo: object
    """What the door remembers of the connection, for the next request on it; None at first."""

    def write(self, data: bytes) -> None: ...

    def hold(self, reason: int) -> None: ...

    def release(self, reason: int) -> None: ...

    def run(self, request: "Request", work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...

    def write_last(self, request: "Request", data: bytes) -> None: ...

    def finished(self, request: "Request") -> None: ...

    def abort(self) -> None: ...

    def become_tunnel(self, request: "Request", *, reads_frames: bool) -> bytes: ...

    def close(self) -> None: ...


_PROTO = b"x-forwarded-proto"
_NOTHING: dict[bytes, bytes] = {}


class Request:
    """One request as it came, and the way to answer it.

    ``headers`` are name and value as sent, without those that frame the message; ``pieces`` holds body bytes that
    arrived and nobody took yet; ``complete`` says that the whole body arrived; ``trailers`` are then final.
    ``authority`` is the host, with its port if any, that the client sent it to. ``length`` is None for a chunked body;
    ``sized`` says that a ``Content-Length`` came, be it 0. ``noted`` holds the fields that the listener looks out for,
    by lower-case name. ``upgrade`` says that a WebSocket is asked for; ``fault`` is why the message itself cannot be
    served. ``keep_alive`` says that client and listener go on with the connection. Whoever answers sets ``live`` where
    the answer is an endless stream of events.
    """

    __slots__ = (
        "_head_sent",
        "authority",
        "began",
        "chunked",
        "complete",
        "connection",
        "connection_field",
        "error_shape",
        "expects",
        "fault",
        "headers",
        "keep_alive",
        "length",
        "live",
        "method",
        "minor",
        "noted",
        "paused",
        "pieces",
        "protocol",
        "sink",
        "sized",
        "target",
        "trailers",
        "upgrade",
    )

    def __init__(self, connection: ClientConnection, method: bytes, target: bytes, minor: int) -> None:
        self.connection = connection
        self.method = method
        self.target = target
        self.minor = minor
        self.authority = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.trailers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.paused = False
        self.complete = False
        self.sink: Sink | None = None
        self.began = time.perf_counter()
        self.length: int | None = 0
        self.sized = False
        self.chunked = False
        self.expects = False
        self.upgrade = False
        self.protocol = b""
        self.connection_field = b""
        self.noted = _NOTHING
        self.error_shape = "tieline"
        self.keep_alive = True
        self.live = False
        self.fault: RequestError | None = None
        self._head_sent = False

    @property
    def peer(self) -> str:
        """The client's IP address: as trusted proxies tell it, else that of the connection's other end."""
        proxies = self.connection.proxies
        return self.connection.peer if proxies is None else proxies.client(self.connection.peer, self.headers)

    @property
    def address(self) -> bytes:
        """Scheme, host and port under which the client reached this listener; empty where it named no host.

        As trusted proxies tell it. Where none were named, https is believed of anybody, as it can only make a link
        stricter.
        """
        proxies = self.connection.proxies
        if proxies is None:
            secure = any(name.lower() == _PROTO and value.lower() == b"https" for name, value in self.headers)
            scheme, host = b"https" if secure else b"", b""
        else:
            scheme, host = proxies.address(self.connection.peer, self.headers)
        host = host or self.authority
        return (scheme or b"http") + b"://" + host if host else b""

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this answer, which must then say so."""
        return not self.keep_alive or not self.complete

    @property
    def answer_begun(self) -> bool:
        """Whether any byte of a final answer was written."""
        return self._head_sent

    def is_over(self, most: int) -> bool:
        """Whether more than ``most`` bytes of the body wait to be taken, or so many pieces that counting costs."""
        return len(self.pieces) > PIECES_MOST or sum([len(piece) for piece in self.pieces]) > most

    def continue_(self) -> None:
        """Tell a client that waits for it to send its body (RFC 9110 section 10.1.1)."""
        if self.expects and not self.complete and not self._head_sent:
            self.expects = False
            self.connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def send_interim(self, data: bytes) -> None:
        """Write a 1xx answer; clients of HTTP/1.0 do not get any."""
        if self.minor == 1 and not self._head_sent:
            self.connection.write(data)

    def send(self, data: bytes) -> None:
        """Write bytes of the answer: its head first."""
        self._head_sent = True
        self.connection.write(data)

    def send_last(self, data: bytes) -> None:
        """Write what is left of the answer, which is whole then."""
        self._head_sent = True
        self.connection.write_last(self, data)

    def pause(self) -> None:
        """Read no more of the client's body for now."""
        self.paused = True
        self.connection.hold(HOLD_SINK)

    def resume(self) -> None:
        """Read on."""
        self.paused = False
        self.connection.release(HOLD_SINK)

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do ``work``, which raises nothing on purpose, for this request; an unexpected failure becomes its answer."""
        return self.connection.run(self, work)

    def finish(self) -> None:
        """The answer is whole."""
        self.connection.finished(self)

    def abort(self) -> None:
        """Cut the connection, so that nobody mistakes what was sent for a whole answer."""
        self.sink = None
        self.connection.abort()

    def cut(self) -> None:
        """End the connection without the proper end of the answer, once what was written is sent.

        A client of HTTP/1.0 cannot tell such an end from a proper one; it gets a reset.
        """
        self.sink = None
        if self.minor == 1:
            self.connection.close()
        else:
            self.connection.abort()

    def refuse(self, error: TielineError, request_id: str) -> None:
        """Answer with an error and be done; only before an answer was begun."""
        self.sink = None
        self.send_last(answers.error_answer(error, self, request_id))

    def become_tunnel(self, *, reads_frames: bool) -> bytes:
        """From here on the connection carries bytes, not messages. Returns what the client sent beyond its request."""
        return self.connection.become_tunnel(self, reads_frames=reads_frames)
