"""Budgets, for the control plane: ``ports.budgets.BudgetReader`` and ``BudgetWriter``.

Owns the table ``budgets``. What nodes lease and settle is ``storage.ledger``'s.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, type_coerce, update

from tieline.core.pages import Page, PageRequest
from tieline.ports.budgets import BudgetRow, WindowKey, WindowRow
from tieline.storage.alerts import tell_changed
from tieline.storage.changes import ChangeLog
from tieline.storage.columns import Moment
from tieline.storage.connection import AsyncConnection
from tieline.storage.engine import Database
from tieline.storage.pages import page_of
from tieline.storage.schema import budget_leases, budget_windows, budgets


class Budgets:
    """Budgets, to read."""

    def __init__(self, connection: AsyncConnection, database: Database) -> None:
        self._connection = connection
        self._database = database

    async def get(self, id_or_name: str) -> BudgetRow | None:
        for column in (budgets.c.id, budgets.c.name):
            row = (await self._connection.execute(select(budgets).where(column == id_or_name))).one_or_none()
            if row is not None:
                return budget_of(row)
        return None

    async def list(self, page: PageRequest) -> Page[BudgetRow]:
        found = await page_of(self._connection, select(budgets), budgets.c.id, page)
        return Page([budget_of(row) for row in found.items], found.next)

    async def windows(self, budget_id: str, starts_at: datetime, most: int) -> Sequence[WindowRow]:
        window = budget_windows.c
        query = windows_query(self._database).where(window.budget_id == budget_id, window.starts_at == starts_at)
        return await windows_of(self._connection, query.order_by(window.spent.desc(), window.subject).limit(most))


class BudgetChanges(Budgets):
    """Budgets, to read and change in one write."""

    def __init__(self, connection: AsyncConnection, database: Database, log: ChangeLog) -> None:
        super().__init__(connection, database)
        self._log = log

    async def add(self, row: BudgetRow) -> bool:
        taken = select(budgets.c.id).where(budgets.c.name == row.name)
        if (await self._connection.execute(taken)).first() is not None:
            return False
        values = {column: getattr(row, column) for column in budgets.c.keys()}  # noqa: SIM118 - c is no dictionary
        await self._connection.execute(insert(budgets).values(values))
        await self._log.note("budget", row.id)
        return True

    async def replace(self, row: BudgetRow) -> bool:
        taken = select(budgets.c.id).where(budgets.c.name == row.name, budgets.c.id != row.id)
        if (await self._connection.execute(taken)).first() is not None:
            return False
        change = update(budgets).where(budgets.c.id == row.id)
        await self._connection.execute(change.values(name=row.name, amount=row.amount, terms=row.terms))
        await tell_changed(self._connection, self._database, row.id)
        await self._log.note("budget", row.id)
        return True

    async def remove(self, budget_id: str) -> None:
        await self._connection.execute(delete(budgets).where(budgets.c.id == budget_id))
        await self._log.note("budget", budget_id)


def windows_query(database: Database) -> Select[Any]:
    """A query for windows, with what is reserved of them."""
    leased, window = budget_leases.c, budget_windows.c
    reserved = (
        select(func.coalesce(func.sum(leased.reserved), 0))
        .where(
            leased.budget_id == window.budget_id,
            leased.subject == window.subject,
            leased.starts_at == window.starts_at,
            leased.expires_at > type_coerce(database.now(), Moment()),
        )
        .scalar_subquery()
    )
    return select(budget_windows, reserved.label("reserved"))


async def windows_of(connection: AsyncConnection, query: Select[Any]) -> list[WindowRow]:
    """The windows that a query of :func:`windows_query` finds."""
    return [
        WindowRow(
            WindowKey(row.budget_id, row.subject, row.starts_at, row.ends_at),
            row.spent,
            row.estimated,
            int(row.reserved),
        )
        for row in await connection.execute(query)
    ]


def budget_of(row: Row[Any]) -> BudgetRow:
    """The budget that a row of the table is."""
    return BudgetRow(row.id, row.name, row.amount, row.unit, row.terms, row.created_at, row.created_by)
