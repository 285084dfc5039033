"""Events on their way to webhooks: ``ports.webhooks.Outbox`` on a database.

Owns the table ``events``, and the deliveries that are under way. An event is taken by one process, in the transaction
that queues its deliveries; a delivery is claimed for a while by moving its ``next_at``, so that a process that dies in
the midst of it leaves it to the next. Times are the store's own.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select, type_coerce, update
from sqlalchemy.sql.elements import ColumnElement

from tieline.core.ids import new_id
from tieline.ports.webhooks import DeliveryRow, EventRow, Outcome, SealedWebhook
from tieline.storage.columns import Moment, storable
from tieline.storage.connection import AsyncConnection
from tieline.storage.engine import Database
from tieline.storage.schema import PATH, events, webhook_deliveries, webhook_secrets, webhooks
from tieline.vault.intake import SealedSecret

WAITING_MOST: Final = 1_000
"""Deliveries that may wait for one webhook; what happens beyond them is counted and not sent."""
_delivery, _event = webhook_deliveries.c, events.c


async def add_event(connection: AsyncConnection, database: Database, kind: str, data: Mapping[str, Any]) -> None:
    """Note that something happened, in the transaction of what made it happen."""
    values = {"id": new_id("evt"), "kind": kind, "data": data, "at": _now(database)}
    await connection.execute(insert(events).values(**values, taken_at=None))


class SqlOutbox:
    """The outbox on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, most: int) -> Sequence[tuple[EventRow, int]]:
        waiting = select(events).where(_event.taken_at.is_(None)).order_by(_event.at, _event.id).limit(most)
        async with self._database.read() as connection:
            if (await connection.execute(waiting.limit(1))).first() is None:
                return []
        async with self._database.write() as connection:
            taken = []
            for row in (await connection.execute(waiting.with_for_update(skip_locked=True))).all():
                event = _event_of(row)
                await connection.execute(
                    update(events).where(_event.id == event.id).values(taken_at=_now(self._database))
                )
                taken.append((event, await self._queue(connection, event)))
            return taken

    async def due(self) -> Sequence[str]:
        query = select(_delivery.webhook_id).join(webhooks, webhooks.c.id == _delivery.webhook_id).distinct()
        query = query.where(_delivery.next_at <= _now(self._database), webhooks.c.state == "active")
        async with self._database.read() as connection:
            return list((await connection.execute(query)).scalars())

    async def claim(self, webhook_id: str, most: int, seconds: int) -> Sequence[DeliveryRow]:
        due = select(_delivery.id).join(webhooks, webhooks.c.id == _delivery.webhook_id)
        due = due.where(webhooks.c.id == webhook_id, webhooks.c.state == "active")
        due = due.where(_delivery.next_at <= _now(self._database)).order_by(_delivery.next_at, _delivery.created_at)
        due = due.limit(most).with_for_update(skip_locked=True, of=webhook_deliveries)
        async with self._database.write() as connection:
            found = list((await connection.execute(due)).scalars())
            if not found:
                return []
            await connection.execute(
                update(webhook_deliveries)
                .where(_delivery.id.in_(found))
                .values(attempts=_delivery.attempts + 1, next_at=_now(self._database, seconds))
            )
            rows = await connection.execute(deliveries().where(_delivery.id.in_(found)).order_by(_event.at))
            return [delivery_of(row) for row in rows]

    async def sealed(self, webhook_id: str) -> SealedWebhook | None:
        async with self._database.read() as connection:
            return await sealed_of(connection, webhook_id, _now(self._database))

    async def end(self, delivery: DeliveryRow, outcome: Outcome) -> None:
        async with self._database.write() as connection:
            await connection.execute(
                update(webhook_deliveries).where(_delivery.id == delivery.id).values(**_values(outcome))
            )
            if outcome.gone:
                gone = update(webhooks).where(webhooks.c.id == delivery.webhook_id)
                await connection.execute(gone.values(state="gone"))

    async def tested(self, webhook_id: str, event: EventRow, outcome: Outcome) -> None:
        async with self._database.write() as connection:
            values = {"id": event.id, "kind": event.kind, "data": event.data, "at": event.at, "taken_at": event.at}
            await connection.execute(insert(events).values(**values))
            ended = {"attempts": 1, "created_at": event.at, **_values(outcome)}
            names = {"id": new_id("dlv"), "webhook_id": webhook_id, "event_id": event.id}
            await connection.execute(insert(webhook_deliveries).values(**names, **ended))

    async def forget(self, before: datetime) -> None:
        async with self._database.write() as connection:
            await connection.execute(delete(events).where(_event.taken_at.is_not(None), _event.at < before))
            await connection.execute(
                delete(webhook_secrets).where(webhook_secrets.c.expires_at <= _now(self._database))
            )

    async def _queue(self, connection: AsyncConnection, event: EventRow) -> int:
        """Queue ``event`` for the webhooks that want it; how many had no room."""
        waiting = (
            select(func.count())
            .where(_delivery.webhook_id == webhooks.c.id, _delivery.next_at.is_not(None))
            .scalar_subquery()
        )
        query = select(webhooks.c.id, webhooks.c.events, waiting.label("waiting")).where(webhooks.c.state == "active")
        full = 0
        for row in (await connection.execute(query.order_by(webhooks.c.id))).all():
            if event.kind not in row.events:
                continue
            if row.waiting >= WAITING_MOST:
                full += 1
                more = update(webhooks).where(webhooks.c.id == row.id).values(dropped=webhooks.c.dropped + 1)
                await connection.execute(more)
                continue
            names = {"id": new_id("dlv"), "webhook_id": row.id, "event_id": event.id, "state": "pending"}
            now = _now(self._database)
            await connection.execute(
                insert(webhook_deliveries).values(**names, attempts=0, next_at=now, created_at=now)
            )
        return full


def deliveries() -> Any:
    """A query for deliveries with their events."""
    told = (_event.kind, _event.at.label("event_at"), _event.data)
    return select(webhook_deliveries, *told).join(events, _event.id == _delivery.event_id)


def delivery_of(row: Row[Any]) -> DeliveryRow:
    """A row of :func:`deliveries`."""
    return DeliveryRow(
        id=row.id,
        webhook_id=row.webhook_id,
        event=EventRow(row.event_id, row.kind, row.event_at, row.data),
        state=row.state,
        attempts=row.attempts,
        created_at=row.created_at,
        next_at=row.next_at,
        last_at=row.last_at,
        status=row.status,
        problem=row.problem,
    )


async def sealed_of(
    connection: AsyncConnection, webhook_id: str, now: ColumnElement[Any] | datetime
) -> SealedWebhook | None:
    """What a webhook's deliveries need, sealed: its URL, and the secrets that sign at ``now``, newest first."""
    column = webhook_secrets.c
    query = select(webhook_secrets).where(
        column.webhook_id == webhook_id, column.expires_at.is_(None) | (column.expires_at > now)
    )
    rows = (await connection.execute(query.order_by(column.version.desc()))).all()
    kept = [(row.field, row.version, SealedSecret(row.data_key_id, row.nonce, row.ciphertext)) for row in rows]
    urls = [(version, sealed) for field, version, sealed in kept if field == "url"]
    secrets = [(version, sealed) for field, version, sealed in kept if field == "secret"]
    return SealedWebhook(webhook_id, urls[0], secrets) if urls else None


def _event_of(row: Row[Any]) -> EventRow:
    return EventRow(row.id, row.kind, row.at, row.data)


def _values(outcome: Outcome) -> dict[str, Any]:
    problem = None if outcome.problem is None else storable(outcome.problem, PATH)
    return {
        "state": outcome.state,
        "last_at": outcome.at,
        "next_at": outcome.next_at,
        "status": outcome.status,
        "problem": problem,
    }


def _now(database: Database, seconds: int = 0) -> ColumnElement[Any]:
    return type_coerce(database.now() + seconds * 1_000_000, Moment())
