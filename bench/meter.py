"""Processor time and memory of processes while a block lasts, and what that says about who held the run up."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from bench.process import cpu_seconds, resident_bytes

_FULL = 0.90  # of one core: a process with one thread cannot do more
_SAMPLE_SECONDS = 0.01


class Meter:
    """Processor time by group of processes: ``Meter({"workers": (12,), "upstream": (7,)})``."""

    def __init__(self, groups: Mapping[str, Iterable[int]]) -> None:
        self._groups = {name: tuple(pids) for name, pids in groups.items()}
        self.used: dict[str, float] = {}
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._before = self._now()
        self._begun = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.seconds = time.monotonic() - self._begun
            after = self._now()
            self.used = {name: after[name] - self._before[name] for name in after}

    def share(self, group: str) -> float:
        """Processor time of a group as a part of one core's."""
        return self.used[group] / self.seconds

    def _now(self) -> dict[str, float]:
        return {name: sum(cpu_seconds(pid) for pid in pids) for name, pids in self._groups.items()}


def bottleneck(subject: float, upstream: float, generator: float, cores: int) -> str:
    """Who held a saturating run up, by the part of a core that each used."""
    for name, share in (("the system", subject), ("the upstream", upstream), ("the generator", generator)):
        if share >= _FULL:
            return name
    if subject + upstream + generator >= _FULL * cores:
        return "the machine's cores"
    return "other load or waiting"


class Growth:
    """How far the resident memory of a process rose above where it began. ``most`` is in bytes."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._base = resident_bytes(pid)
        self.most = 0

    def sample(self) -> None:
        """Look once."""
        self.most = max(self.most, resident_bytes(self._pid) - self._base)


@contextmanager
def sampled(pid: int) -> Iterator[Growth]:
    """Watch the memory of a process, a hundred times a second, while the block lasts."""
    growth, over = Growth(pid), threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            growth.sample()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield growth
    finally:
        over.set()
        watcher.join()
        growth.sample()
