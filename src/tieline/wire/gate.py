"""Places at an upstream that takes so many connections at once: who waits for one, in which order, and for how long.

First come, first served for each key; between keys they take turns. No key holds more than three quarters of the places
(of four or more), nor more than a hundred waiting places: what one key asks for, however much, leaves room for others.

A place belongs to whoever entered, until ``leave``, or from ``hold`` on to a connection, until it is ``returned``. A
waiter that leaves takes its waiting place with it; if a place was just given to it, the next gets that.
"""

import asyncio
from collections import deque
from typing import Final

from tieline.core.errors import Overloaded
from tieline.wire.egress import EgressConnection

QUEUE_MOST: Final = 1000
QUEUE_OF_KEY_MOST: Final = 100
_RETRY_SECONDS: Final = 1.0


class Gate:
    """``most`` connections to ``host`` at once. ``who`` is whose request it is: an app key's id."""

    __slots__ = ("_held", "_holders", "_host", "_queues", "_taken", "_waiting", "most")

    def __init__(self, host: str, most: int) -> None:
        self.most = most
        self._host = host
        self._taken = 0
        self._held: dict[str, int] = {}
        self._holders: dict[EgressConnection, str] = {}
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}  # whose turn it is comes first
        self._waiting = 0

    @property
    def taken(self) -> int:
        """Places that are taken now."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return self._waiting

    async def enter(self, who: str, seconds: float) -> None:
        """Take a place, or wait for one that long. Raises Overloaded where there is none, not even to wait."""
        if who not in self._queues and self._fits(who):
            self._take(who)
            return
        queue = self._queues.get(who)
        if self._waiting >= QUEUE_MOST or (queue is not None and len(queue) >= QUEUE_OF_KEY_MOST):
            raise self._refusal("and as many requests wait for one as may")
        if queue is None:
            queue = self._queues[who] = deque()
        place = asyncio.get_running_loop().create_future()
        queue.append(place)
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await place
        except TimeoutError:
            self._give_up(who, place)
            raise self._refusal(f"and none became free within {seconds:g} s") from None
        except BaseException:
            self._give_up(who, place)
            raise

    def hold(self, who: str, connection: EgressConnection) -> None:
        """The place that ``who`` entered is that of ``connection`` from now on."""
        self._holders[connection] = who

    def returned(self, connection: EgressConnection) -> None:
        """``connection`` carries nothing any more; a second time says nothing new."""
        who = self._holders.pop(connection, None)
        if who is not None:
            self.leave(who)

    def leave(self, who: str) -> None:
        """Give back a place that no connection has."""
        self._taken -= 1
        self._held[who] -= 1
        if not self._held[who]:
            del self._held[who]
        self.serve()

    def serve(self) -> None:
        """Give free places to those who wait, one key after another."""
        while (who := next((each for each in self._queues if self._fits(each)), None)) is not None:
            queue = self._queues.pop(who)
            place = queue.popleft()
            self._waiting -= 1
            if queue:
                self._queues[who] = queue  # behind the others
            if not place.done():  # else its waiter has left
                self._take(who)
                place.set_result(None)

    def _fits(self, who: str) -> bool:
        return self._taken < self.most and self._held.get(who, 0) < self.most - self.most // 4

    def _take(self, who: str) -> None:
        self._taken += 1
        self._held[who] = self._held.get(who, 0) + 1

    def _give_up(self, who: str, place: "asyncio.Future[None]") -> None:
        if place.done() and not place.cancelled():
            self.leave(who)
            return
        queue = self._queues.get(who)
        if queue is not None and place in queue:
            queue.remove(place)
            self._waiting -= 1
            if not queue:
                del self._queues[who]

    def _refusal(self, why: str) -> Overloaded:
        return Overloaded(
            f"{self._host} may have {self.most} connections of this worker at once, {why}. Try again when Retry-After "
            "is over.",
            retry_after=_RETRY_SECONDS,
        )
