"""One request of Tieline's own, sent through the same exit as everything else, its answer collected up to a cap."""

import asyncio
from dataclasses import dataclass

from tieline.core.errors import UpstreamError, UpstreamResponseTooLarge, UpstreamTimeout
from tieline.wire.egress import EgressConnection
from tieline.wire.pool import Lane


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer: header names and values as sent, the body as it came (still encoded if it was)."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for the connection and for the whole answer, bytes of its body."""

    connect: float = 5.0
    total: float = 30.0
    most: int = 1024 * 1024


class _Collector:
    """Owns the connection while the answer comes in."""

    def __init__(self, most: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.body = bytearray()
        self._most = most

    def answer_arrived(self, connection: EgressConnection) -> None:
        for piece in connection.pieces:
            self.body += piece
        connection.pieces = []
        if len(self.body) > self._most:
            self._settle(UpstreamResponseTooLarge(f"The answer is larger than {self._most} bytes."))
        elif connection.complete:
            self._settle(None)

    def interim_arrived(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Interim answers say nothing that is needed."""

    def upstream_failed(self, error: UpstreamError) -> None:
        self._settle(error)

    def upstream_paused(self) -> None:
        """The request is written at once."""

    def upstream_resumed(self) -> None:
        """The request is written at once."""

    def tunnel_bytes(self, data: bytes) -> None:
        """No upgrade is asked for."""

    def _settle(self, error: UpstreamError | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


async def fetch(lane: Lane, message: bytes, patience: Patience, *, head_only: bool = False) -> Fetched:
    """Send ``message``, a whole request, on a new connection of ``lane`` and collect the answer.

    Raises:
        UpstreamError: no usable answer came.
        DestinationNotAllowed: the guard refuses where it would go.
    """
    connection = await lane.dial(patience.connect)
    collector = _Collector(patience.most)
    try:
        connection.begin(collector, head_only=head_only, expects_upgrade=False)
        connection.write(message)
        async with asyncio.timeout(patience.total):
            await collector.done
    except TimeoutError:
        raise UpstreamTimeout(f"No whole answer came within {patience.total:g} s. Try again.") from None
    finally:
        connection.abort()
    answer = connection.answer
    assert answer is not None  # or the wait had failed
    return Fetched(answer.status, tuple(answer.headers), bytes(collector.body))
