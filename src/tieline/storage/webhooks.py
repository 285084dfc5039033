"""Webhooks, for the control plane: ``ports.webhooks.WebhookReader`` and ``WebhookWriter``.

Owns the tables ``webhooks`` and ``webhook_secrets``. What is on its way to them is ``storage.outbox``'s.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from tieline.core.pages import LIMIT_MOST, Page, PageRequest
from tieline.ports.webhooks import DeliveryRow, SealedField, SealedWebhook, WebhookRow
from tieline.storage.connection import AsyncConnection
from tieline.storage.outbox import deliveries, delivery_of, sealed_of
from tieline.storage.pages import cut, page_of
from tieline.storage.schema import webhook_deliveries, webhook_secrets, webhooks
from tieline.vault.intake import SealedSecret

_hook, _kept, _delivery = webhooks.c, webhook_secrets.c, webhook_deliveries.c


class Webhooks:
    """Webhooks, to read."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, id_or_name: str) -> WebhookRow | None:
        for column in (_hook.id, _hook.name):
            row = (await self._connection.execute(_counted().where(column == id_or_name))).one_or_none()
            if row is not None:
                return _row(row)
        return None

    async def list(self, page: PageRequest) -> Page[WebhookRow]:
        found = await page_of(self._connection, _counted(), _hook.id, page)
        return Page([_row(row) for row in found.items], found.next)

    async def deliveries(self, webhook_id: str, page: PageRequest) -> Page[DeliveryRow]:
        query = deliveries().where(_delivery.webhook_id == webhook_id)
        if page.after is not None:
            query = query.where(_delivery.id < page.after)
        limit = max(1, min(page.limit, LIMIT_MOST))
        rows = (await self._connection.execute(query.order_by(_delivery.id.desc()).limit(limit + 1))).all()
        found = cut(rows, limit, "id")
        return Page([delivery_of(row) for row in found.items], found.next)

    async def sealed(self, webhook_id: str, now: datetime) -> SealedWebhook | None:
        return await sealed_of(self._connection, webhook_id, now)


class WebhookChanges(Webhooks):
    """Webhooks, to read and change in one write."""

    async def count(self) -> int:
        return int((await self._connection.execute(select(func.count()).select_from(webhooks))).scalar_one())

    async def add(self, row: WebhookRow) -> bool:
        if await self._is_taken(_hook.name == row.name):
            return False
        made = {"dropped": 0, "created_at": row.created_at, "created_by": row.created_by}
        await self._connection.execute(insert(webhooks).values(id=row.id, **_values(row), **made))
        return True

    async def replace(self, row: WebhookRow) -> bool:
        if await self._is_taken(_hook.name == row.name, _hook.id != row.id):
            return False
        await self._connection.execute(update(webhooks).where(_hook.id == row.id).values(**_values(row)))
        return True

    async def next_version(self, webhook_id: str, name: SealedField) -> int:
        newest = select(func.max(_kept.version)).where(_kept.webhook_id == webhook_id, _kept.field == name)
        return ((await self._connection.execute(newest)).scalar() or 0) + 1

    async def put(self, webhook_id: str, name: SealedField, version: int, sealed: SealedSecret) -> None:
        if name == "url":
            old = delete(webhook_secrets).where(_kept.webhook_id == webhook_id, _kept.field == name)
            await self._connection.execute(old)
        names = {"webhook_id": webhook_id, "field": name, "version": version, "expires_at": None}
        parts = {"data_key_id": sealed.data_key_id, "nonce": sealed.nonce, "ciphertext": sealed.ciphertext}
        await self._connection.execute(insert(webhook_secrets).values(**names, **parts))

    async def end_secrets(self, webhook_id: str, at: datetime) -> None:
        secrets = (_kept.webhook_id == webhook_id, _kept.field == "secret")
        lasting = _kept.expires_at.is_(None) | (_kept.expires_at > at)
        await self._connection.execute(update(webhook_secrets).where(*secrets, lasting).values(expires_at=at))

    async def remove(self, webhook_id: str) -> None:
        await self._connection.execute(delete(webhooks).where(_hook.id == webhook_id))

    async def _is_taken(self, *which: ColumnElement[bool]) -> bool:
        return (await self._connection.execute(select(_hook.id).where(*which))).first() is not None


def _counted() -> Select[Any]:
    """Webhooks with how many deliveries wait."""
    waiting = select(func.count()).where(_delivery.webhook_id == _hook.id, _delivery.next_at.is_not(None))
    return select(webhooks, waiting.scalar_subquery().label("pending"))


def _values(row: WebhookRow) -> dict[str, Any]:
    return {"name": row.name, "origin": row.origin, "events": row.events, "state": row.state}


def _row(row: Row[Any]) -> WebhookRow:
    return WebhookRow(
        id=row.id,
        name=row.name,
        origin=row.origin,
        events=tuple(row.events),
        state=row.state,
        created_at=row.created_at,
        created_by=row.created_by,
        dropped=row.dropped,
        pending=row.pending,
    )
