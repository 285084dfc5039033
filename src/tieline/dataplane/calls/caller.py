"""Who runs a call, as a coroutine sees them: a body to be read, an answer to be written, both with back-pressure.

The counterpart of ``wire.conversation`` on the other side. Owns how a client's events become waits; knows no call.
"""

import asyncio
from collections.abc import Callable

from tieline.core.errors import BodyTooLarge
from tieline.wire.request import Request

HELD_MOST = 64 * 1024


class Caller:
    """The sink of one request. ``left`` is called when the client goes; ``received`` and ``written`` count bodies."""

    __slots__ = ("_left", "_most", "_room", "_wake", "received", "request", "written")

    def __init__(self, request: Request, most: int, left: Callable[[], None]) -> None:
        """``most`` is how many bytes the body may have."""
        self.request = request
        self.received = 0
        self.written = 0
        self._most = most
        self._left = left
        self._room: asyncio.Future[None] | None = None
        self._wake: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """What came of the body since, at least one byte; empty at its end. Raises BodyTooLarge."""
        request = self.request
        while not request.pieces:
            if request.complete:
                return b""
            request.continue_()
            request.resume()
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        return self.take()

    async def read_all(self, most: int) -> bytes:
        """The whole body, of at most ``most`` bytes. Raises BodyTooLarge."""
        request = self.request
        if request.complete:
            data = self.take()
        else:
            pieces: list[bytes] = []
            while piece := await self.read():
                pieces.append(piece)
                if self.received > most:
                    break
            data = b"".join(pieces)
        if len(data) > most:
            raise _too_large(most)
        return data

    def take(self) -> bytes:
        """What is here of the body. Raises BodyTooLarge."""
        pieces = self.request.pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.request.pieces = []
        self.received += len(data)
        if self.received > self._most:
            raise _too_large(self._most)
        return data

    async def write(self, data: bytes) -> None:
        """Write bytes of the answer, once the client has read most of what was written before."""
        while self._room is not None:
            await self._room
        self.request.send(data)

    # -- what the client does

    def body_arrived(self) -> None:
        request = self.request
        if self._wake is not None:
            wake, self._wake = self._wake, None
            if not wake.done():
                wake.set_result(None)
        elif sum(map(len, request.pieces)) > HELD_MOST:
            request.pause()

    def client_gone(self) -> None:
        self._left()

    def client_paused(self) -> None:
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()

    def client_resumed(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def client_bytes(self, data: bytes) -> None:
        """There is no tunnel."""

    def client_ended(self) -> None:
        """There is no tunnel."""


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request's body is larger than the {most} bytes that this call takes. Send less.")
