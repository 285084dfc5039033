"""How often answers no longer fit what their call knows of them, counted by call and place. A worker's own.

Owns the counts, within bounds; what counts as drift is for ``definitions.infer.drift`` to say.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tieline.definitions.infer.drift import Drift

CALLS_MOST: Final = 1_000
PLACES_MOST: Final = 100
Call = tuple[str, str, str]
"""API, environment, call."""


@dataclass(slots=True)
class Drifted:
    """One place of one call's answers: what is otherwise there, how often, and what was found last."""

    path: str
    kind: str
    count: int
    expected: str
    found: str


class Drifts:
    """The counts since the worker started, or since they were ``taken``."""

    def __init__(self) -> None:
        self._calls: dict[Call, dict[tuple[str, str], Drifted]] = {}

    def note(self, call: Call, drifts: Iterable[Drift]) -> int:
        """Count what one answer showed; how many values differed."""
        total = 0
        for each in drifts:
            total += each.count
            self._add(call, each)
        return total

    def note_events(self, call: Call, undeclared: Mapping[str | None, int]) -> int:
        """Count the events of a stream that its description does not declare, by name."""
        return self.note(call, (Drift(name or "", "new", count, found="event") for name, count in undeclared.items()))

    def taken(self) -> Iterator[tuple[Call, Drifted]]:
        """What was counted, which then begins anew."""
        calls, self._calls = self._calls, {}
        for call, places in calls.items():
            for place in places.values():
                yield call, place

    def _add(self, call: Call, drift: Drift) -> None:
        places = self._calls.get(call)
        if places is None:
            if len(self._calls) >= CALLS_MOST:
                return
            places = self._calls[call] = {}
        known = places.get((drift.path, drift.kind))
        if known is not None:
            known.count += drift.count
            known.found = drift.found
        elif len(places) < PLACES_MOST:
            places[drift.path, drift.kind] = Drifted(drift.path, drift.kind, drift.count, drift.expected, drift.found)
