"""The vault's data keys and root key record in the database."""

from datetime import timedelta
from pathlib import Path

from tests.storage.rows import NOW, OWNER, add_api, add_credential, credential, sealed
from tieline.audit.events import CredentialRetired
from tieline.core.secret import Secret
from tieline.storage.engine import Database
from tieline.storage.store import SqlStore
from tieline.storage.vault import SqlDataKeys
from tieline.vault.keyring import Keyring
from tieline.vault.ports import RootRecord, WrappedDataKey
from tieline.vault.rootkeys.key import RootKey


def data_key(id: str = "dk_1") -> WrappedDataKey:
    """A wrapped data key that opens nothing."""
    return WrappedDataKey(id, "rk_000000000000", bytes(60), NOW, None)


async def test_data_keys_come_back_as_they_went(database: Database) -> None:
    """Bytes and times are kept to the bit and the microsecond."""
    kept = SqlDataKeys(database)
    first, second = data_key(), WrappedDataKey("dk_2", "rk_1", bytes(range(60)), NOW, NOW + timedelta(days=1))
    await kept.add(first)
    await kept.add(second)
    assert sorted(await kept.load(), key=lambda one: one.id) == [first, second]


async def test_there_is_one_root_record(database: Database) -> None:
    """Of two processes that make a vault at once, the one that is first names the root key."""
    kept = SqlDataKeys(database)
    assert await kept.root_record() is None
    first = RootRecord("rk_1", "file", None, NOW)
    await kept.set_root_record(first)
    await kept.set_root_record(RootRecord("rk_2", "passphrase", bytes(16), NOW))
    assert await kept.root_record() == first


async def test_the_real_keyring_opens_what_it_stored(database: Database) -> None:
    """A keyring opened a second time has the data key that the first one made."""
    root = RootKey.of(Secret(bytes(range(32))))
    first = await Keyring.open(root, SqlDataKeys(database))
    again = await Keyring.open(root, SqlDataKeys(database))
    assert again.current == first.current


async def test_data_keys_are_listed_with_what_they_seal(database: Database, store: SqlStore) -> None:
    """An operator sees how many secrets hang on each data key."""
    for name in ("dk_1", "dk_2"):
        await SqlDataKeys(database).add(data_key(name))
    api = await add_api(store)
    await add_credential(store, credential(api.id), key=sealed(), other=sealed(2))
    async with store.read() as rx:
        assert [(row.id, row.secrets) for row in await rx.data_keys.list()] == [("dk_1", 2), ("dk_2", 0)]


async def test_retired_values_leave_the_file(database: Database, store: SqlStore) -> None:
    """SQLite overwrites a deleted ciphertext, so a later copy of the file does not hold it."""
    if database.kind != "sqlite":
        return
    await SqlDataKeys(database).add(data_key())
    api = await add_api(store)
    row = await add_credential(store, credential(api.id), key=sealed(0xA7))
    assert bytes([0xA7]) * 40 in Path(database.location).read_bytes()
    async with store.write(OWNER) as tx:
        await tx.credentials.retire(row.id, NOW)
        await tx.audit.add(CredentialRetired(row.id, api="openai", environment="live", version=1))
    assert bytes([0xA7]) * 40 not in Path(database.location).read_bytes()
