"""One request of Tieline's own, sent through the same exit as everything else, its answer collected up to a cap."""

import asyncio
from dataclasses import dataclass

from tieline.core.errors import UpstreamTimeout
from tieline.wire.conversation import Conversation, Waits
from tieline.wire.pool import Lane


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer: header names and values as sent, the body as it came (still encoded if it was)."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Seconds for the connection and for the whole answer, bytes of its body."""

    connect: float = 5.0
    total: float = 30.0
    most: int = 1024 * 1024


async def fetch(lane: Lane, message: bytes, limits: FetchLimits, *, head_only: bool = False) -> Fetched:
    """Send ``message``, a whole request, on a new connection of ``lane`` and collect the answer.

    Raises:
        UpstreamError: no usable answer came.
        DestinationNotAllowed: the guard refuses where it would go.
    """
    connection = await lane.dial(limits.connect)
    end = asyncio.get_running_loop().time() + limits.total
    conversation = Conversation(connection, Waits(limits.total, limits.total, end))
    try:
        async with asyncio.timeout_at(end):  # not every process that asks sweeps deadlines
            answer = await conversation.ask(message, head_only=head_only)
            return Fetched(answer.status, tuple(answer.headers), await conversation.read_all(limits.most))
    except TimeoutError:
        raise UpstreamTimeout(f"No whole answer came within {limits.total:g} s. Try again.") from None
    finally:
        conversation.close()
