"""Routes of apps."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from tieline.controlplane import apps
from tieline.ports.apps import AppRow
from tieline.web.api.limits import LimitsBody
from tieline.web.api.shared import CallerHere, Listing, PageHere, ServicesHere, Shown, Strict, Time, Title

router = APIRouter(prefix="/apps", tags=["Apps"])

Apis = Annotated[list[str], Field(max_length=apps.APIS_MOST, examples=[["openai"]])]


class AppBody(Strict):
    """An app to add, and the names of the APIs that it may use."""

    name: Title
    apis: Apis = Field(default_factory=list)
    limits: LimitsBody = LimitsBody()


class AppPatch(Strict):
    """What shall change about an app; what is left out stays. ``apis`` and ``limits`` replace all there were."""

    name: Title | None = None
    apis: Apis | None = None
    limits: LimitsBody | None = None


class AppShown(Shown):
    """An app."""

    id: str
    name: str
    apis: list[str]
    limits: dict[str, Any]
    created_at: Time
    created_by: str


def _shown(row: AppRow) -> AppShown:
    return AppShown(
        id=row.id,
        name=row.name,
        apis=sorted(row.apis.values()),
        limits=dict(row.limits),
        created_at=row.created_at,
        created_by=row.created_by,
    )


@router.post("", status_code=201)
async def create_app(body: AppBody, response: Response, services: ServicesHere, caller: CallerHere) -> AppShown:
    """Add an app. Needs the role editor."""
    row = await apps.create(services, caller, body.name, body.apis, body.limits.plain())
    response.headers["Location"] = f"/api/v1/apps/{row.id}"
    return _shown(row)


@router.get("")
async def list_apps(page: PageHere, services: ServicesHere, caller: CallerHere) -> Listing[AppShown]:
    """List apps. Needs the role viewer."""
    return Listing[AppShown].of(await apps.list_apps(services, caller, page.request()), _shown)


@router.get("/{app}")
async def show_app(app: str, services: ServicesHere, caller: CallerHere) -> AppShown:
    """Show an app, by id or name. Needs the role viewer."""
    return _shown(await apps.show(services, caller, app))


@router.patch("/{app}")
async def change_app(app: str, body: AppPatch, services: ServicesHere, caller: CallerHere) -> AppShown:
    """Set an app's name, limits or APIs; its keys lose grants on those taken away. Needs the role editor."""
    limits = None if body.limits is None else body.limits.plain()
    return _shown(await apps.change(services, caller, app, apps.AppChange(body.name, body.apis, limits)))


@router.delete("/{app}", status_code=204)
async def remove_app(app: str, services: ServicesHere, caller: CallerHere) -> None:
    """Delete an app with all its keys, which stop working at once. Needs the role editor."""
    await apps.remove(services, caller, app)
