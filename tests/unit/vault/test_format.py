"""What is stored is read back by every later version: the bytes of today's format, written down."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tieline.core.errors import RootKeyError, SettingsError
from tieline.core.secret import Secret
from tieline.testing.vault import MemoryDataKeyStore, fake_root_key
from tieline.vault.derivation import derive
from tieline.vault.envelope import Place, SealBroken, Sealed, seal, unseal
from tieline.vault.keyring import Keyring, _place
from tieline.vault.ports import RootRecord, WrappedDataKey
from tieline.vault.rootkeys.choice import RootKeySource, split_source

KEY = bytes(range(32))
THEN = datetime(2026, 1, 2, tzinfo=UTC)


def test_a_place_is_written_as_it_always_was() -> None:
    """Each part behind its length in four bytes, the largest first."""
    parts = (b"secrets", b"cred_1", b"key", b"12", b"live")
    written = Place("secrets", "cred_1", "key", 12, "live").aad()
    assert written.endswith(b"".join(bytes((0, 0, 0, len(part))) + part for part in parts))


def test_a_wrapped_data_key_has_its_place() -> None:
    """Another place would open no vault that there is."""
    assert _place("dk_1", "root_1") == Place("data_keys", "dk_1", "wrapped", 1, "root_1")


async def test_a_data_key_of_an_older_vault_opens() -> None:
    """Wrapped once and written down: every later version must open it."""
    root = fake_root_key()
    wrapped = bytes.fromhex(
        "b5cdd78e9846cac54c7556398d7b455904eaf9ea1642b79883fa792f"
        "cb22ee756179fa902fd271769eab230f2f7886d17de60f290f19ab6e5e9b4392"
    )
    store = MemoryDataKeyStore()
    await store.add(WrappedDataKey("dk_06h2qeh1xdej068frxg4hwar7", root.id, wrapped, THEN, None))
    opened = (await Keyring.open(root, store)).current[1].reveal_bytes()
    assert opened.hex() == "3f797521defdf7b92b06413a68b66d7960e37a4e7ee313829a668764d6a3917c"


def test_keys_for_different_purposes_differ_and_stay() -> None:
    """What was wrapped under a root key is unwrapped under it; no purpose tells another's bytes."""
    root = Secret(KEY)
    assert derive(root, "wrap") == derive(root, "wrap")
    assert len({derive(root, "wrap"), derive(root, "other"), derive(Secret(KEY[::-1]), "wrap")}) == 3


def test_what_cannot_be_a_ciphertext_is_told_by_its_place() -> None:
    """In what the log says, not in what an outsider reads."""
    place = Place("secrets", "cred_1", "key", 3, "live")
    with pytest.raises(SealBroken) as error:
        unseal(KEY, Sealed(b"short", b""), place)
    assert error.value.detail == f"sealed value of {place}: nonce or ciphertext has an impossible length"
    assert unseal(KEY, seal(KEY, b"", place), place) == b""


async def test_a_keyring_knows_when_its_keys_were_made() -> None:
    """As ``tieline vault status`` tells."""
    store = MemoryDataKeyStore()
    keyring = await Keyring.open(fake_root_key(), store)
    assert [key.created_at for key in keyring.status().data_keys] == [key.created_at for key in store.keys.values()]


async def test_a_vault_keeps_what_it_was_made_with_before_its_first_key() -> None:
    """The record of the first process stands; another's root key is refused by it."""
    root, store = fake_root_key(), MemoryDataKeyStore()
    record = RootRecord(root.id, "env", None, THEN)
    await Keyring.open(root, store)
    assert store.record is None
    await Keyring.open(root, store, record=record)
    await Keyring.open(root, store, record=replace(record, kind="file"))
    assert store.record == record
    other = fake_root_key(b"another")
    with pytest.raises(RootKeyError, match=other.id):
        await Keyring.open(other, MemoryWith(record))


class MemoryWith(MemoryDataKeyStore):
    """A store that has a record and no key yet."""

    def __init__(self, record: RootRecord) -> None:
        super().__init__()
        self.record = record


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (RootKeySource("file", path=Path("/keys/root")), "file:/keys/root"),
        (RootKeySource("env", variable="ROOT"), "env:ROOT"),
        (RootKeySource("passphrase"), "passphrase"),
    ],
)
def test_a_source_is_shown_as_it_is_given(source: RootKeySource, text: str) -> None:
    """Never with its secret."""
    assert str(source) == text


def test_a_source_that_is_not_supported_names_the_setting() -> None:
    """So that whoever reads it knows which."""
    errors = []
    for text in ("awskms:key", "nothing"):
        with pytest.raises(SettingsError) as error:
            split_source(text, "--root-key")
        errors.append(error.value.param)
    assert errors[0] == errors[1] is not None
