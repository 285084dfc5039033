"""Writes the answer to a call to its client: whole, or as it comes. Knows HTTP/1.0 and 1.1, no call.

Owns the head's fields, the framing, and the wait while the client reads more slowly than it is written to.
"""

import asyncio
import time
from email.utils import formatdate
from http import HTTPStatus

from tieline.core.errors import TielineError
from tieline.dataplane.copies import BodyCopies
from tieline.wire import answers, framing
from tieline.wire.request import Request

_JOINED_MOST = 64 * 1024
"""Bytes of a body that are written together with their head; more are not copied for it."""
_OWN_FIELDS = b"cache-control: no-store\r\nx-content-type-options: nosniff\r\n"


class DateLine:
    """The time as ``Date`` says it, made once a second."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        """The ``Date`` field with its line end."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = f"date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._line


_clock = DateLine()
_status_lines = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Reply:
    """The answer to one request; ``written`` counts the bytes of its body, ``copies`` gets them where it is set.

    States: open; begun (``begin`` wrote a head, a body follows); over (``whole``, ``end``, ``refuse`` or ``cut``).
    Fields are header lines, each with its end.
    """

    __slots__ = ("_chunking", "_id", "_request", "_room", "copies", "written")

    def __init__(self, request: Request, request_id: str) -> None:
        self.written = 0
        self.copies: BodyCopies | None = None
        self._request = request
        self._room: asyncio.Future[None] | None = None
        self._id = request_id
        self._chunking = False

    def whole(self, status: int, fields: bytes, body: bytes) -> None:
        """Write an answer that is here."""
        request = self._request
        length = b"" if status == 204 else b"content-length: %d\r\n" % len(body)
        self._count(body)
        head = self._head(status, fields) + length + self._persist()
        if len(body) <= _JOINED_MOST:
            request.send_last(head + body)
        else:
            request.send(head)
            request.send_last(body)

    def begin(self, status: int, fields: bytes, length: int | None) -> None:
        """Write the head of an answer whose body follows; ``length`` None where nobody knows it yet."""
        request = self._request
        if length is not None:
            frame = b"content-length: %d\r\n" % length
        elif request.minor == 1:
            self._chunking = True
            frame = b"transfer-encoding: chunked\r\n"
        else:
            request.keep_alive = False
            frame = b""
        request.send(self._head(status, fields) + frame + self._persist())

    def begin_events(self, fields: bytes) -> None:
        """Write the head of an endless stream of events, whose ``fields`` say what they are."""
        self._request.live = True
        self.begin(200, fields, None)

    async def write(self, data: bytes) -> None:
        """Write bytes of the body, once the client has read most of those before."""
        if not data:
            return
        self._count(data)
        while self._room is not None:
            await self._room
        self._request.send(framing.chunk(data) if self._chunking else data)

    def end(self, data: bytes = b"") -> None:
        """The body is whole with ``data``, which is written whatever the client has read."""
        self._count(data)
        if self._chunking:
            data = (framing.chunk(data) if data else b"") + framing.last_chunk(())
        if data:
            self._request.send(data)
        self._request.finish()

    def refuse(self, error: TielineError, status: int | None = None) -> None:
        """Write an error; ``status`` other than that of its code where an upstream said it."""
        request = self._request
        data = answers.error_answer(error, request, self._id, status=status)
        request.sink = None
        request.send_last(data)

    def paused(self) -> None:
        """The client reads more slowly than it is written to."""
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()

    def resumed(self) -> None:
        """The client caught up."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def cut(self) -> None:
        """End an answer that has begun and will not be whole."""
        self._request.cut()

    def _count(self, data: bytes) -> None:
        self.written += len(data)
        if self.copies is not None:
            self.copies.answered(data)

    def _head(self, status: int, fields: bytes) -> bytes:
        line = _status_lines.get(status) or b"HTTP/1.1 %d \r\n" % status
        return b"%b%b%btieline-request-id: %b\r\n%b" % (
            line, _clock.line(), _OWN_FIELDS, self._id.encode(), fields
        )  # fmt: skip

    def _persist(self) -> bytes:
        """The end of the head: whether the client's connection goes on after this answer."""
        request = self._request
        if request.closes:
            request.keep_alive = False
            return b"connection: close\r\n\r\n"
        return b"connection: keep-alive\r\n\r\n" if request.minor == 0 else b"\r\n"
