"""How often answers no longer fit what their call knows of them, counted by call and place until it is told.

A worker's own. Owns the counts, within bounds; what counts as drift is for ``definitions.infer.drift`` to say, and who
is told ``drift_flush``'s.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from tieline.core.names import Environment
from tieline.definitions.infer.drift import Drift
from tieline.ports.drift import DriftRecord

CALLS_MOST: Final = 1_000
PLACES_MOST: Final = 100
"""Of one call."""


class Watched(NamedTuple):
    """The call that a count is of."""

    api: str
    environment: Environment
    call: str


class Drifts:
    """The counts since they were last ``taken``."""

    def __init__(self) -> None:
        self._calls: dict[Watched, dict[tuple[str, str], DriftRecord]] = {}

    def note(self, watched: Watched, drifts: Iterable[Drift]) -> None:
        """Count what one answer showed."""
        for each in drifts:
            self._add(watched, DriftRecord(*watched, each.path, each.kind, each.count, each.expected, each.found))

    def note_events(self, watched: Watched, undeclared: Mapping[str | None, int]) -> None:
        """Count the events of a stream that its description does not declare, by name."""
        for name, count in undeclared.items():
            self._add(watched, DriftRecord(*watched, name or "", "new", count, "", "event"))

    def taken(self) -> list[DriftRecord]:
        """What was counted, which then begins anew."""
        calls, self._calls = self._calls, {}
        return [record for places in calls.values() for record in places.values()]

    def put_back(self, records: Iterable[DriftRecord]) -> None:
        """Count what was taken and could not be told."""
        for record in records:
            self._add(Watched(record.api, record.environment, record.call), record)

    def _add(self, watched: Watched, record: DriftRecord) -> None:
        places = self._calls.get(watched)
        if places is None:
            if len(self._calls) >= CALLS_MOST:
                return
            places = self._calls[watched] = {}
        place = (record.path, record.kind)
        known = places.get(place)
        if known is not None:
            places[place] = replace(record, count=known.count + record.count)
        elif len(places) < PLACES_MOST:
            places[place] = record
