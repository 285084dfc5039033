"""Connections: who is signed in to which API, until when, and what went wrong last. Never a token."""

from dataclasses import dataclass

from tieline.access.caller import Caller, Role, require
from tieline.audit.events import ConnectionRemoved
from tieline.controlplane.apis import find_api
from tieline.controlplane.apps import find_app
from tieline.controlplane.inputs import checked_id, checked_page, not_found
from tieline.controlplane.services import Services
from tieline.core.pages import Page, PageRequest
from tieline.ports.connections import ConnectionRow


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
