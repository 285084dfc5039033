"""Stored definitions as values again: read once per text, as every key and page asks for them; calls when asked for."""

from collections.abc import Mapping
from functools import lru_cache

from tieline.access.areas import AreaTable
from tieline.core.names import Environment
from tieline.definitions.environment import StoredDefinition, with_values
from tieline.definitions.model import ENVIRONMENTS, Definition
from tieline.definitions.parse import to_json
from tieline.definitions.problems import DefinitionError
from tieline.definitions.stored_calls import write

_KEPT = 64


def canonical(definition: Definition) -> str:
    """The text that ``definition`` is stored as: JSON, equal for equal definitions."""
    return write(to_json(definition))


@lru_cache(maxsize=_KEPT)
def stored_definition(stored: str) -> StoredDefinition:
    """The definition that ``canonical`` made ``stored`` from."""
    return StoredDefinition(stored)


@lru_cache(maxsize=_KEPT)
def definition_of(stored: str) -> Definition:
    """A stored definition with its environments. Callers must not change what it holds."""
    return stored_definition(stored).general()


@lru_cache(maxsize=_KEPT)
def definition_in(stored: str, environment: Environment) -> Definition:
    """A stored definition with the overrides of one environment in place."""
    return stored_definition(stored).in_environment(environment)


@lru_cache(maxsize=_KEPT)
def problems_of(stored: str) -> Mapping[Environment, str]:
    """Why a stored definition cannot be used, by environment, as far as that is not for a credential to mend."""
    found: dict[Environment, str] = {}
    for environment in ENVIRONMENTS:
        try:
            seen = definition_in(stored, environment)
            with_values(seen, {name: "x" for name, each in seen.variables.items() if each.private})
        except DefinitionError as error:
            found[environment] = str(error.problems[0])
        except ValueError:
            found[environment] = "what is stored is no definition"
    return found


@lru_cache(maxsize=_KEPT)
def table_of(stored: str) -> AreaTable:
    """The areas of a stored definition, ready for look-ups."""
    definition = definition_of(stored)
    return AreaTable(definition.areas, literal=definition.paths == "literal")


def relearned(before: Definition, after: Definition) -> tuple[str, ...]:
    """The calls whose response differs in ``after`` from that in ``before``, and those that ``after`` has not."""
    return tuple(
        name
        for name, call in before.calls.items()
        if name not in after.calls or after.calls[name].response != call.response
    )
