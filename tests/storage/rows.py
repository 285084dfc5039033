"""Rows to put into a store: made up, complete, with ids of their own."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tieline.access.caller import Caller, Role
from tieline.audit.events import ApiAdded, AppCreated, CredentialPut, KeyCreated
from tieline.core.ids import new_id
from tieline.ports.apis import ApiRow
from tieline.ports.apps import AppRow
from tieline.ports.credentials import CredentialRow
from tieline.ports.keys import KeyRow, KeySecretRow
from tieline.ports.requests import RequestRecord
from tieline.ports.tokens import TokenRow
from tieline.storage.engine import Database
from tieline.storage.recordrows import record_of
from tieline.storage.records import records_folder
from tieline.storage.schema import requests
from tieline.storage.store import SqlStore
from tieline.vault.intake import SealedSecret

NOW = datetime(2026, 11, 23, 7, 0, 0, 123456, tzinfo=UTC)
OWNER = Caller("token", "tok_of_the_tests", "tests", Role.OWNER)
AUDIT_KEY = b"audit key of the tests, 32 bytes"


def api(name: str = "openai", **fields: Any) -> ApiRow:
    """An API."""
    values: dict[str, Any] = {"definition": '{"api":"openai"}', "revision": 1, "source_entry": "openai"} | fields
    return ApiRow(id=new_id("api"), name=name, created_at=NOW, updated_at=NOW, **values)


def credential(api_id: str, version: int = 1, **fields: Any) -> CredentialRow:
    """A pending credential."""
    values: dict[str, Any] = {"environment": "live", "state": "pending", "hosts": ("api.openai.com",)} | fields
    return CredentialRow(
        id=new_id("cred"),
        api_id=api_id,
        version=version,
        shown={"key": "sk-…AbCd"},
        created_at=NOW,
        created_by=OWNER.id,
        **values,
    )


def app(name: str = "blog", *apis: ApiRow) -> AppRow:
    """An app that may use ``apis``."""
    return AppRow(new_id("app"), name, {row.id: row.name for row in apis}, NOW, OWNER.id)


def secret(**fields: Any) -> KeySecretRow:
    """One secret of a key."""
    values: dict[str, Any] = {"redacted": "tl_live_…wxyz", "created_at": NOW, "expires_at": None} | fields
    return KeySecretRow(id=new_id("key"), **values)


def key(app_id: str, **fields: Any) -> KeyRow:
    """A key that may do everything."""
    values: dict[str, Any] = {
        "name": "first",
        "environment": "live",
        "permissions": {"mode": "all", "grants": {}},
        "expires_at": None,
        "from_ip": ("10.0.0.0/8",),
        "limits": {"concurrent": 3},
        "models": ("gpt-4.1*",),
        "secrets": (secret(),),
    } | fields
    return KeyRow(id=new_id("key"), app_id=app_id, created_at=NOW, created_by=OWNER.id, **values)


def token(role: Role = Role.OWNER, **fields: Any) -> TokenRow:
    """An admin token."""
    values: dict[str, Any] = {"name": "ci", "expires_at": None} | fields
    return TokenRow(id=new_id("tok"), role=role, created_at=NOW, created_by=OWNER.id, **values)


def record(**fields: Any) -> RequestRecord:
    """A record of a relayed request."""
    values: dict[str, Any] = {
        "id": new_id("req"),
        "at": NOW.timestamp(),
        "app_id": "app_1",
        "key_id": "key_1",
        "api": "openai",
        "environment": "live",
        "method": "GET",
        "path": "/v1/models",
        "area": "models",
        "level": "read",
        "status": 200,
        "code": None,
        "duration_ms": 12.5,
        "upstream_ms": 11.25,
        "bytes_in": 0,
        "bytes_out": 1234,
        "outcome": "complete",
    } | fields
    return RequestRecord(**values)


def later(seconds: float) -> datetime:
    """A time after ``NOW``."""
    return NOW + timedelta(seconds=seconds)


def sealed(number: int = 1, data_key: str = "dk_1") -> SealedSecret:
    """A sealed secret that opens nowhere."""
    return SealedSecret(data_key, bytes([number]) * 12, bytes([number]) * 40)


async def add_api(store: SqlStore, row: ApiRow | None = None) -> ApiRow:
    """An API in the store."""
    row = row or api()
    async with store.write(OWNER) as tx:
        assert await tx.apis.add(row)
        await tx.audit.add(ApiAdded(row.id, name=row.name, source_entry=row.source_entry))
    return row


async def add_app(store: SqlStore, row: AppRow | None = None) -> AppRow:
    """An app in the store."""
    row = row or app()
    async with store.write(OWNER) as tx:
        assert await tx.apps.add(row)
        await tx.audit.add(AppCreated(row.id, name=row.name))
    return row


async def add_key(store: SqlStore, row: KeyRow, keyed_hash: bytes) -> KeyRow:
    """A key in the store."""
    async with store.write(OWNER) as tx:
        await tx.keys.add(row, keyed_hash)
        await tx.audit.add(
            KeyCreated(
                row.id, app=row.app_id, name=row.name, environment=row.environment, permissions={}, redacted="tl_…"
            )
        )
    return row


async def add_credential(store: SqlStore, row: CredentialRow, **secrets: SealedSecret) -> CredentialRow:
    """A credential in the store, activated if ``row`` says so."""
    async with store.write(OWNER) as tx:
        await tx.credentials.add(row, secrets or {"key": sealed()})
        await tx.audit.add(
            CredentialPut(row.id, api=row.api_id, environment=row.environment, version=row.version, fields=("key",))
        )
    return row


async def stored_records(database: Database) -> list[dict[str, object]]:
    """Every request record that is kept beside or in ``database``, in the order of their ids."""
    if database.kind == "postgresql":
        async with database.read() as connection:
            found = (await connection.execute(select(requests))).mappings()
            rows = [record_of(dict(row) | {"at": row["at"] / 1_000_000})._asdict() for row in found]
    else:
        rows = [row for path in sorted(records_folder(Path(database.location)).glob("*.db")) for row in read_file(path)]
    return sorted(rows, key=lambda row: str(row["id"]))


def read_file(path: Path) -> list[dict[str, object]]:
    """The records in one day's file, as an operator would read them."""
    with closing(sqlite3.connect(path)) as file:
        file.row_factory = sqlite3.Row
        return [record_of(row)._asdict() for row in file.execute("SELECT * FROM requests ORDER BY number")]
