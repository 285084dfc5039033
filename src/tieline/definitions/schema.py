"""The words a format is declared in: keys, kinds of value, records. Reads a tree by a declaration.

A record is data: its keys, their kinds, their defaults. The reader and the test that holds the documentation to the
format walk the same declaration. Knows no key of ``tieline/v1``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tieline.definitions.problems import Findings, Problem, in_form, join, shown, suggestion
from tieline.definitions.tree import Node, Sort, plain

_TEXT_MOST = 10_000
_FLAGS = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}


class Required:
    """Stands for the default of a key that has none."""


REQUIRED: Final = Required()


class Cursor:
    """A node, the way to it from the top, and where its problems go."""

    __slots__ = ("_column", "_line", "_name", "_parent", "findings", "node")

    def __init__(self, node: Node, findings: Findings, parent: "Cursor | None" = None, name: str = "") -> None:
        self.node = node
        self.findings = findings
        self._parent = parent
        self._name = name
        self._line, self._column = node.line, node.column

    @property
    def path(self) -> str:
        """Such as ``areas[2].levels``."""
        return join(*self.names())

    @property
    def at_text(self) -> tuple[int, int]:
        """Line and column, from 1; 0 where there was no text."""
        return self._line, self._column

    def names(self) -> list[str]:
        """The keys and list places on the way here."""
        return [*(self._parent.names() if self._parent is not None else ()), self._name]

    def key(self, key: str) -> "Cursor":
        """The value of ``key``, whose problems are told at the key; this place itself where the key is not given."""
        entry = self.node.value.get(key) if self.node.sort is Sort.MAPPING else None
        if entry is None:
            return self
        place = Cursor(entry.node, self.findings, self, key)
        place._line, place._column = entry.line, entry.column
        return place

    def item(self, index: int) -> "Cursor":
        """The ``index``-th value of a list; this place itself where it is no list."""
        if self.node.sort is not Sort.LIST:
            return self
        return Cursor(self.node.value[index], self.findings, self, f"[{index}]")

    def at(self, way: Iterable[str | int]) -> "Cursor":
        """The place that ``way``, keys and list places, leads to from here, as far as it is given."""
        place = self
        for step in way:
            place = place.key(step) if isinstance(step, str) else place.item(step)
        return place

    def has(self, key: str) -> bool:
        """Whether a mapping gives ``key``."""
        return self.node.sort is Sort.MAPPING and key in self.node.value

    def problem(self, message: str) -> None:
        """Note a problem here."""
        self.findings.add(Problem(self._line, self._column, self.path, message))

    def expected(self, what: str, like: str = "") -> None:
        """Note that something else than ``what`` stands here; ``like`` shows how it is written."""
        hint = f"; write it like {like}" if like else ""
        if self.node.sort is Sort.MAPPING and any(key.startswith("-") for key in self.node.value):
            hint = '; a blank is missing after the "-" of an item'
        if self.node.sort is Sort.NULL:
            self.problem(f"has no value; expected {what}, or leave the key out")
            return
        if what.startswith("text") and not like and self.node.sort in {Sort.WHOLE, Sort.NUMBER, Sort.FLAG}:
            hint = "; write it in quotes"
        self.problem(f"expected {what}, found {self.node.sort.value}{hint}")


class Kind(Protocol):
    """How one kind of value is read. ``says`` names it in the documentation."""

    @property
    def says(self) -> str:
        """The kind in words, such as ``duration``."""
        ...

    def read(self, place: Cursor) -> Any:
        """The value at ``place``; where it is wrong a problem is noted and the result means nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """Text that ``check`` turns into the value wanted, raising ValueError with what is wrong and what to do.

    ``like`` is an example.
    """

    what: str
    check: Callable[[str], Any] = str
    most: int = _TEXT_MOST
    like: str = ""

    @property
    def says(self) -> str:
        return self.what if self.most == _TEXT_MOST else f"{self.what} (up to {self.most:,} characters)"

    def read(self, place: Cursor) -> Any:
        text = place.node.value
        if place.node.sort is not Sort.TEXT:
            place.expected("text" if self.what.startswith("text") else f"text ({self.what})", self.like)
        elif len(text) > self.most:
            place.problem(f"longer than {self.most:,} characters; shorten it")
        else:
            try:
                return self.check(text)
            except ValueError as error:
                place.problem(str(error))
        return None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def says(self) -> str:
        return ", ".join(f"`{word}`" for word in self.words)

    def read(self, place: Cursor) -> Any:
        word = place.node.value
        if place.node.sort is not Sort.TEXT:
            place.expected(f"one of {', '.join(self.words)}")
        elif word not in self.words:
            place.problem(f"{shown(word)} is not known here{suggestion(word, self.words)}")
        return word


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    says: str = "true or false"

    def read(self, place: Cursor) -> Any:
        if place.node.sort is not Sort.FLAG:
            place.expected(self.says, _FLAGS.get(str(place.node.value).lower(), ""))
        return place.node.value


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from ``least`` to ``most``."""

    least: int
    most: int

    @property
    def says(self) -> str:
        return f"whole number {self.least}–{self.most}"

    def read(self, place: Cursor) -> Any:
        if place.node.sort is not Sort.WHOLE:
            place.expected("a whole number")
        elif not self.least <= place.node.value <= self.most:
            place.problem(f"must be between {self.least} and {self.most}")
        return place.node.value


@dataclass(frozen=True, slots=True)
class Written:
    """Text or a number as it was written, for figures that must stay exact."""

    says: str
    check: Callable[[str], Any]

    def read(self, place: Cursor) -> Any:
        node = place.node
        if node.sort not in {Sort.TEXT, Sort.WHOLE, Sort.NUMBER}:
            place.expected(f"a {self.says}")
            return None
        try:
            return self.check(node.value if node.sort is Sort.TEXT else node.written)
        except ValueError as error:
            place.problem(str(error))
            return None


@dataclass(frozen=True, slots=True)
class Data:
    """Any value at all, or any mapping where ``is_mapping``."""

    says: str = "any value"
    is_mapping: bool = False

    def read(self, place: Cursor) -> Any:
        value = plain(place.node)
        return place.expected("a mapping") if self.is_mapping and not isinstance(value, dict) else value


@dataclass(frozen=True, slots=True)
class Many:
    """A list of one kind, read as a tuple; ``single`` also takes one value without the list."""

    kind: Kind
    most: int
    single: bool = False
    least: int = 0

    @property
    def says(self) -> str:
        count = f"{self.least or 'up'} to {self.most:,}"
        return f"{self.kind.says}, or a list of {count}" if self.single else f"list of {self.kind.says}, {count}"

    def read(self, place: Cursor) -> Any:
        if place.node.sort is not Sort.LIST:
            if self.single:
                return (self.kind.read(place),)
            place.expected("a list", f"[{_example(self.kind)}]" if _example(self.kind) else "")
            return ()
        count = len(place.node.value)
        if not self.least <= count <= self.most:
            place.problem(f"holds {count:,}; {self.least} to {self.most:,} are allowed")
            return ()
        return tuple(self.kind.read(place.item(index)) for index in range(count))


@dataclass(frozen=True, slots=True)
class Named:
    """A mapping from names that people choose to values of one kind."""

    name: str
    check: Callable[[str], bool]
    rule: str
    kind: Kind
    most: int

    @property
    def says(self) -> str:
        return f"mapping from {self.name} to {self.kind.says}, up to {self.most:,}"

    def read(self, place: Cursor) -> Any:
        if place.node.sort is not Sort.MAPPING:
            place.expected("a mapping", f"{{a_name: {_example(self.kind)}}}" if _example(self.kind) else "")
            return {}
        if len(place.node.value) > self.most:
            place.problem(f"holds {len(place.node.value):,}; at most {self.most:,} are allowed")
            return {}
        found = {}
        for name in place.node.value:
            below = place.key(name)
            if not self.check(name):
                below.problem(f"{shown(name)} is no {self.name}: {self.rule}{in_form(name, self.check)}")
            found[name] = self.kind.read(below)
        return found


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a record. ``shows`` is its default in the documentation, where that is not the default itself."""

    name: str
    kind: Kind
    default: Any = REQUIRED
    shows: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with fixed keys; ``build`` makes the value of it and may note problems of keys against each other.

    With ``others`` further keys are allowed: ``build`` gets them as plain data under that name. ``like`` is an example.
    """

    title: str
    keys: tuple[Key, ...]
    build: Callable[[Mapping[str, Any], Cursor], Any]
    others: str = ""
    like: str = ""
    _by_name: dict[str, Key] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {key.name: key for key in self.keys})

    @property
    def says(self) -> str:
        return f"[{self.title}](#{self.title.replace(' ', '-')})"

    def read(self, place: Cursor) -> Any:
        if place.node.sort is not Sort.MAPPING:
            place.expected("a mapping", self.like)
            return None
        before = len(place.findings)
        others = [name for name in place.node.value if name not in self._by_name]
        values = {key.name: self._value(key, place) for key in self.keys}
        if self.others:
            values[self.others] = {name: plain(place.key(name).node) for name in others}
        else:
            for name in others:
                place.key(name).problem(f"unknown key {shown(name)}{suggestion(name, self._by_name)}")
        return self.build(values, place) if len(place.findings) == before else None

    def _value(self, key: Key, place: Cursor) -> Any:
        if place.has(key.name):
            return key.kind.read(place.key(key.name))
        if key.default is REQUIRED:
            like = f"; write it like {self.like}" if self.like else "; it is required"
            place.problem(f'the key "{key.name}" is missing{like}')
        return key.default


def _example(kind: Kind) -> str:
    if isinstance(kind, Choice):
        return kind.words[0]
    return kind.like if isinstance(kind, Text | Record) else ""
