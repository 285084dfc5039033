"""One request of Tieline's own, sent through the same exit as everything else, its answer collected up to a cap.

Or left where it is, where its head is all that is asked for.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
    async with _asked(lane, limits) as conversation:
        answer = await conversation.ask(message, head_only=head_only)
        return Fetched(answer.status, tuple(answer.headers), await conversation.read_all(limits.most))


async def fetch_head(lane: Lane, message: bytes, limits: FetchLimits) -> Fetched:
    """As :func:`fetch`, but the answer's body is not read, and the connection is cut."""
    async with _asked(lane, limits) as conversation:
        answer = await conversation.ask(message)
        return Fetched(answer.status, tuple(answer.headers), b"")


@asynccontextmanager
async def _asked(lane: Lane, limits: FetchLimits) -> AsyncIterator[Conversation]:
    """A conversation over a new connection, which ends with the block or when its time is over."""
    connection = await lane.dial(limits.connect)
    end = asyncio.get_running_loop().time() + limits.total
    conversation = Conversation(connection, Waits(limits.total, limits.total, end))
    try:
        async with asyncio.timeout_at(end):  # not every process that asks sweeps deadlines
            yield conversation
    except TimeoutError:
        raise UpstreamTimeout(f"No whole answer came within {limits.total:g} s. Try again.") from None
    finally:
        conversation.close()
