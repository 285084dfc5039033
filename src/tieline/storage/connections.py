"""Connections and sign-ins, for the control plane: ``ports.connections`` and ``ports.signins``.

Owns the tables ``connections``, ``connection_secrets`` and ``sign_ins``, beside ``leases``, which is the data plane's
side. Nothing here reads a sealed token back, nor a link or state: both are found by their hash.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, Table, delete, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from tieline.core.pages import Page, PageRequest
from tieline.ports.connections import ConnectionKey, ConnectionRow, SealedToken
from tieline.ports.signins import SignInRow
from tieline.storage.changes import ChangeLog
from tieline.storage.connection import AsyncConnection
from tieline.storage.engine import Database
from tieline.storage.leases import is_of, keep_secrets, new_values, token_values
from tieline.storage.pages import page_of
from tieline.storage.schema import apis, apps, connections, sign_ins
from tieline.vault.intake import SealedSecret


class Connections:
    """Connections, to read."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, connection_id: str) -> ConnectionRow | None:
        query = _with_names(connections).where(connections.c.id == connection_id)
        row = (await self._connection.execute(query)).one_or_none()
        return None if row is None else _row(row)

    async def list(
        self, page: PageRequest, api_id: str | None = None, app_id: str | None = None
    ) -> Page[ConnectionRow]:
        query = _with_names(connections)
        if api_id is not None:
            query = query.where(connections.c.api_id == api_id)
        if app_id is not None:
            query = query.where(connections.c.app_id == app_id)
        found = await page_of(self._connection, query, connections.c.id, page)
        return Page([_row(row) for row in found.items], found.next)


class ConnectionChanges(Connections):
    """Connections, to read and change in one write."""

    def __init__(self, connection: AsyncConnection, database: Database, log: ChangeLog) -> None:
        super().__init__(connection)
        self._database = database
        self._log = log

    async def slot(self, whose: ConnectionKey, by: str, at: datetime) -> tuple[str, int]:
        key = ConnectionKey(*whose)
        await self._connection.execute(self._database.insert_new(connections).values(**new_values(key, by, at)))
        found = select(connections.c.id, connections.c.generation).where(*is_of(key)).with_for_update()
        connection_id, generation = (await self._connection.execute(found)).one()
        return connection_id, generation + 1

    async def fill(self, connection_id: str, generation: int, token: SealedToken, at: datetime) -> None:
        sealed = SealedToken(token.fingerprint, token.secrets, token.expires_at, token.scopes, token.account)
        this = update(connections).where(connections.c.id == connection_id)
        await self._connection.execute(this.values(generation=generation, **token_values(sealed, at)))
        await keep_secrets(self._connection, connection_id, generation, token.secrets)
        await self._log.note("connection", connection_id)

    async def remove(self, connection_id: str) -> None:
        await self._connection.execute(delete(connections).where(connections.c.id == connection_id))
        await self._log.note("connection", connection_id)


class PendingSignIns:
    """Sign-ins on their way, to read."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, sign_in_id: str) -> SignInRow | None:
        return await self._one(sign_ins.c.id == sign_in_id)

    async def by_link(self, link_hash: bytes) -> SignInRow | None:
        return await self._one(sign_ins.c.link_hash == link_hash)

    async def by_state(self, state_hash: bytes) -> SignInRow | None:
        return await self._one(sign_ins.c.state_hash == state_hash)

    async def _one(self, which: ColumnElement[bool]) -> SignInRow | None:
        row = (await self._connection.execute(_with_names(sign_ins).where(which))).one_or_none()
        return None if row is None else _sign_in(row)


class SignInChanges(PendingSignIns):
    """Sign-ins on their way, to read and change in one write."""

    async def add(self, row: SignInRow, link_hash: bytes | None = None) -> None:
        whose = row.key
        await self._connection.execute(
            insert(sign_ins).values(
                id=row.id,
                api_id=whose.api_id,
                environment=whose.environment,
                position=whose.position,
                app_id=whose.app_id,
                end_user=whose.user,
                link_hash=link_hash,
                return_to=row.return_to,
                next_poll_at=row.next_poll_at,
                created_at=row.created_at,
                created_by=row.created_by,
                expires_at=row.expires_at,
                **_begun(row),
            )
        )

    async def begin(self, row: SignInRow, state_hash: bytes) -> None:
        this = update(sign_ins).where(sign_ins.c.id == row.id)
        await self._connection.execute(this.values(state_hash=state_hash, **_begun(row)))

    async def postpone(self, sign_in_id: str, next_poll_at: datetime) -> None:
        this = update(sign_ins).where(sign_ins.c.id == sign_in_id)
        await self._connection.execute(this.values(next_poll_at=next_poll_at))

    async def remove(self, sign_in_id: str) -> bool:
        return (await self._connection.execute(delete(sign_ins).where(sign_ins.c.id == sign_in_id))).rowcount == 1

    async def forget(self, now: datetime) -> None:
        await self._connection.execute(delete(sign_ins).where(sign_ins.c.expires_at <= now))


def _with_names(table: Table) -> Select[Any]:
    """Rows of ``table`` with the names of their APIs and apps."""
    names = (apis.c.name.label("api"), apps.c.name.label("app"))
    return select(table, *names).select_from(table.join(apis).outerjoin(apps, apps.c.id == table.c.app_id))


def _row(row: Row[Any]) -> ConnectionRow:
    return ConnectionRow(
        id=row.id,
        key=_key(row),
        api=row.api,
        app=row.app,
        state=row.state,
        scopes=tuple(row.scopes),
        account=row.account,
        expires_at=row.expires_at,
        refreshed_at=row.refreshed_at,
        last_error=row.last_error,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
    )


def _key(row: Row[Any]) -> ConnectionKey:
    return ConnectionKey(row.api_id, row.environment, row.position, row.app_id, row.end_user)


def _begun(row: SignInRow) -> dict[str, Any]:
    context = row.context
    return {
        "fingerprint": row.fingerprint,
        "browser_hash": row.browser_hash,
        "data_key_id": context and context.data_key_id,
        "nonce": context and context.nonce,
        "ciphertext": context and context.ciphertext,
    }


def _sign_in(row: Row[Any]) -> SignInRow:
    return SignInRow(
        id=row.id,
        key=_key(row),
        api=row.api,
        app=row.app,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        return_to=row.return_to,
        fingerprint=row.fingerprint,
        browser_hash=row.browser_hash,
        context=SealedSecret(row.data_key_id, row.nonce, row.ciphertext) if row.data_key_id else None,
        next_poll_at=row.next_poll_at,
    )
