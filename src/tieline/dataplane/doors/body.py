"""A client's request body as a coroutine reads it, with back-pressure. ``reply`` is the other direction.

Owns how arriving bytes become waits; knows no door.
"""

import asyncio
from io import BytesIO
from typing import Final

from tieline.core.errors import BodyTooLarge
from tieline.dataplane.limits.bounds import BodyBound
from tieline.wire.request import Request

HELD_MOST: Final = 64 * 1024


class RequestBody:
    """The body of one request, as large as ``bound`` lets it be; ``received`` counts the bytes that were read.

    States: waiting (``_wake`` is set: a coroutine sleeps in ``read``), holding (bytes lie in ``request.pieces`` until
    they are asked for; beyond 64 KiB of them the connection reads no further), complete (``request.complete``).
    """

    __slots__ = ("_bound", "_wake", "received", "request")

    def __init__(self, request: Request, bound: BodyBound) -> None:
        self.request = request
        self.received = 0
        self._bound = bound
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
        if not self.request.complete:
            return None
        pieces = self.request.pieces
        if len(pieces) != 1 or len(pieces[0]) > self._bound.most:
            return self._take()
        self.request.pieces = []
        self.received += len(pieces[0])
        return pieces[0]

    async def read_all(self, most: int) -> bytes:
        """The whole body, of at most ``most`` bytes. Raises BodyTooLarge."""
        gathered = BytesIO()  # grows as it comes: to join a large one at its end would stop the loop
        while piece := await self.read():
            gathered.write(piece)
            if self.received > most:
                raise _too_large(most)
        return gathered.getvalue()

    def arrived(self) -> None:
        """Something was added to ``request.pieces``, or ``request.complete`` became true."""
        if self._wake is not None:
            wake, self._wake = self._wake, None
            if not wake.done():
                wake.set_result(None)
        elif len(self.request.pieces) > 1 and self.request.is_over(HELD_MOST):
            self.request.pause()  # nothing more is read then, so that these are few: pieces are not counted for each

    def _take(self) -> bytes:
        pieces = self.request.pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.request.pieces = []
        self.received += len(data)
        if self.received > self._bound.most:
            raise self._bound.error()
        return data


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request's body is larger than the {most} bytes that this call takes. Send less.")
