"""How many requests to an upstream may be sent again: a tenth of what is sent to it, and one more every two seconds.

A token bucket that holds ten. It is filled by what a lane's breaker has counted since it was last asked, so that a
request which is not sent again costs nothing here. Retries are counted as requests too, which makes at most
1 / (1 - 1/10) = 1.11 times as many of them.
"""

import time
from collections.abc import Callable
from typing import Final

from tieline.wire.breaker import Breaker

SHARE: Final = 0.1
PER_SECOND: Final = 0.5
MOST: Final = 10.0


class RetryBudget:
    """The budget of the upstream that ``breaker`` counts for. ``clock`` gives seconds that never go back.

    ``refused`` counts those that were not sent again; ``left`` is what was left when it was last asked.
    """

    __slots__ = ("_breaker", "_clock", "_sent", "_since", "left", "refused")

    def __init__(self, breaker: Breaker, clock: Callable[[], float] = time.perf_counter) -> None:
        self._breaker = breaker
        self._clock = clock
        self.left = MOST
        self.refused = 0
        self._sent = 0
        self._since = clock()

    def take(self) -> bool:
        """Whether one more request may be sent again. It is decided before its pause, so that pauses cannot hoard."""
        now, sent = self._clock(), self._breaker.successes + self._breaker.failures
        earned = (sent - self._sent) * SHARE + (now - self._since) * PER_SECOND
        self.left = min(MOST, self.left + earned)
        self._sent, self._since = sent, now
        if self._breaker.open or self.left < 1.0:
            self.refused += 1
            return False
        self.left -= 1.0
        return True
