"""A definition as one environment sees it, and with its variables filled in. Knows no vault: values are passed in.

``StoredDefinition`` is for what was checked when it was stored: it reads an environment, and of its calls only those
that are asked for, each at its first use.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from tieline.core.names import Environment
from tieline.definitions.calls import CALL
from tieline.definitions.model import Call, Definition, private_parameters
from tieline.definitions.overlay import overlay
from tieline.definitions.parse import parse_data, read_environment, to_json
from tieline.definitions.problems import DefinitionError, Findings, Problem, join
from tieline.definitions.schema import Place
from tieline.definitions.slots import settle_call
from tieline.definitions.tree import plain, plant
from tieline.definitions.variables import fill_in


def in_environment(definition: Definition, environment: Environment) -> Definition:
    """The definition with the environment's overrides in place and no environments; variables stay as they are."""
    over = definition.environments.get(environment)
    if not over:
        return replace(definition, environments={})
    return parse_data(plain(overlay(plant(to_json(definition)), plant(over))))


def resolve(definition: Definition, environment: Environment, variables: Mapping[str, str] | None = None) -> Definition:
    """The definition as ``environment`` uses it: overrides in place, ``<variables>`` replaced by text.

    See ``with_values``.
    """
    return with_values(in_environment(definition, environment), variables or {})


def with_values(seen: Definition, given: Mapping[str, str]) -> Definition:
    """An environment's definition with its ``<variables>`` replaced by text.

    ``given`` has values by name, those of private variables among them; else a default holds. Base URL, hosts, verify
    path, shared headers and parameters then hold what is sent, no template; auth options have declared variables
    replaced and other slots kept; each variable's value is its default, for calls to use, None where it is left out.
    May hold private values: for use in memory, never to be stored or shown. Raises DefinitionError for values that are
    missing or unfit, none of which it shows.
    """
    problems = [
        Problem(0, 0, f"variables.{name}", "there is no such variable; remove it")
        for name in given
        if name not in seen.variables
    ]
    found: dict[str, str | None] = {}
    for name, variable in seen.variables.items():
        value = found[name] = given.get(name, variable.default)
        if value is None and variable.required:
            problems.append(Problem(0, 0, f"variables.{name}", "has no value; give it one, or a default"))
        elif value is not None and variable.choices and value not in variable.choices:
            problems.append(Problem(0, 0, f"variables.{name}", "is not one of its choices"))
    if problems:
        raise DefinitionError(problems)

    def tell(way: tuple[str | int, ...], why: str) -> None:
        problems.append(Problem(0, 0, join(*(step if isinstance(step, str) else f"[{step}]" for step in way)), why))

    filled = fill_in(seen, found, tell)
    if problems:
        raise DefinitionError(problems)
    return filled


class StoredDefinition:
    """A definition as it is stored: plain data in the form of ``to_json``, with overrides for its environments."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data

    def in_environment(self, environment: Environment) -> Definition:
        """As ``in_environment`` of this module, but calls are read when they are asked for.

        Raises DefinitionError for what was stored by another version and cannot be used by this one.
        """
        over = self._data.get("environments", {}).get(environment, {})
        head = overlay(plant(_without_calls(self._data)), plant(_without_calls(over)))
        definition = read_environment(head)
        calls = StoredCalls(definition, self._data.get("calls", {}), over.get("calls", {}))
        return replace(definition, calls=calls, private_parameters=private_parameters(calls.with_private()))


class StoredCalls(Mapping[str, Call]):
    """The calls of a stored definition in one environment. Looking one up raises DefinitionError where it cannot be."""

    __slots__ = ("_base", "_definition", "_names", "_over", "_read")

    def __init__(
        self, definition: Definition, base: Mapping[str, Any], over: Mapping[str, Mapping[str, Any] | None] | None
    ) -> None:
        """``over`` are an environment's overrides by call, None for a call that it removes; None removes them all."""
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
            found = self._read[name] = self._call(name)
        return found

    def with_private(self) -> Mapping[str, Call]:
        """Those that may have private parameters, as far as they can be read."""
        found = {}
        for name in self._names:
            if any(_may_be_private(one.get(name)) for one in (self._base, self._over)):
                with suppress(DefinitionError):  # whoever asks for the call is told
                    found[name] = self[name]
        return found

    def _call(self, name: str) -> Call:
        findings = Findings()
        base, over = ({"calls": {name: one[name]} if name in one else {}} for one in (self._base, self._over))
        place = Place(overlay(plant(base), plant(over)), findings).key("calls").key(name)
        call: Call | None = CALL.read(place)
        if call is not None:
            call = settle_call(call, self._definition, place)
        findings.settle()
        assert call is not None  # else a problem was found
        return call


def _without_calls(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "calls"}


def _may_be_private(call: Any) -> bool:
    parameters = call.get("parameters") if isinstance(call, Mapping) else None
    return isinstance(parameters, Mapping) and any(
        isinstance(each, Mapping) and each.get("private") for each in parameters.values()
    )
