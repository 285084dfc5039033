"""The setting that says where the root key comes from, and opening it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tieline.core.errors import RootKeyError, SettingsError
from tieline.core.secret import Secret
from tieline.testing.vault import fake_root_key
from tieline.vault.ports import RootKind, RootRecord
from tieline.vault.rootkeys.choice import RootKeySource, split_source
from tieline.vault.rootkeys.key import RootKey, encode
from tieline.vault.rootkeys.source import open_root

ROOT = fake_root_key()
OTHER = fake_root_key(b"another fake root key")
TEXT = encode(ROOT.key)
SALT = b"a fake salt, 16."
PHRASE = Secret(b"sandbox horse battery staple")
THEN = datetime(2026, 11, 23, 7, tzinfo=UTC)
ENV = RootKeySource("env", variable="FAKE_KEY")
PASSPHRASE = RootKeySource("passphrase")


class FixedClock:
    def now(self) -> datetime:
        return THEN

    def monotonic(self) -> float:
        return 0.0


def recorded(key_id: str = ROOT.id, kind: RootKind = "file", salt: bytes | None = None) -> RootRecord:
    """What the store of an existing vault has."""
    return RootRecord(key_id, kind, salt, THEN)


async def opened(
    source: RootKeySource,
    *,
    record: RootRecord | None = None,
    secret: Secret | None = None,
    create: bool = False,
) -> tuple[RootKey, RootRecord]:
    """Open with nothing given but what the test is about."""
    return await open_root(replace(source, secret=secret), record=record, create=create, clock=FixedClock())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("file:/srv/tieline/root.key", ("file", "/srv/tieline/root.key")),
        ("file:with:colon", ("file", "with:colon")),
        ("env:ROOT_KEY_1", ("env", "ROOT_KEY_1")),
        ("passphrase", ("passphrase", "")),
    ],
)
def test_a_source_is_read(text: str, found: tuple[RootKind, str]) -> None:
    """The syntax of contract section 2."""
    assert split_source(text, "--root-key") == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "file",
        "file:",
        "file:a\0b",
        "env",
        "env:",
        "env:1X",
        "env:A B",
        "env:A=B",
        "passphrase:",
        "passphrase:x",
        "File:x",
    ],
)
def test_other_sources_are_refused(text: str) -> None:
    """The error says where it was given and what to give."""
    with pytest.raises(SettingsError, match=r"--root-key .*: give file:PATH, env:VARIABLE or passphrase") as caught:
        split_source(text, "--root-key")
    assert caught.value.param == "root_key"


def test_a_key_given_in_place_of_a_source_is_not_repeated() -> None:
    """It would end in a log."""
    with pytest.raises(SettingsError) as caught:
        split_source(TEXT.reveal_bytes().decode(), "--root-key")
    assert TEXT.reveal_bytes().decode() not in str(caught.value)


def test_a_key_service_is_refused_as_not_supported_yet() -> None:
    """Instead of as a typing error."""
    with pytest.raises(SettingsError, match=r"awskms:.* is not supported in this version"):
        split_source("awskms:arn:aws:kms:eu-west-1:000000000000:key/fake", "--root-key")


class TestFile:
    async def test_the_first_start_makes_the_file_and_its_record(self, tmp_path: Path) -> None:
        """The record is what the store is to keep."""
        source = RootKeySource("file", tmp_path / "root.key")
        root, record = await opened(source, create=True)
        assert record == RootRecord(root.id, "file", None, THEN)
        assert await opened(source, record=record) == (root, record)

    async def test_a_file_that_is_there_is_used_for_a_new_vault(self, tmp_path: Path) -> None:
        """A start that was killed between making the key and recording it goes on with that key."""
        source = RootKeySource("file", tmp_path / "root.key")
        first, _ = await opened(source, create=True)
        again, _ = await opened(source, create=True)
        assert first == again

    async def test_a_missing_file_is_not_made_without_leave(self, tmp_path: Path) -> None:
        """Commands other than `serve` make nothing."""
        with pytest.raises(RootKeyError, match=r"There is no root key at .* first start"):
            await opened(RootKeySource("file", tmp_path / "root.key"))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("create", [True, False])
    async def test_a_missing_file_of_an_existing_vault_is_never_replaced(self, tmp_path: Path, create: bool) -> None:
        """The error names the key id that must come back, and no new key is made."""
        with pytest.raises(RootKeyError, match=f"this vault was made with {ROOT.id}"):
            await opened(RootKeySource("file", tmp_path / "root.key"), record=recorded(), create=create)
        assert list(tmp_path.iterdir()) == []

    async def test_another_key_than_recorded_is_refused_by_name(self, tmp_path: Path) -> None:
        """Expected and given key id are in the error, the key is not."""
        source = RootKeySource("file", tmp_path / "root.key")
        root, _ = await opened(source, create=True)
        with pytest.raises(RootKeyError, match=f"expected {ROOT.id}, given {root.id}"):
            await opened(source, record=recorded(), create=True)


class TestEnv:
    async def test_a_new_vault_records_the_key_of_the_variable(self) -> None:
        """No leave is needed: the operator made the key."""
        assert await opened(ENV, secret=TEXT) == (ROOT, recorded(kind="env"))

    async def test_a_key_may_move_from_a_file_to_a_variable(self) -> None:
        """The record stays as it was: the key is the same."""
        assert await opened(ENV, secret=TEXT, record=recorded(kind="file")) == (ROOT, recorded(kind="file"))

    async def test_a_variable_that_is_not_set_is_refused(self) -> None:
        """For a new vault, and for an old one with the key id that is expected."""
        with pytest.raises(RootKeyError, match=r"FAKE_KEY is not set\. Give it, or choose another source"):
            await opened(ENV)
        with pytest.raises(RootKeyError, match=rf"FAKE_KEY is not set. .* {ROOT.id} \(env\)"):
            await opened(ENV, record=recorded(kind="env"))

    async def test_another_key_than_recorded_is_refused_by_name(self) -> None:
        """Expected and given key id are in the error."""
        with pytest.raises(RootKeyError, match=f"expected {OTHER.id}, given {ROOT.id}"):
            await opened(ENV, secret=TEXT, record=recorded(OTHER.id, "env"))

    async def test_a_variable_that_holds_no_key_is_named(self) -> None:
        """Its value is not repeated."""
        with pytest.raises(RootKeyError, match="FAKE_KEY holds no root key") as caught:
            await opened(ENV, secret=Secret(b"hunter2"))
        assert "hunter2" not in str(caught.value)


class TestPassphrase:
    async def test_a_new_vault_gets_a_salt_that_opens_it_again(self) -> None:
        """The salt is in the record; with it the passphrase gives the same key."""
        root, record = await opened(PASSPHRASE, secret=PHRASE, create=True)
        assert record.kind == "passphrase"
        assert record.salt is not None
        assert await opened(PASSPHRASE, secret=PHRASE, record=record) == (root, record)

    async def test_a_salt_is_not_made_without_leave(self) -> None:
        """Commands other than `serve` make nothing."""
        with pytest.raises(RootKeyError, match="has no root key yet"):
            await opened(PASSPHRASE, secret=PHRASE)

    async def test_a_wrong_passphrase_is_refused_by_key_id(self) -> None:
        """It makes another key than the recorded one."""
        with pytest.raises(RootKeyError, match=f"expected {OTHER.id}, given rk_"):
            await opened(PASSPHRASE, secret=PHRASE, record=recorded(OTHER.id, "passphrase", SALT))

    async def test_a_vault_whose_key_is_no_passphrase_says_so(self) -> None:
        """Without a salt no passphrase can be the right one."""
        with pytest.raises(RootKeyError, match=f"{ROOT.id} does not come from a passphrase but from file"):
            await opened(PASSPHRASE, secret=PHRASE, record=recorded(), create=True)

    async def test_a_passphrase_that_was_not_given_is_asked_for(self) -> None:
        """With the key id that an existing vault expects."""
        with pytest.raises(RootKeyError, match=rf"passphrase was not given. .* {ROOT.id} \(passphrase\)"):
            await opened(PASSPHRASE, record=recorded(ROOT.id, "passphrase", SALT))
