"""A definition as one environment sees it, and with its variables filled in. Knows no vault: values are passed in.

``StoredDefinition`` is for what was checked when it was stored: it reads an environment, and of its calls only those
that are asked for, each at its first use.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tieline.core.names import Environment
from tieline.definitions.calls import MOST_CALLS
from tieline.definitions.canonical import call_to_json, to_json
from tieline.definitions.model import Definition, private_parameters
from tieline.definitions.overlay import overlay
from tieline.definitions.parse import parse_data, read_environment
from tieline.definitions.problems import DefinitionError, Problem, join
from tieline.definitions.stored_calls import StoredCalls, read_call
from tieline.definitions.tree import Node, plain, plant
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
    """A definition as it is stored: plain data in the form of ``to_json``, with overrides for its environments.

    Methods raise DefinitionError for what was stored by another version and cannot be used by this one.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data

    def general(self) -> Definition:
        """The definition with its environments; each call is read when it is asked for."""
        return self._with_calls(plant(_without_calls(self._data)), {})

    def in_environment(self, environment: Environment) -> Definition:
        """As ``in_environment`` of this module; each call is read when it is asked for."""
        over = self._data.get("environments", {}).get(environment, {})
        return self._with_calls(overlay(plant(_without_calls(self._data)), plant(_without_calls(over))), over)

    def with_call(self, name: str, call: Node) -> dict[str, Any]:
        """The data with the call ``name`` as ``call`` says, checked in each environment; the others are not looked at.

        Raises DefinitionError with the problems of the call.
        """
        kept = call_to_json(read_call(self.general(), name, call, None, is_new=True))
        calls = {**self._data.get("calls", {}), name: kept}
        if len(calls) > MOST_CALLS:
            raise DefinitionError([Problem(0, 0, "calls", f"at most {MOST_CALLS:,} are allowed; remove one")])
        return self._checked({**self._data, "calls": calls}, name)

    def without_call(self, name: str) -> dict[str, Any]:
        """The data without the call ``name``. Raises DefinitionError where an environment overrides a part of it."""
        calls = {each: call for each, call in self._data.get("calls", {}).items() if each != name}
        return self._checked({**_without_calls(self._data), **({"calls": calls} if calls else {})}, name)

    def _with_calls(self, head: Node, over: Mapping[str, Any]) -> Definition:
        definition = read_environment(head)
        calls = StoredCalls(definition, self._data.get("calls", {}), over.get("calls", {}))
        return replace(definition, calls=calls, private_parameters=private_parameters(calls.with_private()))

    @staticmethod
    def _checked(data: dict[str, Any], name: str) -> dict[str, Any]:
        """``data``, if each environment that overrides the call ``name`` can use it."""
        for environment, overrides in data.get("environments", {}).items():
            over = (overrides.get("calls") or {}).get(name)
            if over is not None:
                definition = StoredDefinition(data).in_environment(environment)
                written = data.get("calls", {}).get(name)
                read_call(definition, name, plant(written) if written is not None else None, over, is_new=True)
        return data


def _without_calls(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "calls"}
