"""The listening side of the engine: connections of clients, the requests they carry, and the way back.

One ``asyncio.Protocol`` per connection, no task per request. A request is handed to the door when its head is whole;
its body arrives piece by piece at the request's sink. It owns the client's connection and its deadlines; how bytes
become requests is ``request_parser``'s, and what a request means is not known here.

A connection is in one of these states, and moves on as follows:

- *waiting* for a head: the deadline is ``patience.head``, or ``patience.idle`` after an answer (``_idle``). A whole
  head goes to the queue and, as nothing is active, to the door.
- *serving*: ``_active`` is the request that the door has. Its body may still arrive (``_parser.reading`` is it; the
  rate of the body is watched), or be whole. Further requests wait in ``_queue``, and nothing more is read. ``finished``
  leads to the next of the queue, to waiting, to closing or, where the body is not whole, to lingering.
- *held*: a bit of ``_holds`` is set, nothing is read; the kernel is asked at each sweep whether the client is there.
- *tunnel*: ``_tunnel`` took the place of the request's sink; bytes pass, no message is looked at.
- *lingering* (``_deaf``): everything is answered, what still comes is thrown away until the client closes or
  ``patience.linger`` is over. A malformed message makes the connection deaf, too.
- *closing*: the transport sends what was written, then closes; ``abort`` cuts it. ``connection_lost`` ends each state.

The transport is the connection's alone until ``connection_lost``: sinks write through ``write`` and never see it.
"""

import asyncio
import contextlib
import select
import socket
import struct
from collections import deque
from collections.abc import Coroutine
from typing import Any, Protocol, cast

from tieline.core.errors import InvalidRequest, RequestError
from tieline.wire.deadlines import NEVER, Deadlines, Patience
from tieline.wire.proxies import TrustedProxies
from tieline.wire.repeat import Repeat
from tieline.wire.request import HOLD_BUFFER, HOLD_QUEUE, HOLD_SINK, HOLD_TURN, Request, Sink
from tieline.wire.request_parser import BytesAfterTheEnd, RequestParser
from tieline.wire.turns import FRAMES, LARGE, TurnShare, at_once

BUFFERED_MOST = 64 * 1024
_LINGER_BYTES = 1024 * 1024
_LOOK_SECONDS = 0.0  # at every sweep
_PROBES = 2
_QUEUE_MOST = 500
_TURN_MOST = 32
"""So many requests of one connection, answered at once, are served before others get their turn."""
_PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"  # any other interim answer is taken for the final one by some clients
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is not sent yet is thrown away


class Acceptor(Protocol):
    """What a connection belongs to; see ``wire.listener``."""

    deadlines: Deadlines
    patience: Patience
    notable: frozenset[bytes]
    proxies: TrustedProxies | None

    def opened(self, connection: "IngressConnection") -> None: ...

    def closed(self, connection: "IngressConnection") -> None: ...

    def serve(self, request: Request) -> None: ...

    def run(self, request: Request, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...


class IngressConnection(asyncio.Protocol):
    """One client's connection: requests one after another, answered in their order."""

    __slots__ = (
        "_active",
        "_body_mark",
        "_closing",
        "_deaf",
        "_discarded",
        "_ended",
        "_holds",
        "_idle",
        "_parser",
        "_paused_writing",
        "_probes",
        "_queue",
        "_reads_frames",
        "_received",
        "_repeat",
        "_serving",
        "_share",
        "_transport",
        "_tunnel",
        "deadline",
        "listener",
        "memo",
        "peer",
        "proxies",
        "run",
    )

    def __init__(self, listener: Acceptor) -> None:
        self.listener = listener
        self.deadline = NEVER
        self.peer = ""
        self.proxies = listener.proxies
        self.run = listener.run
        self.memo: object = None
        self._parser = RequestParser(self, listener.notable)
        self._active: Request | None = None
        self._queue: deque[Request] = deque()
        self._received = 0
        self._body_mark = 0
        self._discarded = 0
        self._probes = 0
        self._repeat: Repeat | None = None
        self._tunnel: Sink | None = None
        self._reads_frames = False
        self._idle = False
        self._serving = False
        self._closing = False
        self._deaf = False
        self._ended = False
        self._holds = 0
        self._share: TurnShare | None = None
        self._paused_writing = False

    @property
    def busy(self) -> bool:
        """Whether a request is being served, or a tunnel stands."""
        return self._active is not None or self._tunnel is not None

    @property
    def streams(self) -> bool:
        """Whether a stream of events is being answered, or a tunnel stands."""
        return self._tunnel is not None or (self._active is not None and self._active.live)

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
        if self._share is not None:
            self._share.left = b""
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
        if self._active is None or self._parser.reading is not None:
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
            if len(data) <= FRAMES or not self._reads_frames or not self._takes_turns(data):
                self._tunnel.client_bytes(data)
            return
        if self._closing or self._deaf:
            self._discard(len(data))
            return
        if len(data) > LARGE and self._takes_turns(data):
            return
        self._received += len(data)
        if self._idle:
            self._idle = False
            request = self._repeat.again(self, data) if self._repeat is not None else None
            if request is not None:  # the parser has not seen it, and stands where it would stand after it
                self._active = request
                self.deadline = NEVER
                self.listener.serve(request)
                return
            self._first_read(data)
        elif self._parser.surplus is not None:
            self._feed(data)
            return
        else:
            self._repeat = None
            self._feed(data)
        active = self._active
        if active is not None and active.sink is not None and (active.pieces or active.complete):
            active.sink.body_arrived()
        if self._queue:
            self._serve()

    def _takes_turns(self, data: bytes) -> bool:
        """Whether ``data`` is parsed in its turn: else it is it that has it now."""
        share = self._share
        if share is None:
            clock = self.listener.deadlines
            share = TurnShare(clock, self.data_received, lambda: self.hold(HOLD_TURN), lambda: self.release(HOLD_TURN))
            self._share = share
        elif share.parsing:
            return False
        reading = self._parser.reading
        framed = reading is None or reading.chunked
        share.take(data, FRAMES if self._tunnel is not None else at_once(data, framed=framed))
        return True

    def _first_read(self, data: bytes) -> None:
        """A request begins, on a connection where nothing else is under way."""
        self.deadline = self.listener.deadlines.now + self.listener.patience.head
        self._feed(data)
        self._repeat = Repeat.of(data, self._queue[0]) if self._queue else None

    def _feed(self, data: bytes) -> None:
        parser = self._parser
        try:
            parser.feed(data)
        except RequestError as error:
            self._refuse_message(error)
        except BytesAfterTheEnd:
            self._deaf = True  # the last request is answered, what follows is not looked at
        if parser.surplus is not None and len(parser.surplus) > BUFFERED_MOST:
            self.hold(HOLD_BUFFER)

    # -- the parser's side

    def request_begun(self, request: Request) -> None:
        if len(self._queue) >= _QUEUE_MOST:
            raise InvalidRequest(f"More than {_QUEUE_MOST} requests wait on this connection. Read answers in between.")
        self._body_mark = self._received
        self._queue.append(request)

    def request_whole(self) -> None:
        if not self._paused_writing:
            self.deadline = NEVER

    def _refuse_message(self, error: RequestError) -> None:
        """The bytes make no sense from here on: answer what can be answered, then close."""
        self._deaf = True
        broken = self._take_reading()
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

    def _take_reading(self) -> Request | None:
        """The request that was being read, if any; nothing is read any more."""
        parser = self._parser
        parser.in_head = False
        reading, parser.reading = parser.reading, None
        return reading

    # -- the request's side

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

    def write_last(self, request: Request, data: bytes) -> None:
        if not self._closing:
            self._transport.write(data)
        self.finished(request)

    def finished(self, request: Request) -> None:
        request.sink = None
        if request is not self._active:
            return
        self._active = None
        if self._holds:
            self.release(HOLD_SINK)
        if not request.complete:
            self._linger()
        elif not request.keep_alive or self._ended:
            self.close()
        elif self._queue or self._parser.in_head or self._paused_writing:
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

    def become_tunnel(self, request: Request, *, reads_frames: bool) -> bytes:
        self._tunnel, request.sink = request.sink, None
        self._reads_frames = reads_frames
        self._active = None
        self.deadline = NEVER
        rest = self._parser.surplus or b""
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

    def drain(self) -> None:
        """Close, once the request is answered that is being read or answered."""
        if self._active is not None:
            self._active.keep_alive = False
        elif self._parser.reading is None and not self._queue and self._tunnel is None:
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
                seconds = patience.body_window if self._parser.reading is self._active else NEVER
        elif self._tunnel is not None:
            seconds = _LOOK_SECONDS if self._holds else NEVER
        elif self._deaf:
            seconds = patience.linger
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
        elif self._parser.in_head:
            self._refuse_message(InvalidRequest("The request's head took too long to arrive. Send it faster."))
            self._serve()
        elif self._deaf:
            self.abort()
        else:
            self.close()

    def _check_rate(self, request: Request) -> None:
        arrived = self._received - self._body_mark
        self._body_mark = self._received
        enough = arrived >= self.listener.patience.body_least
        if enough or request.expects or request is not self._parser.reading:
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
        served = 0
        try:
            while self._queue and self._active is None and not self._closing and not self._paused_writing:
                if served == _TURN_MOST:
                    asyncio.get_running_loop().call_soon(self._serve)
                    break
                served += 1
                request = self._active = self._queue.popleft()
                if self._parser.reading is request:
                    self.deadline = self.listener.deadlines.now + self.listener.patience.body_window
                else:
                    self.deadline = NEVER
                self.listener.serve(request)
        finally:
            self._serving = False
        if self._queue:
            self.hold(HOLD_QUEUE)
        elif self._holds:
            self.release(HOLD_QUEUE)

    def _linger(self) -> None:
        """Close so that the answer is read even though the client still sends (RFC 9112 section 9.6)."""
        self._deaf = True
        self._take_reading()
        self._discarded = 0
        self.release(self._holds)
        if not self._closing:
            self._wait()
            self._transport.write_eof()

    def _discard(self, count: int) -> None:
        self._discarded += count
        if self._discarded > _LINGER_BYTES:
            self.abort()
