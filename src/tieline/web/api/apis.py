"""Routes of APIs and their definitions."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from tieline.access.areas import Area
from tieline.controlplane import apis
from tieline.controlplane.apis import ApiView
from tieline.controlplane.verify import verify
from tieline.core.names import Environment
from tieline.web.api.credentials import CredentialShown
from tieline.web.api.credentials import shown as credential_shown
from tieline.web.api.etags import etag, revisions
from tieline.web.api.payload import DEFINITION_BODY, YAML, checked_definition, definition_sent, wants_json
from tieline.web.api.shared import (
    CallerHere,
    Listing,
    PageHere,
    ServicesHere,
    Shown,
    Strict,
    Time,
    Title,
)

router = APIRouter(prefix="/apis", tags=["APIs"])


class ApiBody(Strict):
    """An API to add: one of ``from_catalogue``, ``definition`` and ``base_url``, which replaces that of both."""

    name: str = Field(min_length=1, max_length=63, examples=["openai"])
    from_catalogue: str | None = Field(None, max_length=63)
    definition: Any = Field(None, description="YAML or JSON as text, or a JSON object.")
    base_url: str | None = Field(None, max_length=2000)
    hosts: list[str] | None = Field(None, max_length=64, description="Where its credentials may go.")


class VerifyBody(Strict):
    """Which environment to try and, where people sign in to the API, with whose connection.

    ``app`` may be left out where one app alone uses the API.
    """

    environment: Environment = "live"
    connection: Title | None = Field(None, description="The app's name for the user.")
    app: Title | None = Field(None, description="The app whose user it is.")


class VerdictShown(Shown):
    """Whether an API works: the upstream's status, and what is wrong if anything is.

    ``tried`` is false where the definition names no verify request.
    """

    ok: bool
    status: int | None
    problem: str | None
    tried: bool


class AreaShown(Shown):
    """A group of operations, with the levels that a key can hold on it."""

    name: str
    title: str
    levels: list[str]
    parent: str | None
    operations: list[str]


class ApiShown(Shown):
    """An API. ``relay`` is its path on the app listener; ``credentials`` are those in use, by environment.

    ``problems`` say, by environment, why the definition cannot be used there.
    """

    id: str
    name: str
    title: str
    base_url: str
    relay: str
    revision: int
    source_entry: str | None
    credentials: dict[Environment, CredentialShown | None]
    problems: dict[Environment, str]
    created_at: Time
    updated_at: Time


class ApiWhole(ApiShown):
    """An API with its areas and definition."""

    areas: list[AreaShown]
    definition: dict[str, Any]


def _shown(view: ApiView) -> ApiShown:
    active = {row.environment: credential_shown(row) for row in view.credentials}
    return ApiShown(
        id=view.row.id,
        name=view.row.name,
        title=view.definition.title if view.definition is not None else view.row.name,
        base_url=view.definition.base_url if view.definition is not None else "",
        relay=f"/relay/{view.row.name}",
        revision=view.row.revision,
        source_entry=view.row.source_entry,
        credentials={"live": active.get("live"), "development": active.get("development")},
        problems=dict(view.problems),
        created_at=view.row.created_at,
        updated_at=view.row.updated_at,
    )


def _whole(view: ApiView, response: Response) -> ApiWhole:
    response.headers["ETag"] = etag(view.row.revision)
    return ApiWhole(
        **dict(_shown(view)),
        areas=[_area(area) for area in view.definition.areas] if view.definition is not None else [],
        definition=dict(apis.as_json(view.definition)) if view.definition is not None else {},
    )


def _area(area: Area) -> AreaShown:
    return AreaShown(
        name=area.name,
        title=area.title,
        levels=[level.value for level in area.levels],
        parent=area.parent,
        operations=[str(rule) for rule in area.rules],
    )


@router.post("", status_code=201)
async def add_api(body: ApiBody, response: Response, services: ServicesHere, caller: CallerHere) -> ApiWhole:
    """Add an API from the catalogue, from a definition or from a base URL alone. Needs the role editor."""
    definition = None if body.definition is None else checked_definition(body.definition)
    new = apis.NewApi(body.name, body.from_catalogue, definition, body.base_url, body.hosts)
    view = await apis.add(services, caller, new)
    response.headers["Location"] = f"/api/v1/apis/{view.row.name}"
    return _whole(view, response)


@router.get("")
async def list_apis(page: PageHere, services: ServicesHere, caller: CallerHere) -> Listing[ApiShown]:
    """List APIs. Needs the role viewer."""
    return Listing[ApiShown].of(await apis.list_apis(services, caller, page.request()), _shown)


@router.get("/{api}")
async def show_api(api: str, response: Response, services: ServicesHere, caller: CallerHere) -> ApiWhole:
    """Show an API with its areas, definition and the state of its credentials. Needs the role viewer."""
    return _whole(await apis.show(services, caller, api), response)


@router.put("/{api}", openapi_extra=DEFINITION_BODY)
async def change_api(
    api: str,
    request: Request,
    response: Response,
    services: ServicesHere,
    caller: CallerHere,
    if_match: Annotated[str | None, Header(max_length=1000)] = None,
) -> ApiWhole:
    """Replace the whole definition. ``If-Match`` guards against lost updates. Needs the role editor."""
    wanted_revisions = revisions(if_match)
    wanted = await definition_sent(request)
    return _whole(await apis.change(services, caller, api, wanted, wanted_revisions), response)


@router.delete("/{api}", status_code=204)
async def remove_api(api: str, services: ServicesHere, caller: CallerHere) -> None:
    """Delete an API, its credentials and every key's grants on it. Needs the role editor."""
    await apis.remove(services, caller, api)


@router.get(
    "/{api}/definition",
    response_class=Response,
    responses={200: {"content": {kind: {"schema": {"type": "object"}} for kind in (YAML, "application/json")}}},
)
async def export_definition(
    api: str,
    services: ServicesHere,
    caller: CallerHere,
    accept: Annotated[str, Header(max_length=1000)] = "*/*",
) -> Response:
    """The definition as YAML, or as JSON where ``Accept`` prefers it, without secrets. Needs the role viewer."""
    revision, definition = await apis.export(services, caller, api)
    headers = {"ETag": etag(revision), "Vary": "Accept"}
    if wants_json(accept):
        return JSONResponse(dict(apis.as_json(definition)), headers=headers)
    return Response(await asyncio.to_thread(apis.as_yaml, definition), media_type=YAML, headers=headers)


@router.post("/{api}/verify")
async def verify_api(
    api: str, services: ServicesHere, caller: CallerHere, body: VerifyBody | None = None
) -> VerdictShown:
    """Send the definition's verify request with the active credential and judge the answer. Needs the role editor."""
    wanted = body or VerifyBody(environment="live", connection=None, app=None)
    verdict = await verify(services, caller, api, wanted.environment, (wanted.connection, wanted.app))
    return VerdictShown(ok=verdict.ok, status=verdict.status, problem=verdict.problem, tried=verdict.tried)
