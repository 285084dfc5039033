"""The calls of a stored definition, each read when it is first asked for: they were checked when they were stored.

Until then a call is the piece of JSON that it is stored as: text costs a tenth of the memory that its values would, and
the garbage collector, which stops everything, does not look at it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from tieline.definitions.calls import CALL
from tieline.definitions.model import Call, Definition
from tieline.definitions.overlay import overlay
from tieline.definitions.problems import DefinitionError, Findings
from tieline.definitions.schema import Cursor
from tieline.definitions.slots import check_fill, check_onward, settle_call
from tieline.definitions.tree import KeyedNode, Node, Sort, plant
from tieline.definitions.variables import samples

Overrides = Mapping[str, Mapping[str, Any] | None]

_BLANKS = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class StoredText:
    """A stored definition taken apart: its ``head`` as values, its ``calls`` as the texts that they are.

    ``private`` names those that may have private parameters; ``onward`` has, by the call that names it, the one that
    asks for further pages. Takes one pass through the text, a call at a time. Raises ValueError for what is no JSON
    object.
    """

    __slots__ = ("calls", "head", "onward", "private")

    def __init__(self, text: str) -> None:
        self.head: dict[str, Any] = {}
        self.calls: dict[str, str] = {}
        self.private: set[str] = set()
        self.onward: dict[str, str] = {}
        reader = _Reader(text)
        for name in reader.names():
            if name == "calls" and text.startswith("{", reader.at):
                self._read_calls(reader)
            else:
                self.head[name] = reader.value()

    def _read_calls(self, reader: "_Reader") -> None:
        for call in reader.names():
            begin = reader.at
            value = reader.value()
            if _may_be_private(value):
                self.private.add(call)
            onward = onward_of(value)
            if onward is not None:
                self.onward[call] = onward
            self.calls[call] = reader.text[begin : reader.at].rstrip()

    def written(self, calls: Mapping[str, str]) -> str:
        """The text with the same head and other ``calls``."""
        members = [f"{json.dumps(name)}:{write(value)}" for name, value in self.head.items()]
        if calls:
            texts = ",".join(f"{json.dumps(name)}:{text}" for name, text in calls.items())
            members.append(f'"calls":{{{texts}}}')
        return f"{{{','.join(members)}}}"


def write(data: Any) -> str:
    """Plain data as definitions are stored."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


class _Reader:
    """Reads the members of JSON objects one after the other; ``at`` is how far it has come."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._skip_blanks()

    def names(self) -> Iterator[str]:
        """The name of each member of the object that begins here; read its value before asking for the next."""
        self._expect("{")
        more = not self.text.startswith("}", self.at)
        while more:
            if not self.text.startswith('"', self.at):
                raise ValueError("this is no JSON object")
            name = str(self.value())
            self._expect(":")
            yield name
            more = self.text.startswith(",", self.at)
            if more:
                self._expect(",")
        self._expect("}")

    def value(self) -> Any:
        """The value that begins here."""
        found, self.at = _DECODER.raw_decode(self.text, self.at)
        self._skip_blanks()
        return found

    def _expect(self, mark: str) -> None:
        if not self.text.startswith(mark, self.at):
            raise ValueError("this is no JSON object")
        self.at += 1
        self._skip_blanks()

    def _skip_blanks(self) -> None:
        found = _BLANKS.match(self.text, self.at)
        self.at = found.end() if found is not None else self.at


class StoredCalls(Mapping[str, Call]):
    """The calls in one environment. Looking one up raises DefinitionError where this version cannot read it.

    ``over`` are the environment's overrides by call, None for a call that it removes; None removes them all. A call
    that was read is kept; threads may read the same one at once.
    """

    __slots__ = ("_base", "_definition", "_names", "_over", "_private", "_read")

    def __init__(self, definition: Definition, stored: StoredText, over: Overrides | None) -> None:
        self._definition = definition
        self._base: Mapping[str, str] = stored.calls if over is not None else {}
        self._private = stored.private
        self._over = over or {}
        self._names = {name: None for name in (*self._base, *self._over) if self._over.get(name, {}) is not None}
        self._read: dict[str, Call] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> Call:
        found = self._read.get(name)
        if found is None:
            if name not in self._names:
                raise KeyError(name)
            written = plant(json.loads(self._base[name])) if name in self._base else None
            found = self._read[name] = read_call(self._definition, name, written, self._over.get(name))
        return found

    def with_private(self) -> Mapping[str, Call]:
        """Those that may have private parameters, as far as they can be read."""
        found = {}
        for name in self._names:
            if name in self._private or _may_be_private(self._over.get(name)):
                with suppress(DefinitionError):  # whoever asks for the call is told
                    found[name] = self[name]
        return found

    def as_stored(self) -> Mapping[str, Any] | None:
        """All calls as they are stored; None where overrides lie over them."""
        return None if self._over else {name: json.loads(text) for name, text in self._base.items()}


def read_call(
    definition: Definition, name: str, written: Node | None, over: Mapping[str, Any] | None, *, is_new: bool = False
) -> Call:
    """The call ``name`` of ``definition`` as it is ``written``, with an environment's overrides laid over it.

    ``written`` is None for a call of that environment alone. ``is_new``: it was not checked before, so it is compiled,
    too. Raises DefinitionError with every problem found.
    """
    findings = Findings()
    place = Cursor(_tree(name, written), findings)
    if over is not None:
        place = Cursor(overlay(place.node, _tree(name, plant(over))), findings)
    place = place.key("calls").key(name)
    call: Call | None = CALL.read(place)
    if call is not None:
        call = settle_call(call, definition, place)
        if is_new:
            check_onward(call, definition, place)
        if is_new and not findings:
            check_fill(call, samples(definition), place)
    findings.settle()
    assert call is not None  # else a problem was found
    return call


def onward_of(call: Any) -> str | None:
    """The call that ``pagination.call`` of a call as it is stored names."""
    pages = call.get("pagination") if isinstance(call, Mapping) else None
    onward = pages.get("call") if isinstance(pages, Mapping) else None
    return onward if isinstance(onward, str) else None


def _tree(name: str, call: Node | None) -> Node:
    """A definition's tree that has this call alone."""
    calls = Node(Sort.MAPPING, {name: KeyedNode(call.line, call.column, call)} if call is not None else {})
    return Node(Sort.MAPPING, {"calls": KeyedNode(0, 0, calls)})


def _may_be_private(call: Any) -> bool:
    parameters = call.get("parameters") if isinstance(call, Mapping) else None
    return isinstance(parameters, Mapping) and any(
        isinstance(each, Mapping) and each.get("private") for each in parameters.values()
    )
