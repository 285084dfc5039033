"""A definition as one environment sees it, and with its variables filled in. Knows no vault: values are passed in.

``StoredDefinition`` is for what was checked when it was stored: it reads an environment, and of its calls only those
that are asked for, each at its first use.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from tieline.core.names import Environment
from tieline.definitions.calls import MOST_CALLS
from tieline.definitions.canonical import call_to_json, to_json
from tieline.definitions.model import Call, Definition, private_parameters
from tieline.definitions.overlay import overlay
from tieline.definitions.parse import parse_data, read_environment
from tieline.definitions.problems import DefinitionError, Findings, Problem, join, shown
from tieline.definitions.schema import Cursor
from tieline.definitions.slots import check_onward
from tieline.definitions.stored_calls import (
    Overrides,
    StoredCalls,
    StoredText,
    onward_of,
    read_call,
    write,
)
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
        """The text with the call ``name`` as ``call`` says, checked in each environment.

        Of the others only those are looked at that ask for further pages by it. Raises DefinitionError with what is
        wrong with the call, or with theirs then.
        """
        kept = write(call_to_json(read_call(self.general(), name, call, None, is_new=True)))
        calls = {**self._stored.calls, name: kept}
        if len(calls) > MOST_CALLS:
            raise DefinitionError([Problem(0, 0, "calls", f"at most {MOST_CALLS:,} are allowed; remove one")])
        return self._changed(calls, name)

    def without_call(self, name: str) -> str:
        """The text without the call ``name``.

        Raises DefinitionError where an environment overrides a part of it, or another call asks for pages by it.
        """
        return self._changed({each: call for each, call in self._stored.calls.items() if each != name}, name)

    def _with_calls(self, head: Node, over: Overrides | None) -> Definition:
        definition = read_environment(head)
        calls = StoredCalls(definition, self._stored, over)
        return replace(definition, calls=calls, private_parameters=private_parameters(calls.with_private()))

    def _changed(self, calls: Mapping[str, str], name: str) -> str:
        """The text with other ``calls``, if each environment that overrides the call ``name`` can use it.

        So can calls that ask for further pages by it, and it by another, in each environment.
        """
        environments = self._stored.head.get("environments", {})
        onward = dict(self._stored.onward) | {name: onward_of(json.loads(calls[name])) if name in calls else None}
        walking = {each for each, other in onward.items() if other is not None and name in {each, other}}
        for environment, overrides in environments.items():
            overs = overrides.get("calls") or {}
            walking |= {each for each, over in overs.items() if onward_of(over) is not None}
            if overs.get(name) is not None:
                written = plant(json.loads(calls[name])) if name in calls else None
                read_call(self.in_environment(environment), name, written, overs[name], is_new=True)
        text = self._stored.written(calls)
        if walking:
            changed = StoredDefinition(text)
            for seen in (changed.general(), *(changed.in_environment(each) for each in environments)):
                _check_walks(seen, name, sorted(walking))
        return text


def _check_walks(definition: Definition, changed: str, walking: Iterable[str]) -> None:
    """Raise DefinitionError where one of the calls ``walking`` cannot walk on since the call ``changed`` is as it is.

    They are that call itself, and those whose ``pagination.call`` may name it. What is there no longer, and what this
    version cannot read, is not looked at.
    """
    findings = Findings()
    for name in walking:
        call: Call | None = None
        with suppress(DefinitionError):  # whoever asks for the call is told
            call = definition.calls.get(name)
        onward = call.pagination.call if call is not None and call.pagination is not None else None
        if call is None or onward is None or changed not in {name, onward}:
            continue
        place = Cursor(plant({"calls": {name: call_to_json(call)}}), findings).key("calls").key(name)
        if name != changed and changed not in definition.calls:
            place.key("pagination").key("call").problem(
                f"names {shown(changed)}, which would be gone; change this call first"
            )
        else:
            check_onward(call, definition, place)
    findings.settle()
