"""Connections: who is signed in to which API, until when, and what went wrong last. Never a token."""

from dataclasses import dataclass

from tieline.access.caller import Caller, Role, require
from tieline.audit.events import ConnectionRemoved
from tieline.controlplane.apis import find_api
from tieline.controlplane.apps import find_app
from tieline.controlplane.inputs import checked_id, checked_page, checked_title, not_found
from tieline.controlplane.services import Services
from tieline.core.errors import InvalidInput
from tieline.core.pages import Page, PageRequest
from tieline.ports.apis import ApiRow
from tieline.ports.connections import ConnectionRow, EndUser
from tieline.ports.store import Reading


@dataclass(frozen=True, slots=True)
class ConnectionFilter:
    """Which connections: those of one API, one app, or both, by name; None for all."""

    api: str | None = None
    app: str | None = None


async def list_connections(
    services: Services, caller: Caller, page: PageRequest, wanted: ConnectionFilter
) -> Page[ConnectionRow]:
    """Connections. Needs the role viewer. Raises ``NotFound`` for an API or app that is not there."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        api_id = (await find_api(rx.apis, wanted.api)).id if wanted.api is not None else None
        app_id = (await find_app(rx.apps, wanted.app)).id if wanted.app is not None else None
        return await rx.connections.list(checked_page(page, "conn"), api_id, app_id)


async def end_user_of(reading: Reading, api: ApiRow, user: str | None, app: str | None) -> EndUser | None:
    """Whose tokens an operator tries an API with: of the ``user`` of an app, None where no user is named.

    The app may be left out where one alone uses the API.

    Raises:
        NotFound: there is no such app.
        InvalidInput: the user's name cannot be one, an app is named without a user, or which app is meant is not clear.
    """
    if user is None:
        if app is not None:
            raise InvalidInput("app goes with connection: say whose connection to use.", param="connection")
        return None
    checked_title(user, "connection")
    if app is not None:
        return EndUser((await find_app(reading.apps, app)).id, user)
    using = await reading.apps.using(api.id)
    if len(using) != 1:
        msg = "A user is known to one app, and it is not clear which: name the app."
        raise InvalidInput(msg, param="app")
    return EndUser(using[0].id, user)


async def remove(services: Services, caller: Caller, connection_id: str) -> None:
    """Delete a connection with its token, which stops working at once. Needs the role editor. Raises ``NotFound``.

    The issuer is not told: what it gave ends there as it says.
    """
    require(caller, Role.EDITOR)
    async with services.store.write(caller) as tx:
        row = await tx.connections.get(checked_id(connection_id, "conn", "connection"))
        if row is None:
            raise not_found("connection")
        await tx.connections.remove(row.id)
        await tx.audit.add(
            ConnectionRemoved(
                target=row.id, api=row.api, environment=row.key.environment, app=row.app, user=row.key.user
            )
        )
