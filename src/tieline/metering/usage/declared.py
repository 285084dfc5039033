"""Usage of APIs of no known kind: quantities at places that a definition names, in answers, events and headers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from tieline.core.quantities import inner_name
from tieline.definitions.getters import Get, getter
from tieline.definitions.model import Usage, UsageSpot
from tieline.metering.reading import Tally, UsageReading, name_in
from tieline.metering.usage.gathered import is_read

Headers = Iterable[tuple[bytes, bytes]]
_FIGURES_MOST: Final = 10_000
"""Figures at one place (``translations[].billed_characters``)."""
_TOGETHER: Mapping[str, Callable[[int, int], int]] = {
    "last": lambda _, now: now,
    "sum": lambda before, now: before + now,
    "highest": max,
}


class DeclaredPlaces:
    """Where one API tells usage, compiled."""

    __slots__ = ("headers", "model", "places", "signs")

    def __init__(self, usage: Usage) -> None:
        self.model = getter(usage.model) if usage.model is not None else None
        spots = [(inner_name(name), spot) for name, spot in usage.quantities.items()]
        self.places: Sequence[tuple[str, UsageSpot, tuple[Get, ...]]] = tuple(
            (name, spot, tuple(map(getter, spot.paths))) for name, spot in spots if spot.paths
        )
        self.headers = {spot.header.encode(): (name, spot) for name, spot in spots if spot.header is not None}


class DeclaredUsage:
    """The usage of one exchange, as ``gathered.GatheredUsage``; nothing of it is estimated."""

    __slots__ = ("_counts", "_model", "_places", "_unread")

    def __init__(self, places: DeclaredPlaces) -> None:
        self._places = places
        self._counts: dict[str, int] = {}
        self._model: str | None = None
        self._unread: set[str] = set()

    def headers(self, headers: Headers) -> None:
        """The header fields of the answer."""
        for name, value in headers if self._places.headers else ():
            found = self._places.headers.get(name.lower())
            if found is not None:
                self._count(*found, [value.decode("latin-1")])

    def passed(self, _data: bytes) -> bool:
        """Each event is looked at."""
        return False

    def event(self, name: str | None, data: bytes) -> None:
        """One event or frame as it came."""
        if not is_read(data):
            self._unread.add("an event that is too large")
            return
        try:
            self.value(name, orjson.loads(data))
        except orjson.JSONDecodeError:
            return  # text, or what ends a stream

    def value(self, name: str | None, value: Any) -> None:
        """A whole answer or an event, decoded."""
        if self._places.model is not None:
            self._model = name_in(self._places.model(value)) or self._model
        if name is None and isinstance(value, dict) and isinstance(value.get("type"), str):
            name = value["type"]
        for quantity, spot, gets in self._places.places:
            if spot.event is not None and spot.event != name:
                continue
            found = next((each for each in (get(value) for get in gets) if each is not None), None)
            if found is not None:
                self._count(quantity, spot, found)

    def reading(self, *, ended: bool) -> UsageReading | None:
        """What was told."""
        if not self._counts and not self._unread:
            return None
        return UsageReading(self._model, None, dict(self._counts), unread=frozenset(self._unread))

    def _count(self, quantity: str, spot: UsageSpot, found: Any) -> None:
        place = spot.header or spot.paths[0]
        if spot.counts == "items":
            self._add(quantity, spot, len(found)) if isinstance(found, list) else self._unread.add(place)
            return
        figures = found if isinstance(found, list) else [found]
        if len(figures) > _FIGURES_MOST:
            self._unread.add(place)
            return
        tally = Tally()
        for figure in figures:
            tally.note(quantity, figure, place)
        self._unread |= tally.unread
        if tally.counts:
            self._add(quantity, spot, tally.counts[quantity])

    def _add(self, quantity: str, spot: UsageSpot, count: int) -> None:
        before = self._counts.get(quantity)
        self._counts[quantity] = count if before is None else _TOGETHER[spot.together](before, count)
