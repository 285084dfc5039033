"""What nodes lease of budgets, and what they have spent: ``ports.budgets.LedgerStore`` on a database.

Owns the tables ``budget_windows`` and ``budget_leases``, and these rules. ``granted`` of a window is what was spent of
it and what leases may still spend; it is raised by a lease only where it stays within the amount. A lease is settled by
the sum of all that its node has counted, so that a message that comes twice, late or never changes nothing. What a node
gives back, and what is left of a lease that ended, lowers ``granted`` again.

A window's row is locked first, then its leases; several windows in ascending order. Times are the store's own.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, and_, delete, func, insert, or_, select, type_coerce, update
from sqlalchemy.sql.elements import ColumnElement

from tieline.ports.budgets import Lease, LeaseKey, Settled, WindowKey, WindowRow
from tieline.storage.alerts import tell_passed
from tieline.storage.budgets import windows_of, windows_query
from tieline.storage.columns import Moment
from tieline.storage.connection import AsyncConnection
from tieline.storage.engine import Database
from tieline.storage.schema import budget_alerts, budget_leases, budget_windows, budgets

TERM_SECONDS: Final = 900
"""So long after a node was last heard of, its leases end. Calls that began in the first third of it may take ten
minutes to end."""
KEPT_DAYS: Final = 400
"""For so long what was spent in a window that is over can be looked up."""
_SLICES: Final = 16
_OF_REST: Final = 4
_window, _lease = budget_windows.c, budget_leases.c


class SqlLedger:
    """Leases on a database. A node that is not heard of for ``term`` seconds loses them."""

    def __init__(self, database: Database, *, term: int = TERM_SECONDS) -> None:
        self._database = database
        self._term = term

    async def lease(self, counted: Settled, need: int, keep: int | None = None) -> Lease | None:
        key = counted.lease.window
        async with self._database.write() as connection:
            query = select(budgets.c.amount).where(budgets.c.id == key.budget_id)
            amount = (await connection.execute(query)).scalar()
            if amount is None:
                return None
            await self._make(connection, key)
            await self._lock(connection, key)
            await self._end(connection, *_is_of(key), _lease.expires_at <= self._clock())
            number = counted.lease.number or await self._new(connection, counted.lease)
            granted = await self._settled(connection, counted, number)
            if keep is not None and keep < granted:
                await self._grant(connection, counted.lease, number, max(keep, counted.settled) - granted)
                granted = max(keep, counted.settled)
            left = amount - (await self._lock(connection, key)).granted
            more = slice_of(amount, left, need)
            await self._grant(connection, counted.lease, number, more)
            return Lease(number, granted + more, left - more)

    async def settle(self, counted: Sequence[Settled]) -> None:
        ordered = sorted(counted, key=lambda each: (each.lease.window.budget_id, each.lease.window.subject))
        async with self._database.write() as connection:
            for each in ordered:
                if await self._lock(connection, each.lease.window) is not None:
                    await self._settled(connection, each, each.lease.number)

    async def leases(self, node: str, boot: str) -> list[Settled]:
        others = (_lease.node == node, _lease.boot != boot)
        async with self._database.read() as connection:
            stale = (await connection.execute(select(_lease.number).where(*others).limit(1))).first() is not None
        if stale:
            async with self._database.write() as connection:
                await self._end(connection, *others, all_spent=True)
                await connection.execute(delete(budget_leases).where(*others))
        mine = (
            select(budget_leases, _window.ends_at)
            .join(budget_windows, _same_window())
            .where(_lease.node == node, _lease.boot == boot)
        )
        async with self._database.read() as connection:
            return [_settled_of(row) for row in await connection.execute(mine)]

    async def look(self, windows: Sequence[WindowKey]) -> Sequence[WindowRow]:
        if not windows:
            return []
        which = [
            and_(_window.budget_id == key.budget_id, _window.subject == key.subject, _window.starts_at == key.starts_at)
            for key in windows
        ]
        async with self._database.read() as connection:
            return await windows_of(connection, windows_query(self._database).where(or_(*which)))

    async def expire(self) -> None:
        over = self._clock()
        async with self._database.read() as connection:
            any_ = select(_lease.number).where(_lease.expires_at <= over, _lease.granted > _lease.settled).limit(1)
            if (await connection.execute(any_)).first() is None:
                return
        async with self._database.write() as connection:
            await self._end(connection, _lease.expires_at <= over)

    async def forget(self) -> None:
        """Delete windows that ended long ago, and leases that ended a day ago."""
        async with self._database.write() as connection:
            old = self._clock(-KEPT_DAYS * 86_400)
            await connection.execute(delete(budget_leases).where(_lease.expires_at <= self._clock(-86_400)))
            await connection.execute(delete(budget_windows).where(_window.ends_at <= old))
            await connection.execute(delete(budget_alerts).where(budget_alerts.c.at <= old, ~_has_window()))

    def _clock(self, seconds: int = 0) -> ColumnElement[Any]:
        return type_coerce(self._database.now() + seconds * 1_000_000, Moment())

    async def _make(self, connection: AsyncConnection, key: WindowKey) -> None:
        values = {
            "budget_id": key.budget_id,
            "subject": key.subject,
            "starts_at": key.starts_at,
            "ends_at": key.ends_at,
            "granted": 0,
            "spent": 0,
            "estimated": 0,
        }
        await connection.execute(self._database.insert_new(budget_windows).values(values))

    async def _lock(self, connection: AsyncConnection, key: WindowKey) -> Any:
        """The window's row, which nobody else changes before this transaction has ended; None where there is none."""
        query = select(budget_windows).where(
            _window.budget_id == key.budget_id, _window.subject == key.subject, _window.starts_at == key.starts_at
        )
        return (await connection.execute(query.with_for_update())).one_or_none()

    async def _new(self, connection: AsyncConnection, key: LeaseKey) -> int:
        """Make a lease of nothing, and return its number."""
        last = select(func.coalesce(func.max(_lease.number), 0)).where(*_is_of(key.window), _lease.node == key.node)
        number = int((await connection.execute(last)).scalar_one()) + 1
        values = {
            "budget_id": key.window.budget_id,
            "subject": key.window.subject,
            "starts_at": key.window.starts_at,
            "node": key.node,
            "number": number,
            "boot": key.boot,
            "granted": 0,
            "settled": 0,
            "reserved": 0,
            "estimated": 0,
            "expires_at": self._clock(self._term),
        }
        await connection.execute(insert(budget_leases).values(values))
        return number

    async def _settled(self, connection: AsyncConnection, counted: Settled, number: int) -> int:
        """Settle a lease; returns what it is granted then, 0 where it is no more."""
        one = _is_lease(counted.lease, number)
        row = (await connection.execute(select(budget_leases).where(*one))).one_or_none()
        if row is None:
            return 0
        settled = max(row.settled, counted.settled)
        granted, estimated = max(row.granted, settled), max(row.estimated, counted.estimated)
        values = {"settled": settled, "granted": granted, "estimated": estimated, "reserved": counted.reserved}
        kept = update(budget_leases).where(*one)
        await connection.execute(kept.values(**values, expires_at=self._clock(self._term)))
        if (settled, granted, estimated) != (row.settled, row.granted, row.estimated):
            more = {"spent": settled - row.settled, "estimated": estimated - row.estimated}
            await self._move(connection, row, **more, granted=granted - row.granted)
        return int(granted)

    async def _grant(self, connection: AsyncConnection, key: LeaseKey, number: int, more: int) -> None:
        if more:
            one = _is_lease(key, number)
            await connection.execute(update(budget_leases).where(*one).values(granted=_lease.granted + more))
            row = (await connection.execute(select(budget_leases).where(*one))).one()
            await self._move(connection, row, granted=more)

    async def _end(self, connection: AsyncConnection, *which: ColumnElement[bool], all_spent: bool = False) -> None:
        """End leases: what they had under way counts as spent, with ``all_spent`` whatever is left of them."""
        ending = select(budget_leases).where(*which, _lease.granted > _lease.settled)
        rows = await connection.execute(ending.order_by(_lease.budget_id, _lease.subject, _lease.starts_at))
        for row in rows.all():
            await self._lock(connection, WindowKey(row.budget_id, row.subject, row.starts_at, None))
            rest = row.granted - row.settled
            booked = rest if all_spent else min(rest, row.reserved)
            one = (*_is_window(row), _lease.node == row.node, _lease.number == row.number)
            unchanged = (_lease.granted == row.granted, _lease.settled == row.settled)
            ended = update(budget_leases).where(*one, *unchanged)
            after = row.settled + booked
            values = {"granted": after, "settled": after, "reserved": 0}
            if (await connection.execute(ended.values(values))).rowcount:
                await self._move(connection, row, spent=booked, estimated=booked, granted=booked - rest)

    async def _move(
        self, connection: AsyncConnection, row: Row[Any], *, spent: int = 0, granted: int = 0, estimated: int = 0
    ) -> None:
        change = update(budget_windows).where(
            _window.budget_id == row.budget_id, _window.subject == row.subject, _window.starts_at == row.starts_at
        )
        await connection.execute(
            change.values(
                spent=_window.spent + spent,
                granted=_window.granted + granted,
                estimated=_window.estimated + estimated,
            )
        )
        if spent:
            key = WindowKey(row.budget_id, row.subject, row.starts_at, None)
            await tell_passed(connection, self._database, key)


def slice_of(amount: int, left: int, need: int) -> int:
    """How much to lease where ``need`` is needed: a sixteenth of the amount, near its end a quarter of what is left.

    So several nodes leave little with one another. Nothing where less than ``need`` is left, or nothing is needed.
    """
    if not 0 < need <= left:
        return 0
    return max(need, min(left // _OF_REST, amount // _SLICES))


def _is_of(key: WindowKey) -> tuple[ColumnElement[bool], ...]:
    return (_lease.budget_id == key.budget_id, _lease.subject == key.subject, _lease.starts_at == key.starts_at)


def _is_window(row: Row[Any]) -> tuple[ColumnElement[bool], ...]:
    return (_lease.budget_id == row.budget_id, _lease.subject == row.subject, _lease.starts_at == row.starts_at)


def _is_lease(key: LeaseKey, number: int) -> tuple[ColumnElement[bool], ...]:
    return (*_is_of(key.window), _lease.node == key.node, _lease.number == number)


def _same_window() -> Any:
    return (
        (_lease.budget_id == _window.budget_id)
        & (_lease.subject == _window.subject)
        & (_lease.starts_at == _window.starts_at)
    )


def _has_window() -> ColumnElement[bool]:
    """Whether the window that an alert was told of is there."""
    told = budget_alerts.c
    same = (_window.budget_id == told.budget_id, _window.subject == told.subject, _window.starts_at == told.starts_at)
    return select(_window.spent).where(*same).exists()


def _settled_of(row: Row[Any]) -> Settled:
    window = WindowKey(row.budget_id, row.subject, row.starts_at, row.ends_at)
    return Settled(LeaseKey(window, row.node, row.boot, row.number), row.settled, row.reserved, row.estimated)
