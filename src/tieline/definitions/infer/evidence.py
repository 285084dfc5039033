"""What was seen at each place of one or more documents, joined without an order of its own.

Gathering only records; ``settle`` decides. Every part joins by union or sum, so that documents can be joined in any
order. Bounded: 64 levels, 200,000 values of a document, JSON in text included.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from tieline.definitions.infer import embedded, kinds, paths
from tieline.definitions.infer.samples import sample_of
from tieline.definitions.model import Field

MOST_DEPTH: Final = paths.MOST_STEPS
MOST_VALUES: Final = 200_000
_MOST_ALIKE = 50
_DATA_KEY = re.compile(
    r"[0-9]+|v?[0-9]+(?:\.[0-9]+)+(?:[-+][0-9A-Za-z.+-]+)?"
    r"|[0-9]{4}-[0-9]{2}(?:-[0-9]{2}(?:[T ].*)?)?"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9A-Fa-f]{16,}"
    r"|/.*|[a-z]+://.*|[^@\s]+@[^@\s]+\.[a-z]+|[a-z]{1,10}_(?=[A-Za-z]*[0-9])[A-Za-z0-9]{10,}"
)


@dataclass(slots=True, eq=False)
class Evidence:
    """What was seen at one place: how often a value, of which kinds, and what is below.

    ``inline`` is set by objects and lists that stood there themselves, ``parsed`` by those that text held,
    ``irregular`` by what no fields can describe.
    """

    seen: int = 0
    scalars: set[str] = field(default_factory=set)
    objects: int = 0
    members: dict[str, "Evidence"] = field(default_factory=dict)
    item: "Evidence | None" = None
    inline: bool = False
    parsed: bool = False
    irregular: bool = False
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
        """An object or list that stands at ``place``, in text or by itself."""
        if depth >= MOST_DEPTH or (isinstance(value, dict) and not is_regular(value)):
            place.irregular = True
        elif isinstance(value, dict):
            place.objects += 1
            for name, below in value.items():
                self.look(below, place.member(name), (name, names[0]), depth + 1)
        else:
            item = place.each()
            for below in value:
                self.look(below, item, names, depth + 1)
                if self._left < 0:
                    break


def is_data(name: str) -> bool:
    """Whether a member's name is a piece of data: a number, version, date, id, path or address."""
    return _DATA_KEY.fullmatch(name) is not None


def is_regular(found: dict[str, Any]) -> bool:
    """Whether an object's members can be fields: their names fit into paths and are names rather than data.

    Not regular are objects keyed by ids, numbers, versions, dates, paths or addresses, and those of more than fifty
    members that are all of one kind.
    """
    if not all(isinstance(name, str) and paths.is_expressible(name) for name in found):
        return False
    if found and all(map(is_data, found)):
        return False
    return len(found) <= _MOST_ALIKE or len({type(value) for value in found.values()}) > 1


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
            if isinstance(step, str):
                place.objects = 1
                if steps[: at + 1] not in own:
                    place.member(step).seen = 1
    return root


def _walk(place: Evidence, steps: paths.Steps) -> list[Evidence]:
    """The places on the way, ``place`` itself first, made where there are none yet."""
    way = [place]
    for step in steps:
        way.append(way[-1].member(step) if isinstance(step, str) else way[-1].each())
    return way


def _recall_type(one: Field, place: Evidence) -> None:
    place.parsed = one.parse
    place.inline |= one.list and not one.parse
    value = place.each() if one.list else place
    value.sample = one.sample[0] if isinstance(one.sample, list) and one.sample else one.sample
    if one.type == "object":
        value.objects = 1
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
    one.inline |= other.inline
    one.parsed |= other.parsed
    one.irregular |= other.irregular
    if one.sample is None or one.sample == "":
        one.sample = other.sample
    for name, below in other.members.items():
        mine = one.members.get(name)
        one.members[name] = below if mine is None else combine(mine, below)
    if other.item is not None:
        one.item = other.item if one.item is None else combine(one.item, other.item)
    return one


def fold_lone(place: Evidence) -> None:
    """Where a list was seen and also a value by itself, that value was a list of one (XML cannot tell them apart)."""
    if place.item is not None:
        alone = Evidence(
            place.seen, place.scalars, place.objects, place.members, None, place.inline, sample=place.sample
        )
        place.scalars, place.objects, place.members = set(), 0, {}
        combine(place.item, alone)
        fold_lone(place.item)
    for below in place.members.values():
        fold_lone(below)
