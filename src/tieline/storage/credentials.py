"""Credentials, for the control plane: ``ports.credentials.CredentialReader`` and ``CredentialWriter``.

Owns the tables ``credentials`` and ``secrets``. Knows no plaintext and no key: values come and stay sealed, and nothing
here reads a sealed value back.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, exists, func, insert, or_, select, update

from tieline.core.pages import Page, PageRequest
from tieline.ports.credentials import CredentialRow
from tieline.storage.changes import ChangeLog
from tieline.storage.connection import AsyncConnection
from tieline.storage.pages import page_of
from tieline.storage.schema import credentials, secrets
from tieline.vault.intake import SealedSecret

_NO_FIELDS: Mapping[str, str] = {}


class Credentials:
    """Credentials of an API, to read."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, api_id: str, version: int) -> CredentialRow | None:
        query = _of(api_id).where(credentials.c.version == version)
        row = (await self._connection.execute(query)).one_or_none()
        return None if row is None else _credential(row)

    async def list(self, api_id: str, page: PageRequest) -> Page[CredentialRow]:
        found = await page_of(self._connection, _of(api_id), credentials.c.id, page)
        return Page([_credential(row) for row in found.items], found.next)

    async def active(self, api_id: str) -> Sequence[CredentialRow]:
        query = _of(api_id).where(credentials.c.state == "active").order_by(credentials.c.id)
        return [_credential(row) for row in await self._connection.execute(query)]


class CredentialChanges(Credentials):
    """Credentials of an API, to read and change in one write."""

    def __init__(self, connection: AsyncConnection, log: ChangeLog) -> None:
        super().__init__(connection)
        self._log = log

    async def next_version(self, api_id: str) -> int:
        highest = select(func.max(credentials.c.version)).where(credentials.c.api_id == api_id)
        return ((await self._connection.execute(highest)).scalar() or 0) + 1

    async def add(self, row: CredentialRow, sealed: Mapping[str, SealedSecret]) -> None:
        values = {column: getattr(row, column) for column in credentials.c.keys()}  # noqa: SIM118 - c is no dictionary
        await self._connection.execute(insert(credentials).values(values))
        for field, secret in sealed.items():
            await self._connection.execute(
                insert(secrets).values(
                    credential_id=row.id,
                    field=field,
                    data_key_id=secret.data_key_id,
                    nonce=secret.nonce,
                    ciphertext=secret.ciphertext,
                )
            )
        await self._log.note("credential", row.api_id)

    async def activate(self, credential_id: str, at: datetime) -> None:
        chosen = select(credentials.c.api_id, credentials.c.environment).where(credentials.c.id == credential_id)
        api_id, environment = (await self._connection.execute(chosen)).one()
        earlier = update(credentials).where(
            credentials.c.api_id == api_id,
            credentials.c.environment == environment,
            credentials.c.state == "active",
            credentials.c.id != credential_id,
        )
        await self._connection.execute(earlier.values(state="retired", retired_at=at))
        this = update(credentials).where(credentials.c.id == credential_id)
        await self._connection.execute(this.values(state="active", activated_at=at, retired_at=None))
        await self._log.note("credential", api_id)

    async def retire(self, credential_id: str, at: datetime) -> None:
        chosen = select(credentials.c.api_id).where(credentials.c.id == credential_id)
        api_id = (await self._connection.execute(chosen)).scalar_one()
        this = update(credentials).where(credentials.c.id == credential_id)
        await self._connection.execute(this.values(state="retired", retired_at=at))
        await self._connection.execute(delete(secrets).where(secrets.c.credential_id == credential_id))
        await self._log.note("credential", api_id)


def _of(api_id: str) -> Select[Any]:
    """The credentials of one API; ``kept`` is true, too, where there was never a value to keep."""
    held = exists().where(secrets.c.credential_id == credentials.c.id)
    kept = or_(held, credentials.c.shown == _NO_FIELDS).label("kept")
    return select(credentials, kept).where(credentials.c.api_id == api_id)


def _credential(row: Row[Any]) -> CredentialRow:
    return CredentialRow(
        id=row.id,
        api_id=row.api_id,
        environment=row.environment,
        version=row.version,
        state=row.state,
        hosts=tuple(row.hosts),
        shown=row.shown,
        created_at=row.created_at,
        created_by=row.created_by,
        activated_at=row.activated_at,
        retired_at=row.retired_at,
        kept=bool(row.kept),
    )
