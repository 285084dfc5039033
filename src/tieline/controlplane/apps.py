"""Apps: what uses APIs through Tieline, and which APIs each may use at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tieline.access.caller import Caller, Role, require
from tieline.access.limits import RequestLimits
from tieline.audit.events import AppChanged, AppCreated, AppRemoved
from tieline.controlplane.grants import drop_lost_grants
from tieline.controlplane.inputs import checked_name, checked_page, not_found
from tieline.controlplane.services import Services
from tieline.core.errors import AlreadyExists, InvalidInput
from tieline.core.ids import new_id
from tieline.core.names import is_api_name, is_title
from tieline.core.pages import Page, PageRequest
from tieline.ports.apps import AppReader, AppRow
from tieline.ports.store import Reading, Writing

APIS_MOST = 200


@dataclass(frozen=True, slots=True)
class AppChange:
    """What shall change about an app; None leaves it as it is. ``apis`` are names and replace all there were.

    So do ``limits``, which hold for all its keys together.
    """

    name: str | None = None
    apis: Sequence[str] | None = None
    limits: Mapping[str, Any] | None = None


async def create(
    services: Services, caller: Caller, name: str, apis: Sequence[str], limits: Mapping[str, Any] | None = None
) -> AppRow:
    """Add an app that may use the APIs named. Needs the role editor.

    Raises:
        InvalidInput: the name is unusable, an API is not there or a limit cannot be.
        AlreadyExists: another app has the name.
    """
    require(caller, Role.EDITOR)
    checked_name(name, "app", "apps")
    async with services.store.write(caller) as tx:
        row = AppRow(
            id=new_id("app"),
            name=name,
            apis=await _ids_of(tx, apis),
            created_at=services.clock.now(),
            created_by=caller.id,
            limits=RequestLimits.from_json(limits or {}).to_json(),
        )
        if not await tx.apps.add(row):
            raise _taken()
        await tx.audit.add(AppCreated(target=row.id, name=row.name, apis=tuple(row.apis.values()), limits=row.limits))
    return row


async def list_apps(services: Services, caller: Caller, page: PageRequest) -> Page[AppRow]:
    """Apps. Needs the role viewer."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        return await rx.apps.list(checked_page(page, "app"))


async def show(services: Services, caller: Caller, app: str) -> AppRow:
    """One app by id or name. Needs the role viewer. Raises ``NotFound``."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        return await find_app(rx.apps, app)


async def change(services: Services, caller: Caller, app: str, wanted: AppChange) -> AppRow:
    """Rename an app, set which APIs it may use or what limits it. Needs the role editor.

    Its keys lose their grants on APIs that it may no longer use, so that they do not come back to life with them.

    Raises:
        NotFound: there is no such app.
        InvalidInput: the name is unusable, an API is not there or a limit cannot be.
        AlreadyExists: another app has the name.
    """
    require(caller, Role.EDITOR)
    async with services.store.write(caller) as tx:
        before = await find_app(tx.apps, app)
        after = replace(
            before,
            name=before.name if wanted.name is None else checked_name(wanted.name, "app", "apps"),
            apis=before.apis if wanted.apis is None else await _ids_of(tx, wanted.apis),
            limits=before.limits if wanted.limits is None else RequestLimits.from_json(wanted.limits).to_json(),
        )
        if after == before:
            return before
        if not await tx.apps.replace(after):
            raise _taken()
        lost = frozenset(before.apis.values()) - frozenset(after.apis.values())
        await drop_lost_grants(tx, after, lost)
        apis = tuple(after.apis.values())
        await tx.audit.add(AppChanged(target=after.id, name=after.name, apis=apis, limits=after.limits))
    return after


async def remove(services: Services, caller: Caller, app: str) -> None:
    """Delete an app with all its keys, which stop working at once. Needs the role editor. Raises ``NotFound``."""
    require(caller, Role.EDITOR)
    async with services.store.write(caller) as tx:
        row = await find_app(tx.apps, app)
        await tx.apps.remove(row.id)
        await tx.audit.add(AppRemoved(target=row.id, name=row.name))


async def find_app(apps: AppReader, app: str) -> AppRow:
    """The app with this id or name. Raises ``NotFound``."""
    row = await apps.get(app) if is_title(app) else None
    if row is None:
        raise not_found("app")
    return row


async def _ids_of(reading: Reading | Writing, names: Sequence[str]) -> dict[str, str]:
    """The ids of the APIs named, each with its name, in the order given."""
    if len(names) > APIS_MOST:
        msg = f"apis may name at most {APIS_MOST} APIs."
        raise InvalidInput(msg, param="apis")
    found: dict[str, str] = {}
    for position, name in enumerate(names):
        row = await reading.apis.get(name) if is_api_name(name) else None
        if row is None:
            msg = f"apis[{position}] names no API that is there. Add the API first, or correct the name."
            raise InvalidInput(msg, param=f"apis[{position}]")
        found[row.id] = row.name
    return found


def _taken() -> AlreadyExists:
    msg = "Another app has this name. Choose another name, or use the app that is there."
    return AlreadyExists(msg, param="name")
