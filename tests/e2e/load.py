"""Continuous use of app keys from several connections, and when each use came, so that the moment it ends can be told.

Knows nothing of why a use is refused. Times are on the clock of ``time.monotonic``.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.e2e.stage import Line, Node
from tests.e2e.upstream import Arrival, Upstream

PAUSE = 0.02
LINES_MOST = 40
_marks = itertools.count()


@dataclass(frozen=True)
class Use:
    """One request: when it was sent, what was answered, by which worker, and when and where it arrived if it did."""

    sent: float
    status: int
    code: str
    worker: str
    arrival: Arrival | None = None
    place: int = 0

    @property
    def at(self) -> float:
        """The latest moment at which it was certainly not yet decided: its arrival, or when it was sent."""
        return self.arrival.at if self.arrival is not None else self.sent


@dataclass
class Caller:
    """Who uses one key, again and again, until told to stop, on one line to each worker.

    ``request`` is method and target; ``upstreams`` are where it may arrive.
    """

    node: Node
    key: str
    request: tuple[str, str]
    upstreams: list[Upstream]
    uses: list[Use] = field(default_factory=list)
    failures: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _stopped: bool = False

    async def begin(self, workers: int = 2) -> None:
        """Open a line to each worker, wait until both have heard of what was just set up, and go."""
        lines: dict[str, Line] = {}
        for _ in range(LINES_MOST):
            line = Line(self.node.app)
            worker = (await self.use(line)).worker
            line, lines[worker] = lines.get(worker, Line(self.node.app)), line
            await line.close()
            if len(lines) == workers:
                break
        for line in lines.values():
            for _ in range(LINES_MOST):
                if (await self.use(line)).arrival is not None:
                    break
                await asyncio.sleep(PAUSE)
        assert len(lines) == workers, f"reached {len(lines)} of {workers} workers"
        self._tasks = [asyncio.create_task(self._go_on(line)) for line in lines.values()]

    async def end(self) -> None:
        """Stop and wait until the last use is answered."""
        self._stopped = True
        for task in self._tasks:
            await task

    async def _go_on(self, line: Line) -> None:
        while not self._stopped:
            try:
                self.uses.append(await self.use(line))
            except (OSError, EOFError):
                self.failures += 1
            await asyncio.sleep(PAUSE)
        await line.close()

    async def use(self, line: Line) -> Use:
        """Use the key once."""
        method, target = self.request
        mark, sent = str(next(_marks)), time.monotonic()
        body = b"{}" if method == "POST" else None
        reply = await line.send(method, target, {"authorization": f"Bearer {self.key}", "x-mark": mark}, body)
        for place, upstream in enumerate(self.upstreams):
            arrival = upstream.by_mark.pop(mark, None)
            if arrival is not None:
                return Use(sent, reply.status, reply.code, reply.worker, arrival, place)
        return Use(sent, reply.status, reply.code, reply.worker)

    def lateness(self, moment: float, counts: Callable[[Use], bool]) -> float:
        """Seconds between ``moment`` and the last use that ``counts``, 0 where none came later."""
        return max([0.0, *(use.at - moment for use in self.uses if counts(use))])

    def resurrections(self, counts: Callable[[Use], bool], after: float) -> Iterator[Use]:
        """Uses that count although the same worker, after ``after``, had already answered one that did not."""
        ended: set[str] = set()
        for use in sorted((use for use in self.uses if use.sent >= after), key=lambda use: use.sent):
            if not counts(use):
                ended.add(use.worker)
            elif use.worker in ended:
                yield use


def accepted(use: Use) -> bool:
    """Whether it reached an upstream."""
    return use.arrival is not None
