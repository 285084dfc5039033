"""``tieline vault status``: the vault as it is on disk, opened without a server."""

import asyncio
from typing import Any

from tieline.app.opening import open_existing
from tieline.core.clock import rfc3339
from tieline.settings.model import ServeSettings
from tieline.storage.store import SqlStore


def status(settings: ServeSettings) -> dict[str, Any]:
    """Root key id, its source, the data key that seals now, and every data key with how many secrets it seals.

    Raises StorageError or RootKeyError where the vault does not open.
    """
    return asyncio.run(_status(settings))


async def _status(settings: ServeSettings) -> dict[str, Any]:
    opened = await open_existing(settings)
    try:
        vault = opened.keyring.status()
        async with SqlStore(opened.database, audit_key=opened.keyring.derive("audit")).read() as reading:
            rows = await reading.data_keys.list()
    finally:
        await opened.database.close()
    return {
        "root_key": vault.root_key_id,
        "source": str(settings.root_key),
        "current": vault.current,
        "data_keys": [
            {
                "id": row.id,
                "root_key": row.root_key_id,
                "created_at": rfc3339(row.created_at),
                "retired_at": row.retired_at and rfc3339(row.retired_at),
                "secrets": row.secrets,
            }
            for row in rows
        ],
    }
