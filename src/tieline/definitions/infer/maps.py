"""Which of the objects that were seen are maps: any key, values of one shape. Decided from all samples together.

Signs, any of which is enough where the values are alike: names that are data or codes, more than fifty of them, the
name of what holds them (``tags``), eight and more objects of one shape, names that hardly any two samples share.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from tieline.definitions.infer import kinds, names
from tieline.definitions.infer.data_keys import are_codes, are_data, is_data
from tieline.definitions.infer.evidence import Evidence, combine

_MOST_NAMES: Final = 50
_LEAST_LIKE_SHAPED: Final = 8
_LEAST_COVERED: Final = 0.7
_LEAST_NAMES: Final = {"object": 2, "map": 2, "number": 3, "list": 3, "text": 4, "boolean": 4}
_MEASURED: Final = frozenset({"number", "object"})
_LEAST_SPREAD: Final = {"object": 2, "map": 2, "number": 2, "list": 2, "text": 3, "boolean": 3}


def fold_maps(root: Evidence) -> None:
    """Turn every object that is a map into one, from the outermost on: its members' evidence becomes its values'."""
    for place, name in _places(root):
        if place.maps or (place.members and _is_map(place, name)):
            _fold(place)


def keep_objects(root: Evidence) -> None:
    """Mark the objects of ``root``, recalled from fields, that look like maps and were none: they had odd members."""
    for place, name in _places(root):
        place.odd |= bool(place.members) and _is_map(place, name)


def _places(root: Evidence) -> Iterator[tuple[Evidence, str]]:
    """Every place from the outermost on, and the name of the member that it is; what is below it is looked up late."""
    waiting = [(root, "")]
    while waiting:
        place, name = waiting.pop()
        yield place, name
        waiting += [(below, "") for below in (place.value, place.item) if below is not None]
        waiting += [(below, key) for key, below in place.members.items()]


def _fold(place: Evidence) -> None:
    values = place.every()
    for name, below in place.members.items():
        if below.maps or (below.members and _is_map(below, name)):
            _fold(below)  # as long as its name can say so
        combine(values, below)
    place.maps += place.objects
    place.objects, place.filled, place.members = 0, 0, {}


def _is_map(place: Evidence, name: str) -> bool:
    """``name`` is that of the member which holds the object."""
    if are_data(place.members):
        return not (place.odd and all(map(is_data, place.members)))  # else it would have been a map from the beginning
    sort = _common_sort(place.members.values())
    if sort is None:
        return False
    if len(place.members) > _MOST_NAMES:
        return True
    few = len(place.members) < _LEAST_LIKE_SHAPED
    if sort == "object" and _covered(place.members.values()) < (1.0 if few else _LEAST_COVERED):
        return False
    if names.is_map(name) or (sort == "object" and not few) or (sort in _MEASURED and are_codes(place.members)):
        return True
    return _is_disjoint(place, sort)


def _is_disjoint(place: Evidence, sort: str) -> bool:
    """Whether samples share so few names that these are no members which are missing at times."""
    counts = [below.seen for below in place.members.values()]
    if place.filled < 2 or 0 in counts or max(counts) * 2 > place.filled:
        return False
    average = sum(counts) / place.filled
    return len(counts) >= max(_LEAST_NAMES[sort], _LEAST_SPREAD[sort] * average)


def _common_sort(places: Iterable[Evidence]) -> str | None:
    """What all the values are that were seen; None where they differ, or nothing was seen."""
    sorts = {_sort(place) for place in places if place.seen}
    return sorts.pop() if len(sorts) == 1 else None


def _sort(place: Evidence) -> str | None:
    structures = [
        sort
        for sort, seen in (("object", place.objects), ("map", place.maps), ("list", place.item is not None))
        if seen
    ]
    if place.irregular or len(structures) + bool(place.scalars) != 1:
        return None
    if structures:
        return structures[0]
    if place.scalars <= kinds.TEXTS | {kinds.BLANK}:
        return "text"
    if place.scalars <= kinds.NUMBERS:
        return "number"
    return "boolean" if place.scalars == {"boolean"} else None


def _covered(places: Iterable[Evidence]) -> float:
    """How much of all their members objects have, 1.0 where all have the same; 0 where they have but one."""
    shapes = [place.members.keys() for place in places if place.objects]
    if not shapes:  # maps themselves
        return 1.0
    union = set().union(*shapes)
    return sum(map(len, shapes)) / (len(union) * len(shapes)) if len(union) > 1 else 0.0
