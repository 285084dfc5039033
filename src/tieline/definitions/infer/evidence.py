"""What was seen at each place of one or more documents, joined without an order of its own.

Gathering only records; ``settle`` decides. Every part joins by union or sum, so that documents can be joined in any
order. Bounded: 64 levels, 200,000 values of a document, JSON in text included.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from tieline.definitions.infer import embedded, kinds, paths
from tieline.definitions.infer.data_keys import are_data
from tieline.definitions.infer.samples import sample_of
from tieline.definitions.model import Field

MOST_DEPTH: Final = paths.MOST_STEPS
MOST_VALUES: Final = 200_000


@dataclass(slots=True, eq=False)
class Evidence:
    """What was seen at one place: how often a value, of which kinds, and what is below.

    ``objects`` counts those with ``members`` and those without any, ``filled`` only the former; ``maps`` counts those
    whose names are data, so that only their ``value`` is described. ``inline`` is set by objects and lists that stood
    there themselves, ``parsed`` by those that text held, ``irregular`` by what no fields can describe, ``odd`` by
    members that no path can name.
    """

    seen: int = 0
    scalars: set[str] = field(default_factory=set)
    objects: int = 0
    filled: int = 0
    members: dict[str, "Evidence"] = field(default_factory=dict)
    maps: int = 0
    value: "Evidence | None" = None
    item: "Evidence | None" = None
    inline: bool = False
    parsed: bool = False
    irregular: bool = False
    odd: bool = False
    sample: Any = None

    def member(self, name: str) -> "Evidence":
        """What is known of the member ``name``, at first nothing."""
        found = self.members.get(name)
        if found is None:
            found = self.members[name] = Evidence()
        return found

    def each(self) -> "Evidence":
        """What is known of the items of the list that stands here."""
        if self.item is None:
            self.item = Evidence()
        return self.item

    def every(self) -> "Evidence":
        """What is known of the values of the map that stands here."""
        if self.value is None:
            self.value = Evidence()
        return self.value

    def at(self, step: paths.Step) -> "Evidence":
        """What is known one step below."""
        if step is paths.ANY_KEY:
            return self.every()
        return self.member(step) if isinstance(step, str) else self.each()


class _Reader:
    """Walks one document."""

    def __init__(self, *, textual: bool) -> None:
        self._left = MOST_VALUES
        self._kind = kinds.kind_in_text if textual else kinds.kind_of

    def look(self, value: Any, place: Evidence, names: tuple[str, str], depth: int) -> None:
        """Record ``value`` at ``place``; ``names`` are those of the member and of the one above."""
        self._left -= 1
        if value is None or self._left < 0:
            return
        place.seen += 1
        held = embedded.embedded(value) if isinstance(value, str) else None
        if held is not None:
            place.parsed = True
            self._structure(held, place, names, depth)
        elif isinstance(value, dict | list):
            place.inline = True
            self._structure(value, place, names, depth)
        else:
            if place.sample is None or place.sample == "":
                place.sample = sample_of(value)
            place.scalars.add(self._kind(value, *names))

    def _structure(
        self, value: dict[str, Any] | list[Any], place: Evidence, names: tuple[str, str], depth: int
    ) -> None:
        """An object or list that stands at ``place``, in text or by itself.

        A member whose name no path can hold is passed over, its siblings are not.
        """
        if depth >= MOST_DEPTH:
            place.irregular = True
        elif isinstance(value, list):
            self._several(value, place.each(), names, depth)
        elif are_data(value):
            place.maps += 1
            self._several(value.values(), place.every(), names, depth)
        else:
            place.objects += 1
            place.filled += bool(value)
            for name, below in value.items():
                if paths.is_expressible(name):
                    self.look(below, place.member(name), (name, names[0]), depth + 1)
                else:
                    place.odd = True

    def _several(self, values: Iterable[Any], place: Evidence, names: tuple[str, str], depth: int) -> None:
        for each in values:
            self.look(each, place, names, depth + 1)
            if self._left < 0:
                break


def gather(document: Any, *, textual: bool = False) -> Evidence:
    """What one document shows; with ``textual`` its scalars are all text (XML, CSV)."""
    root = Evidence()
    _Reader(textual=textual).look(document, root, ("", ""), 0)
    return root


def recall(fields: Iterable[Field]) -> Evidence:
    """What fields that were settled before say was seen; those with places in their paths are passed over."""
    root = Evidence(seen=1)
    known = [(paths.split(one.path), one) for one in fields]
    known = [(steps, one) for steps, one in known if not any(isinstance(step, int) for step in steps)]
    for steps, one in known:
        way = _walk(root, steps)
        _recall_type(one, way[-1])
        owner = next((place for place, step in zip(way[:0:-1], steps[::-1], strict=True) if step is not None), root)
        owner.seen = 0 if one.optional else 1
    own = {paths.reach(steps) for steps, _ in known}
    for steps, _ in known:
        for at, (place, step) in enumerate(zip(_walk(root, steps), steps, strict=False)):
            place.inline |= not place.parsed
            if step is paths.ANY_KEY:
                place.maps = 1
            elif isinstance(step, str):
                place.objects = place.filled = 1
                if steps[: at + 1] not in own:
                    place.member(step).seen = 1
    return root


def hold_as_maps(root: Evidence, fields: Iterable[Field]) -> None:
    """Take the objects at ``fields``, which a person has called maps, for maps."""
    for one in fields:
        place: Evidence | None = root
        for step in (*paths.split(one.path), *([None] if one.list else [])):
            if place is None or isinstance(step, int):
                place = None
            elif isinstance(step, str):
                place = place.members.get(step)
            else:
                place = place.value if step is paths.ANY_KEY else place.item
        if place is not None and place.objects:
            place.maps = place.maps or 1


def _walk(place: Evidence, steps: paths.Steps) -> list[Evidence]:
    """The places on the way, ``place`` itself first, made where there are none yet."""
    way = [place]
    for step in steps:
        way.append(way[-1].at(step))
    return way


def _recall_type(one: Field, place: Evidence) -> None:
    place.parsed = one.parse
    place.inline |= one.list and not one.parse
    value = place.each() if one.list else place
    value.sample = one.sample[0] if isinstance(one.sample, list) and one.sample else one.sample
    if one.type in {"object", "map"}:
        value.objects, value.maps = (1, 0) if one.type == "object" else (0, 1)
        value.inline |= one.list or not one.parse
    elif one.undecided:
        value.scalars |= {kinds.BLANK} if one.type == "text" else set()
    elif one.type == "json":
        value.irregular = True
        value.inline |= one.list or not one.parse
    else:
        value.scalars.add(one.type)


def combine(one: Evidence, other: Evidence) -> Evidence:
    """Both together, in ``one``."""
    one.seen += other.seen
    one.scalars |= other.scalars
    one.objects += other.objects
    one.filled += other.filled
    one.maps += other.maps
    one.inline |= other.inline
    one.parsed |= other.parsed
    one.irregular |= other.irregular
    one.odd |= other.odd
    if one.sample is None or one.sample == "":
        one.sample = other.sample
    for name, below in other.members.items():
        mine = one.members.get(name)
        one.members[name] = below if mine is None else combine(mine, below)
    if other.value is not None:
        one.value = other.value if one.value is None else combine(one.value, other.value)
    if other.item is not None:
        one.item = other.item if one.item is None else combine(one.item, other.item)
    return one


def fold_lone(place: Evidence) -> None:
    """Where a list was seen and also a value by itself, that value was a list of one (XML cannot tell them apart)."""
    if place.item is not None:
        alone = Evidence(
            place.seen, place.scalars, place.objects, place.filled, place.members, place.maps, place.value,
            inline=place.inline, sample=place.sample,
        )  # fmt: skip
        place.scalars, place.objects, place.filled, place.members, place.maps, place.value = set(), 0, 0, {}, 0, None
        combine(place.item, alone)
        fold_lone(place.item)
    for below in (*place.members.values(), *([place.value] if place.value is not None else [])):
        fold_lone(below)
