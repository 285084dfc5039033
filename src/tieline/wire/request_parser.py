"""Bytes of one client's connection become requests: llhttp, and what it lets pass but must not.

Owns the parser's state and the limits of a head. It knows neither sockets nor deadlines, nor what a request means.

Between two calls of ``feed`` it is in one of these states:

- *between messages*: ``in_head`` is False, ``reading`` None. Empty lines are skipped.
- *in a head*: ``in_head``. The bytes of the head are kept until it is whole, up to their limit.
- *in a body*: ``reading`` is the request whose body arrives; its ``pieces`` grow.
- *beyond HTTP*: ``surplus`` holds what follows a request that asks for a WebSocket; it is not looked at. The connection
  takes it from there when the upstream agrees, or drops it with the connection.
- *broken*: ``feed`` raised; the parser must not be fed again.
"""

import re
from typing import Protocol

import httptools

from tieline.core.errors import HeadersTooLarge, InvalidRequest, RequestError
from tieline.wire import framing
from tieline.wire.request import ClientConnection, Request

_UPGRADES_MOST = 32
_EMPTY_LINES = re.compile(rb"(?:\r\n)*")


class RequestReceiver(ClientConnection, Protocol):
    """Whose requests they are."""

    def request_begun(self, request: Request) -> None:
        """The head of ``request`` is whole; its body, if any, follows. Raises RequestError to take no more of them."""

    def request_whole(self) -> None:
        """The request that was begun last is whole."""


class BytesAfterTheEnd(Exception):
    """Bytes follow the last request of a connection, after which the client said that it would close it."""


class RequestParser:
    """Makes requests of bytes and gives them to ``receiver``; ``notable`` are the fields that it looks out for."""

    __slots__ = (
        "_chunk",
        "_continued",
        "_end",
        "_exact",
        "_head_bytes",
        "_head_parts",
        "_headers",
        "_notable",
        "_parser",
        "_receiver",
        "_skipped",
        "_standing",
        "_start",
        "_target",
        "_trailing",
        "in_head",
        "reading",
        "surplus",
    )

    def __init__(self, receiver: RequestReceiver, notable: frozenset[bytes]) -> None:
        self.in_head = False
        self.reading: Request | None = None
        self.surplus: bytes | None = None
        self._receiver = receiver
        self._notable = notable
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._trailing = 0
        self._chunk = b""
        self._head_parts: list[bytes] = []
        self._head_bytes = 0
        # llhttp does not say where in a read a message begins. ``_end`` is where in this one the message before ended;
        # unless ``_exact``, as behind a chunked one, it ended later. ``_start`` is ``_end`` when this message began.
        self._start = 0
        self._end = 0
        self._exact = True
        self._continued = False  # the read before ended in the middle of an empty line
        self._skipped = False
        self._standing = False

    def feed(self, data: bytes) -> None:
        """Go on with ``data``, wherever in a message it begins or ends.

        Raises:
            RequestError: the bytes make no sense from here on; ``reading`` is the request that is broken, if any.
            BytesAfterTheEnd: as it says.
        """
        if self.surplus is not None:
            self.surplus += data
            return
        if self.reading is None and not self.in_head:
            self._end, self._exact = 0, True
            if data.startswith(b"\n") and not self._continued:
                raise _bad_line()
        self._chunk = data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            self._feed_rest(data[stop.args[0] :])
        except httptools.HttpParserError as error:
            raise self._failure(error) from error
        else:
            if self.in_head:
                self._keep_head(data)
        self._end = max(0, self._end - len(self._chunk))
        self._chunk = b""
        self._continued = data.endswith(b"\r")

    def _feed_rest(self, data: bytes) -> None:
        """Go on where llhttp stopped for an upgrade. Only a WebSocket's ends HTTP; any other is an ordinary request."""
        for _ in range(_UPGRADES_MOST):
            if self.surplus is not None:
                self.surplus = data
                return
            self._parser = httptools.HttpRequestParser(self)
            self._end, self._exact = 0, True
            if self.reading is not None:
                self._stand_before_body(self.reading)
            self._chunk = data
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                data = data[stop.args[0] :]
            except httptools.HttpParserError as error:
                raise self._failure(error) from error
            else:
                if self.in_head:
                    self._keep_head(data)
                return
        raise InvalidRequest("The connection asks for upgrades over and over. Ask once.")

    def _stand_before_body(self, request: Request) -> None:
        """Bring a new parser to where a body begins: llhttp skips the body of a request that asks for an upgrade."""
        self._standing = True
        frame = b"transfer-encoding: chunked" if request.chunked else b"content-length: %d" % (request.length or 0)
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % frame)
        self._standing = False
        self.in_head = False
        self._trailing = 0
        self._end, self._exact = request.length or 0, not request.chunked
        request.trailers.clear()

    def _keep_head(self, data: bytes) -> None:
        """A head that arrives in several reads is kept until it is whole, up to its limit."""
        if self._head_parts:
            self._head_bytes += len(data)
        self._head_parts.append(data)
        if self._head_bytes > framing.HEAD_BYTES:
            raise _head_too_large()

    def _failure(self, error: httptools.HttpParserError) -> RequestError | BytesAfterTheEnd:
        cause = error.__context__
        if isinstance(cause, RequestError):
            return cause
        if self.reading is None and "Data after" in str(error):
            return BytesAfterTheEnd()
        return InvalidRequest(f"The HTTP message is malformed: {error}. Send valid HTTP/1.1.")

    # -- what llhttp tells

    def on_message_begin(self) -> None:
        self.in_head = True
        self._start = self._end
        self._head_parts.clear()
        self._head_bytes = 0
        self._target = b""
        self._headers = []
        self._trailing = 0

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > framing.TARGET_BYTES:
            raise framing.uri_too_long()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.reading is None:
            self._headers.append((name, value))
            return
        self._trailing += 1
        if self._trailing > framing.HEAD_FIELDS:
            raise HeadersTooLarge("The request has too many trailer fields.")
        if framing.may_trail(name.lower(), self._notable):
            self.reading.trailers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._standing:
            return
        parser = self._parser
        method: bytes = parser.get_method()
        version: str = parser.get_http_version()
        request = Request(self._receiver, method, self._target, 1 if version == "1.1" else 0)
        framing.read_request(request, method, version, self._headers, self._notable)
        self._check_head(request)
        request.keep_alive = parser.should_keep_alive()
        if request.protocol and parser.should_upgrade():
            self._consider_upgrade(request)
        self._receiver.request_begun(request)
        self.reading = request
        self.in_head = False
        if request.upgrade:
            self.surplus = b""

    def _consider_upgrade(self, request: Request) -> None:
        self._skipped = request.chunked or bool(request.length)
        request.upgrade = (
            request.protocol == b"websocket" and request.method == b"GET" and request.minor == 1 and not self._skipped
        )
        if request.upgrade:
            request.keep_alive = False  # what follows is no HTTP, whatever the answer

    def on_body(self, data: bytes) -> None:
        assert self.reading is not None  # llhttp gives bodies after heads only
        self.reading.pieces.append(data)

    def on_message_complete(self) -> None:
        request = self.reading
        assert request is not None  # llhttp ends messages that it began
        if self._skipped:  # llhttp stops here for an upgrade that is not granted; the body is still to come
            self._skipped = False
            return
        request.complete = True
        self.reading = None
        self._receiver.request_whole()

    def _check_head(self, request: Request) -> None:
        """What can only be seen in the bytes of the head: its size, and single spaces in the request line."""
        target = self._target
        raw = b"".join([*self._head_parts, self._chunk]) if self._head_parts else self._chunk
        self._head_parts.clear()
        start = self._start
        line = b"%b %b HTTP/1." % (request.method, target)
        if not raw.startswith(line, start):
            start = self._past_empty_lines(raw, start)
            if not raw.startswith(line, start) and (self._exact or not framing.has_line(raw[start:], target)):
                raise _bad_line()
        if len(raw) > framing.HEAD_BYTES and len(target) + framing.size(self._headers) > framing.HEAD_BYTES:
            raise _head_too_large()
        if self._exact:
            head = raw.find(b"\r\n\r\n", start) + 4 - (len(raw) - len(self._chunk))
            self._end, self._exact = head + (request.length or 0), not request.chunked

    def _past_empty_lines(self, raw: bytes, start: int) -> int:
        """Where a request line stands at the earliest: behind empty lines (RFC 9112 section 2.2), whole or cut."""
        if raw.startswith(b"\n", start) and start == 0:
            start = 1  # ``feed`` has seen that it ends an empty line
        found = _EMPTY_LINES.match(raw, start)
        return found.end() if found is not None else start


def _bad_line() -> InvalidRequest:
    return InvalidRequest("The request line must hold single spaces only (RFC 9112, section 3).")


def _head_too_large() -> HeadersTooLarge:
    return HeadersTooLarge(
        f"The request's head is larger than {framing.HEAD_BYTES} bytes. Send fewer or shorter fields."
    )
