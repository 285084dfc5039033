"""Apps, for the control plane: ``ports.apps.AppReader`` and ``AppWriter``.

Owns the tables ``apps`` and ``app_apis``; an app takes its connections with it. Knows nothing of what keys may do.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from tieline.core.pages import Page, PageRequest
from tieline.ports.apps import AppRow
from tieline.storage.changes import ChangeLog
from tieline.storage.connection import AsyncConnection
from tieline.storage.engine import Database
from tieline.storage.pages import page_of
from tieline.storage.schema import apis, app_apis, apps, connections, sign_ins


class Apps:
    """Apps, to read."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, id_or_name: str) -> AppRow | None:
        for column in (apps.c.id, apps.c.name):
            row = (await self._connection.execute(select(apps).where(column == id_or_name))).one_or_none()
            if row is not None:
                return (await self._with_apis([row]))[0]
        return None

    async def list(self, page: PageRequest) -> Page[AppRow]:
        found = await page_of(self._connection, select(apps), apps.c.id, page)
        return Page(await self._with_apis(found.items), found.next)

    async def using(self, api_id: str) -> Sequence[AppRow]:
        query = select(apps).join(app_apis).where(app_apis.c.api_id == api_id).order_by(apps.c.id)
        return await self._with_apis((await self._connection.execute(query)).all())

    async def _with_apis(self, rows: Sequence[Row[Any]]) -> Sequence[AppRow]:
        """The rows as apps, each with the APIs it may use in the order of their names."""
        named: dict[str, dict[str, str]] = {row.id: {} for row in rows}
        if named:
            query = select(app_apis.c.app_id, apis.c.id, apis.c.name).join(apis)
            query = query.where(app_apis.c.app_id.in_(named)).order_by(apis.c.name)
            for app_id, api_id, name in await self._connection.execute(query):
                named[app_id][api_id] = name
        return [AppRow(row.id, row.name, named[row.id], row.created_at, row.created_by, row.limits) for row in rows]


class AppChanges(Apps):
    """Apps, to read and change in one write."""

    def __init__(self, connection: AsyncConnection, database: Database, log: ChangeLog) -> None:
        super().__init__(connection)
        self._database = database
        self._log = log

    async def add(self, row: AppRow) -> bool:
        values = {column: getattr(row, column) for column in apps.c.keys()}  # noqa: SIM118 - c is no dictionary
        added = await self._connection.execute(self._database.insert_new(apps).values(values))
        if added.rowcount == 0:
            return False
        await self._allow(row.id, row.apis)
        await self._log.note("app", row.id)
        return True

    async def replace(self, row: AppRow) -> bool:
        taken = select(apps.c.id).where(apps.c.name == row.name, apps.c.id != row.id)
        if (await self._connection.execute(taken)).first() is not None:
            return False
        await self._connection.execute(update(apps).where(apps.c.id == row.id).values(name=row.name, limits=row.limits))
        await self._connection.execute(delete(app_apis).where(app_apis.c.app_id == row.id))
        await self._allow(row.id, row.apis)
        await self._log.note("app", row.id)
        return True

    async def remove(self, app_id: str) -> None:
        await self._connection.execute(delete(apps).where(apps.c.id == app_id))
        for table in (connections, sign_ins):
            await self._connection.execute(delete(table).where(table.c.app_id == app_id))
        await self._log.note("app", app_id)

    async def _allow(self, app_id: str, api_ids: Iterable[str]) -> None:
        places = [{"app_id": app_id, "api_id": api_id} for api_id in api_ids]
        if places:
            await self._connection.execute(insert(app_apis), places)
