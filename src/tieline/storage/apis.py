"""APIs, for the control plane: ``ports.apis.ApiReader`` and ``ApiWriter``.

Owns the table ``apis``. Knows nothing of what a definition says.
"""

from typing import Any

from sqlalchemy import Row, delete, select, update

from tieline.core.pages import Page, PageRequest
from tieline.ports.apis import ApiRow
from tieline.storage.changes import ChangeLog
from tieline.storage.connection import AsyncConnection
from tieline.storage.engine import Database
from tieline.storage.pages import page_of
from tieline.storage.schema import apis, app_apis, credentials


class Apis:
    """APIs, to read."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, name: str) -> ApiRow | None:
        row = (await self._connection.execute(select(apis).where(apis.c.name == name))).one_or_none()
        return None if row is None else _api(row)

    async def list(self, page: PageRequest) -> Page[ApiRow]:
        found = await page_of(self._connection, select(apis), apis.c.id, page)
        return Page([_api(row) for row in found.items], found.next)


class ApiChanges(Apis):
    """APIs, to read and change in one write."""

    def __init__(self, connection: AsyncConnection, database: Database, log: ChangeLog) -> None:
        super().__init__(connection)
        self._database = database
        self._log = log

    async def add(self, row: ApiRow) -> bool:
        values = {column: getattr(row, column) for column in apis.c.keys()}  # noqa: SIM118 - c is no dictionary
        added = await self._connection.execute(self._database.insert_new(apis).values(values))
        if added.rowcount == 0:
            return False
        await self._log.note("api", row.id)
        return True

    async def replace(self, row: ApiRow) -> None:
        change = update(apis).where(apis.c.id == row.id)
        await self._connection.execute(
            change.values(
                definition=row.definition,
                revision=row.revision,
                source_entry=row.source_entry,
                updated_at=row.updated_at,
            )
        )
        await self._log.note("api", row.id)

    async def remove(self, api_id: str) -> None:
        using = select(app_apis.c.app_id).where(app_apis.c.api_id == api_id).order_by(app_apis.c.app_id)
        apps = (await self._connection.execute(using)).scalars().all()
        held = select(credentials.c.id).where(credentials.c.api_id == api_id).limit(1)
        had_credential = (await self._connection.execute(held)).first() is not None
        await self._connection.execute(delete(apis).where(apis.c.id == api_id))
        await self._log.note("api", api_id)
        if had_credential:
            await self._log.note("credential", api_id)
        for app_id in apps:
            await self._log.note("app", app_id)


def _api(row: Row[Any]) -> ApiRow:
    return ApiRow(
        id=row.id,
        name=row.name,
        definition=row.definition,
        revision=row.revision,
        source_entry=row.source_entry,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
