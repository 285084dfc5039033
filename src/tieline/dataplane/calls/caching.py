"""Answers of data calls, kept for as long as their definition says. A worker's own; errors are never kept.

An answer is found by the plan (so by API, environment, revision and credential), the call, the end user whose
connection was used, and the values that tell answers apart: whoever finds it may have fetched it with the same secret.
Whether they may run the call was decided before.
"""

import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from tieline.dataplane.calls.lru import Shelf
from tieline.dataplane.calls.parameters import Given
from tieline.dataplane.calls.reply import TAPE_MOST, Written
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens.holder import Holder
from tieline.definitions.fill.values import comparable

CACHE_MOST: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer and when it was fetched, on ``time.monotonic``."""

    written: Written
    at: float

    @property
    def age(self) -> int:
        """Seconds since it was fetched."""
        return int(time.monotonic() - self.at)


class Cache:
    """The answers of one worker."""

    def __init__(self, most: int = CACHE_MOST) -> None:
        self._shelf: Shelf[Hashable, Kept] = Shelf(most)

    @staticmethod
    def key(plan: Plan, call: ReadyCall, holder: Holder | None, given: Given) -> Hashable | None:
        """What an answer is found by; None where the call's answers are not kept, or this one has files."""
        cache = call.call.cache
        if cache is None or given.files:
            return None
        names = cache.key or given.values
        values = frozenset((name, comparable(given.values[name])) for name in names if name in given.values)
        return (plan.calls.serial, call.name, holder, values)

    def find(self, key: Hashable) -> Kept | None:
        """The answer that is kept, if it is not too old."""
        return self._shelf.get(key)

    def keep(self, key: Hashable, written: Written, seconds: float) -> None:
        """Keep an answer of at most 1 MiB."""
        if len(written.body) <= TAPE_MOST:
            self._shelf.put(key, Kept(written, time.monotonic()), len(written.body) + len(written.fields), seconds)
