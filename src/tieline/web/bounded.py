"""The console listener's HTTP: uvicorn's, with the bounds on a request's head that it lacks, and answers in our shape.

Owns how large a head may be and how long it may take (design/security.md section 2, rule 3). Knows no route.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tieline.core.errors import HeadersTooLarge, InvalidRequest, TielineError, UriTooLong
from tieline.core.ids import new_id
from tieline.web.problems import answer

HEAD_BYTES = 32 * 1024
HEAD_FIELDS = 100
TARGET_BYTES = 8 * 1024
HEAD_SECONDS = 10.0


class BoundedHttp(HttpToolsProtocol):
    """One connection. Without this, whoever reaches the listener could make a head of any size, and never end it."""

    _size = 0
    _unread = 0
    _deadline: asyncio.TimerHandle | None = None
    _problem: TielineError | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_whole()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._deadline is not None and not self.transport.is_closing():
            self._unread += len(data)  # llhttp keeps a field until it is whole, so bytes are counted here
            if self._unread > HEAD_BYTES:
                self._refuse(_head_too_large())

    def on_message_begin(self) -> None:
        self._size = 0
        self._await_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._size += len(url)
        if self._size > TARGET_BYTES:
            self._problem = UriTooLong(f"The request's target is longer than {TARGET_BYTES} bytes. Shorten it.")
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
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be served as HTTP, in the shape of every other error, and close."""
        self._refuse(self._problem or InvalidRequest("The HTTP message is malformed. Send valid HTTP/1.1."))

    def _await_head(self) -> None:
        if self._deadline is None:
            self._unread = 0
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._refuse, _head_too_slow())

    def _head_is_whole(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, error: TielineError) -> None:
        self._head_is_whole()
        refusal = answer(error, new_id("req"), {"Connection": "close", "Cache-Control": "no-store"})
        fields = b"".join(b"%b: %b\r\n" % pair for pair in refusal.raw_headers)
        self.transport.write(b"HTTP/1.1 %d \r\n%b\r\n%b" % (refusal.status_code, fields, bytes(refusal.body)))
        self.transport.close()


def _head_too_large() -> HeadersTooLarge:
    return HeadersTooLarge(f"The request's head is larger than {HEAD_BYTES} bytes or {HEAD_FIELDS} fields. Send fewer.")


def _head_too_slow() -> InvalidRequest:
    return InvalidRequest("The request's head took too long to arrive. Send it faster.")
