"""Fields as a tree: which stands in which, and which are lifted out under a name of their own. Knows no document."""

import dataclasses
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from tieline.definitions.infer import paths
from tieline.definitions.infer.paths import Steps
from tieline.definitions.model import Field


@dataclass(slots=True, eq=False)
class FieldNode:
    """A place: its field, if one names it, and the places below (members, values of a map, every item, single items).

    ``lifted`` are the members on whose way something is lifted out, and that are handed out in no other way.
    """

    field: Field | None = None
    members: dict[str, "FieldNode"] = dataclasses.field(default_factory=dict)
    value: "FieldNode | None" = None
    item: "FieldNode | None" = None
    places: dict[int, "FieldNode"] = dataclasses.field(default_factory=dict)
    lifted: set[str] = dataclasses.field(default_factory=set)

    def at(self, step: paths.Step) -> "FieldNode":
        """The node one step below, made where there is none yet."""
        if isinstance(step, str):
            return self.members.setdefault(step, FieldNode())
        if isinstance(step, int):
            return self.places.setdefault(step, FieldNode())
        if step is paths.ANY_KEY:
            self.value = self.value or FieldNode()
            return self.value
        self.item = self.item or FieldNode()
        return self.item

    def known(self, step: paths.Step) -> "FieldNode | None":
        """The node one step below, if there is one."""
        if isinstance(step, str):
            return self.members.get(step)
        if isinstance(step, int):
            return self.places.get(step)
        return self.value if step is paths.ANY_KEY else self.item

    @property
    def below(self) -> list["FieldNode"]:
        """All nodes one step below."""
        single = [each for each in (self.value, self.item) if each is not None]
        return [*self.members.values(), *self.places.values(), *single]

    @property
    def is_included(self) -> bool:
        """Whether something at or below the node is handed out."""
        return self.field.include if self.field is not None else any(each.is_included for each in self.below)

    @property
    def inner(self) -> "FieldNode":
        """Where the members of its objects stand: below every item for a list."""
        listed = self.field is not None and self.field.list
        return self.item if listed and self.item is not None else self

    def called(self, key: str) -> str:
        """The name that callers know the member ``key`` by; that of a nested list is its innermost's."""
        node: FieldNode | None = self
        while node is not None:
            if node.field is not None:
                return node.field.name or key
            node = node.item
        return key

    @property
    def is_open(self) -> bool:
        """Whether it is looked into: no field of its own, or an object or map of which something is known."""
        if self.field is None:
            return True
        return self.field.type in {"object", "map"} and bool(self.inner.members or self.inner.value)


@dataclass(slots=True, eq=False)
class Lift:
    """A value taken from where it stands and handed out under ``name``; ``several`` values where its way has lists.

    Then the field at its node, whose ``list`` speaks of those several, is no list there.
    """

    name: str
    steps: Steps
    node: FieldNode
    several: bool


@dataclass(slots=True, eq=False)
class Outline:
    """The tree of fields, and what is lifted out of it."""

    root: FieldNode
    lifts: tuple[Lift, ...]


def is_lifted(one: Field, known: AbstractSet[Steps]) -> bool:
    """Whether a field has a name, is not a member of the whole, and nothing that holds it is a field itself."""
    steps = paths.split(one.path)
    return (
        one.name is not None
        and len(paths.reach(steps)) > 1
        and not any(steps[:end] in known for end in range(len(steps)))
    )


def outline(fields: Iterable[Field]) -> Outline:
    """The tree; the order of members is that of the fields."""
    fields = list(fields)
    known = {paths.split(one.path) for one in fields}
    lifts: dict[Steps, Lift] = {}
    for one in fields:
        if is_lifted(one, known) and one.name is not None:
            way = paths.reach(paths.split(one.path))
            lifts[paths.split(one.path)] = Lift(one.name, way, FieldNode(), any(step is None for step in way))
    root = FieldNode()
    for one in fields:
        steps = paths.split(one.path)
        lift = next((lifts[steps[:end]] for end in range(len(steps) + 1) if steps[:end] in lifts), None)
        node, rest = (root, steps) if lift is None else (lift.node, steps[len(lift.steps) :])
        for step in rest:
            node = node.at(step)
        several = lift is not None and lift.several and node is lift.node
        node.field = replace(one, list=False) if several else one
    for lift in lifts.values():
        _mark(root, lift.steps)
    return Outline(root, tuple(lifts.values()))


def _mark(root: FieldNode, steps: Steps) -> None:
    """Note at every node on the way of a lift which member leads on, where no field hands that member out."""
    node: FieldNode | None = root
    for step in steps:
        if node is None:
            return
        below = node.known(step)
        if isinstance(step, str) and (below is None or not below.is_included):
            node.lifted.add(step)
        node = below
