"""Answers in the shape of their fields: what nobody excluded, under the names people gave, with JSON in text read.

Compiled once from the fields; applying it only walks. What an answer holds otherwise than its field says is handed on
as it is. Knows nothing of where answers come from.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tieline.definitions.infer import embedded
from tieline.definitions.infer.outline import FieldNode, Lift, outline
from tieline.definitions.infer.paths import ANY_KEY, Steps
from tieline.definitions.model import Field

Conversion = Callable[[Any], Any]

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?(?:[eE][+-]?[0-9]{1,3})?")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLAGS = {"true": True, "false": False}
_MOST_NESTED = 16


class Shaper:
    """Shapes any number of answers by the same fields; without fields answers stay whole.

    ``unknown`` says what becomes of members that no field names, at every depth: ``keep`` hands them out as they are,
    ``drop`` leaves them out.
    """

    __slots__ = ("_change", "_lifts")

    def __init__(self, fields: Sequence[Field], unknown: str = "keep") -> None:
        tree = outline(fields)
        compiler = _Compiler(keeps=unknown == "keep")
        self._lifts = tuple((lift, compiler.change(lift.node)) for lift in tree.lifts if lift.node.is_included)
        root = tree.root
        self._change: Conversion | None = None
        if tree.lifts and not (root.field or root.below):
            self._change = lambda _: {}
        elif fields:
            is_out = root.field is not None and not root.field.include
            self._change = (lambda _: None) if is_out else compiler.change(root)

    def apply(self, document: Any) -> Any:
        """The included fields of ``document`` as JSON; ``document`` itself is never changed, parts of it are reused."""
        shaped = document if self._change is None else self._change(document)
        if not self._lifts:
            return shaped
        result = dict(shaped) if isinstance(shaped, dict) else {}
        for lift, change in self._lifts:
            _lift(lift, change, document, result)
        return result


def shape(document: Any, fields: Sequence[Field], unknown: str = "keep") -> Any:
    """One answer in the shape of ``fields``; ``Shaper`` is for many."""
    return Shaper(fields, unknown).apply(document)


class _Compiler:
    """Makes the change of a tree of fields; ``keeps`` says that members which no field names are handed out."""

    def __init__(self, *, keeps: bool) -> None:
        self._keeps = keeps

    def change(self, node: FieldNode) -> Conversion | None:
        """How the value at a node is changed; None for not at all."""
        own = node.field
        if own is None:
            return self._below(node)
        change = self._below(node.inner) if node.is_open else _CONVERSIONS.get(own.type)
        if own.list and change is not None:
            change = _for_each(change)
        return _parsed(change) if own.parse else change

    def _is_out(self, node: FieldNode) -> bool:
        """Whether nothing at or below the node is handed out."""
        if self._keeps and node.field is None and not node.places:
            return False  # what is in it and was not seen is
        return not node.is_included

    def _below(self, node: FieldNode) -> Conversion | None:
        """How what is below a node without a type of its own is changed."""
        if node.item is not None:
            inner = self.change(node.item)
            return None if inner is None else _for_each(inner)
        if node.places:
            return _chosen([(at, self.change(one)) for at, one in sorted(node.places.items()) if one.is_included])
        if not node.members and node.value is None:
            return None
        plan: dict[str, _Member | None] = dict.fromkeys(node.lifted)
        for key, below in node.members.items():
            if key in node.lifted or self._is_out(below):
                plan[key] = None
                continue
            change = self.change(below)
            plan[key] = _Member(below.called(key), change, change in _OF_TEXT)
        names = [member.name for member in plan.values() if member is not None]
        plan = {**dict.fromkeys(names), **plan}  # what is new under a name that is given to another is left out
        return _members(plan, self._rest(node))

    def _rest(self, node: FieldNode) -> "_Member | None":
        """What becomes of members without a field of their own: the values of a map, or what nobody has seen before."""
        if node.value is None:
            return _Member("", None, of_text=False) if self._keeps else None
        if not node.value.is_included:
            return None
        change = self.change(node.value)
        return _Member("", change, change in _OF_TEXT)


class _Member(NamedTuple):
    """How a member is handed out: its name (blank for its own key) and its change, which may be for text only."""

    name: str
    change: Conversion | None
    of_text: bool


def _members(plan: Mapping[str, _Member | None], rest: _Member | None) -> Conversion:
    """How an object is changed: each member by ``plan``, those without one as ``rest`` says; None leaves it out.

    Members keep the order in which they came.
    """
    known = plan.get
    of_text = [key for key, each in plan.items() if each is not None and each.of_text and each.name == key]
    alike = {key for key, each in plan.items() if each is not None and each.change is None and each.name == key}
    stays = frozenset(alike.union(of_text)).issuperset

    def change(value: Any) -> Any:
        if not isinstance(value, dict):
            return _nested(value)
        if stays(value) and str not in map(type, map(value.get, of_text)):
            return value
        result = {}
        for key, found in value.items():
            member = known(key, rest)
            if member is None:
                continue
            name, below, only_text = member
            if below is None or found is None or (only_text and type(found) is not str):
                result[name or key] = found
            else:
                result[name or key] = below(found)
        return result

    def _nested(value: Any, depth: int = 1) -> Any:
        """A list where an object should be: its objects are shaped, so that nothing excluded gets out."""
        if not isinstance(value, list):
            return value
        if depth > _MOST_NESTED:
            return None
        return [change(item) if isinstance(item, dict) else _nested(item, depth + 1) for item in value]

    return change


def _for_each(inner: Conversion) -> Conversion:
    def change(value: Any) -> Any:
        if isinstance(value, list):
            return [None if item is None else inner(item) for item in value]
        return inner(value)

    return change


def _chosen(plan: Sequence[tuple[int, Conversion | None]]) -> Conversion:
    def change(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        found = [(value[place], below) for place, below in plan if place < len(value)]
        return [item if below is None or item is None else below(item) for item, below in found]

    return change


def _parsed(inner: Conversion | None) -> Conversion:
    def change(value: Any) -> Any:
        if isinstance(value, str):
            held = embedded.read(value)
            if held is None:
                return value
            value = held
        return value if inner is None else inner(value)

    return change


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _NUMBER.fullmatch(value)
    if found is None:
        return value
    return int(value) if found[0].lstrip("-").isdigit() else float(value)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value


def _flag(value: Any) -> Any:
    return _FLAGS.get(value, value) if isinstance(value, str) else value


_CONVERSIONS: dict[str, Conversion] = {"number": _number, "integer": _whole, "unix_time": _number, "boolean": _flag}
_OF_TEXT = frozenset({_number, _whole, _flag})


def _lift(lift: Lift, change: Conversion | None, document: Any, result: dict[str, Any]) -> None:
    """Put what is lifted into ``result``; nothing where its way leads nowhere."""
    found: list[Any] = []
    collect(document, lift.steps, found)
    values = [value if change is None or value is None else change(value) for value in found]
    if lift.several:
        result[lift.name] = values
    elif values:
        result[lift.name] = values[0]


def collect(value: Any, steps: Steps, found: list[Any], at: int = 0) -> None:
    """Add the values that ``steps`` lead to, in order; places and members that are not there add nothing."""
    for index in range(at, len(steps)):
        step = steps[index]
        if step is None or step is ANY_KEY:
            holder = list if step is None else dict
            if isinstance(value, holder):
                for each in value if isinstance(value, list) else value.values():
                    collect(each, steps, found, index + 1)
            return
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return
            value = value[step]
        else:
            if not isinstance(value, list) or step >= len(value) or not value:
                return
            value = value[step]
    found.append(value)
