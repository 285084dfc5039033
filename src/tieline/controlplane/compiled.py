"""Stored definitions as values again: parsed and compiled once per text, since every key and page asks for them."""

import json
from functools import lru_cache

from tieline.access.areas import AreaTable
from tieline.core.names import Environment
from tieline.definitions.environment import in_environment
from tieline.definitions.model import Definition
from tieline.definitions.parse import parse_data, to_json
from tieline.schemes.registry import SCHEMES


def canonical(definition: Definition) -> str:
    """The text that ``definition`` is stored as: JSON, equal for equal definitions."""
    return json.dumps(to_json(definition), ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=64)
def definition_of(stored: str) -> Definition:
    """The definition that ``canonical`` made ``stored`` from. Callers must not change what it holds."""
    return parse_data(json.loads(stored), schemes=SCHEMES)


@lru_cache(maxsize=64)
def definition_in(stored: str, environment: Environment) -> Definition:
    """A stored definition with the overrides of one environment in place."""
    return in_environment(definition_of(stored), environment)


@lru_cache(maxsize=64)
def table_of(stored: str) -> AreaTable:
    """The areas of a stored definition, ready for look-ups."""
    definition = definition_of(stored)
    return AreaTable(definition.areas, literal=definition.paths == "literal")


def relearned(before: Definition, after: Definition) -> tuple[str, ...]:
    """The calls whose answers are known otherwise in ``after`` than in ``before``, or that it has no more."""
    return tuple(
        name
        for name, call in before.calls.items()
        if name not in after.calls or after.calls[name].response != call.response
    )
