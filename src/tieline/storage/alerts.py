"""Thresholds of budgets: which were passed, each told once for each window, in the transaction that passed it.

Owns the table ``budget_alerts``. A row that could be added is a threshold that nobody had told, whichever worker of
whichever node got there first; its event is added beside it, and so is neither lost nor told twice.
"""

from typing import Any

from sqlalchemy import Row, and_, or_, select, type_coerce

from tieline.access.budgets import Amount, BudgetTerms
from tieline.core.clock import rfc3339
from tieline.ports.budgets import WindowKey
from tieline.storage.columns import Moment
from tieline.storage.connection import AsyncConnection
from tieline.storage.engine import Database
from tieline.storage.outbox import add_event
from tieline.storage.schema import budget_alerts, budget_windows, budgets

WINDOWS_MOST = 1_000
"""So many windows of a budget are looked at where its amount or thresholds change; others when they are spent from."""
_window, _told = budget_windows.c, budget_alerts.c


async def tell_passed(connection: AsyncConnection, database: Database, key: WindowKey) -> None:
    """Tell the thresholds that the window has passed and that were not told. Its row is locked."""
    query = (
        select(budget_windows, budgets.c.name, budgets.c.amount, budgets.c.unit, budgets.c.terms, _told.percent)
        .join(budgets, budgets.c.id == _window.budget_id)
        .outerjoin(
            budget_alerts,
            and_(
                _told.budget_id == _window.budget_id,
                _told.subject == _window.subject,
                _told.starts_at == _window.starts_at,
            ),
        )
        .where(_window.budget_id == key.budget_id, _window.subject == key.subject, _window.starts_at == key.starts_at)
    )
    rows = (await connection.execute(query)).all()
    if not rows:
        return
    row, told = rows[0], {each.percent for each in rows}
    for percent in BudgetTerms.from_json(row.terms).alerts:
        if percent not in told and row.spent * 100 >= percent * row.amount:
            await _tell(connection, database, row, percent)


async def tell_changed(connection: AsyncConnection, database: Database, budget_id: str) -> None:
    """Tell what running windows of a budget have passed now that its amount or its thresholds are others."""
    now = type_coerce(database.now(), Moment())
    query = (
        select(budget_windows)
        .where(_window.budget_id == budget_id, or_(_window.ends_at.is_(None), _window.ends_at > now))
        .order_by(_window.spent.desc(), _window.subject)
        .limit(WINDOWS_MOST)
    )
    found = (await connection.execute(query)).all()
    for row in sorted(found, key=lambda each: (each.subject, each.starts_at)):
        key = WindowKey(row.budget_id, row.subject, row.starts_at, row.ends_at)
        locked = select(_window.spent).where(
            _window.budget_id == key.budget_id, _window.subject == key.subject, _window.starts_at == key.starts_at
        )
        await connection.execute(locked.with_for_update())
        await tell_passed(connection, database, key)


async def _tell(connection: AsyncConnection, database: Database, row: Row[Any], percent: int) -> None:
    now = type_coerce(database.now(), Moment())
    values = {"budget_id": row.budget_id, "subject": row.subject, "starts_at": row.starts_at, "percent": percent}
    added = await connection.execute(database.insert_new(budget_alerts).values(**values, at=now))
    if added.rowcount != 1:
        return
    terms, shown = BudgetTerms.from_json(row.terms), Amount(row.amount, row.unit).shown
    data = {
        "budget": {"id": row.budget_id, "name": row.name},
        "subject": row.subject or None,
        "threshold": percent,
        "amount": shown(),
        "spent": shown(row.spent),
        "estimated": shown(row.estimated),
        "left": shown(max(0, row.amount - row.spent)),
        "period": terms.period,
        "mode": terms.mode,
        "begins_at": rfc3339(row.starts_at),
        "resets_at": None if row.ends_at is None else rfc3339(row.ends_at),
    }
    await add_event(connection, database, "budget.threshold", data)
