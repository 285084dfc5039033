"""The vault's wrapped data keys and root key record: ``vault.ports.DataKeyStore``.

Owns the tables ``data_keys`` and ``vault_root``. Knows no unwrapped key.
"""

from collections.abc import Sequence

from sqlalchemy import insert, select

from tieline.storage.engine import Database
from tieline.storage.schema import data_keys, vault_root
from tieline.vault.ports import RootRecord, WrappedDataKey


class SqlDataKeys:
    """Where the vault keeps its data keys, wrapped."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[WrappedDataKey]:
        columns = (data_keys.c[name] for name in ("id", "root_key_id", "wrapped", "created_at", "retired_at"))
        async with self._database.read() as connection:
            return [WrappedDataKey(*row) for row in await connection.execute(select(*columns))]

    async def add(self, key: WrappedDataKey) -> None:
        async with self._database.write() as connection:
            await connection.execute(
                insert(data_keys).values(
                    id=key.id,
                    root_key_id=key.root_key_id,
                    wrapped=key.wrapped,
                    created_at=key.created_at,
                    retired_at=key.retired_at,
                )
            )

    async def root_record(self) -> RootRecord | None:
        columns = (vault_root.c[name] for name in ("key_id", "kind", "salt", "created_at"))
        async with self._database.read() as connection:
            row = (await connection.execute(select(*columns))).one_or_none()
        return None if row is None else RootRecord(*row)

    async def set_root_record(self, record: RootRecord) -> None:
        async with self._database.write() as connection:
            await connection.execute(
                self._database.insert_new(vault_root).values(
                    one=True, key_id=record.key_id, kind=record.kind, salt=record.salt, created_at=record.created_at
                )
            )
