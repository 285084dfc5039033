"""A data plane without a database: a snapshot source in memory, and a worker that serves from it on loopback.

What the source holds is changed as the store would be changed: each change raises the version and is told to whoever
waits. Nothing here knows SQL, and nothing of the data plane is replaced.
"""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from tieline.access import appkey
from tieline.core.errors import NotReady
from tieline.core.names import Environment
from tieline.core.secret import Secret
from tieline.dataplane.limits.table import NodeTables, open_files
from tieline.dataplane.service import Resources, Service
from tieline.definitions.parse import parse, parse_data, to_json
from tieline.ports.apis import ApiRow
from tieline.ports.bodies import SealedBodies
from tieline.ports.budgets import BudgetRow
from tieline.ports.connections import ConnectionStore
from tieline.ports.credentials import SealedCredential
from tieline.ports.drift import DriftRecord
from tieline.ports.keys import ResolvedKey
from tieline.ports.prices import PriceListHead, PriceListRow
from tieline.ports.requests import RequestRecord
from tieline.ports.snapshot import Change, ChangeKind, TooOld
from tieline.ports.usage import UsageBatch
from tieline.schemes.registry import SCHEMES
from tieline.testing.connections import MemoryConnections
from tieline.testing.ledger import MemoryLedger
from tieline.testing.vault import memory_keyring
from tieline.vault.envelope import Place
from tieline.vault.intake import Intake
from tieline.vault.keyring import Keyring
from tieline.wire.guard import Guard
from tieline.wire.tls import Trust

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALL: Mapping[str, Any] = {"mode": "all"}


@dataclass
class MemorySource:
    """A ``SnapshotSource`` whose rows are dictionaries.

    ``away`` makes every method raise ``NotReady``; ``reach`` is how many changes the log keeps. What the data plane
    saves is in ``records``, ``used``, ``bodies``, ``drifts`` and ``usage``.
    """

    keyring: Keyring
    away: bool = False
    reach: int = 1_000_000
    records: list[RequestRecord] = field(default_factory=list)
    used: dict[str, float] = field(default_factory=dict)
    drifts: list[DriftRecord] = field(default_factory=list)
    usage: list[UsageBatch] = field(default_factory=list)
    rows: dict[str, ApiRow] = field(default_factory=dict)
    sealed: dict[tuple[str, Environment], SealedCredential] = field(default_factory=dict)
    keys: dict[bytes, ResolvedKey] = field(default_factory=dict)
    log: list[Change] = field(default_factory=list)
    prices: list[PriceListRow] = field(default_factory=list)
    budget_rows: dict[str, BudgetRow] = field(default_factory=dict)
    bodies: dict[str, SealedBodies] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(self.budget_rows)
        self._changed = asyncio.Event()
        self._changed.set()
        self._count = 0

    # -- what an operator would do

    def put_api(self, definition: str | Mapping[str, Any]) -> str:
        """Add or replace an API by its definition, YAML text or data; returns its id."""
        parsed = (
            parse(definition, schemes=SCHEMES)
            if isinstance(definition, str)
            else parse_data(definition, schemes=SCHEMES)
        )
        return self.put_row(parsed.api, orjson.dumps(to_json(parsed)).decode())

    def put_row(self, name: str, definition: str) -> str:
        """Add or replace an API by the text that is stored of it, usable or not; returns its id."""
        api_id = f"api_{name}"
        before = self.rows.get(api_id)
        self.rows[api_id] = ApiRow(api_id, name, definition, before.revision + 1 if before else 1, None, EPOCH, EPOCH)
        self._note("api", api_id)
        return api_id

    def put_prices(self, *lists: PriceListRow) -> None:
        """Put price lists in the place of all that are there."""
        self.prices = list(lists)
        for api_id in self.rows:
            self._note("api", api_id)

    def put_budget(self, row: BudgetRow) -> None:
        """Add or replace a budget."""
        self.budget_rows[row.id] = row
        self._note("budget", row.id)

    def drop_budget(self, budget_id: str) -> None:
        """Remove a budget."""
        del self.budget_rows[budget_id]
        self._note("budget", budget_id)

    def drop_api(self, name: str) -> None:
        """Remove an API."""
        del self.rows[f"api_{name}"]
        self._note("api", f"api_{name}")

    def put_credential(
        self,
        api: str,
        fields: Mapping[str, str],
        *,
        environment: Environment = "live",
        hosts: Sequence[str] = (),
        keyring: Keyring | None = None,
    ) -> SealedCredential:
        """Make ``fields`` the active credential of the API called ``api``, sealed by ``keyring`` or the own one."""
        self._count += 1
        row_id, version = f"cred_{self._count}", self._count
        intake = Intake(keyring or self.keyring)
        sealed = {
            name: intake.seal(Place("secrets", row_id, name, version, environment), Secret.from_text(value))
            for name, value in fields.items()
        }
        row = SealedCredential(row_id, f"api_{api}", environment, version, tuple(hosts), sealed)
        self.sealed[(row.api_id, environment)] = row
        self._note("credential", row.api_id)
        return row

    def put_key(
        self,
        *apis: str,
        permissions: Mapping[str, Any] = ALL,
        environment: Environment = "live",
        from_ip: Sequence[str] = (),
        expires_at: float | None = None,
        **limited: Any,
    ) -> str:
        """A new app key for ``apis``; returns the secret. ``limited`` are limits, app_limits and models of its row."""
        self._count += 1
        secret = appkey.mint(environment).reveal_bytes()
        row = ResolvedKey(
            key_id=f"key_{self._count}",
            secret_id=f"sec_{self._count}",
            app_id="app_1",
            app_name="An app",
            api_ids=frozenset(f"api_{name}" for name in apis),
            environment=environment,
            permissions=permissions,
            from_ip=tuple(from_ip),
            expires_at=expires_at,
            revoked=False,
            **limited,
        )
        self.keys[self._hash(secret)] = row
        self._note("key", row.key_id)
        return secret.decode()

    def change_key(self, secret: str, **values: Any) -> ResolvedKey:
        """Change fields of a key's row, such as ``revoked=True``."""
        keyed_hash = self._hash(secret.encode())
        row = self.keys[keyed_hash] = replace(self.keys[keyed_hash], **values)
        self._note("key", row.key_id)
        return row

    def _hash(self, secret: bytes) -> bytes:
        return appkey.keyed_hash(self.keyring.derive("app-key"), secret)

    def _note(self, kind: ChangeKind, ref: str) -> None:
        self.log.append(Change(len(self.log) + 1, kind, ref))
        self._changed.set()

    # -- what the data plane asks

    def _reached(self) -> None:
        if self.away:
            raise NotReady("The store cannot be reached. Try again.", retry_after=1)

    async def version(self) -> int:
        self._reached()
        return len(self.log)

    async def changes_since(self, version: int) -> list[Change]:
        self._reached()
        if len(self.log) - version > self.reach:
            raise TooOld
        return self.log[version:]

    async def apis(self) -> list[ApiRow]:
        self._reached()
        return sorted(self.rows.values(), key=lambda row: row.name)

    async def api(self, api_id: str) -> ApiRow | None:
        self._reached()
        return self.rows.get(api_id)

    async def credentials(self, api_id: str | None = None) -> list[SealedCredential]:
        self._reached()
        return [row for row in self.sealed.values() if api_id in {None, row.api_id}]

    async def price_lists(self) -> Sequence[PriceListHead]:
        self._reached()
        return [each.head for each in self.prices]

    async def price_list(self, provider: str) -> str | None:
        self._reached()
        return next((each.content for each in self.prices if each.head.provider == provider), None)

    async def budgets(self) -> list[BudgetRow]:
        self._reached()
        return list(self.budget_rows.values())

    async def key_by_hash(self, keyed_hash: bytes) -> ResolvedKey | None:
        self._reached()
        return self.keys.get(keyed_hash)

    async def key_hashes(self, after: bytes, most: int) -> list[bytes]:
        self._reached()
        return sorted(each for each in self.keys if each > after)[:most]

    async def hashes_of_keys(self, key_ids: Sequence[str]) -> list[bytes]:
        self._reached()
        return [keyed_hash for keyed_hash, row in self.keys.items() if row.key_id in key_ids]

    async def wait_for_change(self, seconds: float) -> None:
        self._reached()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
        finally:
            self._changed.clear()
        self._reached()

    async def touch_keys(self, used: Mapping[str, float]) -> None:
        self._reached()
        self.used.update(used)

    async def add_records(self, records: Sequence[RequestRecord]) -> None:
        self._reached()
        known = {record.id for record in self.records}
        self.records += [record for record in records if record.id not in known]

    async def add_records_durably(self, records: Sequence[RequestRecord]) -> None:
        await self.add_records(records)

    async def add_bodies(self, rows: Sequence[SealedBodies]) -> None:
        self._reached()
        self.bodies |= {row.request_id: row for row in rows}

    async def find_bodies(self, request_id: str, expires: int) -> SealedBodies | None:
        self._reached()
        row = self.bodies.get(request_id)
        return row if row is not None and row.expires == expires > time.time() else None

    async def add_drifts(self, drifts: Sequence[DriftRecord]) -> None:
        self._reached()
        self.drifts += drifts

    async def add_usage(self, batch: UsageBatch) -> None:
        self._reached()
        if all((each.writer, each.number) != (batch.writer, batch.number) for each in self.usage):
            self.usage.append(batch)


@dataclass(frozen=True)
class Worker:
    """A data-plane worker that serves on ``127.0.0.1:port`` in this process."""

    service: Service
    source: MemorySource
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def caught_up(self, seconds: float = 30.0) -> None:
        """Wait until the worker has seen every change of its source; TimeoutError when it never does."""
        await _until(lambda: self.service.snapshot.version >= len(self.source.log), seconds)

    async def recorded(self, count: int, seconds: float = 30.0) -> list[RequestRecord]:
        """The source's records, once there are ``count``; TimeoutError when they never come."""
        await _until(lambda: len(self.source.records) >= count, seconds)
        return self.source.records


async def _until(true: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  # the worker tells nobody when
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(
    source: MemorySource | None = None,
    *,
    connections: ConnectionStore | None = None,
    guard: Guard | None = None,
    trust: Trust | None = None,
) -> AsyncIterator[Worker]:
    """A worker over ``source`` (a new one unless given); it may dial 127.0.0.1 unless ``guard`` says otherwise."""
    if source is None:
        source = MemorySource(await memory_keyring())
    counters = open_files(None)
    tables = NodeTables.of(counters, 0, 1)
    dials = guard or Guard(["127.0.0.1"])
    resources = Resources(
        source, connections or MemoryConnections(), source.keyring, dials, tables, source.ledger, trust or Trust()
    )
    service = Service(resources)
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    with sock:
        sock.setblocking(False)
        await service.start(sock)
        try:
            yield Worker(service, source, sock.getsockname()[1])
        finally:
            await service.stop(0)
            tables.close()
            for file in counters:
                os.close(file)
