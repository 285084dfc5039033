"""One run of the benchmark: how much of everything, where its files are, and the line-up that measures share."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.lineup import Lineup, standing


@dataclass(frozen=True, slots=True)
class Scale:
    """How much: ``seconds`` and ``rounds`` of each system, numbers of streams and keys, sizes in bytes.

    ``open_rate`` is how many events a second the open streams have whose memory is measured: few, as in thought.
    """

    rounds: int
    seconds: float
    stream_rounds: int
    stream_seconds: float
    latency_rounds: int
    latency_calls: int
    open_streams: int
    open_rate: float
    file_bytes: int
    keys: int
    apis: int
    cold_keys: int
    warm_seconds: float
    starts: int


FULL = Scale(
    rounds=5,
    seconds=4,
    stream_rounds=3,
    stream_seconds=5,
    latency_rounds=5,
    latency_calls=1_000,
    open_streams=5_000,
    open_rate=0.2,
    file_bytes=512 * 1024 * 1024,
    keys=100_000,
    apis=1_000,
    cold_keys=500,
    warm_seconds=120,
    starts=3,
)
QUICK = Scale(
    rounds=2,
    seconds=1,
    stream_rounds=1,
    stream_seconds=2,
    latency_rounds=2,
    latency_calls=200,
    open_streams=500,
    open_rate=1,
    file_bytes=64 * 1024 * 1024,
    keys=2_000,
    apis=20,
    cold_keys=100,
    warm_seconds=10,
    starts=1,
)


@dataclass(slots=True)
class Run:
    """What a measure works with. ``descriptors`` is how many files a process may open.

    ``before`` is a checkout of another commit that is measured beside this one.
    """

    scale: Scale
    folder: Path
    descriptors: int
    before: Path | None = None
    _stack: ExitStack = field(default_factory=ExitStack)
    _lineup: Lineup | None = None

    @property
    def lineup(self) -> Lineup:
        """Every system that is installed, started when the first measure asks."""
        if self._lineup is None:
            folder = tempfile.mkdtemp(prefix="lineup-", dir=self.folder)  # another one should it have failed before
            self._lineup = self._stack.enter_context(standing(Path(folder), self.before))
        return self._lineup

    def close(self) -> None:
        """End the line-up."""
        self._lineup = None
        self._stack.close()


@contextmanager
def open_run(scale: Scale, folder: Path, descriptors: int, before: Path | None = None) -> Iterator[Run]:
    """A run whose line-up ends with the block."""
    run = Run(scale, folder, descriptors, before)
    try:
        yield run
    finally:
        run.close()
