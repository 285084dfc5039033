"""The catalogue as operators read it: the ready-made definitions that ship with Tieline."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from tieline.access.caller import Caller, Role, require
from tieline.controlplane.inputs import not_found
from tieline.definitions import catalogue
from tieline.definitions.catalogue import Entry
from tieline.definitions.model import Definition
from tieline.definitions.parse import parse
from tieline.schemes.registry import SCHEMES


@dataclass(frozen=True, slots=True)
class EntryView:
    """A catalogue entry with its whole definition."""

    entry: Entry
    definition: Definition


def list_entries(caller: Caller) -> Sequence[Entry]:
    """Every entry. Needs the role viewer."""
    require(caller, Role.VIEWER)
    return catalogue.entries()


def show(caller: Caller, name: str) -> EntryView:
    """One entry. Needs the role viewer. Raises ``NotFound``."""
    require(caller, Role.VIEWER)
    entry = find_entry(name)
    if entry is None:
        raise not_found("catalogue entry")
    return EntryView(entry, definition_of_entry(name))


def names() -> list[str]:
    """What the entries are called."""
    return [entry.name for entry in catalogue.entries()]


def find_entry(name: str) -> Entry | None:
    """The entry called ``name``, or None."""
    return next((entry for entry in catalogue.entries() if entry.name == name), None)


@cache
def definition_of_entry(name: str) -> Definition:
    """The definition of an entry that is there. Callers must not change what it holds."""
    return parse(catalogue.load(name), schemes=SCHEMES)
