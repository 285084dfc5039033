"""What a key may do, as it is stored: a mode, and for the restricted mode the level it holds on each area of each API.

Knows the shape of grants and how a parent area spreads to its children. Does not decide about requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tieline.access.areas import Area, AreaTable
from tieline.access.levels import RANK, Level
from tieline.core.errors import InvalidInput
from tieline.core.names import is_api_name, is_area_name

Grants = Mapping[str, Mapping[str, Level]]


class Mode(StrEnum):
    """The three modes of a key."""

    ALL = "all"
    RESTRICTED = "restricted"
    READ_ONLY = "read_only"


@dataclass(frozen=True, slots=True)
class Permissions:
    """A key's mode and, for ``RESTRICTED``, its grants by API and area. What is not granted is not allowed."""

    mode: Mode = Mode.ALL
    grants: Grants = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: object) -> "Permissions":
        """Read ``{"mode": "restricted", "grants": {"openai": {"files": "read"}}}``.

        Checks the shape only: whether an area exists and offers the level is for ``expand`` to say.

        Raises:
            InvalidInput: it is not of that shape, or has grants without the restricted mode.
        """
        if not isinstance(value, dict):
            msg = 'Permissions are an object such as {"mode": "all"}.'
            raise InvalidInput(msg, param="permissions")
        for name in value:
            if name not in ("mode", "grants"):
                msg = f'Permissions have no "{name}". Use "mode" and "grants".'
                raise InvalidInput(msg, param="permissions")
        mode = _parse_mode(value.get("mode"))
        grants = _parse_grants(value.get("grants", {}))
        if mode is not Mode.RESTRICTED and any(grants.values()):
            msg = f'Grants count only with the mode "restricted", not with "{mode}". Leave them out or change the mode.'
            raise InvalidInput(msg, param="permissions.grants")
        return cls(mode, grants if mode is Mode.RESTRICTED else {})

    def to_json(self) -> dict[str, Any]:
        """The form that ``from_json`` reads back; grants only for the restricted mode."""
        if self.mode is not Mode.RESTRICTED:
            return {"mode": self.mode.value}
        grants = {api: {area: level.value for area, level in levels.items()} for api, levels in self.grants.items()}
        return {"mode": self.mode.value, "grants": grants}


def expand(table: AreaTable, grants: Mapping[str, Level]) -> dict[str, Level]:
    """``grants`` on the areas of one API with every parent replaced by its children; areas at ``NONE`` are left out.

    A parent gives each child the highest level it offers that is not above the one asked for; a child named itself
    keeps its own level. So a parent is a way to set several areas at once and holds no permission.

    Raises:
        InvalidInput: an area that the API has not, or a level that the area does not offer; the text names the choices.
    """
    chosen: dict[str, Level] = {}
    for name, level in grants.items():
        area = _offered(table, name, level)
        if area.is_parent:
            chosen.update({child.name: _highest(child, level) for child in table.children(name)})
    chosen.update({name: level for name, level in grants.items() if not table.children(name)})
    order = (area.name for area in table.areas)
    return {name: chosen[name] for name in order if chosen.get(name, Level.NONE) is not Level.NONE}


def choices(table: AreaTable, area: Area) -> tuple[Level, ...]:
    """The levels that can be granted on ``area``, ``NONE`` first; for a parent all that a child of it offers."""
    offered = {level for member in (area, *table.children(area.name)) for level in member.levels}
    return (Level.NONE, *(level for level in Level if level in offered))


def summary(permissions: Permissions, apis: Mapping[str, tuple[str, AreaTable]]) -> str:
    """A sentence of what a key may do; ``apis`` are those of its app by name, each with its title and areas."""
    titles = _listed([title for title, _ in apis.values()])
    if not apis:
        return "May do nothing: its app uses no API."
    if permissions.mode is Mode.ALL:
        return f"May do everything on {titles}."
    if permissions.mode is Mode.READ_ONLY:
        return f"May read everything on {titles} and change nothing."
    parts = []
    for api, (title, table) in apis.items():
        levels = permissions.grants.get(api, {})
        held = [f"{area.title} ({levels[area.name]})" for area in table.areas if _held(levels, area)]
        if held:
            parts.append(f"{_listed(held)} on {title}")
    return f"May use {'; '.join(parts)}." if parts else "May do nothing: no area is granted."


def _held(levels: Mapping[str, Level], area: Area) -> bool:
    return levels.get(area.name, Level.NONE) is not Level.NONE


def _listed(names: list[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)


def _offered(table: AreaTable, name: str, level: Level) -> Area:
    area = table.area(name)
    if area is None:
        known = ", ".join(area.name for area in table.areas) or "none"
        msg = f'There is no area "{name}". The areas are: {known}.'
        raise InvalidInput(msg, param=name)
    if level not in choices(table, area):
        offered = ", ".join(choices(table, area))
        msg = f'The area "{name}" ({area.title}) offers no level "{level}". Choose from: {offered}.'
        raise InvalidInput(msg, param=name)
    return area


def _highest(area: Area, asked: Level) -> Level:
    """The highest level of ``area`` that is not above ``asked``."""
    return max((level for level in area.levels if RANK[level] <= RANK[asked]), key=RANK.__getitem__, default=Level.NONE)


def _parse_mode(value: object) -> Mode:
    try:
        return Mode(value)  # type: ignore[arg-type]  # any value is tried; what is no mode is refused below
    except ValueError as error:
        msg = 'The mode of a key is "all", "restricted" or "read_only".'
        raise InvalidInput(msg, param="permissions.mode") from error


def _parse_grants(value: object) -> dict[str, dict[str, Level]]:
    if not isinstance(value, dict):
        msg = 'Grants are an object by API and area, such as {"openai": {"files": "read"}}.'
        raise InvalidInput(msg, param="permissions.grants")
    grants: dict[str, dict[str, Level]] = {}
    for api, levels in value.items():
        param = f"permissions.grants.{api}"
        if not isinstance(api, str) or not is_api_name(api):
            msg = f'"{api}" is no name of an API. Use lower-case letters, digits, "-" and "_".'
            raise InvalidInput(msg, param="permissions.grants")
        if not isinstance(levels, dict):
            msg = f'The grants on "{api}" are an object by area, such as {{"files": "read"}}.'
            raise InvalidInput(msg, param=param)
        grants[api] = {
            _parse_area(area, param): _parse_level(level, f"{param}.{area}") for area, level in levels.items()
        }
    return grants


def _parse_area(value: object, param: str) -> str:
    if not isinstance(value, str) or not is_area_name(value):
        msg = f'"{value}" is no name of an area. Use lower-case letters, digits and "_".'
        raise InvalidInput(msg, param=param)
    return value


def _parse_level(value: object, param: str) -> Level:
    try:
        return Level(value)  # type: ignore[arg-type]  # any value is tried; what is no level is refused below
    except ValueError as error:
        msg = 'A level is "none", "read", "write" or "request".'
        raise InvalidInput(msg, param=param) from error
