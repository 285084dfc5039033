"""Text to a tree of plain values that remembers where each stood. Knows YAML, nothing of the definition format.

The reader takes the part of YAML 1.2 that JSON has too: mappings with text keys, lists, text, numbers, true, false and
null. Anchors, aliases, tags, several documents, duplicate keys and other keys are refused. It builds from the parser's
events, one loop and no recursion, so that nothing is expanded or nested before it is counted.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import yaml

from tieline.definitions.problems import DefinitionError, Findings, Problem, join, shown
from tieline.definitions.yaml_slips import explain

MOST_BYTES = 4 * 1024 * 1024
MOST_DEPTH = 64
MOST_VALUES = 500_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_NUMBER_LENGTH = 40
_WHOLE_LEAST, _WHOLE_MOST = -(2**63), 2**64 - 1
_SURROGATES = re.compile(r'\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|[^"])')


class Sort(StrEnum):
    """What a value is, in the words an error uses."""

    MAPPING = "a mapping"
    LIST = "a list"
    TEXT = "text"
    WHOLE = "a whole number"
    NUMBER = "a number"
    FLAG = "true or false"
    NULL = "nothing"


@dataclass(slots=True)
class Node:
    """A value and where it stands.

    ``value`` is a dict of ``KeyedNode`` by key, a list of nodes, or the Python value; ``written`` is a number as it was
    written, so that money can be read exactly.
    """

    sort: Sort
    value: Any
    line: int = 0
    column: int = 0
    written: str = ""


@dataclass(slots=True)
class KeyedNode:
    """A key of a mapping with the place of the key, and its value."""

    line: int
    column: int
    node: Node


def compose(text: str) -> Node:
    """The one document in ``text`` as a tree; raises DefinitionError."""
    _check_characters(text)
    loader = _LOADER(_join_surrogates(text))
    try:
        return _Builder().build(loader)
    except yaml.MarkedYAMLError as error:
        raise _refusal(*explain(error, text)) from None
    except yaml.YAMLError:
        raise _refusal("this is not valid YAML: a character stands where none may") from None
    finally:
        loader.dispose()


def plant(value: object) -> Node:
    """Plain data (dict, list, str, int, float, bool, None) as a tree without places; raises DefinitionError."""
    return _plant(value, 0)


def plain(node: Node) -> Any:
    """The tree as plain data."""
    if node.sort is Sort.MAPPING:
        return {key: plain(entry.node) for key, entry in node.value.items()}
    if node.sort is Sort.LIST:
        return [plain(item) for item in node.value]
    return node.value


def _refusal(message: str, line: int = 0, column: int = 0) -> DefinitionError:
    return DefinitionError([Problem(line, column, "", message)])


def _check_characters(text: str) -> None:
    if len(text) > MOST_BYTES or len(text.encode(errors="replace")) > MOST_BYTES:
        raise _refusal("the definition is larger than 4 MiB; split the API into several")
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        before = text[: bad.start()]
        line, column = before.count("\n") + 1, bad.start() - before.rfind("\n")
        raise _refusal(f"the character U+{ord(bad[0]):04X} is not allowed; remove it", line, column)


def _join_surrogates(text: str) -> str:
    r"""JSON writes characters beyond U+FFFF as two ``\u`` escapes, which YAML does not know: join them.

    Only in text that is JSON, since a backslash in YAML text often stands for itself.
    """
    if "\\u" not in text or not text.lstrip("\ufeff \t\r\n").startswith("{"):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text

    def joined(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        return chr(0x10000 + ((int(found[1], 16) - 0xD800) << 10) + int(found[2], 16) - 0xDC00)

    return _SURROGATES.sub(joined, text)


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come: its name in what holds it, and the ``key`` that waits for its value."""

    node: Node
    name: str = ""
    key: str | None = None
    key_line: int = 0
    key_column: int = 0


class _Builder:
    """Builds the tree from parser events."""

    def __init__(self) -> None:
        self._findings = Findings()
        self._open: list[_Open] = []
        self._root: Node | None = None
        self._documents = 0
        self._values = 0

    def build(self, loader: Any) -> Node:
        while loader.check_event():
            self._take(loader.get_event())
        if self._root is None:
            raise _refusal("the definition is empty; it begins with `tieline: v1`")
        self._findings.settle()
        return self._root

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._refuse_marks(event)
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._refuse_marks(event)
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            node = Node(Sort.MAPPING, {}) if is_mapping else Node(Sort.LIST, [])
            self._open.append(_Open(node, self._place(node, event)))
            if len(self._open) > MOST_DEPTH:
                raise self._stop(event, f"nested deeper than {MOST_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
        elif isinstance(event, yaml.AliasEvent):
            raise self._stop(event, "aliases (*name) are not allowed; write the value out")
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if event.tags:
                raise self._stop(event, "tags are not allowed; remove the %TAG line")
            if self._documents > 1:
                raise self._stop(event, "one file holds one definition; put the second document in a file of its own")

    def _stop(self, event: Any, message: str) -> DefinitionError:
        return _refusal(message, event.start_mark.line + 1, event.start_mark.column + 1)

    def _refuse_marks(self, event: Any) -> None:
        if event.anchor is not None:
            raise self._stop(event, "anchors (&name) are not allowed; write the value out where it is used")
        if event.tag is not None:
            raise self._stop(event, "tags (!name) are not allowed; remove it")

    def _scalar(self, event: Any) -> None:
        opened = self._open[-1] if self._open else None
        if opened is not None and opened.node.sort is Sort.MAPPING and opened.key is None:
            self._key(opened, event)
            return
        if event.style:
            if _SURROGATE.search(event.value):
                raise self._stop(event, "this text holds half a character (a lone surrogate); remove it")
            node = Node(Sort.TEXT, event.value)
        else:
            sort, value = _understand(event.value)
            if value is None and sort is not Sort.NULL:
                raise self._stop(event, f"the number {shown(event.value)} is out of range; write it in quotes as text")
            node = Node(sort, value, written=event.value)
        self._place(node, event)

    def _key(self, opened: _Open, event: Any) -> None:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        key = event.value
        if not event.style and _understand(key)[0] is not Sort.TEXT:
            raise self._stop(event, f"a key is text; write {shown(key)} in quotes")
        if key in opened.node.value:
            first = opened.node.value[key].line
            path = join(*(part.name for part in self._open), key)
            message = f"duplicate key {shown(key)}, first on line {first}; keep one of them"
            self._findings.add(Problem(line, column, path, message))
        opened.key, opened.key_line, opened.key_column = key, line, column

    def _place(self, node: Node, event: Any) -> str:
        """Put ``node`` where it belongs; its name there."""
        node.line, node.column = event.start_mark.line + 1, event.start_mark.column + 1
        self._values += 1
        if self._values > MOST_VALUES:
            raise self._stop(event, f"more than {MOST_VALUES:,} values; split the API into several")
        if not self._open:
            self._root = node
            return ""
        opened = self._open[-1]
        if opened.node.sort is Sort.LIST:
            opened.node.value.append(node)
            return f"[{len(opened.node.value) - 1}]"
        name, opened.key = opened.key, None
        if name is None:
            raise self._stop(event, "a key is text, not a mapping or list")
        opened.node.value[name] = KeyedNode(opened.key_line, opened.key_column, node)
        return name


def _understand(text: str) -> tuple[Sort, Any]:
    """What an unquoted scalar is; a number out of range has the value None."""
    if text in {"", "~", "null", "Null", "NULL"}:
        return Sort.NULL, None
    if text in {"true", "True", "TRUE", "false", "False", "FALSE"}:
        return Sort.FLAG, text[0] in "tT"
    if text[0] not in "-0123456789" or not _NUMBER.fullmatch(text):
        return Sort.TEXT, text
    if _WHOLE.fullmatch(text):
        whole = int(text) if len(text) <= _NUMBER_LENGTH else _WHOLE_MOST + 1
        return Sort.WHOLE, whole if _WHOLE_LEAST <= whole <= _WHOLE_MOST else None
    number = float(text) if len(text) <= _NUMBER_LENGTH else math.inf
    return Sort.NUMBER, number if math.isfinite(number) else None


def _plant(value: object, depth: int) -> Node:
    if depth >= MOST_DEPTH and not isinstance(value, str | int | float | None):
        raise _refusal(f"nested deeper than {MOST_DEPTH} levels")
    if isinstance(value, Mapping):
        entries = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise _refusal("a key is text")
            entries[key] = KeyedNode(0, 0, _plant(item, depth + 1))
        return Node(Sort.MAPPING, entries)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return Node(Sort.LIST, [_plant(item, depth + 1) for item in value])
    return _plant_scalar(value)


def _plant_scalar(value: object) -> Node:
    match value:
        case None:
            return Node(Sort.NULL, None)
        case bool():
            return Node(Sort.FLAG, value)
        case int():
            if not _WHOLE_LEAST <= value <= _WHOLE_MOST:
                raise _refusal("a whole number is out of range; write it as text")
            return Node(Sort.WHOLE, value, written=str(value))
        case float() if math.isfinite(value):
            return Node(Sort.NUMBER, value, written=repr(value))
        case str():
            if _SURROGATE.search(value):
                raise _refusal("a text holds half a character (a lone surrogate); remove it")
            return Node(Sort.TEXT, value)
        case _:
            raise _refusal("only text, numbers, true, false, null, lists and mappings are allowed")
