"""A circuit breaker: an upstream that fails again and again is left alone, then tried by few requests.

States and what leads from one to another:

    closed ── five failures in a row, or within ten seconds twenty of them that are at least half of all ──▶ open
    open   ── its pause is over; the next request is let through as a probe ──▶ probing
    probing ─ two probes answered ──▶ closed;  one failed ──▶ open, for twice as long, at most four seconds

While probing one request at a time is let through; if it has neither answered nor failed within two seconds, another
one goes beside it, and if nobody knows what became of it (its client left) the next goes at once. So no lost probe
keeps the breaker open. What was sent before it opened says nothing about the upstream now: only probes close it.

It counts, decides and says when to come back; what a failure is, is for those who send to say (``attempt.loop``). It
belongs to one lane of one worker: what one credential meets is not held against another.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Final

from tieline.core.errors import Overloaded

log = logging.getLogger("tieline.wire.breaker")

IN_A_ROW: Final = 5
WINDOW_SECONDS: Final = 10.0
WINDOW_LEAST: Final = 20
"""Failures within the window that open it where successes come between them."""
PAUSE_FIRST: Final = 1.0
PAUSE_MOST: Final = 4.0
PROBE_SECONDS: Final = 2.0
PROBES_GOOD: Final = 2
FAILED_STATUSES: Final = frozenset({502, 503, 504})
"""Answers of an upstream that is down or overloaded; 429 and the other 4xx are about whoever asks."""


class Breaker:
    """The breaker of the upstream ``host``. ``clock`` gives seconds that never go back.

    ``open`` says that it is not closed: ask ``admit`` then. ``successes`` and ``failures`` count what was sent,
    ``opened`` how often it opened.
    """

    __slots__ = (
        "_bad",
        "_clock",
        "_closed_at",
        "_good",
        "_host",
        "_mark",
        "_next",
        "_pause",
        "_row",
        "_row_mark",
        "_until",
        "failures",
        "open",
        "opened",
        "successes",
    )

    def __init__(self, host: str, clock: Callable[[], float] = time.perf_counter) -> None:
        self._host = host
        self._clock = clock
        self.open = False
        self.successes = 0
        self.failures = 0
        self.opened = 0
        self._row = 0  # failures since the last success,
        self._row_mark = 0  # which was this one
        self._until = 0.0  # the end of the window,
        self._mark = 0  # the successes when it began,
        self._bad = 0  # and the failures since then
        self._pause = PAUSE_FIRST
        self._next = 0.0  # when the next probe may go
        self._good = 0
        self._closed_at = -math.inf

    def admit(self) -> bool:
        """Let a request through, or not; whether it is a probe. ``ended`` has to be told what became of it.

        Raises Overloaded, with the seconds until the next probe.
        """
        if not self.open:
            return False
        now = self._clock()
        if now < self._next:
            raise Overloaded(
                f"{self._host} failed again and again, so nothing is sent to it for a moment. Try again when "
                "Retry-After is over.",
                retry_after=self._next - now,
            )
        self._next = now + PROBE_SECONDS
        return True

    def answered(self, status: int, since: float) -> None:
        """What was sent while it was closed, without ``admit``, got an answer of this ``status``; else as ``ended``."""
        if status in FAILED_STATUSES:
            self.ended(good=False, since=since)
        else:
            self.successes += 1

    def ended(self, *, good: bool | None, probe: bool = False, since: float = math.inf) -> None:
        """An admitted request was answered (``good``), failed, or nobody knows (None).

        ``since`` is when it was sent, on ``clock``: a failure from before the breaker closed again is an old one.
        """
        if good:
            self.successes += 1
            if probe and self.open:
                self._answered()
        elif good is None:
            if probe:
                self._next = self._clock()
        else:
            self.failures += 1
            if not self.open and since >= self._closed_at:
                self._count()
            elif probe and self.open:
                self._reopen()

    def close(self) -> None:
        """Forget what was counted against the upstream."""
        self.open = False
        self._row = self._bad = 0
        self._until = 0.0
        self._pause = PAUSE_FIRST
        self._closed_at = self._clock()

    def _answered(self) -> None:
        self._good += 1
        self._next = self._clock()
        if self._good >= PROBES_GOOD:
            self.close()
            log.warning("an upstream answers again: requests are sent to it", extra={"host": self._host})

    def _reopen(self) -> None:
        self._good = 0
        self._pause = min(PAUSE_MOST, self._pause * 2)
        self._next = self._clock() + self._pause

    def _count(self) -> None:
        """Count a failure while closed, and open where it is one too many."""
        now = self._clock()
        if now >= self._until:
            self._until = now + WINDOW_SECONDS
            self._mark = self.successes
            self._bad = 0
        if self.successes != self._row_mark:
            self._row_mark = self.successes
            self._row = 0
        self._row += 1
        self._bad += 1
        often = self._bad >= WINDOW_LEAST and self._bad >= self.successes - self._mark
        if self._row >= IN_A_ROW or often:
            self.open = True
            self.opened += 1
            self._good = 0
            self._next = now + self._pause
            log.warning(
                "an upstream failed again and again: nothing is sent to it for a moment",
                extra={"host": self._host, "count": self._bad, "seconds": self._pause},
            )
