"""Fields as a tree: which stands in which, and which are lifted out under a name of their own. Knows no document."""

import dataclasses
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from tieline.definitions.infer import paths
from tieline.definitions.infer.paths import Steps
from tieline.definitions.model import Field


@dataclass(slots=True, eq=False)
class Node:
    """A place: its field, if one names it, and the places below (members, every item, single items)."""

    field: Field | None = None
    members: dict[str, "Node"] = dataclasses.field(default_factory=dict)
    item: "Node | None" = None
    places: dict[int, "Node"] = dataclasses.field(default_factory=dict)

    def at(self, step: paths.Step) -> "Node":
        """The node one step below, made where there is none yet."""
        if isinstance(step, str):
            return self.members.setdefault(step, Node())
        if isinstance(step, int):
            return self.places.setdefault(step, Node())
        if self.item is None:
            self.item = Node()
        return self.item

    @property
    def inner(self) -> "Node":
        """Where the members of its objects hang: below every item for a list."""
        listed = self.field is not None and self.field.list
        return self.item if listed and self.item is not None else self

    def called(self, key: str) -> str:
        """The name that callers know the member ``key`` by; that of a nested list is its innermost's."""
        node: Node | None = self
        while node is not None:
            if node.field is not None:
                return node.field.name or key
            node = node.item
        return key

    @property
    def is_open(self) -> bool:
        """Whether it is looked into: no field of its own, or an object whose members are known."""
        if self.field is None:
            return True
        return self.field.type == "object" and bool(self.inner.members)


@dataclass(slots=True, eq=False)
class Lift:
    """A value taken from where it stands and handed out under ``name``; ``several`` values where its way has lists.

    Then the field at its node, whose ``list`` speaks of those several, is no list there.
    """

    name: str
    steps: Steps
    node: Node
    several: bool


@dataclass(slots=True, eq=False)
class Outline:
    """The tree of fields, and what is lifted out of it."""

    root: Node
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
            lifts[paths.split(one.path)] = Lift(one.name, way, Node(), any(step is None for step in way))
    root = Node()
    for one in fields:
        steps = paths.split(one.path)
        lift = next((lifts[steps[:end]] for end in range(len(steps) + 1) if steps[:end] in lifts), None)
        node, rest = (root, steps) if lift is None else (lift.node, steps[len(lift.steps) :])
        for step in rest:
            node = node.at(step)
        several = lift is not None and lift.several and node is lift.node
        node.field = replace(one, list=False) if several else one
    return Outline(root, tuple(lifts.values()))
