"""App keys in quantity, written straight into the store of a running Tieline in one transaction.

The only part of the benchmark that knows the product from inside: a hundred thousand keys through the admin API would
take longer than everything else together. Each is a copy of a key that the admin API made, with a secret of its own.
"""

import asyncio
from pathlib import Path

from sqlalchemy import insert, select

from tieline.access import appkey
from tieline.app.opening import open_existing
from tieline.core.ids import new_id
from tieline.settings.reading import serve_settings
from tieline.storage.connection import AsyncConnection
from tieline.storage.schema import app_keys, key_secrets


def add_keys(data_dir: Path, count: int) -> list[str]:
    """Add ``count`` keys like the one that is there; returns their secrets."""
    return asyncio.run(_add_keys(data_dir, count))


async def _add_keys(data_dir: Path, count: int) -> list[str]:
    opened = await open_existing(serve_settings({"data_dir": str(data_dir)}, {}))
    try:
        pepper = opened.keyring.derive("app-key")
        made = [appkey.mint("live").reveal_bytes() for _ in range(count)]
        async with opened.database.write() as connection:
            await _insert(connection, made, pepper)
    finally:
        await opened.database.close()
    return [secret.decode("ascii") for secret in made]


async def _insert(connection: AsyncConnection, made: list[bytes], pepper: bytes) -> None:
    model = dict((await connection.execute(select(app_keys))).mappings().one())
    secret = dict((await connection.execute(select(key_secrets))).mappings().one())
    ids = [new_id("key") for _ in made]
    await connection.execute(insert(app_keys), [{**model, "id": each} for each in ids])
    await connection.execute(
        insert(key_secrets),
        [
            {
                **secret,
                "id": new_id("key"),
                "key_id": each,
                "hash": appkey.keyed_hash(pepper, key),
                "redacted": appkey.redacted(key),
            }
            for each, key in zip(ids, made, strict=True)
        ],
    )
