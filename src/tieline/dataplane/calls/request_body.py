"""Who runs a call, as a coroutine sees them: a body to be read, with back-pressure. ``reply`` is the other direction.

The counterpart of ``wire.conversation`` on the client's side. Owns how arriving bytes become waits; knows no call.
"""

import asyncio
from abc import ABC, abstractmethod

from tieline.core.errors import BodyTooLarge
from tieline.wire.request import Request

HELD_MOST = 64 * 1024


class Caller(ABC):
    """The sink of one request, its reading side. ``received`` counts the bytes of the body."""

    __slots__ = ("_most", "_wake", "received", "request")

    def __init__(self, request: Request, most: int) -> None:
        """``most`` is how many bytes the body may have."""
        self.request = request
        self.received = 0
        self._most = most
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
        return self._take()

    def rest(self) -> bytes | None:
        """The rest of the body if it is here already; else None: ``read_all`` then. Raises BodyTooLarge."""
        return self._take() if self.request.complete else None

    async def read_all(self, most: int) -> bytes:
        """The whole body, of at most ``most`` bytes. Raises BodyTooLarge."""
        pieces: list[bytes] = []
        while piece := await self.read():
            pieces.append(piece)
            if self.received > most:
                raise _too_large(most)
        return b"".join(pieces)

    def _take(self) -> bytes:
        pieces = self.request.pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.request.pieces = []
        self.received += len(data)
        if self.received > self._most:
            raise _too_large(self._most)
        return data

    # -- what the client does

    def body_arrived(self) -> None:
        request = self.request
        if self._wake is not None:
            wake, self._wake = self._wake, None
            if not wake.done():
                wake.set_result(None)
        elif sum(map(len, request.pieces)) > HELD_MOST:
            request.pause()

    @abstractmethod
    def client_gone(self) -> None: ...

    @abstractmethod
    def client_paused(self) -> None: ...

    @abstractmethod
    def client_resumed(self) -> None: ...

    def client_bytes(self, data: bytes) -> None:  # noqa: B027  # a fact, not a gap
        """There is no tunnel."""

    def client_ended(self) -> None:  # noqa: B027  # as above
        """There is no tunnel."""


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request's body is larger than the {most} bytes that this call takes. Send less.")
