"""The table that says which area and level an operation of one API needs.

Built once when a definition is compiled, then only read; on the hot path of every relayed request. Knows methods and
paths, not keys or grants.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tieline.access.levels import Level
from tieline.access.rules import Area, Rule, parse_rule
from tieline.access.verdict import Allowed
from tieline.core.names import is_area_name

__all__ = ["Area", "AreaTable", "Match", "Rule", "parse_rule"]

_READING = (b"GET", b"HEAD", b"OPTIONS")
_WILD_NAME = re.compile(r"\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class Match:
    """What an operation needs: ``level`` of ``area``. ``allowed`` is the answer for a key that has it, made once."""

    area: Area
    level: Level
    allowed: Allowed = field(repr=False, compare=False)


class _Leaf:
    """What one pattern needs, by method."""

    __slots__ = ("by_method", "claims", "other")

    def __init__(self) -> None:
        self.claims: dict[bytes | None, tuple[Area, Rule]] = {}
        self.by_method: dict[bytes, Match] = {}
        self.other: Match | None = None

    def find(self, method: bytes) -> Match | None:
        return self.by_method.get(method, self.other)


class _Node:
    """One step into the patterns: by literal segment, ``:verb`` of one segment, any one, all others, or its end."""

    __slots__ = ("end", "literals", "one", "rest", "verbs")

    def __init__(self) -> None:
        self.literals: dict[bytes, _Node] = {}
        self.verbs: dict[bytes, _Node] = {}
        self.one: _Node | None = None
        self.rest: _Leaf | None = None
        self.end: _Leaf | None = None

    def find(self, segments: list[bytes], index: int, method: bytes) -> Match | None:
        """The most specific pattern from here on that fits ``segments[index:]`` and has a rule for ``method``."""
        if index == len(segments):
            return None if self.end is None else self.end.find(method)
        child = self.literals.get(segments[index])
        if child is not None:
            match = child.find(segments, index + 1, method)
            if match is not None:
                return match
        if self.verbs:
            name, colon, verb = segments[index].rpartition(b":")
            child = self.verbs.get(colon + verb) if name else None
            if child is not None:
                match = child.find(segments, index + 1, method)
                if match is not None:
                    return match
        if self.one is not None:
            match = self.one.find(segments, index + 1, method)
            if match is not None:
                return match
        return None if self.rest is None else self.rest.find(method)


class _Trie:
    """All rules of an API's areas. With ``fold`` every literal is in lower case."""

    def __init__(self, areas: Sequence[Area], matches: dict[tuple[str, Level], Match], *, fold: bool) -> None:
        self.root = _Node()
        self.exact: dict[bytes, _Leaf] = {}
        self._fold = fold
        for area in areas:
            for rule in area.rules:
                self._claim(area, rule)
        for leaf in _leaves(self.root):
            _settle(leaf, matches)

    def find(self, method: bytes, path: bytes) -> Match | None:
        leaf = self.exact.get(path)
        if leaf is not None:
            match = leaf.find(method)
            if match is not None:
                return match
        if path.endswith(b"/"):
            path = path[:-1]
        return self.root.find(path.split(b"/"), 1, method)

    def _claim(self, area: Area, rule: Rule) -> None:
        leaf = self._leaf(rule.pattern)
        for method in [None] if rule.methods is None else sorted(rule.methods):
            key = None if method is None else method.encode()
            if key in leaf.claims:
                msg = (
                    f'"{rule}" of the area "{area.name}" is claimed already by "{leaf.claims[key][1]}" of '
                    f'"{leaf.claims[key][0].name}". An operation belongs to one area: remove one of the two.'
                )
                raise ValueError(msg)
            leaf.claims[key] = (area, rule)

    def _leaf(self, pattern: str) -> _Leaf:
        text = (pattern.lower() if self._fold else pattern).encode()
        segments = [] if text == b"/" else text[1:].split(b"/")
        open_ended = bool(segments) and segments[-1] == b"*"
        node = self.root
        for segment in segments[:-1] if open_ended else segments:
            node = _step(node, segment)
        if open_ended:
            if node.rest is None:
                node.rest = _Leaf()
            return node.rest
        if node.end is None:
            node.end = _Leaf()
        if not any(_is_wild(segment) for segment in segments):
            self.exact[text] = node.end
        return node.end


class AreaTable:
    """The areas of one API and their operations, ready for look-ups.

    ``literal`` says that the API takes every segment of a path for itself, dot segments too (``paths.check``).
    ``has_capitals``: a literal part of a pattern has some, so that a path in small letters has another reading too.
    """

    __slots__ = ("_by_name", "_children", "_loose", "_matches", "_strict", "areas", "has_capitals", "literal")

    def __init__(self, areas: Sequence[Area], *, literal: bool = False) -> None:
        """Compile ``areas``.

        Raises:
            ValueError: a name, level or parent that cannot be, or an operation that two rules claim.
        """
        self.areas = tuple(areas)
        self.literal = literal
        self.has_capitals = any(_has_capitals(rule.pattern) for area in self.areas for rule in area.rules)
        self._by_name = {area.name: area for area in self.areas}
        _check(self.areas, self._by_name)
        self._children = {
            parent.name: tuple(area for area in self.areas if area.parent == parent.name)
            for parent in self.areas
            if parent.is_parent
        }
        matches = {
            (area.name, level): Match(area, level, Allowed(area.name, level)) for area in self.areas for level in Level
        }
        self._matches = matches
        self._strict = _Trie(self.areas, matches, fold=False)
        try:
            self._loose: _Trie | None = _Trie(self.areas, matches, fold=True)
        except ValueError:
            self._loose = None  # two patterns differ in case only: to this API case means something

    def find(self, method: bytes | str, path: bytes | str, *, upgrade: bool = False) -> Match | None:
        """The area and level that ``method`` on ``path``, one reading of it, needs; None where no area covers it.

        A literal segment goes before a verb, a verb before a wildcard, left to right, then a rule for the method before
        one for any. HEAD counts as GET where no rule names it. A trailing slash makes no difference. An ``upgrade``
        never counts as read.
        """
        match = self._strict.find(_octets(method), _octets(path))
        return self._as_upgrade(match) if upgrade else match

    def find_any_case(self, method: bytes, path: bytes, *, upgrade: bool = False) -> Match | None:
        """What ``find`` says for an upstream that ignores case, unless two patterns here differ in case only."""
        if self._loose is None:
            return self.find(method, path, upgrade=upgrade)
        match = self._loose.find(method, path.lower())
        return self._as_upgrade(match) if upgrade else match

    def _as_upgrade(self, match: Match | None) -> Match | None:
        return match if match is None or match.level is not Level.READ else self._matches[match.area.name, Level.WRITE]

    def as_asked(self, match: Match | None, level: Level | None) -> Match | None:
        """``match`` for a request that is said to read or write, whatever its method; an area's only level stays."""
        if match is None or level is None or match.level is level or len(match.area.levels) == 1:
            return match
        return self._matches[match.area.name, level]

    def area(self, name: str) -> Area | None:
        """The area called ``name``, or None."""
        return self._by_name.get(name)

    def children(self, parent: str) -> tuple[Area, ...]:
        """The areas grouped under ``parent``, in order; empty for an area that is no parent."""
        return self._children.get(parent, ())


def _octets(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode(errors="replace")


def _has_capitals(pattern: str) -> bool:
    """Whether ``pattern`` has capital letters but for those in the names of its wildcards."""
    literal = _WILD_NAME.sub("", pattern)
    return literal != literal.lower()


def _is_wild(segment: bytes) -> bool:
    return segment.startswith((b"*", b"{"))


def _step(node: _Node, segment: bytes) -> _Node:
    """The node behind ``segment``, made where it is missing."""
    if not _is_wild(segment):
        return node.literals.setdefault(segment, _Node())
    _, colon, verb = segment.partition(b":")
    if colon:
        return node.verbs.setdefault(colon + verb, _Node())
    if node.one is None:
        node.one = _Node()
    return node.one


def _leaves(node: _Node) -> Iterator[_Leaf]:
    for leaf in (node.end, node.rest):
        if leaf is not None:
            yield leaf
    for child in (*node.literals.values(), *node.verbs.values()):
        yield from _leaves(child)
    if node.one is not None:
        yield from _leaves(node.one)


def _settle(leaf: _Leaf, matches: dict[tuple[str, Level], Match]) -> None:
    """Work out what each method needs, so that a look-up is one dictionary access."""

    def needed(claim: tuple[Area, Rule], *, reading: bool) -> Match:
        area, rule = claim
        return matches[area.name, rule.level or _implied(area, reading=reading)]

    for method, claim in leaf.claims.items():
        if method is None:
            leaf.other = needed(claim, reading=False)
        else:
            leaf.by_method[method] = needed(claim, reading=method in _READING)
    if b"GET" in leaf.by_method:
        leaf.by_method.setdefault(b"HEAD", leaf.by_method[b"GET"])
    if None in leaf.claims:
        for method in _READING:
            leaf.by_method.setdefault(method, needed(leaf.claims[None], reading=True))


def _implied(area: Area, *, reading: bool) -> Level:
    """The level that a method implies in ``area``: the only one it has, or read for methods that only read."""
    if len(area.levels) == 1:
        return area.levels[0]
    return Level.READ if reading else Level.WRITE


_LEVELS = ((), (Level.READ,), (Level.WRITE,), (Level.READ, Level.WRITE), (Level.REQUEST,))


def _check(areas: tuple[Area, ...], by_name: dict[str, Area]) -> None:
    if len(by_name) < len(areas):
        names = [area.name for area in areas]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f'Two areas are called "{twice}". Give each its own name.'
        raise ValueError(msg)
    for area in areas:
        problem = _problem(area, by_name)
        if problem is not None:
            msg = f'The area "{area.name}" {problem}'
            raise ValueError(msg)


def _problem(area: Area, by_name: dict[str, Area]) -> str | None:
    """What is wrong with ``area``, to follow its name, or None."""
    parent = None if area.parent is None else by_name.get(area.parent)
    stray = next((rule for rule in area.rules if rule.level is not None and rule.level not in area.levels), None)
    checks = (
        (not is_area_name(area.name), "has no usable name. Use lower-case letters, digits and _, a letter first."),
        (area.levels not in _LEVELS, "has levels that do not go together. Use read, or read and write, or request."),
        (
            area.is_parent and bool(area.rules),
            "has rules but no levels. Give it levels, or give the rules to children.",
        ),
        (area.is_parent and area.parent is not None, "is a parent and has one. Areas nest one deep: drop its parent."),
        (area.parent is not None and parent is None, f'names the parent "{area.parent}", which there is not. Add it.'),
        (parent is not None and not parent.is_parent, f'names the parent "{area.parent}", which has its own levels.'),
        (stray is not None, f'does not offer the level of its rule "{stray}". Add the level or change the rule.'),
    )
    return next((text for wrong, text in checks if wrong), None)
