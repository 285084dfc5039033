"""Drift of calls: counted up by the data plane, read and forgotten by the control plane.

Owns the table ``drift`` and its bound: 200 places of a call in an environment, however many an upstream invents.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, delete, func, literal, select, update

from tieline.ports.drift import DriftRecord, DriftRow
from tieline.storage.columns import storable
from tieline.storage.connection import AsyncConnection
from tieline.storage.engine import Database
from tieline.storage.schema import NAME, PLACE, apis, drift

PLACES_MOST: Final = 200
SETTLING: Final = timedelta(seconds=5)
"""For so long after a change of an API a worker may still count by what was known before; such counts are dropped."""
_KEY: Final = ("api_id", "call", "environment", "path", "kind")


async def add_drifts(database: Database, drifts: Sequence[DriftRecord], at: datetime) -> None:
    """Count ``drifts``, told at ``at``, in one transaction; those of an API gone or just changed are passed over."""
    if not drifts:
        return
    async with database.write() as connection:
        for one in sorted(drifts):  # in one order, so that workers do not wait for each other in a circle
            if not await _count_up(connection, one, at):
                await _begin(database, connection, one, at)


class DriftCounts:
    """Drift, to read."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def of_call(self, api_id: str, call: str) -> Sequence[DriftRow]:
        columns = [column for column in drift.c if column.name not in {"api_id", "call"}]
        ordered = select(*columns).where(_of(api_id, call)).order_by(drift.c.count.desc(), drift.c.path, drift.c.kind)
        return [DriftRow(**row) for row in (await self._connection.execute(ordered)).mappings()]


class DriftChanges(DriftCounts):
    """Drift, to read and forget in one write."""

    async def forget(self, api_id: str, call: str) -> None:
        await self._connection.execute(delete(drift).where(_of(api_id, call)))


def _of(api_id: str, call: str) -> ColumnElement[bool]:
    return and_(drift.c.api_id == api_id, drift.c.call == call)


def _settled(one: DriftRecord, at: datetime) -> ColumnElement[bool]:
    return and_(apis.c.name == one.api, apis.c.updated_at <= at - SETTLING)


async def _count_up(connection: AsyncConnection, one: DriftRecord, at: datetime) -> bool:
    """Whether the place was known."""
    here = and_(
        drift.c.api_id == select(apis.c.id).where(_settled(one, at)).scalar_subquery(),
        drift.c.call == one.call,
        drift.c.environment == one.environment,
        drift.c.path == storable(one.path, PLACE),
        drift.c.kind == one.kind,
    )
    seen = {"expected": storable(one.expected, NAME), "found": storable(one.found, NAME), "last_at": at}
    more = update(drift).where(here).values(count=drift.c.count + one.count, **seen)
    return (await connection.execute(more)).rowcount > 0


async def _begin(database: Database, connection: AsyncConnection, one: DriftRecord, at: datetime) -> None:
    """A row for a place seen for the first time, where the API is there and has room for it."""
    known = and_(drift.c.api_id == apis.c.id, drift.c.call == one.call, drift.c.environment == one.environment)
    room = select(func.count()).select_from(drift).where(known).correlate(apis).scalar_subquery() < PLACES_MOST
    values: dict[str, Any] = {
        "call": literal(one.call),
        "environment": literal(one.environment),
        "path": literal(storable(one.path, PLACE)),
        "kind": literal(one.kind),
        "expected": literal(storable(one.expected, NAME)),
        "found": literal(storable(one.found, NAME)),
        "count": literal(one.count, drift.c.count.type),
        "first_at": literal(at, drift.c.first_at.type),
        "last_at": literal(at, drift.c.last_at.type),
    }
    rows = select(apis.c.id, *values.values()).where(_settled(one, at), room)
    insert = database.insert_or_add(drift, _KEY, ("count",))
    await connection.execute(insert.from_select(["api_id", *values], rows))
