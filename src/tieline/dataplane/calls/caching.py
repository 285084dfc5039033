"""Answers of data calls, kept for as long as their definition says. A worker's own; errors are never kept.

An answer is found by all that decides whose it is: the plan (so API, environment, revision and credential), the call,
the end user who was named, the connections whose tokens were used, and the values that tell answers apart. Whether
whoever finds it may run the call was decided before. Where a connection changes (removed, taken back, another account
signed in), the answers got with it are dropped at once; its next token is the same account's and drops none.
"""

import time
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Final

from tieline.dataplane.calls.arguments import Arguments
from tieline.dataplane.calls.lru import LruCache
from tieline.dataplane.calls.reading import LARGE
from tieline.dataplane.calls.recording import RECORDED_MOST
from tieline.dataplane.calls.results import WholeAnswer
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens.holder import Holder
from tieline.definitions.fill.values import comparable

CACHE_MOST: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer, the status it came with, and when it was fetched, on ``time.monotonic``."""

    whole: WholeAnswer
    status: int
    at: float

    @classmethod
    def now(cls, whole: WholeAnswer, status: int) -> "CachedAnswer":
        """An answer that has just been fetched."""
        return cls(whole, status, time.monotonic())

    @property
    def age(self) -> int:
        """Seconds since it was fetched."""
        return int(time.monotonic() - self.at)


class AnswerCache:
    """The answers of one worker. ``epoch`` counts how often it was told that something changed."""

    def __init__(self, most: int = CACHE_MOST) -> None:
        self.epoch = 0
        self._answers: LruCache[Hashable, CachedAnswer] = LruCache(most)

    @staticmethod
    def key(
        plan: Plan, call: ReadyCall, holder: Holder | None, arguments: Arguments, connections: Collection[str]
    ) -> Hashable | None:
        """What an answer is found by; None where the call's answers are not kept, or this one has large arguments.

        Files are, and values of more than 256 KiB: to compare them would take longer than to ask.
        """
        cache = call.call.cache
        if cache is None or arguments.files or arguments.size > LARGE:
            return None
        names = cache.key or arguments.values
        values = frozenset((name, comparable(arguments.values[name])) for name in names if name in arguments.values)
        return (plan.calls.serial, call.name, holder, frozenset(connections), values)

    def find(self, key: Hashable) -> CachedAnswer | None:
        """The answer that is kept, if it is not too old."""
        return self._answers.get(key)

    def keep(self, key: Hashable, answer: CachedAnswer, seconds: float, rests_on: Collection[str], epoch: int) -> None:
        """Keep an answer of at most 1 MiB, unless something changed since ``epoch``: it may be the old account's.

        ``rests_on`` are the ids of the API and of the connections that it was got with.
        """
        if answer.whole.size <= RECORDED_MOST and epoch == self.epoch:
            self._answers.put(key, answer, answer.whole.size, seconds, rests_on)

    def changed(self, refs: Collection[str] | None) -> None:
        """APIs and connections with these ids are not what they were; None: nobody knows which."""
        self.epoch += 1
        for key in self._answers.tagged(refs):
            self._answers.drop(key)
