"""What the data plane's snapshot is built from: ``ports.snapshot.SnapshotSource`` on a database.

Owns the queries of the hot side: one by keyed hash when a key is first seen, a few when something changed. Knows
nothing of the control plane, and opens no sealed value.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import bindparam, or_, select, update

from tieline.core.errors import NotReady
from tieline.ports.apis import ApiRow
from tieline.ports.bodies import SealedBodies
from tieline.ports.budgets import BudgetRow
from tieline.ports.credentials import SealedCredential
from tieline.ports.drift import DriftRecord
from tieline.ports.keys import ResolvedKey
from tieline.ports.prices import PriceListHead
from tieline.ports.requests import RequestRecord
from tieline.ports.snapshot import Change
from tieline.ports.usage import UsageBatch
from tieline.storage.bodies import open_bodies
from tieline.storage.budgets import budget_of
from tieline.storage.change_notifier import ChangeNotifier, SqliteChangeNotifier
from tieline.storage.changes import changes_after, latest_version
from tieline.storage.drift import add_drifts
from tieline.storage.engine import Database
from tieline.storage.prices import PriceLists
from tieline.storage.records import open_records
from tieline.storage.schema import apis, app_apis, app_keys, apps, budgets, credentials, key_secrets, secrets
from tieline.storage.usage import SqlUsage
from tieline.vault.intake import SealedSecret

_MINUTE = 60
_BATCH = 500
_PAUSE = 1.0

_API = select(apis)
_CREDENTIAL = (
    select(
        credentials.c.id,
        credentials.c.api_id,
        credentials.c.environment,
        credentials.c.version,
        credentials.c.hosts,
        secrets.c.field,
        secrets.c.data_key_id,
        secrets.c.nonce,
        secrets.c.ciphertext,
    )
    .join(secrets, isouter=True)
    .where(credentials.c.state == "active")
    .order_by(credentials.c.id)
)
_KEY = (
    select(
        key_secrets.c.id.label("secret_id"),
        key_secrets.c.expires_at.label("secret_expires_at"),
        app_keys,
        apps.c.name.label("app_name"),
        apps.c.limits.label("app_limits"),
        app_apis.c.api_id,
    )
    .select_from(key_secrets)
    .join(app_keys, key_secrets.c.key_id == app_keys.c.id)
    .join(apps, app_keys.c.app_id == apps.c.id)
    .join(app_apis, app_apis.c.app_id == apps.c.id, isouter=True)
    .where(key_secrets.c.hash == bindparam("keyed_hash"))
)


class SqlSnapshots:
    """The data plane's side of the store. ``url`` is the one that ``database`` was opened with.

    ``served`` is told the version of the latest change that whoever waits for changes has taken up.
    """

    def __init__(self, database: Database, url: str, served: Callable[[int], None] = lambda _version: None) -> None:
        self._served = served
        self._database = database
        self._notifier = _notifier(database, url)
        self._records = open_records(database)
        self._usage = SqlUsage(database)
        self._bodies = open_bodies(database)
        self._told: int | None = None

    async def version(self) -> int:
        async with self._database.read() as connection:
            return await latest_version(connection)

    async def changes_since(self, version: int) -> list[Change]:
        async with self._database.read() as connection:
            return await changes_after(connection, version)

    async def apis(self) -> list[ApiRow]:
        async with self._database.read() as connection:
            return [ApiRow(*row) for row in await connection.execute(_API.order_by(apis.c.name))]

    async def api(self, api_id: str) -> ApiRow | None:
        async with self._database.read() as connection:
            row = (await connection.execute(_API.where(apis.c.id == api_id))).one_or_none()
        return None if row is None else ApiRow(*row)

    async def credentials(self, api_id: str | None = None) -> list[SealedCredential]:
        query = _CREDENTIAL if api_id is None else _CREDENTIAL.where(credentials.c.api_id == api_id)
        found: dict[str, SealedCredential] = {}
        sealed: dict[str, dict[str, SealedSecret]] = {}
        async with self._database.read() as connection:
            for row in await connection.execute(query):
                values = sealed.setdefault(row.id, {})
                if row.field is not None:
                    values[row.field] = SealedSecret(row.data_key_id, row.nonce, row.ciphertext)
                found[row.id] = SealedCredential(
                    row.id, row.api_id, row.environment, row.version, tuple(row.hosts), values
                )
        return list(found.values())

    async def price_lists(self) -> Sequence[PriceListHead]:
        async with self._database.read() as connection:
            return await PriceLists(connection).heads()

    async def price_list(self, provider: str) -> str | None:
        async with self._database.read() as connection:
            return await PriceLists(connection).content(provider)

    async def budgets(self) -> list[BudgetRow]:
        async with self._database.read() as connection:
            return [budget_of(row) for row in await connection.execute(select(budgets).order_by(budgets.c.id))]

    async def key_by_hash(self, keyed_hash: bytes) -> ResolvedKey | None:
        async with self._database.read() as connection:
            rows = (await connection.execute(_KEY, {"keyed_hash": keyed_hash})).all()
        if not rows:
            return None
        first = rows[0]
        ends = [moment.timestamp() for moment in (first.expires_at, first.secret_expires_at) if moment is not None]
        return ResolvedKey(
            key_id=first.id,
            secret_id=first.secret_id,
            app_id=first.app_id,
            app_name=first.app_name,
            api_ids=frozenset(row.api_id for row in rows if row.api_id is not None),
            environment=first.environment,
            permissions=first.permissions,
            from_ip=tuple(first.from_ip),
            expires_at=min(ends, default=None),
            revoked=first.revoked_at is not None,
            limits=first.limits,
            app_limits=first.app_limits,
            models=tuple(first.models),
        )

    async def key_hashes(self, after: bytes, most: int) -> list[bytes]:
        query = select(key_secrets.c.hash).where(key_secrets.c.hash > after).order_by(key_secrets.c.hash).limit(most)
        async with self._database.read() as connection:
            return list((await connection.execute(query)).scalars())

    async def hashes_of_keys(self, key_ids: Sequence[str]) -> list[bytes]:
        found: list[bytes] = []
        async with self._database.read() as connection:
            for start in range(0, len(key_ids), _BATCH):
                these = key_secrets.c.key_id.in_(key_ids[start : start + _BATCH])
                found += (await connection.execute(select(key_secrets.c.hash).where(these))).scalars()
        return found

    async def wait_for_change(self, seconds: float) -> None:
        """Return when the change log has grown since this method last returned, at the latest after ``seconds``.

        While the store cannot be reached it returns after a second, and what is called next says so. Whoever calls
        again has taken up what was found the last time.
        """
        if self._told is not None:
            self._served(self._told)
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            try:
                version = await self.version()
            except NotReady:
                await asyncio.sleep(min(_PAUSE, max(0.0, end - loop.time())))
                return
            if version != self._told:
                self._told = version
                return
            left = end - loop.time()
            if left <= 0:
                return
            await self._notifier.wait(left)

    def push(self) -> None:
        """Look for changes now: another process of this server has made one."""
        self._notifier.push()

    async def touch_keys(self, used: Mapping[str, float]) -> None:
        """Note last uses. A key that another write holds just now is left for the next time, so nobody waits here."""
        minutes: dict[float, list[str]] = {}
        for key in sorted(used):
            minutes.setdefault(used[key] // _MINUTE * _MINUTE, []).append(key)
        for minute, ids in minutes.items():
            for start in range(0, len(ids), _BATCH):
                await self._touch(ids[start : start + _BATCH], datetime.fromtimestamp(minute, UTC))

    async def add_records(self, records: Sequence[RequestRecord]) -> None:
        await self._records.add(records)

    async def add_records_durably(self, records: Sequence[RequestRecord]) -> None:
        await self._records.add(records, durable=True)

    async def add_bodies(self, rows: Sequence[SealedBodies]) -> None:
        await self._bodies.add(rows)

    async def find_bodies(self, request_id: str, expires: int) -> SealedBodies | None:
        return await self._bodies.find(request_id, expires)

    async def add_drifts(self, drifts: Sequence[DriftRecord]) -> None:
        await add_drifts(self._database, drifts, datetime.now(UTC))

    async def add_usage(self, batch: UsageBatch) -> None:
        await self._usage.add(batch)

    async def close(self) -> None:
        """Stop watching and close the records. The database stays open."""
        await self._notifier.close()
        await self._records.close()
        await self._bodies.close()

    async def _touch(self, ids: list[str], at: datetime) -> None:
        these = select(app_keys.c.id).where(app_keys.c.id.in_(ids)).order_by(app_keys.c.id)
        free = these.with_for_update(skip_locked=True)
        earlier = or_(app_keys.c.last_used_at.is_(None), app_keys.c.last_used_at < at)
        async with self._database.write() as connection:
            await connection.execute(update(app_keys).where(app_keys.c.id.in_(free), earlier).values(last_used_at=at))


def _notifier(database: Database, url: str) -> ChangeNotifier:
    if database.kind == "sqlite":
        return SqliteChangeNotifier(database.location)
    from tieline.storage.postgresql import PostgresChangeNotifier  # noqa: PLC0415  loaded where the database is one

    return PostgresChangeNotifier(url)
