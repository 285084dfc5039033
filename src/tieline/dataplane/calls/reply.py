"""Writes a call's answer to its caller: whole, or as it comes. Knows HTTP/1.0 and 1.1, no call.

What is written can be taped, to be answered again to whoever asks the same (``idempotency``).
"""

import asyncio
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from tieline.core.errors import TielineError
from tieline.wire import answers, framing
from tieline.wire.request import Request

TAPE_MOST: Final = 1024 * 1024
_OWN_FIELDS = b"cache-control: no-store\r\nx-content-type-options: nosniff\r\n"


@dataclass(slots=True)
class Written:
    """An answer as it is written: status, header lines of its own, body. ``whole`` is False until its proper end."""

    status: int
    fields: bytes
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    whole: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


class Clock:
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


_clock = Clock()
_status_lines = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Reply:
    """The answer to one request; ``written`` counts the bytes of its body.

    With ``tape`` what is written is kept, up to 1 MiB of body.
    """

    __slots__ = ("_chunking", "_id", "_request", "_room", "_tape", "taped", "written")

    def __init__(self, request: Request, request_id: str, *, tape: bool = False) -> None:
        self.written = 0
        self._request = request
        self._room: asyncio.Future[None] | None = None
        self._id = request_id
        self._chunking = False
        self._tape = tape
        self.taped: Written | None = None

    def whole(self, written: Written, fields: bytes = b"") -> None:
        """Write an answer that is here, with further ``fields`` (header lines, each with its end)."""
        request = self._request
        body = written.pieces[0] if len(written.pieces) == 1 else written.body
        head = self._head(written.status, written.fields, fields)
        length = b"" if written.status == 204 else b"content-length: %d\r\n" % len(body)
        if self._tape:
            self.taped = written
        self.written += len(body)
        request.send(head + length + self._persist() + body)
        request.finish()

    def begin(self, status: int, fields: bytes, length: int | None, timing: bytes = b"") -> None:
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
        if self._tape:
            self.taped = Written(status, fields)
        request.send(self._head(status, fields, timing) + frame + self._persist())

    def begin_events(self, fields: bytes) -> None:
        """Write the head of an endless stream of events, whose ``fields`` say what they are."""
        self._request.live = True
        self.begin(200, fields, None)

    async def write(self, data: bytes) -> None:
        """Write bytes of the body, once the client has read most of those before."""
        if not data:
            return
        self.written += len(data)
        self._keep(data)
        while self._room is not None:
            await self._room
        self._request.send(framing.chunk(data) if self._chunking else data)

    def end(self) -> None:
        """The body is whole."""
        if self.taped is not None:
            self.taped.whole = True
        if self._chunking:
            self._request.send(framing.last_chunk(()))
        self._request.finish()

    def refuse(self, error: TielineError, status: int | None = None) -> None:
        """Write an error; ``status`` other than that of its code where an upstream said it."""
        request = self._request
        data = answers.error_answer(error, self._id, close=request.closes, status=status)
        request.sink = None
        request.send(data)
        request.finish()

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

    def _keep(self, data: bytes) -> None:
        taped = self.taped
        if taped is None:
            return
        taped.size += len(data)
        if taped.size > TAPE_MOST:
            self.taped = None
        else:
            taped.pieces.append(data)

    def _head(self, status: int, fields: bytes, timing: bytes) -> bytes:
        line = _status_lines.get(status) or b"HTTP/1.1 %d \r\n" % status
        return b"%b%b%b%btieline-request-id: %b\r\n%b" % (
            line, _clock.line(), fields, _OWN_FIELDS, self._id.encode(), timing
        )  # fmt: skip

    def _persist(self) -> bytes:
        """The end of the head: whether the client's connection goes on after this answer."""
        request = self._request
        if request.closes:
            request.keep_alive = False
            return b"connection: close\r\n\r\n"
        return b"connection: keep-alive\r\n\r\n" if request.minor == 0 else b"\r\n"
