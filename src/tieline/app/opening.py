"""Opening what is kept: the store and, with the root key, the vault.

Owns the order in which they are opened and what the first start creates. Knows no table and no request.
"""

import socket
from dataclasses import dataclass

from tieline.app import datadir
from tieline.settings.model import ServeSettings
from tieline.storage.engine import Database, open_database
from tieline.storage.migrate import migrate
from tieline.storage.openings import SqlOpenings
from tieline.storage.vault import SqlDataKeys
from tieline.vault.keyring import Keyring
from tieline.vault.rootkeys.choice import RootKeySource
from tieline.vault.rootkeys.source import open_root


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """An open store and the keyring of its vault. ``first`` says that the vault was made just now."""

    database: Database
    keyring: Keyring
    first: bool


async def create(settings: ServeSettings) -> OpenedStore:
    """Open store and vault, making what is missing: data directory (0700), schema, root key, first data key.

    Raises StorageError, RootKeyError or StartError with the one line that says what to do.
    """
    datadir.make(settings.data_dir)
    database = await open_database(settings.database_url)
    await migrate(database)
    return await _open_vault(settings.root_key, database, create=True)


async def open_existing(settings: ServeSettings) -> OpenedStore:
    """Open store and vault as they are. Raises StorageError or RootKeyError, also where nothing was created yet."""
    database = await open_database(settings.database_url)
    await database.check_schema()
    return await _open_vault(settings.root_key, database, create=False)


def opening_log(opened: OpenedStore, process: str) -> SqlOpenings:
    """Where ``process``, such as ``data worker 2``, tells what it opens in the vault."""
    actor = f"server:{socket.gethostname()[:100]}/{process}"
    return SqlOpenings(opened.database, audit_key=opened.keyring.derive("audit"), actor=actor)


async def _open_vault(source: RootKeySource, database: Database, *, create: bool) -> OpenedStore:
    store = SqlDataKeys(database)
    record = await store.root_record()
    root, kept = await open_root(source, record=record, create=create)
    return OpenedStore(database, await Keyring.open(root, store, record=kept), record is None)
