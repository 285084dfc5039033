"""Answers in the shape of their fields: what is included, under the names people gave, with JSON in text read.

Compiled once from the fields; applying it only walks. What an answer holds otherwise than its field says is handed on
as it is. Knows nothing of where answers come from.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tieline.definitions.infer import embedded
from tieline.definitions.infer.outline import Lift, Node, outline
from tieline.definitions.infer.paths import Steps
from tieline.definitions.model import Field

Change = Callable[[Any], Any]

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?(?:[eE][+-]?[0-9]{1,3})?")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLAGS = {"true": True, "false": False}
_MOST_NESTED = 16


class Shaper:
    """Shapes any number of answers by the same fields; without fields answers stay whole."""

    __slots__ = ("_change", "_lifts")

    def __init__(self, fields: Sequence[Field]) -> None:
        tree = outline(fields)
        self._lifts = tuple((lift, _change(lift.node)) for lift in tree.lifts if _is_included(lift.node))
        root = tree.root
        self._change: Change | None = None
        if tree.lifts and not (root.field or root.members or root.item or root.places):
            self._change = lambda _: {}
        elif fields:
            self._change = _change(root) if root.field is None or root.field.include else lambda _: None

    def apply(self, document: Any) -> Any:
        """The included fields of ``document`` as JSON; ``document`` itself is never changed, parts of it are reused."""
        shaped = document if self._change is None else self._change(document)
        if not self._lifts:
            return shaped
        result = dict(shaped) if isinstance(shaped, dict) else {}
        for lift, change in self._lifts:
            _lift(lift, change, document, result)
        return result


def shape(document: Any, fields: Sequence[Field]) -> Any:
    """One answer in the shape of ``fields``; ``Shaper`` is for many."""
    return Shaper(fields).apply(document)


def _is_included(node: Node) -> bool:
    """Whether something at or below the node is handed out."""
    if node.field is not None:
        return node.field.include
    below = [*node.members.values(), *node.places.values(), *([node.item] if node.item is not None else [])]
    return any(_is_included(each) for each in below)


def _change(node: Node) -> Change | None:
    """How the value at a node is changed; None for not at all."""
    own = node.field
    if own is None:
        return _below(node)
    change = _below(node.inner) if node.is_open else _CONVERSIONS.get(own.type)
    if own.list and change is not None:
        change = _for_each(change)
    return _parsed(change) if own.parse else change


def _below(node: Node) -> Change | None:
    """How what is below a node without a type of its own is changed."""
    if node.item is not None:
        inner = _change(node.item)
        return None if inner is None else _for_each(inner)
    if node.places:
        chosen = [(place, _change(below)) for place, below in sorted(node.places.items()) if _is_included(below)]
        return _chosen(chosen)
    if not node.members:
        return None
    return _members(
        [
            (key, below.called(key), change, change in _OF_TEXT)
            for key, below in node.members.items()
            if _is_included(below)
            for change in (_change(below),)
        ]
    )


def _members(plan: Iterable[tuple[str, str, Change | None, bool]]) -> Change:
    """How an object is changed: members by their key, new name and change, which may leave all but text as it is."""
    plan = tuple(plan)

    def change(value: Any) -> Any:
        if not isinstance(value, dict):
            return _nested(value)
        result = {}
        for key, name, below, of_text in plan:
            if key in value:
                found = value[key]
                if below is None or found is None or (of_text and type(found) is not str):
                    result[name] = found
                else:
                    result[name] = below(found)
        return result

    def _nested(value: Any, depth: int = 1) -> Any:
        """A list where an object should be: its objects are shaped, so that nothing excluded gets out."""
        if not isinstance(value, list):
            return value
        if depth > _MOST_NESTED:
            return None
        return [change(item) if isinstance(item, dict) else _nested(item, depth + 1) for item in value]

    return change


def _for_each(inner: Change) -> Change:
    def change(value: Any) -> Any:
        if isinstance(value, list):
            return [None if item is None else inner(item) for item in value]
        return inner(value)

    return change


def _chosen(plan: Sequence[tuple[int, Change | None]]) -> Change:
    def change(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        found = [(value[place], below) for place, below in plan if place < len(value)]
        return [item if below is None or item is None else below(item) for item, below in found]

    return change


def _parsed(inner: Change | None) -> Change:
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


_CONVERSIONS: dict[str, Change] = {"number": _number, "integer": _whole, "unix_time": _number, "boolean": _flag}
_OF_TEXT = frozenset({_number, _whole, _flag})


def _lift(lift: Lift, change: Change | None, document: Any, result: dict[str, Any]) -> None:
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
        if step is None:
            if isinstance(value, list):
                for item in value:
                    collect(item, steps, found, index + 1)
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
