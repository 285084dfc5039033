"""Routes of connections, and of the sign-ins that make them. Tokens of issuers never pass through here."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from tieline.controlplane import connections, signins
from tieline.controlplane.signins import ConnectLink, Device, NewSignIn, PolledDevice
from tieline.core.names import Environment
from tieline.ports.connections import ConnectionRow
from tieline.web.api.shared import (
    Asked,
    CallerHere,
    Listing,
    PageAsked,
    ServicesHere,
    Shown,
    Strict,
    Time,
    Title,
)

router = APIRouter(tags=["Connections"])

Position = Annotated[
    int, Field(ge=0, le=99, description="Which scheme of the API's auth, from 0; left out: the first with a sign-in.")
]
ReturnTo = Annotated[
    str, Field(max_length=2_000, description="Where the browser goes afterwards; its origin must be allowed.")
]


class ConnectionsAsked(PageAsked):
    """Which connections."""

    api: str | None = Field(None, max_length=100, description="Only those to this API.")
    app: str | None = Field(None, max_length=200, description="Only those of this app's users.")


class SignInAsked(Asked):
    """Who signs in: an operator for the shared connection, or a user of an app."""

    environment: Environment = "live"
    app: Title | None = Field(None, description="The app whose user signs in.")
    user: Title | None = Field(None, description="The app's name for the user.")
    position: Position | None = None
    return_to: ReturnTo | None = None


class ConnectLinkBody(Strict):
    """Which user of which app shall sign in to which API."""

    api: str = Field(max_length=100)
    app: Title
    user: Title
    environment: Environment = "live"
    position: Position | None = None
    return_to: ReturnTo | None = None


class DeviceBody(Strict):
    """Who signs in on a device: an operator for the shared connection, or a user of an app."""

    environment: Environment = "live"
    app: Title | None = None
    user: Title | None = None
    position: Position | None = None


class ConnectionShown(Shown):
    """A connection; ``app`` and ``user`` are null for the API's shared one. ``account`` is who the issuer says."""

    id: str
    api: str
    environment: Environment
    position: int
    app: str | None
    user: str | None
    state: Literal["pending", "active", "reauthorization_required"]
    account: str | None
    scopes: list[str]
    expires_at: Time | None
    refreshed_at: Time | None
    last_error: str | None
    created_at: Time
    created_by: str


class LinkShown(Shown):
    """Where the person's browser begins, until ``expires_at``."""

    url: str
    expires_at: Time


class DeviceShown(Shown):
    """What the person is shown, and how often to ask how it stands (seconds)."""

    id: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    interval: float
    expires_at: Time


class PolledShown(Shown):
    """How a sign-in on a device stands; ask again in ``interval`` seconds while it is pending."""

    state: Literal["pending", "connected", "refused"]
    interval: float | None
    problem: str | None
    connection: ConnectionShown | None


def shown(row: ConnectionRow) -> ConnectionShown:
    """A connection as answers hold it."""
    return ConnectionShown(
        id=row.id,
        api=row.api,
        environment=row.key.environment,
        position=row.key.position,
        app=row.app,
        user=row.key.user or None,
        state=row.state,
        account=row.account,
        scopes=list(row.scopes),
        expires_at=row.expires_at,
        refreshed_at=row.refreshed_at,
        last_error=row.last_error,
        created_at=row.created_at,
        created_by=row.created_by,
    )


def _link(link: ConnectLink) -> LinkShown:
    return LinkShown(url=link.url, expires_at=link.expires_at)


def _device(device: Device) -> DeviceShown:
    told = device.shown
    return DeviceShown(
        id=device.id,
        user_code=told.user_code,
        verification_uri=told.verification_uri,
        verification_uri_complete=told.verification_uri_complete,
        interval=told.interval,
        expires_at=device.expires_at,
    )


def _polled(polled: PolledDevice) -> PolledShown:
    return PolledShown(
        state=polled.state,
        interval=polled.interval,
        problem=polled.problem,
        connection=None if polled.connection is None else shown(polled.connection),
    )


@router.get("/connections")
async def list_connections(
    asked: Annotated[ConnectionsAsked, Query()], services: ServicesHere, caller: CallerHere
) -> Listing[ConnectionShown]:
    """List connections, never their tokens. Needs the role viewer."""
    wanted = connections.ConnectionFilter(asked.api, asked.app)
    page = await connections.list_connections(services, caller, asked.request(), wanted)
    return Listing[ConnectionShown].of(page, shown)


@router.delete("/connections/{connection}", status_code=204)
async def remove_connection(
    connection: Annotated[str, Path(max_length=100)], services: ServicesHere, caller: CallerHere
) -> None:
    """Delete a connection with its token, which stops working at once. Needs the role editor."""
    await connections.remove(services, caller, connection)


@router.get("/oauth/authorize/{api}")
async def authorize(
    api: str, asked: Annotated[SignInAsked, Query()], services: ServicesHere, caller: CallerHere
) -> LinkShown:
    """A link that begins a sign-in to an API in a browser, good for ten minutes.

    Without ``app`` and ``user`` it is for the connection that all share. Needs the role editor.
    """
    new = NewSignIn(api, asked.environment, asked.app, asked.user, asked.position, asked.return_to)
    return _link(await signins.begin(services, caller, new))


@router.post("/connect-links", status_code=201)
async def create_connect_link(body: ConnectLinkBody, services: ServicesHere, caller: CallerHere) -> LinkShown:
    """A link that an app gives to one of its users to sign in to an API; ten minutes. Needs the role editor."""
    new = NewSignIn(body.api, body.environment, body.app, body.user, body.position, body.return_to)
    return _link(await signins.begin(services, caller, new))


@router.post("/oauth/device/{api}", status_code=201)
async def begin_device(api: str, body: DeviceBody, services: ServicesHere, caller: CallerHere) -> DeviceShown:
    """Begin a sign-in on another device (RFC 8628): show the person the code and the address. Needs the role editor."""
    new = NewSignIn(api, body.environment, body.app, body.user, body.position)
    return _device(await signins.begin_device(services, caller, new))


@router.post("/oauth/device/{api}/{sign_in}")
async def poll_device(
    api: str, sign_in: Annotated[str, Path(max_length=100)], services: ServicesHere, caller: CallerHere
) -> PolledShown:
    """How a sign-in on another device stands; asked too early, the issuer is left alone. Needs the role editor."""
    return _polled(await signins.poll_device(services, caller, api, sign_in))
