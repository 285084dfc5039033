"""What an app key is allowed, as it is asked for and as it is stored: checked against the areas of the app's APIs.

Knows modes, grants and definitions; the rules themselves are those of ``tieline.access``.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tieline.access.areas import AreaTable
from tieline.access.levels import Level
from tieline.access.permissions import Mode, Permissions, expand
from tieline.audit.events import KeyChanged
from tieline.controlplane.compiled import definition_of, table_of
from tieline.core.errors import InvalidInput
from tieline.core.pages import LIMIT_MOST, PageRequest
from tieline.ports.apps import AppRow
from tieline.ports.keys import KeyRow
from tieline.ports.store import Reading, Writing

EVERYTHING: Mapping[str, Any] = {"mode": "all"}


async def checked_permissions(
    reading: Reading | Writing, app: AppRow, mode: str, grants: Mapping[str, Mapping[str, str]]
) -> Permissions:
    """The permissions asked for, every grant checked against the API's areas and parents replaced by their children.

    Raises:
        InvalidInput: the mode is unknown or takes no grants, an API is not the app's, or an area or level is not there.
    """
    if mode not in tuple(Mode):
        msg = f"permissions.mode must be one of {', '.join(Mode)}."
        raise InvalidInput(msg, param="permissions.mode")
    if grants and mode != Mode.RESTRICTED:
        msg = f'permissions.grants only go with the mode "{Mode.RESTRICTED}". Use that mode, or leave the grants out.'
        raise InvalidInput(msg, param="permissions.grants")
    names = sorted(app.apis.values())
    expanded: dict[str, Mapping[str, Level]] = {}
    for api, wanted in grants.items():
        if api not in names:
            msg = (
                f"permissions.grants names an API that the app may not use; it may use: {', '.join(names) or 'none'}. "
                "Add the API to the app, or correct the name."
            )
            raise InvalidInput(msg, param="permissions.grants")
        row = await reading.apis.get(api)
        if row is not None:
            expanded[api] = _expanded(api, table_of(row.definition), wanted)
    return Permissions(Mode(mode), expanded)


def _expanded(api: str, table: AreaTable, wanted: Mapping[str, str]) -> dict[str, Level]:
    """``wanted`` as levels of areas that there are; an unknown name is not repeated: it may be a secret."""
    param = f"permissions.grants.{api}"
    levels = {}
    for name, level in wanted.items():
        if table.area(name) is None:
            known = ", ".join(area.name for area in table.areas) or "none"
            msg = f"{param} names an area that this API has not. Its areas are: {known}."
            raise InvalidInput(msg, param=param)
        if level not in tuple(Level):
            msg = f"{param}.{name} must be one of {', '.join(Level)}."
            raise InvalidInput(msg, param=f"{param}.{name}")
        levels[name] = Level(level)
    try:
        return expand(table, levels)
    except InvalidInput as error:
        raise InvalidInput(error.public, param=f"{param}.{error.param}") from error


async def tables_of(reading: Reading | Writing, app: AppRow) -> dict[str, tuple[str, AreaTable]]:
    """The APIs that ``app`` may use by name, each with its title and its areas."""
    found = {}
    for name in sorted(app.apis.values()):
        row = await reading.apis.get(name)
        if row is not None:
            found[name] = (definition_of(row.definition).title, table_of(row.definition))
    return found


async def drop_lost_grants(tx: Writing, app: AppRow, lost: frozenset[str]) -> None:
    """Take the grants on the APIs named in ``lost`` from every key of ``app``, with an audit event for each key."""
    if not lost:
        return
    page = PageRequest(LIMIT_MOST)
    while True:
        keys = await tx.keys.list(app.id, page)
        for key in keys.items:
            await _drop(tx, app, key, lost)
        if keys.next is None:
            return
        page = PageRequest(LIMIT_MOST, keys.next)


async def _drop(tx: Writing, app: AppRow, key: KeyRow, lost: frozenset[str]) -> None:
    before = Permissions.from_json(key.permissions)
    kept = {api: levels for api, levels in before.grants.items() if api not in lost}
    if len(kept) == len(before.grants):
        return
    permissions = Permissions(before.mode, kept).to_json()
    await tx.keys.replace(replace(key, permissions=permissions))
    await tx.audit.add(KeyChanged(target=key.id, app=app.name, changed={"permissions": permissions}))
