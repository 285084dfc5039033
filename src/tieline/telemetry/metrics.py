"""Counters, gauges and histograms that cost almost nothing to move, and their text for Prometheus.

Owns the numbers of one process. Knows nothing of what they count. They are moved by the one thread of an event loop,
so there are no locks: ``counter.value += 1`` is the whole of an increment (about 20 ns). A labelled child is looked up
once and kept by whoever moves it. Text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar, Generic, TypeVar

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
CHILDREN_MOST = 2_000


class Counter:
    """A number that only grows: ``counter.value += 1``."""

    kind: ClassVar[str] = "counter"
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def samples(self, name: str, labels: str) -> Iterator[str]:
        """The lines of this child."""
        yield f"{name}{_braced(labels)} {_number(self.value)}"


class Gauge(Counter):
    """A number that goes up and down: ``gauge.value += 1``, ``gauge.value -= 1``."""

    kind: ClassVar[str] = "gauge"
    __slots__ = ()


class Histogram:
    """How many observations fell under each bound (seconds, bytes); the bounds rise, the last bucket has no end."""

    kind: ClassVar[str] = "histogram"
    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, bounds: Sequence[float] = LATENCIES) -> None:
        self.bounds = tuple(bounds)
        self.buckets = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation; one that equals a bound falls under it."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.total += value

    def samples(self, name: str, labels: str) -> Iterator[str]:
        """The lines of this child: cumulative buckets, sum, count."""
        reached = 0
        for bound, count in zip((*(f"{bound:g}" for bound in self.bounds), "+Inf"), self.buckets, strict=True):
            reached += count
            within = ",".join(filter(None, (labels, f'le="{bound}"')))
            yield f"{name}_bucket{{{within}}} {reached}"
        yield f"{name}_sum{_braced(labels)} {_number(self.total)}"
        yield f"{name}_count{_braced(labels)} {reached}"


Child = TypeVar("Child", Counter, Gauge, Histogram)


class Family(Generic[Child]):
    """One metric with labels: a child for each combination of their values, made on first use.

    At most 2,000 children: what comes later shares one whose labels all read ``other``, so that a client who makes up
    names cannot fill the memory.
    """

    def __init__(self, name: str, about: str, labels: Sequence[str], make: Callable[[], Child]) -> None:
        for word in (name, *labels):
            if not _NAME.fullmatch(word):
                raise ValueError(f"not a metric or label name: {word}")
        self.name = name
        self.about = about
        self._labels = tuple(labels)
        self._make: Callable[[], Child] = make
        self._children: dict[tuple[str, ...], Child] = {}
        self._kind = make().kind

    def of(self, *values: str) -> Child:
        """The child with these label values. Keep it where it is moved often."""
        child = self._children.get(values)
        return child if child is not None else self._new(values)

    def lines(self) -> Iterator[str]:
        """This family in the text format."""
        yield f"# HELP {self.name} {self.about.translate(_ESCAPES)}"
        yield f"# TYPE {self.name} {self._kind}"
        for values, child in sorted(self._children.items()):
            pairs = zip(self._labels, values, strict=True)
            yield from child.samples(
                self.name, ",".join(f'{label}="{value.translate(_ESCAPES)}"' for label, value in pairs)
            )

    def _new(self, values: tuple[str, ...]) -> Child:
        if len(values) != len(self._labels):
            raise ValueError(f"{self.name} has the labels {', '.join(self._labels) or 'none'}")
        if len(self._children) >= CHILDREN_MOST:
            values = ("other",) * len(values)
        return self._children.setdefault(values, self._make())


class Registry:
    """The metrics of one process, made at start and handed down."""

    def __init__(self) -> None:
        self._families: dict[str, Family[Counter] | Family[Gauge] | Family[Histogram]] = {}

    def counter(self, name: str, about: str, *labels: str) -> Family[Counter]:
        """A counter; by custom its name ends in ``_total``."""
        return self._add(Family(name, about, labels, Counter))

    def gauge(self, name: str, about: str, *labels: str) -> Family[Gauge]:
        """A gauge."""
        return self._add(Family(name, about, labels, Gauge))

    def histogram(self, name: str, about: str, *labels: str, bounds: Sequence[float] = LATENCIES) -> Family[Histogram]:
        """A histogram; by custom its name ends in its unit (``_seconds``, ``_bytes``)."""
        return self._add(Family(name, about, labels, lambda: Histogram(bounds)))

    def render(self) -> str:
        """Every metric in the Prometheus text format."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterable[str]:
        for family in self._families.values():
            yield from family.lines()

    def _add(self, family: Family[Child]) -> Family[Child]:
        if family.name in self._families:
            raise ValueError(f"a metric named {family.name} is already there")
        self._families[family.name] = family
        return family


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
