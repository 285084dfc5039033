"""Finds and reads the catalogue's files, which lie beside this module. A file's name is its entry's name."""

import functools
from dataclasses import dataclass
from importlib import resources

from tieline.core.errors import NotFound
from tieline.core.names import is_api_name
from tieline.definitions.parse import parse
from tieline.definitions.problems import shown, suggestion

_SUFFIX = ".yaml"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a list of the catalogue shows."""

    name: str
    title: str
    documentation: str | None


def entries() -> list[Entry]:
    """Every entry, by name."""
    return list(_entries())


def load(name: str) -> str:
    """The text of an entry's definition; raises NotFound naming the entries there are."""
    if not is_api_name(name) or name not in _names():
        raise NotFound(f"The catalogue has no entry {shown(name)}{suggestion(name, _names())}", param=name[:80])
    return resources.files(__package__).joinpath(name + _SUFFIX).read_text(encoding="utf-8")


@functools.cache
def _entries() -> tuple[Entry, ...]:
    definitions = {name: parse(load(name)) for name in _names()}
    return tuple(Entry(name, each.title, each.documentation) for name, each in definitions.items())


@functools.cache
def _names() -> tuple[str, ...]:
    files = resources.files(__package__).iterdir()
    return tuple(sorted(file.name.removesuffix(_SUFFIX) for file in files if file.name.endswith(_SUFFIX)))
