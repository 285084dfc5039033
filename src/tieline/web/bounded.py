"""The console listener's HTTP: uvicorn's, with the bounds that it lacks, and answers in our shape.

The bounds are those of the app listener: how large a head may be and how long it may take, how slowly a body may come
and an answer be read (design/security.md section 2, rule 3). Knows no route.

A connection has at most one timer of each kind: for a head that is awaited, for a body that comes, for a client that
does not read. ``connection_lost`` stops them all.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tieline.core.errors import HeadersTooLarge, InvalidRequest, TielineError
from tieline.core.ids import new_id
from tieline.web.problems import answer
from tieline.wire.deadlines import Patience
from tieline.wire.framing import HEAD_BYTES, HEAD_FIELDS, TARGET_BYTES, uri_too_long


class BoundedHttp(HttpToolsProtocol):
    """One connection. Without this, whoever reaches the listener could hold it for ever, or send a head of any size."""

    patience = Patience()

    _size = 0
    _unread = 0
    _arrived = 0
    _in_body = False
    _head_timer: asyncio.TimerHandle | None = None
    _body_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _problem: TielineError | None = None

    # -- the transport's side

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._arrived += len(data)
        super().data_received(data)
        if self._head_timer is not None and not self.transport.is_closing():
            self._unread += len(data)  # llhttp keeps a field until it is whole, so bytes are counted here
            if self._unread > HEAD_BYTES:
                self._refuse(_head_too_large())

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_timer = self.loop.call_later(self.patience.stalled, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    # -- the parser's side

    def on_message_begin(self) -> None:
        self._size = 0
        self._await_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._size += len(url)
        if self._size > TARGET_BYTES:
            self._problem = uri_too_long()
            raise self._problem
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value) + 4
        if self._size > HEAD_BYTES or len(self.headers) >= HEAD_FIELDS:
            self._problem = _head_too_large()
            raise self._problem
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_is_whole()
        self._in_body = True
        super().on_headers_complete()
        self._watch_body()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._stop_body_timer()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be served as HTTP, in the shape of every other error, and close."""
        self._refuse(self._problem or InvalidRequest("The HTTP message is malformed. Send valid HTTP/1.1."))

    # -- the request's side

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and self.cycle.response_complete and not self.transport.is_closing():
            # answered before its body was whole: the rest is not wanted, but the client may still be about to read
            self._stop_body_timer()
            self._body_timer = self.loop.call_later(self.patience.linger, self.transport.abort)

    # -- time

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._unread = 0
            self._head_timer = self.loop.call_later(self.patience.head, self._refuse, _too_slow("head"))

    def _head_is_whole(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch_body(self) -> None:
        self._arrived = 0
        if self._in_body:
            self._body_timer = self.loop.call_later(self.patience.body_window, self._check_rate)

    def _check_rate(self) -> None:
        """Refuse a body that comes too slowly; where nothing is read because nobody wants it yet, wait on."""
        if self._arrived >= self.patience.body_least or self.flow.read_paused:
            self._watch_body()
        elif self.cycle.response_started:
            self.transport.abort()
        else:
            self._refuse(_too_slow("body"))

    def _stop_body_timer(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _stop_timers(self) -> None:
        for timer in (self._head_timer, self._body_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._body_timer = self._stall_timer = None

    def _refuse(self, error: TielineError) -> None:
        self._stop_timers()
        refusal = answer(error, new_id("req"), {"Connection": "close", "Cache-Control": "no-store"})
        fields = b"".join(b"%b: %b\r\n" % pair for pair in refusal.raw_headers)
        self.transport.write(b"HTTP/1.1 %d \r\n%b\r\n%b" % (refusal.status_code, fields, bytes(refusal.body)))
        self.transport.close()


def _head_too_large() -> HeadersTooLarge:
    return HeadersTooLarge(f"The request's head is larger than {HEAD_BYTES} bytes or {HEAD_FIELDS} fields. Send fewer.")


def _too_slow(part: str) -> InvalidRequest:
    return InvalidRequest(f"The request's {part} took too long to arrive. Send it faster.")
