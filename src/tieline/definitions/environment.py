"""A definition as one environment sees it, and with its variables filled in. Knows no vault: values are passed in."""

import re
from collections.abc import Mapping
from dataclasses import replace

from tieline.core import urls
from tieline.core.names import Environment
from tieline.definitions import template, values
from tieline.definitions.model import AuthSpec, Definition
from tieline.definitions.overlay import overlay
from tieline.definitions.parse import parse_data, to_json
from tieline.definitions.problems import DefinitionError, Problem, shown
from tieline.definitions.tree import plain, plant

_IN_URL = re.compile(r"[A-Za-z0-9._~-]{1,200}")


def in_environment(definition: Definition, environment: Environment) -> Definition:
    """The definition with the environment's overrides in place and no environments; variables stay as they are."""
    over = definition.environments.get(environment, {})
    return parse_data(plain(overlay(plant(to_json(definition)), plant(over))))


def resolve(definition: Definition, environment: Environment, variables: Mapping[str, str] | None = None) -> Definition:
    """The definition as ``environment`` uses it: overrides in place, ``<variables>`` replaced by text.

    ``variables`` gives values by name, those of private variables among them; else a default holds. Base URL, hosts,
    verify path, shared headers and parameters then hold what is sent, no template; auth options have declared variables
    replaced and other slots kept; each variable's value is its default, for calls to use. May hold private values: for
    use in memory, never to be stored or shown. Raises DefinitionError for a value that is missing or unfit.
    """
    seen = in_environment(definition, environment)
    found = _values(seen, variables or {})
    base_url = _fill_url(seen.base_url, found, "base_url")
    hosts = tuple(_fill_url(host, found, "hosts") for host in seen.hosts)
    verify = seen.verify
    try:
        hosts = tuple(urls.written_host(host) for host in hosts)
        base_url = urls.base_url(base_url)
        if verify is not None:
            verify = replace(verify, path=urls.target(_fill_url(verify.path, found, "verify.path")))
        headers = tuple(replace(each, value=_fill(each.value, found)) for each in seen.headers)
        for header in headers:
            values.header_value(header.value or "")
    except ValueError as error:
        raise _refusal("variables", f"with the variables filled in: {error}") from None
    return replace(
        seen,
        base_url=base_url,
        hosts=hosts,
        verify=verify,
        headers=headers,
        parameters=tuple(replace(each, value=_fill(each.value, found)) for each in seen.parameters),
        auth=tuple(AuthSpec(each.scheme, template.fill_partly(each.options, found)) for each in seen.auth),
        variables={name: replace(each, default=found[name]) for name, each in seen.variables.items()},
    )


def _values(definition: Definition, given: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    problems = [
        Problem(0, 0, f"variables.{name}", "there is no such variable; remove it")
        for name in given
        if name not in definition.variables
    ]
    for name, variable in definition.variables.items():
        value = given.get(name, variable.default)
        if value is None and variable.required:
            problems.append(Problem(0, 0, f"variables.{name}", "has no value; give it one, or a default"))
        elif value is not None and variable.choices and value not in variable.choices:
            problems.append(Problem(0, 0, f"variables.{name}", "is not one of its choices"))
        found[name] = value or ""
    if problems:
        raise DefinitionError(problems)
    return found


def _fill(text: str | None, found: Mapping[str, str]) -> str | None:
    return None if text is None else template.parse(text).render_text(found)


def _fill_url(text: str, found: Mapping[str, str], path: str) -> str:
    parsed = template.parse(text)
    for name in parsed.names():
        if _IN_URL.fullmatch(found[name]) is None:
            raise _refusal(path, f"the variable {shown(name)} goes into a URL: letters, digits and - . _ ~ only")
    return parsed.render_text(found)


def _refusal(path: str, message: str) -> DefinitionError:
    return DefinitionError([Problem(0, 0, path, message)])
