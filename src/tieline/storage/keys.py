"""App keys, for the control plane: ``ports.keys.KeyReader`` and ``KeyWriter``.

Owns the tables ``app_keys`` and ``key_secrets``. Knows no secret: a key is found by its keyed hash, and no method here
gives the hash back.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, or_, select, update

from tieline.core.pages import Page, PageRequest
from tieline.ports.keys import KeyRow, KeySecretRow
from tieline.storage.changes import ChangeLog
from tieline.storage.connection import AsyncConnection
from tieline.storage.pages import page_of
from tieline.storage.schema import app_keys, key_secrets


class Keys:
    """App keys, to read."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, key_id: str) -> KeyRow | None:
        row = (await self._connection.execute(select(app_keys).where(app_keys.c.id == key_id))).one_or_none()
        return None if row is None else (await self._with_secrets([row]))[0]

    async def list(self, app_id: str, page: PageRequest) -> Page[KeyRow]:
        query = select(app_keys).where(app_keys.c.app_id == app_id)
        found = await page_of(self._connection, query, app_keys.c.id, page)
        return Page(await self._with_secrets(found.items), found.next)

    async def _with_secrets(self, rows: Sequence[Row[Any]]) -> Sequence[KeyRow]:
        """The rows as keys, each with its secrets, oldest first."""
        held: dict[str, list[KeySecretRow]] = {row.id: [] for row in rows}
        if held:
            columns = (key_secrets.c[name] for name in ("key_id", "id", "redacted", "created_at", "expires_at"))
            query = select(*columns).where(key_secrets.c.key_id.in_(held)).order_by(key_secrets.c.id)
            for key_id, *secret in await self._connection.execute(query):
                held[key_id].append(KeySecretRow(*secret))
        return [_key(row, held[row.id]) for row in rows]


class KeyChanges(Keys):
    """App keys, to read and change in one write."""

    def __init__(self, connection: AsyncConnection, log: ChangeLog) -> None:
        super().__init__(connection)
        self._log = log

    async def add(self, row: KeyRow, secret_hash: bytes) -> None:
        values = {column: getattr(row, column) for column in app_keys.c.keys()}  # noqa: SIM118 - c is no dictionary
        await self._connection.execute(insert(app_keys).values(values))
        await self._add_secret(row.id, row.secrets[0], secret_hash)
        await self._log.note("key", row.id)

    async def replace(self, row: KeyRow) -> None:
        change = update(app_keys).where(app_keys.c.id == row.id)
        await self._connection.execute(
            change.values(
                name=row.name,
                permissions=row.permissions,
                expires_at=row.expires_at,
                from_ip=list(row.from_ip),
                limits=row.limits,
                models=list(row.models),
            )
        )
        await self._log.note("key", row.id)

    async def rotate(self, key_id: str, secret: KeySecretRow, secret_hash: bytes, older_end: datetime) -> None:
        longer = or_(key_secrets.c.expires_at.is_(None), key_secrets.c.expires_at > older_end)
        older = update(key_secrets).where(key_secrets.c.key_id == key_id, longer)
        await self._connection.execute(older.values(expires_at=older_end))
        await self._add_secret(key_id, secret, secret_hash)
        await self._log.note("key", key_id)

    async def revoke(self, key_id: str, at: datetime) -> None:
        await self._connection.execute(update(app_keys).where(app_keys.c.id == key_id).values(revoked_at=at))
        await self._log.note("key", key_id)

    async def _add_secret(self, key_id: str, secret: KeySecretRow, secret_hash: bytes) -> None:
        await self._connection.execute(
            insert(key_secrets).values(
                id=secret.id,
                key_id=key_id,
                hash=secret_hash,
                redacted=secret.redacted,
                created_at=secret.created_at,
                expires_at=secret.expires_at,
            )
        )


def _key(row: Row[Any], secrets: Sequence[KeySecretRow]) -> KeyRow:
    return KeyRow(
        id=row.id,
        app_id=row.app_id,
        name=row.name,
        environment=row.environment,
        permissions=row.permissions,
        expires_at=row.expires_at,
        from_ip=tuple(row.from_ip),
        created_at=row.created_at,
        created_by=row.created_by,
        limits=row.limits,
        models=tuple(row.models),
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        secrets=tuple(secrets),
    )
