"""What answers hold otherwise than their fields say: another type, a field missing, a field that is new.

Compiled once, cheap at run time, bounded: a hundred items of each list or map, a hundred different findings. It
reports, and changes nothing. Knows no counter that lives longer than one answer.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Literal

from tieline.definitions.infer import embedded, kinds, paths
from tieline.definitions.infer.data_keys import is_data
from tieline.definitions.infer.outline import FieldNode, is_lifted
from tieline.definitions.infer.paths import ANY_KEY, AnyKey, Steps
from tieline.definitions.model import Field

MOST_ITEMS: Final = 100
MOST_FINDINGS: Final = 100
Kind = Literal["type", "missing", "new"]
_PLAIN = {"text": str, "integer": int, "number": float, "unix_time": int, "boolean": bool}
_CONVERTIBLE = {"number": "number", "integer": "integer", "boolean": "boolean"}


@dataclass(frozen=True, slots=True)
class Drift:
    """One way in which an answer differs, at one path, and how many times.

    ``type``: a value of type ``found`` stands where ``expected`` was. ``missing``: a field that was always there is
    not, or is null. ``new``: a member that no field names; its object's path where none can hold its name, or the
    name is data, which is nobody's business.
    """

    path: str
    kind: Kind
    count: int
    expected: str = ""
    found: str = ""


class Watch:
    """Looks at any number of answers by the same fields."""

    __slots__ = ("_check",)

    def __init__(self, fields: Sequence[Field], *, textual: bool = False) -> None:
        """``textual``: answers hold text only (XML, CSV), so that numbers and flags are read out of it."""
        known = {paths.split(one.path) for one in fields}
        root = FieldNode()
        for one in fields:
            steps = paths.split(one.path)
            node = root
            for step in steps:
                node = node.at(step)
            several = is_lifted(one, known) and None in paths.reach(steps)
            node.field = replace(one, list=False) if several else one
        whole = all(_is_held(paths.split(one.path), known) for one in fields)
        compiler = _Compiler(textual=textual)
        self._check: _Check = _pass
        if not fields:
            return
        if root.members and root.field is None:
            self._check = compiler.object(_WHOLE, root, (), known=whole)
        else:
            self._check = compiler.node(root, (), known=whole)

    def look(self, document: Any) -> tuple[Drift, ...]:
        """The differences of one answer, in the order found; empty where it is as it was."""
        found: _Found = {}
        self._check(document, found)
        return tuple(Drift(*key, count, *said) for key, (count, said) in found.items()) if found else ()


def drift(document: Any, fields: Sequence[Field]) -> tuple[Drift, ...]:
    """The differences between one answer and its fields; ``Watch`` is for many."""
    return Watch(fields).look(document)


_Found = dict[tuple[str, Kind], tuple[int, tuple[str, str]]]
_Check = Callable[[Any, _Found], None]
_WHOLE = Field("$", "object")


def _is_held(steps: Steps, known: set[Steps]) -> bool:
    """Whether every object on the way to a field is a field itself, as detected fields have it."""
    objects = [steps[:end] for end in range(1, len(steps)) if isinstance(steps[end], str | AnyKey)]
    return all(any(way[:end] in known for end in range(len(paths.reach(way)), len(way) + 1)) for way in objects)


def _pass(_value: Any, _found: _Found) -> None:
    """Nothing is known, so nothing differs."""


def _count(found: _Found, path: str, kind: Kind, expected: str = "", actual: str = "") -> None:
    before = found.get((path, kind))
    if before is not None:
        found[path, kind] = (before[0] + 1, before[1])
    elif len(found) < MOST_FINDINGS:
        found[path, kind] = (1, (expected, actual))


def _count_new(found: _Found, steps: Steps, members: dict[str, Any], names: AbstractSet[str]) -> None:
    for key, value in members.items():
        if key not in names and paths.is_expressible(key):  # what no path can name is never a field
            way = steps if is_data(key) else (*steps, key)
            _count(found, paths.join(way), "new", "", _type_of(value))


def _type_of(value: Any) -> str:
    if isinstance(value, dict):
        return "object"
    return "list" if isinstance(value, list) else kinds.kind_of(value).replace(kinds.BLANK, "text")


class _Compiler:
    """Makes the check of a tree of fields."""

    def __init__(self, *, textual: bool) -> None:
        self._textual = textual

    def node(self, node: FieldNode, steps: Steps, *, known: bool = False) -> _Check:
        """The check of the value (not null) at a node; ``known`` says that an object there has no other members."""
        own = node.field
        if own is None:
            return self._below(node, steps, known=known)
        if not own.include or own.undecided:
            return _pass
        inner: _Check = _pass
        if node.is_open:
            below = (*steps, None) if node.inner is not node else steps
            inner = self.object(own, node.inner, below, known=True)
        elif own.type in {"object", "map"}:
            inner = _object(own, self._value(own))
        elif own.type != "json":
            inner = self._value(own)
        if own.list:
            inner = _list(own, inner)
        return _parsed(own, inner) if own.parse else inner

    def object(self, own: Field, node: FieldNode, steps: Steps, *, known: bool) -> _Check:
        """The check of the object ``own`` and of what is below it."""
        if node.item is None and not node.places and node.value is None:
            return self._members(node, steps, known=known, own=own)
        return _object(own, self._below(node, steps, known=known))

    @staticmethod
    def _plain(node: FieldNode) -> type | None:
        """The type whose every value fits the node: most values are settled by it, without a call."""
        own = node.field
        is_single = own is not None and not (own.list or own.parse or node.is_open)
        return _PLAIN.get(own.type) if own is not None and is_single else None

    def _value(self, own: Field) -> _Check:
        path, kind, fits = own.path, own.type, kinds.fits
        plain = _PLAIN.get(kind)
        readable = _CONVERTIBLE.get(kind) if self._textual or own.pinned else None

        def check(value: Any, found: _Found) -> None:
            if type(value) is plain or fits(kind, value):
                return
            if readable is not None and isinstance(value, str):
                actual = kinds.kind_in_text(value)
                if actual == readable or (actual == "integer" and readable == "number"):
                    return
            _count(found, path, "type", kind, _type_of(value))

        return check

    def _below(self, node: FieldNode, steps: Steps, *, known: bool) -> _Check:
        if node.item is not None:
            return _list(Field(paths.join(steps), "json", list=True), self.node(node.item, (*steps, None)))
        if node.places:
            return self._places(node, steps)
        if node.value is None:
            return self._members(node, steps, known=known)
        return self._values(node, steps) if not node.members else self._map(node, steps)

    def _map(self, node: FieldNode, steps: Steps) -> _Check:
        """The check of a map some of whose keys are described by themselves."""
        members, values = self._members(node, steps, known=False), self._values(node, steps)

        def check(value: Any, found: _Found) -> None:
            members(value, found)
            values(value, found)

        return check

    def _values(self, node: FieldNode, steps: Steps) -> _Check:
        """The check of the values of a map, but for keys that are described by themselves."""
        assert node.value is not None  # it is a map
        each = self.node(node.value, (*steps, ANY_KEY))
        names = frozenset(node.members)

        def check(value: Any, found: _Found) -> None:
            if isinstance(value, dict) and each is not _pass:
                for key, held in islice(value.items(), MOST_ITEMS):
                    if held is not None and key not in names and paths.is_expressible(key):
                        each(held, found)

        return check

    def _members(self, node: FieldNode, steps: Steps, *, known: bool, own: Field | None = None) -> _Check:
        """The check of an object's members; ``own`` is the field of the object itself, where that is checked too."""
        plan = [
            (key, self._plain(below), self.node(below, (*steps, key)), self._absence(below))
            for key, below in node.members.items()
        ]
        names = frozenset(node.members)

        def check(value: Any, found: _Found) -> None:
            if isinstance(value, dict):
                members = value
            elif own is not None:
                _count(found, own.path, "type", own.type, _type_of(value))
                return
            else:
                members = {}
            for key, plain, below, absent in plan:
                held = members.get(key)
                if held is not None:
                    if type(held) is not plain and below is not _pass:
                        below(held, found)
                elif absent:
                    for missing, expected in absent:
                        _count(found, missing, "missing", expected)
            if known and not names.issuperset(members):
                _count_new(found, steps, members, names)

        return check

    def _places(self, node: FieldNode, steps: Steps) -> _Check:
        plan = [
            (place, self.node(below, (*steps, place)), self._absence(below)) for place, below in node.places.items()
        ]

        def check(value: Any, found: _Found) -> None:
            if not isinstance(value, list):
                return
            for place, below, absent in plan:
                held = value[place] if place < len(value) else None
                if held is not None:
                    below(held, found)
                else:
                    for missing, expected in absent:
                        _count(found, missing, "missing", expected)

        return check

    def _absence(self, node: FieldNode) -> tuple[tuple[str, str], ...]:
        """What is missing where nothing stands at the node: its field, or the nearest ones below, with their types."""
        own = node.field
        if own is not None:
            return ((own.path, own.type),) if own.include and not own.optional else ()
        values = [node.value] if node.value is not None else []  # a map may well be empty
        below = [one for one in node.below if one not in values]
        return tuple(each for one in below for each in self._absence(one))


def _object(own: Field, inner: _Check) -> _Check:
    def check(value: Any, found: _Found) -> None:
        if isinstance(value, dict):
            inner(value, found)
        else:
            _count(found, own.path, "type", own.type, _type_of(value))

    return check


def _list(own: Field, inner: _Check) -> _Check:
    def check(value: Any, found: _Found) -> None:
        if not isinstance(value, list):
            _count(found, own.path, "type", "list", _type_of(value))
        elif inner is not _pass:
            for item in value[:MOST_ITEMS]:
                if item is not None:
                    inner(item, found)

    return check


def _parsed(own: Field, inner: _Check) -> _Check:
    def check(value: Any, found: _Found) -> None:
        if isinstance(value, str):
            held = embedded.read(value)
            if held is None:
                _count(found, own.path, "type", own.type, "text")
                return
            value = held
        inner(value, found)

    return check
