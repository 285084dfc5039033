"""Data keys: made, wrapped, opened, named."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from tieline.core.clock import Clock
from tieline.core.errors import RootKeyError
from tieline.testing.vault import MemoryDataKeyStore, fake_root_key, memory_keyring
from tieline.vault.envelope import SealBroken
from tieline.vault.keyring import Keyring
from tieline.vault.ports import RootRecord

ROOT = fake_root_key()
OTHER = fake_root_key(b"another fake root key")
THEN = datetime(2026, 11, 23, 7, tzinfo=UTC)


class FixedClock:
    def now(self) -> datetime:
        return THEN

    def monotonic(self) -> float:
        return 0.0


CLOCK: Clock = FixedClock()


@pytest.fixture
def store() -> MemoryDataKeyStore:
    """A new, empty store."""
    return MemoryDataKeyStore()


def record_of(key_id: str) -> RootRecord:
    """The record of a vault made with the root key ``key_id``."""
    return RootRecord(key_id, "file", None, THEN)


async def test_the_first_opening_makes_one_data_key(store: MemoryDataKeyStore) -> None:
    """A new vault can seal at once."""
    keyring = await Keyring.open(ROOT, store, clock=CLOCK)
    [key] = store.keys.values()
    assert key.id.startswith("dk_")
    assert (key.root_key_id, key.created_at, key.retired_at) == (ROOT.id, THEN, None)
    assert keyring.current[0] == key.id
    assert len(keyring.current[1]) == 32


async def test_a_data_key_is_not_stored_in_the_clear(store: MemoryDataKeyStore) -> None:
    """What the store holds is nonce, ciphertext and tag, and the key is not in it."""
    keyring = await Keyring.open(ROOT, store)
    [key] = store.keys.values()
    assert len(key.wrapped) == 12 + 32 + 16
    assert keyring.current[1].reveal_bytes() not in key.wrapped


async def test_opening_again_finds_the_same_data_key(store: MemoryDataKeyStore) -> None:
    """A second start, or a second process, makes no other key."""
    first = await Keyring.open(ROOT, store)
    second = await Keyring.open(ROOT, store)
    assert len(store.keys) == 1
    assert first.current == second.current


async def test_the_newest_data_key_that_is_not_retired_seals(store: MemoryDataKeyStore) -> None:
    """Older and retired keys still open what they sealed."""
    await Keyring.open(ROOT, store, clock=CLOCK)
    [oldest] = store.keys.values()
    for days, retired in ((1, None), (2, THEN)):
        key = (await Keyring.open(ROOT, MemoryDataKeyStore()))._new_data_key(THEN + timedelta(days=days))
        await store.add(dataclasses.replace(key, retired_at=retired))
    keyring = await Keyring.open(ROOT, store)
    status = keyring.status()
    assert status.current == status.data_keys[1].id
    assert [entry.retired_at for entry in status.data_keys] == [None, None, THEN]
    assert len(keyring.get(oldest.id)) == 32


async def test_a_vault_whose_data_keys_are_all_retired_gets_a_new_one(store: MemoryDataKeyStore) -> None:
    """Something must seal."""
    await Keyring.open(ROOT, store)
    [key] = store.keys.values()
    await store.add(dataclasses.replace(key, retired_at=THEN))
    keyring = await Keyring.open(ROOT, store)
    assert keyring.current[0] != key.id
    assert len(store.keys) == 2


async def test_the_root_record_is_kept_with_the_first_opening(store: MemoryDataKeyStore) -> None:
    """So the next start knows which root key to expect."""
    await Keyring.open(ROOT, store, record=record_of(ROOT.id))
    assert store.record == record_of(ROOT.id)


async def test_an_existing_root_record_is_left_alone(store: MemoryDataKeyStore) -> None:
    """Opening is no way to change what the vault was made with."""
    await store.set_root_record(record_of(ROOT.id))
    await Keyring.open(ROOT, store, record=RootRecord(ROOT.id, "env", None, THEN))
    assert store.record == record_of(ROOT.id)


@pytest.mark.parametrize("given", [None, record_of(ROOT.id)])
async def test_a_record_is_written_once_at_most(store: MemoryDataKeyStore, given: RootRecord | None) -> None:
    """A vault that has one, and an opening that brings none, write none."""
    if given is not None:
        await store.set_root_record(given)
    written: list[RootRecord] = []
    store.set_root_record = written.append  # type: ignore[method-assign, assignment]
    await Keyring.open(ROOT, store, record=given)
    assert written == []


async def test_of_two_processes_that_start_at_once_the_second_is_held_to_the_firsts_record(
    store: MemoryDataKeyStore,
) -> None:
    """The first one's record stands, whatever the second was about to write."""

    async def too_late(_: RootRecord) -> None:
        store.record = record_of(OTHER.id)

    store.set_root_record = too_late  # type: ignore[method-assign, assignment]
    with pytest.raises(RootKeyError, match=f"expected {OTHER.id}, given {ROOT.id}"):
        await Keyring.open(ROOT, store, record=record_of(ROOT.id))
    assert store.keys == {}


async def test_another_root_key_than_recorded_is_refused_by_name(store: MemoryDataKeyStore) -> None:
    """The error names the expected key id and the given one, and nothing is written."""
    await store.set_root_record(record_of(ROOT.id))
    with pytest.raises(RootKeyError) as caught:
        await Keyring.open(OTHER, store)
    assert f"expected {ROOT.id}, given {OTHER.id}" in caught.value.public
    assert store.keys == {}


async def test_another_root_key_than_wrapped_the_data_keys_is_refused_by_name(store: MemoryDataKeyStore) -> None:
    """Even a store that lost its record is not opened, or marked, with the wrong key."""
    await Keyring.open(ROOT, store)
    with pytest.raises(RootKeyError, match=f"expected {ROOT.id}, given {OTHER.id}"):
        await Keyring.open(OTHER, store, record=record_of(OTHER.id))
    assert store.record is None


@pytest.mark.parametrize(
    "change",
    [{"id": "dk_moved"}, {"wrapped": bytes(60)}, {"wrapped": b""}, {"wrapped": bytes(12)}],
    ids=["moved to another id", "overwritten", "emptied", "cut"],
)
async def test_an_altered_data_key_is_refused(store: MemoryDataKeyStore, change: dict[str, object]) -> None:
    """A wrapped key is bound to its id and root key, and authenticated."""
    await Keyring.open(ROOT, store)
    [key] = store.keys.values()
    store.keys = {"": dataclasses.replace(key, **change)}  # type: ignore[arg-type]
    with pytest.raises(RootKeyError, match=r"was altered .* Restore the store") as caught:
        await Keyring.open(ROOT, store)
    assert ROOT.id in caught.value.public
    assert "sealed value of data_keys/" in caught.value.detail


async def test_a_data_key_under_a_forged_root_key_id_is_refused(store: MemoryDataKeyStore) -> None:
    """The id that the row claims must be that of the key that opens it."""
    await Keyring.open(OTHER, store)
    [key] = store.keys.values()
    await store.add(dataclasses.replace(key, root_key_id=ROOT.id))
    with pytest.raises(RootKeyError, match="was altered"):
        await Keyring.open(ROOT, store)


async def test_refreshing_finds_what_another_process_added(store: MemoryDataKeyStore) -> None:
    """A worker learns of a data key made after its start."""
    ours = await Keyring.open(ROOT, store)
    added = ours._new_data_key(datetime.now(UTC) + timedelta(seconds=1))
    await store.add(added)
    with pytest.raises(SealBroken):
        ours.get(added.id)
    await ours.refresh()
    assert ours.current[0] == added.id


async def test_refreshing_from_an_emptied_store_is_refused_and_keeps_what_was_open(store: MemoryDataKeyStore) -> None:
    """A store that lost its keys is said to have, and running work goes on."""
    keyring = await Keyring.open(ROOT, store)
    before = keyring.current
    store.keys.clear()
    with pytest.raises(RootKeyError, match="no data key left"):
        await keyring.refresh()
    assert keyring.current == before


async def test_an_unknown_data_key_is_named_to_the_log_only() -> None:
    """The public text says what to do."""
    with pytest.raises(SealBroken) as caught:
        (await memory_keyring()).get("dk_unknown")
    assert "dk_unknown" in caught.value.detail
    assert "dk_unknown" not in caught.value.public


async def test_derived_keys_belong_to_one_purpose_and_one_root_key() -> None:
    """Same purpose, same bytes, on every start; otherwise different ones."""
    ours, again, other = await memory_keyring(ROOT), await memory_keyring(ROOT), await memory_keyring(OTHER)
    assert ours.derive("app-key") == again.derive("app-key")
    assert len({ours.derive("app-key"), ours.derive("audit"), other.derive("app-key")}) == 3
    assert len(ours.derive("audit")) == 32
    assert ROOT.key.reveal_bytes() not in ours.derive("audit")


async def test_the_status_names_keys_and_shows_none() -> None:
    """No byte of a key is in what `vault status` tells."""
    keyring = await memory_keyring()
    shown = repr(keyring.status())
    assert ROOT.id in shown
    assert keyring.current[0] in shown
    assert keyring.current[1].reveal_bytes().hex() not in shown
    assert repr(keyring.current[1].reveal_bytes()) not in shown
