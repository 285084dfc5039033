"""A definition as one environment sees it, and with its variables filled in. Knows no vault: values are passed in.

``StoredDefinition`` is for what was checked when it was stored: it reads an environment, and of its calls only those
that are asked for, each at its first use.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

from tieline.core.names import Environment
from tieline.definitions.calls import MOST_CALLS
from tieline.definitions.canonical import call_to_json, to_json
from tieline.definitions.model import Definition, private_parameters
from tieline.definitions.overlay import overlay
from tieline.definitions.parse import parse_data, read_environment
from tieline.definitions.problems import DefinitionError, Problem, join
from tieline.definitions.stored_calls import Overrides, StoredCalls, StoredText, read_call, write
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
    """A definition as it is stored: JSON in the form of ``to_json``, with overrides for its environments.

    ``text`` that is no JSON object is a ValueError. Methods raise DefinitionError for what was stored by another
    version and cannot be used by this one.
    """

    def __init__(self, text: str) -> None:
        self._stored = StoredText(text)

    def general(self) -> Definition:
        """The definition with its environments; each call is read when it is asked for."""
        return self._with_calls(plant(self._stored.head), {})

    def in_environment(self, environment: Environment) -> Definition:
        """As ``in_environment`` of this module; each call is read when it is asked for."""
        over = self._stored.head.get("environments", {}).get(environment, {})
        head = {key: value for key, value in over.items() if key != "calls"}
        return self._with_calls(overlay(plant(self._stored.head), plant(head)), over.get("calls", {}))

    def with_call(self, name: str, call: Node) -> str:
        """The text with the call ``name`` as ``call`` says, checked in each environment; the others are not looked at.

        Raises DefinitionError with the problems of the call.
        """
        kept = write(call_to_json(read_call(self.general(), name, call, None, is_new=True)))
        calls = {**self._stored.calls, name: kept}
        if len(calls) > MOST_CALLS:
            raise DefinitionError([Problem(0, 0, "calls", f"at most {MOST_CALLS:,} are allowed; remove one")])
        return self._changed(calls, name)

    def without_call(self, name: str) -> str:
        """The text without the call ``name``. Raises DefinitionError where an environment overrides a part of it."""
        return self._changed({each: call for each, call in self._stored.calls.items() if each != name}, name)

    def _with_calls(self, head: Node, over: Overrides | None) -> Definition:
        definition = read_environment(head)
        calls = StoredCalls(definition, self._stored, over)
        return replace(definition, calls=calls, private_parameters=private_parameters(calls.with_private()))

    def _changed(self, calls: Mapping[str, str], name: str) -> str:
        """The text with other ``calls``, if each environment that overrides the call ``name`` can use it."""
        for environment, overrides in self._stored.head.get("environments", {}).items():
            over = (overrides.get("calls") or {}).get(name)
            if over is not None:
                written = plant(json.loads(calls[name])) if name in calls else None
                read_call(self.in_environment(environment), name, written, over, is_new=True)
        return self._stored.written(calls)
