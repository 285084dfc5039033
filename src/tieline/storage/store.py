"""The control plane's store: ``ports.store.Store`` on a database.

Owns what one write is: a transaction in which use cases change things, with the audit events that say so and the log
that tells the data plane, all kept or nothing. Knows no table; each resource has its own module.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update

from tieline.access.caller import Caller
from tieline.core.clock import Clock, SystemClock
from tieline.ports.data_keys import DataKeyRow
from tieline.storage.apis import ApiChanges, Apis
from tieline.storage.apps import AppChanges, Apps
from tieline.storage.audit import AuditAppend, AuditLog, read_head
from tieline.storage.budgets import BudgetChanges, Budgets
from tieline.storage.changes import ChangeLog
from tieline.storage.connection import AsyncConnection
from tieline.storage.connections import ConnectionChanges, Connections, PendingSignIns, SignInChanges
from tieline.storage.credentials import CredentialChanges, Credentials
from tieline.storage.drift import DriftChanges, DriftCounts
from tieline.storage.engine import Database
from tieline.storage.keys import KeyChanges, Keys
from tieline.storage.prices import PriceListChanges, PriceLists
from tieline.storage.schema import admin_tokens, connection_secrets, data_keys, secrets, sign_ins, webhook_secrets
from tieline.storage.tokens import TokenChanges, Tokens
from tieline.storage.usagesearch import UsageCounts
from tieline.storage.webhooks import WebhookChanges, Webhooks


class DataKeys:
    """The vault's data keys as an operator may see them."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self) -> Sequence[DataKeyRow]:
        """Every data key, oldest first, with the number of secrets it seals."""
        columns = (data_keys.c.id, data_keys.c.root_key_id, data_keys.c.created_at, data_keys.c.retired_at)
        sealed = [
            select(func.count()).where(table.c.data_key_id == data_keys.c.id).scalar_subquery()
            for table in (secrets, connection_secrets, sign_ins, webhook_secrets)
        ]
        rows = await self._connection.execute(select(*columns, *sealed).order_by(data_keys.c.id))
        return [DataKeyRow(row.id, row.root_key_id, row.created_at, row.retired_at, sum(row[4:])) for row in rows]


@dataclass(frozen=True, slots=True)
class SqlReading:
    """One consistent view of the store."""

    apis: Apis
    credentials: Credentials
    apps: Apps
    keys: Keys
    tokens: Tokens
    audit: AuditLog
    data_keys: DataKeys
    connections: Connections
    sign_ins: PendingSignIns
    drift: DriftCounts
    prices: PriceLists
    budgets: Budgets
    webhooks: Webhooks
    usage: UsageCounts


@dataclass(frozen=True, slots=True)
class SqlWriting:
    """One write."""

    apis: ApiChanges
    credentials: CredentialChanges
    apps: AppChanges
    keys: KeyChanges
    tokens: TokenChanges
    audit: AuditAppend
    connections: ConnectionChanges
    sign_ins: SignInChanges
    drift: DriftChanges
    prices: PriceListChanges
    budgets: BudgetChanges
    webhooks: WebhookChanges


class SqlStore:
    """The control plane's store. ``audit_key`` is ``keyring.derive("audit")``.

    ``spread`` is awaited after each write that changes something, with its version: it returns once the data plane
    serves it, or when that takes too long.
    """

    def __init__(
        self,
        database: Database,
        *,
        audit_key: bytes,
        clock: Clock | None = None,
        spread: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._spread = spread
        self._audit_key = audit_key
        self._clock = clock or SystemClock()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqlReading]:
        async with self._database.read() as connection:
            yield SqlReading(
                Apis(connection),
                Credentials(connection),
                Apps(connection),
                Keys(connection),
                Tokens(connection),
                AuditLog(connection, self._database, self._audit_key),
                DataKeys(connection),
                Connections(connection),
                PendingSignIns(connection),
                DriftCounts(connection),
                PriceLists(connection),
                Budgets(connection, self._database),
                Webhooks(connection),
                UsageCounts(connection, self._database),
            )

    @asynccontextmanager
    async def write(self, caller: Caller) -> AsyncIterator[SqlWriting]:
        """One write, alone: on SQLite by the file's lock, on PostgreSQL by the lock on the audit chain's head.

        Raises RuntimeError, with nothing kept, when a use case changed something and left no audit event.
        """
        async with self._database.write() as connection:
            await read_head(connection, lock=True)
            log, actor = ChangeLog(connection, self._clock.now()), f"{caller.kind}:{caller.id}"
            writing = SqlWriting(
                ApiChanges(connection, self._database, log),
                CredentialChanges(connection, log),
                AppChanges(connection, self._database, log),
                KeyChanges(connection, log),
                TokenChanges(connection),
                AuditAppend(connection, self._database, self._audit_key, actor=actor, clock=self._clock),
                ConnectionChanges(connection, self._database, log),
                SignInChanges(connection),
                DriftChanges(connection),
                PriceListChanges(connection, log),
                BudgetChanges(connection, self._database, log),
                WebhookChanges(connection),
            )
            yield writing
            if log.last and not writing.audit.added:
                raise RuntimeError("a write that changes something must leave an audit event")
            await log.finish()
        if log.last and self._spread is not None:
            await self._spread(log.last)

    async def touch_token(self, token_id: str, at: datetime) -> None:
        async with self._database.write() as connection:
            used = update(admin_tokens).where(admin_tokens.c.id == token_id)
            await connection.execute(used.values(last_used_at=at))

    async def reachable(self) -> bool:
        return await self._database.reachable()
