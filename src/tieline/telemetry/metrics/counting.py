"""How a process counts: series of its slot, found once and then written by a plain addition.

A family has ``most`` series in a process; what would be one more is counted in the series whose labels are all
``other``. So nobody outside can fill the file or the store of whoever scrapes it. Owns the bounds; knows no metric.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

from tieline.telemetry.metrics.families import BY_NAME, OTHER, SERIES_DROPPED, Family
from tieline.telemetry.metrics.slots import ProcessSlot

LABEL_MOST: Final = 128
"""Characters of a label's value."""


class Counts:
    """Counts in ``slot``, which is this process's. Gauges that a process before it left begin at nought."""

    def __init__(self, slot: ProcessSlot) -> None:
        self.slot = slot
        self.values = slot.values
        self._series: Counter[str] = Counter()
        self._found: dict[tuple[Family, tuple[str, ...]], int] = {}
        slot.begin()
        for (name, _), (first, width) in slot.known.items():
            family = BY_NAME.get(name)
            if family is None:
                continue
            self._series[name] += 1
            if family.kind == "gauge":
                for at in range(first, first + width):
                    self.values[at] = 0
        spare = slot.series((SERIES_DROPPED.name, ()), 1)
        sink = slot.series((OTHER, ()), max(family.width for family in BY_NAME.values()))
        assert spare is not None  # it is among the first
        assert sink is not None  # so is this one
        self._dropped, self._sink = spare, sink

    def at(self, family: Family, *labels: str) -> int:
        """Where the values of a series are in ``values``: of a counter or gauge the one value, to be added to or set.

        Of a histogram :meth:`observe` writes them. Where the file is full, a place that nobody shows.
        """
        found = self._found.get((family, labels))
        return found if found is not None else self._find(family, labels)

    def add(self, family: Family, amount: int, *labels: str) -> None:
        """Add to a counter, in the unit of the file."""
        self.values[self.at(family, *labels)] += amount

    def set(self, family: Family, value: int, *labels: str) -> None:
        """Set a gauge, in the unit of the file."""
        self.values[self.at(family, *labels)] = value

    def observe(self, family: Family, value: int, *labels: str) -> None:
        """Count a value of a histogram, in the unit of the file."""
        self.observe_all(family, (value,), *labels)

    def observe_all(self, family: Family, given: Sequence[int], *labels: str) -> None:
        """As :meth:`observe`, several values of one series."""
        bounds, values = family.bounds, self.values
        at = self.at(family, *labels)
        for bucket, number in Counter([bisect_left(bounds, value) for value in given]).items():
            values[at + bucket] += number
        values[at + len(bounds) + 1] += sum(given)

    def _find(self, family: Family, labels: tuple[str, ...]) -> int:
        assert len(labels) == len(family.labels), f"{family.name} has the labels {family.labels}"
        shown = tuple([label[:LABEL_MOST] for label in labels])
        key = (family.name, shown)
        if key not in self.slot.known:
            if self._series[family.name] >= family.most and shown != (OTHER,) * len(shown):
                return self._find(family, (OTHER,) * len(labels))
            self._series[family.name] += 1
        found = self.slot.series(key, family.width)
        if found is None:
            self.values[self._dropped] += 1
            return self._sink
        if shown == labels:  # else there may be any number of them
            self._found[family, labels] = found
        return found
