"""From evidence to fields: decides what each place holds, names object types, keeps the bounds."""

import re
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, Final, Literal

from tieline.definitions.infer import kinds, paths
from tieline.definitions.infer.evidence import Evidence
from tieline.definitions.infer.maps import fold_maps
from tieline.definitions.infer.paths import Steps
from tieline.definitions.model import Field

MOST_FIELDS: Final = 2_000
_MOST_NESTED = 16
_ROOM = 8
_PARTS = re.compile(r"[^\W_]+")
_PLURALS = {"children": "child", "people": "person", "men": "man", "women": "woman", "indices": "index"}
_Signature = tuple[tuple[str, str, bool, bool], ...]


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a place holds: an object or list to look into, or a value of a type."""

    sort: Literal["object", "list", "value"]
    type: str = "json"
    parse: bool = False
    undecided: bool = False


def settle(root: Evidence, *, textual: bool = False) -> tuple[Field, ...]:
    """The fields of what was seen, in the order of the documents, at most 2,000. ``root`` is used up by it.

    Where that is not enough, the objects that need more than is left become ``json``.
    """
    fold_maps(root)
    return tuple(_Settlement(textual=textual).whole(root))


class _Settlement:
    """One run: the names given to object types so far, and the sizes of subtrees."""

    def __init__(self, *, textual: bool) -> None:
        self._textual = textual
        self._sizes: dict[int, int] = {}
        self._named: dict[str, _Signature] = {}

    def whole(self, root: Evidence) -> list[Field]:
        """The fields of the whole document: its members, or ``$`` where it is no plain object with members."""
        verdict = self._verdict(root)
        if verdict.sort == "object" and not verdict.parse and root.members:
            found = self._members(root, (), MOST_FIELDS)
            return [Field("$", "json")] if found is None else found
        return self._place(root, (), MOST_FIELDS) if root.seen else []

    def _verdict(self, place: Evidence) -> _Verdict:
        texts = place.scalars <= kinds.TEXTS | {kinds.BLANK}
        objects = place.objects + place.maps
        structure = (objects > 0) + (place.item is not None) + place.irregular
        if place.scalars and (structure or place.parsed):
            if texts and not place.inline:
                return _Verdict("value", "text")
            return _Verdict("value")
        if structure > 1 or place.irregular or (place.parsed and place.inline):
            return _Verdict("value", parse=place.parsed and not place.inline)
        if structure:
            return _Verdict("object" if objects else "list", parse=place.parsed)
        if not place.scalars:
            return _Verdict("value", parse=place.parsed, undecided=True)
        kind = kinds.widen(place.scalars, textual=self._textual)
        return _Verdict("value", "text", undecided=True) if kind == kinds.BLANK else _Verdict("value", kind)

    def _size(self, place: Evidence) -> int:
        """How many fields the place and what is below it need."""
        known = self._sizes.get(id(place))
        if known is None:
            verdict = self._verdict(place)
            if verdict.sort == "object":
                values = [place.value] if place.value is not None else []
                known = 1 + sum(self._size(below) for below in (*place.members.values(), *values))
            else:
                known = self._size(place.item) if verdict.sort == "list" and place.item is not None else 1
            self._sizes[id(place)] = known
        return known

    def _place(self, place: Evidence, steps: Steps, room: int, *, optional: bool = False) -> list[Field]:
        """The fields of one place, at most ``room`` (at least one)."""
        verdict = self._verdict(place)
        if verdict.sort == "list" and place.item is not None:
            return self._list(place, steps, room, optional=optional)
        if verdict.sort == "object":
            return self._object(place, steps, room, {"optional": optional, "parse": verdict.parse})
        return [
            Field(
                paths.join(steps),
                verdict.type,
                parse=verdict.parse,
                optional=optional,
                undecided=verdict.undecided,
                sample=place.sample,
            )
        ]

    def _list(self, place: Evidence, steps: Steps, room: int, *, optional: bool) -> list[Field]:
        """A list: its own path where its items are plain, the path of its items where those are lists or text."""
        item = place.each()
        verdict = self._verdict(item)
        lists = sum(step is None for step in steps[-_MOST_NESTED:])
        nested = verdict.sort == "list" or verdict.parse
        if nested and not place.parsed and lists < _MOST_NESTED:
            return self._place(item, (*steps, None), room, optional=optional)
        how: dict[str, Any] = {"list": True, "optional": optional, "parse": place.parsed}
        if verdict.sort == "object" and not verdict.parse:
            return self._object(item, steps, room, how)
        sample = None if item.sample is None or nested else [item.sample]
        kind = "json" if nested else verdict.type
        return [Field(paths.join(steps), kind, **how, undecided=verdict.undecided and not nested, sample=sample)]

    def _object(self, place: Evidence, steps: Steps, room: int, how: dict[str, Any]) -> list[Field]:
        """An object or map, or a list of them, and what is in it; ``json`` where that does not fit."""
        path = paths.join(steps)
        inner: Steps = (*steps, None) if how.get("list") else steps
        if place.maps:
            value = place.every()
            if self._size(value) >= room or len(path) + _ROOM > paths.MOST_LENGTH:
                return [Field(path, "json", **how)]
            return [Field(path, "map", **how), *self._place(value, (*inner, paths.ANY_KEY), room - 1)]
        below = self._members(place, inner, room - 1)
        if below is None:
            return [Field(path, "json", **how)]
        name = self._name(steps, below, path, listed=bool(how.get("list")))
        return [Field(path, "object", object=name, undecided=not below, **how), *below]

    def _members(self, place: Evidence, steps: Steps, room: int) -> list[Field] | None:
        """The fields of an object's members; None where there is no room, or the paths would be too long."""
        prefix = len(paths.join(steps)) + _ROOM
        if len(place.members) > room or any(prefix + len(name) > paths.MOST_LENGTH for name in place.members):
            return None
        found: list[Field] = []
        left = len(place.members)
        for name, below in place.members.items():
            left -= 1
            allowed = min(self._size(below), room - len(found) - left)
            found += self._place(below, (*steps, name), allowed, optional=below.seen < place.objects)
        return found

    def _name(self, steps: Steps, below: list[Field], path: str, *, listed: bool) -> str:
        """A name for the object type; types of the same members under the same name are one."""
        signature = tuple((one.path[len(path) :], one.type, one.list, one.parse) for one in below)
        keys = [step for step in steps if isinstance(step, str)]
        own = _type_name(keys[-1] if keys else "", listed=listed or (bool(steps) and steps[-1] is None))
        above = _type_name(keys[-2], listed=True, plain=True) if len(keys) > 1 else ""
        for name in chain((own, (above + own)[:150]), (f"{own}{number}" for number in count(2))):
            if self._named.setdefault(name, signature) == signature:
                return name
        raise AssertionError("numbers do not end")


def _type_name(key: str, *, listed: bool, plain: bool = False) -> str:
    """``OrderLine`` of ``order_lines``: the words of a member's name, singular for items of a list."""
    parts = _PARTS.findall(key)
    if not parts:
        return "" if plain else "Item" if listed else "Object"
    name = "".join(part[0].upper() + part[1:] for part in parts)[:100]
    if not listed:
        return name
    single = _singular(name)
    return single + "Item" if single == name and not plain else single


def _singular(name: str) -> str:
    lower = name.lower()
    for plural, single in _PLURALS.items():
        if lower.endswith(plural):
            return name[: -len(plural)] + (single.title() if name[-len(plural)].isupper() else single)
    if lower.endswith("ies") and len(name) > 4:
        return name[:-3] + "y"
    if lower.endswith(("sses", "shes", "ches", "xes")):
        return name[:-2]
    return name[:-1] if lower.endswith("s") and not lower.endswith(("ss", "us", "is")) else name
