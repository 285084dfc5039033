"""The calls of a stored definition, each read when it is first asked for: they were checked when they were stored."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from tieline.definitions.calls import CALL
from tieline.definitions.model import Call, Definition
from tieline.definitions.overlay import overlay
from tieline.definitions.problems import DefinitionError, Findings
from tieline.definitions.schema import Place
from tieline.definitions.slots import check_fill, settle_call
from tieline.definitions.tree import Entry, Node, Sort, plant
from tieline.definitions.variables import samples

Overrides = Mapping[str, Mapping[str, Any] | None]


class StoredCalls(Mapping[str, Call]):
    """The calls in one environment. Looking one up raises DefinitionError where this version cannot read it.

    ``over`` are the environment's overrides by call, None for a call that it removes; None removes them all. A call
    that was read is kept; threads may read the same one at once.
    """

    __slots__ = ("_base", "_definition", "_names", "_over", "_read")

    def __init__(self, definition: Definition, base: Mapping[str, Any], over: Overrides | None) -> None:
        self._definition = definition
        self._base = base if over is not None else {}
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
            written = plant(self._base[name]) if name in self._base else None
            found = self._read[name] = read_call(self._definition, name, written, self._over.get(name))
        return found

    def with_private(self) -> Mapping[str, Call]:
        """Those that may have private parameters, as far as they can be read."""
        found = {}
        for name in self._names:
            if any(_may_be_private(one.get(name)) for one in (self._base, self._over)):
                with suppress(DefinitionError):  # whoever asks for the call is told
                    found[name] = self[name]
        return found

    def as_stored(self) -> Mapping[str, Any] | None:
        """All calls as they are stored; None where overrides lie over them."""
        return None if self._over else self._base


def read_call(
    definition: Definition, name: str, written: Node | None, over: Mapping[str, Any] | None, *, is_new: bool = False
) -> Call:
    """The call ``name`` of ``definition`` as it is ``written``, with an environment's overrides laid over it.

    ``written`` is None for a call of that environment alone. ``is_new``: it was not checked before, so it is compiled,
    too. Raises DefinitionError with every problem found.
    """
    findings = Findings()
    place = Place(_tree(name, written), findings)
    if over is not None:
        place = Place(overlay(place.node, _tree(name, plant(over))), findings)
    place = place.key("calls").key(name)
    call: Call | None = CALL.read(place)
    if call is not None:
        call = settle_call(call, definition, place)
        if is_new and not findings:
            check_fill(call, samples(definition), place)
    findings.settle()
    assert call is not None  # else a problem was found
    return call


def _tree(name: str, call: Node | None) -> Node:
    """A definition's tree that has this call alone."""
    calls = Node(Sort.MAPPING, {name: Entry(call.line, call.column, call)} if call is not None else {})
    return Node(Sort.MAPPING, {"calls": Entry(0, 0, calls)})


def _may_be_private(call: Any) -> bool:
    parameters = call.get("parameters") if isinstance(call, Mapping) else None
    return isinstance(parameters, Mapping) and any(
        isinstance(each, Mapping) and each.get("private") for each in parameters.values()
    )
