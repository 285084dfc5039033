"""One request and its answer over one connection, for a coroutine: with back-pressure both ways, and nothing left open.

The relay follows the events of a connection itself (``dataplane.exchange``); this is for coroutines, which await. Owns
the order of the two directions and the deadlines; does not know what is asked or who wants to know.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import SEEK_END, BytesIO

from tieline.core.errors import UpstreamError, UpstreamResponseTooLarge
from tieline.wire import framing
from tieline.wire.egress import Answer, EgressConnection

HELD_MOST = 64 * 1024
_ENOUGH = 300  # from this status on the upstream has seen enough of the body


@dataclass(slots=True)
class Waits:
    """How long an answer may take: seconds to its first byte and between pieces; ``end`` on the loop's clock for all.

    They are watched by the connection's own ``Deadlines``, up to half a second late.
    """

    first_byte: float
    idle: float
    end: float


class Conversation:
    """Asks once over a connection that it owns from then on. ``close`` it whatever happens; then nothing is left.

    The connection goes back to its lane as soon as the answer is whole, read or not; up to 64 KiB wait to be read.
    ``sent``: the request went out whole.
    """

    __slots__ = ("_body", "_connection", "_failure", "_held", "_pieces", "_room", "_size", "_waits", "_wake",
                 "answer", "sent", "whole")  # fmt: skip

    def __init__(self, connection: EgressConnection, waits: Waits) -> None:
        self.answer: Answer | None = None
        self.whole = False
        self._connection: EgressConnection | None = connection
        self._waits = waits
        self._body: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._held = False
        self._pieces: list[bytes] = []
        self._size = 0  # bytes of the pieces: they may be very many and very small
        self._room: asyncio.Future[None] | None = None
        self.sent = False
        self._wake: asyncio.Future[None] | None = None

    async def ask(
        self,
        message: bytes,
        body: AsyncIterator[bytes] | None = None,
        *,
        chunked: bool = False,
        head_only: bool = False,
    ) -> Answer:
        """Send ``message``, then the pieces of ``body`` if any, and wait for the head of the answer.

        ``message`` is a request's head and the body in so far as it is here; ``chunked`` frames the pieces of ``body``.
        What ``body`` raises is raised here or by ``read``, and the request is cut. Raises UpstreamError.
        """
        connection = self._connection
        assert connection is not None  # one question for each conversation
        connection.begin(self, head_only=head_only, expects_upgrade=False)
        connection.write(message)
        if body is None:
            self.sent = True
        else:
            self._body = asyncio.get_running_loop().create_task(self._send(connection, body, chunked=chunked))
            self._body.add_done_callback(self._sending_ended)
        self._set_deadline()
        while self.answer is None:
            await self._more()
        return self.answer

    async def read(self) -> bytes:
        """What came of the answer's body since, at least one byte; empty at its end. Raises UpstreamError."""
        while not self._pieces:
            if self.whole:
                return b""
            await self._more()
        pieces, self._pieces = self._pieces, []
        self._size = 0
        if self._held and self._connection is not None:
            self._held = False
            self._connection.resume()
            self._set_deadline()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def rest(self, most: int) -> bytes | None:
        """The rest of the body if it is here already, of at most ``most`` bytes; else None: ``read_all`` then."""
        if not self.whole or self._size > most:
            return None
        pieces, self._pieces = self._pieces, []
        self._size = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def read_all(self, most: int) -> bytes:
        """The rest of the body, of at most ``most`` bytes. Raises UpstreamError."""
        found = await self.read()
        gathered = BytesIO(found)  # grows as it comes: to join 16 MiB at its end would stop the loop
        size = gathered.seek(0, SEEK_END)
        while found:
            if size > most:
                raise UpstreamResponseTooLarge(
                    f"The upstream's answer is larger than the {most / 1024**2:g} MiB that are read. Ask for less."
                )
            found = await self.read()
            size += gathered.write(found)
        return gathered.getvalue()

    def put_back(self, data: bytes) -> None:
        """``data``, which was read, is to be read again."""
        if data:
            self._pieces.insert(0, data)
            self._size += len(data)

    def close(self) -> None:
        """End it: what is not whole is cut."""
        if self._body is not None:
            self._body.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    # -- what the connection tells

    def answer_arrived(self, connection: EgressConnection) -> None:
        if self.answer is None:
            self.answer = connection.answer
            if self.answer is not None and self.answer.status >= _ENOUGH and self._body is not None:
                self._body.cancel()
        if connection.pieces:
            self._pieces += connection.pieces
            self._size += sum(map(len, connection.pieces))
            connection.pieces = []
        if connection.complete:
            self.whole = True
            self._connection = None
            connection.release(reusable=self.sent)
            if self._body is not None:
                self._body.cancel()
        else:
            if not self._held and self._size > HELD_MOST:
                self._held = True
                connection.pause()
            self._set_deadline()
        self._rouse()

    def interim_arrived(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Interim answers say nothing that is waited for."""

    def upstream_failed(self, error: UpstreamError) -> None:
        self._fail(error)

    def upstream_paused(self) -> None:
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()

    def upstream_resumed(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def tunnel_bytes(self, data: bytes) -> None:
        """No upgrade is asked for."""

    # -- inside

    async def _send(self, connection: EgressConnection, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        async for piece in body:
            if piece:
                connection.write(framing.chunk(piece) if chunked else piece)
            while self._room is not None:
                await self._room
        if chunked:
            connection.write(framing.last_chunk(()))
        self.sent = True
        self._set_deadline()

    def _sending_ended(self, task: "asyncio.Task[None]") -> None:
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        if self._failure is None:
            self._failure = failure
        self.close()
        self._rouse()

    async def _more(self) -> None:
        """Wait until something was told."""
        if self._failure is not None:
            raise self._failure
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None
        if self._failure is not None and not self._pieces:
            raise self._failure

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _set_deadline(self) -> None:
        """Who is waited for, and how long."""
        connection = self._connection
        if connection is None:
            return
        now = connection.clock.now
        end = self._waits.end
        if self._held or not (self.sent or self.answer is not None):
            connection.deadline = end
        elif self.answer is not None:
            connection.deadline = min(end, now + self._waits.idle)
        else:
            connection.deadline = min(end, now + self._waits.first_byte)
