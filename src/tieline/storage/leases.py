"""Connections, for the data plane: ``ports.connections.ConnectionStore``.

Owns whose turn it is to renew a token, and that a new token and the end of the turn are one transaction. Opens no
sealed value. The turn is told by the store's own clock, because the nodes' clocks may differ.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, literal_column, or_, select, type_coerce, update
from sqlalchemy.sql.elements import ColumnElement

from tieline.core.ids import new_id
from tieline.ports.connections import ConnectionKey, Refusal, SealedConnection, SealedToken
from tieline.ports.snapshot import ChangeKind
from tieline.storage.changes import ChangeLog, lock_log
from tieline.storage.columns import Moment, storable
from tieline.storage.connection import AsyncConnection
from tieline.storage.engine import Database
from tieline.storage.schema import NAME, PATH, connection_secrets, connections, sign_ins
from tieline.vault.intake import SealedSecret

_BY = "data plane"
_MICROSECONDS = 1_000_000
_SCOPES, _SCOPE = 100, 100  # even where JSON writes six characters for one, the column holds them
_LAST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


class SqlConnections:
    """Tokens and turns on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def connection(self, key: ConnectionKey) -> SealedConnection | None:
        async with self._database.read() as connection:
            return await _found(connection, key)

    async def lease(
        self, key: ConnectionKey, generation: int, holder: str, seconds: float, *, take_over: bool = False
    ) -> SealedConnection | None:
        now = self._database.now()
        until = type_coerce(now + literal_column(str(int(seconds * _MICROSECONDS))), Moment())
        expired = connections.c.lease_until <= type_coerce(now, Moment())
        unheld = connections.c.lease_until.is_(None)
        free = or_(unheld, expired) if take_over else unheld
        take = update(connections).where(*is_of(key), connections.c.generation == generation, free)
        async with self._database.write() as connection:
            taken = await connection.execute(take.values(lease_holder=holder, lease_until=until))
            if taken.rowcount == 0 and generation == 0:
                new = self._database.insert_new(connections).values(
                    lease_holder=holder, lease_until=until, **new_values(key, _BY, datetime.now(UTC))
                )
                taken = await connection.execute(new)
            return await _found(connection, key) if taken.rowcount else None

    async def renewed(self, row: SealedConnection, token: SealedToken, refusal: Refusal | None = None) -> bool:
        at = datetime.now(UTC)
        after = row.generation + 1
        values = token_values(token, at) | ({} if refusal is None else _noted(row, refusal, at))
        keep = update(connections).where(connections.c.id == row.id, connections.c.generation == row.generation)
        async with self._database.write() as connection:
            await lock_log(connection)
            kept = await connection.execute(keep.values(generation=after, **values))
            if kept.rowcount == 0:
                return False
            await keep_secrets(connection, row.id, after, token.secrets)
            is_same = token.fingerprint == row.fingerprint and refusal is None
            await _tell(connection, "token" if is_same else "connection", row.id, at)
            return True

    async def refused(self, row: SealedConnection, holder: str, refusal: Refusal) -> bool:
        at = datetime.now(UTC)
        mine = update(connections).where(
            connections.c.id == row.id,
            connections.c.generation == row.generation,
            connections.c.lease_holder == holder,
        )
        note = _noted(row, refusal, at)
        if row.generation == 0:  # there is no token that another fingerprint belongs to
            note["fingerprint"] = refusal.fingerprint
        async with self._database.write() as connection:
            await lock_log(connection)
            if (await connection.execute(mine.values(note))).rowcount == 0:
                return False
            await _tell(connection, "connection" if refusal.final else "token", row.id, at)
            return True


def _noted(row: SealedConnection, refusal: Refusal, at: datetime) -> dict[str, Any]:
    """The columns of a connection whose issuer gave no token, with which the lease ends."""
    state = {"state": "reauthorization_required"} if refusal.final else {}
    return {
        **state,
        "last_error": storable(refusal.text, PATH),
        "failures": row.failures + 1,
        "retry_at": None if refusal.pause is None else at + timedelta(seconds=refusal.pause),
        "lease_holder": None,
        "lease_until": None,
        "updated_at": at,
    }


def token_values(token: SealedToken, at: datetime) -> dict[str, Any]:
    """The columns of a connection that has a new token since ``at``: good, nobody's turn, nothing wrong.

    What an issuer said of it is made to fit: a token is not lost over an odd account name or a date that has no form.
    """
    ends = token.expires_at
    return {
        "state": "active",
        "fingerprint": token.fingerprint,
        "scopes": [storable(scope, _SCOPE) for scope in token.scopes[:_SCOPES]],
        "account": None if token.account is None else storable(token.account, NAME),
        "expires_at": None if ends is None or not 0 <= ends < _LAST else datetime.fromtimestamp(ends, UTC),
        "refreshed_at": at,
        "last_error": None,
        "failures": 0,
        "retry_at": None,
        "lease_holder": None,
        "lease_until": None,
        "updated_at": at,
    }


async def keep_secrets(
    connection: AsyncConnection, connection_id: str, generation: int, sealed: Mapping[str, SealedSecret]
) -> None:
    """Keep the values of ``generation`` and of the one before it, and no others."""
    place = {"connection_id": connection_id, "generation": generation}
    for field, secret in sealed.items():
        await connection.execute(
            insert(connection_secrets).values(
                **place,
                field=field,
                data_key_id=secret.data_key_id,
                nonce=secret.nonce,
                ciphertext=secret.ciphertext,
            )
        )
    older = delete(connection_secrets).where(
        connection_secrets.c.connection_id == connection_id, connection_secrets.c.generation < generation - 1
    )
    await connection.execute(older)


async def forget_sign_ins(database: Database, before: float) -> None:
    """Delete the sign-ins that had expired at ``before`` (seconds since the epoch), with what they keep sealed."""
    async with database.write() as connection:
        expired = sign_ins.c.expires_at <= datetime.fromtimestamp(before, UTC)
        await connection.execute(delete(sign_ins).where(expired))


async def _tell(connection: AsyncConnection, kind: ChangeKind, connection_id: str, at: datetime) -> None:
    log = ChangeLog(connection, at)
    await log.note(kind, connection_id)
    await log.finish()


def is_of(key: ConnectionKey) -> tuple[ColumnElement[bool], ...]:
    """What picks the one row of ``key``."""
    return (
        connections.c.api_id == key.api_id,
        connections.c.environment == key.environment,
        connections.c.position == key.position,
        connections.c.app_id == key.app_id,
        connections.c.end_user == key.user,
    )


def new_values(key: ConnectionKey, by: str, at: datetime) -> dict[str, Any]:
    """The columns of a connection that has no token yet."""
    return {
        "id": new_id("conn"),
        "api_id": key.api_id,
        "environment": key.environment,
        "position": key.position,
        "app_id": key.app_id,
        "end_user": key.user,
        "state": "pending",
        "fingerprint": b"",
        "generation": 0,
        "scopes": [],
        "failures": 0,
        "created_at": at,
        "created_by": by,
        "updated_at": at,
    }


async def _found(connection: AsyncConnection, key: ConnectionKey) -> SealedConnection | None:
    row = (await connection.execute(select(connections).where(*is_of(key)))).one_or_none()
    if row is None:
        return None
    sealed: dict[int, dict[str, SealedSecret]] = {}
    held = select(connection_secrets).where(connection_secrets.c.connection_id == row.id)
    for each in await connection.execute(held):
        secret = SealedSecret(each.data_key_id, each.nonce, each.ciphertext)
        sealed.setdefault(each.generation, {})[each.field] = secret
    return SealedConnection(
        id=row.id,
        key=key,
        state=row.state,
        fingerprint=row.fingerprint,
        generation=row.generation,
        secrets=sealed.get(row.generation, {}),
        previous=sealed.get(row.generation - 1, {}),
        scopes=tuple(row.scopes),
        account=row.account,
        expires_at=_seconds(row.expires_at),
        refreshed_at=_seconds(row.refreshed_at),
        last_error=row.last_error,
        failures=row.failures,
        retry_at=_seconds(row.retry_at),
        updated_at=row.updated_at.timestamp(),
    )


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
