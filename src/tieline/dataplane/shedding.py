"""A worker that has too much to do refuses requests at once, before any work, so that those under way come to an end.

Two bounds: requests under way, and how late its loop is. Both are looked at by the sweep of the worker's deadlines,
four times a second, so that a request costs one look at ``watchful``. Between two sweeps what is let in is subtracted
from what was free, and what ended is not added: the bound holds, and is a little too strict near it.

Owns the bounds and the refusal. Health is not asked about: who looks after the server must see that it lives.
"""

import logging
from typing import Final

from tieline.core.errors import Overloaded
from tieline.wire.deadlines import Deadlines
from tieline.wire.listener import Listener

log = logging.getLogger("tieline.dataplane.shedding")

REQUESTS_MOST: Final = 10_000
"""Requests, streams and tunnels under way in one worker."""
LATE_MOST: Final = 1.0
LATE_SWEEPS: Final = 2
RETRY_SECONDS: Final = 1.0


class Shedding:
    """Watched by the ``deadlines`` of a worker (a ``wire.deadlines.Timed``); ``most`` requests are let in at once.

    ``watchful``: ``check`` has to be asked about each request; ``refused`` counts those that were not let in.
    """

    __slots__ = ("_deadlines", "_late", "_listener", "_room", "_shed", "deadline", "most", "refused", "watchful")

    def __init__(self, listener: Listener, deadlines: Deadlines, most: int = REQUESTS_MOST) -> None:
        self.deadline = 0.0  # at every sweep
        self.watchful = False
        self.most = most
        self.refused = 0
        self._listener = listener
        self._deadlines = deadlines
        self._late = 0
        self._room = most
        self._shed = 0

    def start(self) -> None:
        """Look at the worker from now on."""
        self._deadlines.watch(self)

    def stop(self) -> None:
        """Look no more."""
        self._deadlines.forget(self)

    def expired(self) -> None:
        """Look at how much there is to do, once in each sweep."""
        self._late = self._late + 1 if self._deadlines.late > LATE_MOST else 0
        # A connection carries one request at a time; only where there are many is it worth to count them.
        many = self._listener.open_connections > self.most // 2
        self._room = self.most - self._listener.requests_under_way if many else self.most
        self.watchful = many or self._late >= LATE_SWEEPS
        if self._shed and not self.watchful:
            log.warning("this worker takes requests again", extra={"count": self._shed})
            self._shed = 0

    def check(self) -> None:
        """Let a request in, or raise Overloaded."""
        if self._late >= LATE_SWEEPS:
            self._refuse("is too slow now: it is more than a second behind")
        if self._room <= 0:
            self._refuse(f"has {self.most} requests under way, and takes no more")
        self._room -= 1

    def _refuse(self, why: str) -> None:
        self._shed += 1
        self.refused += 1
        if self._shed == 1:
            log.warning("this worker refuses requests: it has too much to do", extra={"detail": why})
        raise Overloaded(f"This worker {why}. Try again when Retry-After is over.", retry_after=RETRY_SECONDS)
