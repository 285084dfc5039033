"""Admin tokens, for the control plane: ``ports.tokens.TokenReader`` and ``TokenWriter``.

Owns the table ``admin_tokens``. Knows no token: one is found by its keyed hash.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from tieline.access.caller import Role
from tieline.core.pages import Page, PageRequest
from tieline.ports.tokens import TokenRow
from tieline.storage.connection import AsyncConnection
from tieline.storage.pages import page_of
from tieline.storage.schema import admin_tokens


class Tokens:
    """Admin tokens, to read."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, token_id: str) -> TokenRow | None:
        return await self._one(admin_tokens.c.id == token_id)

    async def by_hash(self, token_hash: bytes) -> TokenRow | None:
        return await self._one(admin_tokens.c.hash == token_hash)

    async def list(self, page: PageRequest) -> Page[TokenRow]:
        found = await page_of(self._connection, select(admin_tokens), admin_tokens.c.id, page)
        return Page([_token(row) for row in found.items], found.next)

    async def owners(self, now: datetime) -> int:
        unexpired = or_(admin_tokens.c.expires_at.is_(None), admin_tokens.c.expires_at > now)
        good = (admin_tokens.c.role == Role.OWNER.value, admin_tokens.c.revoked_at.is_(None), unexpired)
        counted = await self._connection.execute(select(func.count()).select_from(admin_tokens).where(*good))
        return int(counted.scalar_one())

    async def _one(self, which: ColumnElement[bool]) -> TokenRow | None:
        row = (await self._connection.execute(select(admin_tokens).where(which))).one_or_none()
        return None if row is None else _token(row)


class TokenChanges(Tokens):
    """Admin tokens, to read and change in one write."""

    async def add(self, row: TokenRow, token_hash: bytes) -> None:
        await self._connection.execute(
            insert(admin_tokens).values(
                id=row.id,
                name=row.name,
                hash=token_hash,
                role=row.role.value,
                created_at=row.created_at,
                created_by=row.created_by,
                expires_at=row.expires_at,
                revoked_at=row.revoked_at,
                last_used_at=row.last_used_at,
            )
        )

    async def revoke(self, token_id: str, at: datetime) -> None:
        await self._connection.execute(update(admin_tokens).where(admin_tokens.c.id == token_id).values(revoked_at=at))


def _token(row: Row[Any]) -> TokenRow:
    return TokenRow(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
