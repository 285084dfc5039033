"""Root keys from files, variables and passphrases."""

import base64
import os
import stat
from pathlib import Path

import pytest

from tieline.core.errors import RootKeyError
from tieline.core.secret import Secret
from tieline.vault.rootkeys import env, file, passphrase
from tieline.vault.rootkeys.key import RootKey, decode, encode

RAW = bytes(range(32))
SALT = b"a fake salt, 16."
PHRASE = "sandbox horse battery staple"


def written(path: Path, content: bytes, mode: int = 0o600) -> Path:
    """A file with this content and mode."""
    path.write_bytes(content)
    path.chmod(mode)
    return path


class TestKey:
    def test_its_id_names_the_key_and_is_stable(self) -> None:
        """The id is fixed for ever: it is stored, shown and compared across versions."""
        assert RootKey.of(Secret(RAW)).id == "rk_7ebf265ffcaa"
        assert RootKey.of(Secret(RAW[::-1])).id != RootKey.of(Secret(RAW)).id

    @pytest.mark.parametrize("length", [0, 16, 31, 33])
    def test_it_has_32_bytes(self, length: int) -> None:
        """Nothing shorter is stretched, nothing longer cut."""
        with pytest.raises(ValueError, match="a root key has 32 bytes"):
            RootKey.of(Secret(bytes(length)))

    @pytest.mark.parametrize(
        "text",
        [
            base64.urlsafe_b64encode(RAW),
            base64.urlsafe_b64encode(RAW).rstrip(b"="),
            RAW.hex().encode(),
            RAW.hex().upper().encode(),
            b" \t" + RAW.hex().encode() + b"\r\n",
        ],
    )
    def test_it_is_read_from_base64url_and_hex(self, text: bytes) -> None:
        """With or without padding, in either case, with an editor's newline."""
        assert decode(Secret(text)) == Secret(RAW)

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"a" * 42,
            b"a" * 44,
            b"a" * 43 + b"==",
            b"g" * 64,
            b"0" * 63,
            b"+" * 43,
            RAW,
            b"a" * 21 + b" " + b"a" * 21,
        ],
    )
    def test_other_text_is_no_key(self, text: bytes) -> None:
        """No leniency of a base64 decoder turns a typo into another key."""
        with pytest.raises(ValueError, match="neither 32 bytes"):
            decode(Secret(text))

    def test_it_is_not_shown(self) -> None:
        """Only the id is in its repr."""
        shown = repr(RootKey.of(Secret(RAW)))
        assert "rk_7ebf265ffcaa" in shown
        assert repr(RAW) not in shown
        assert encode(Secret(RAW)).reveal_bytes().decode() not in shown


class TestFile:
    def test_a_created_key_is_loaded_again(self, tmp_path: Path) -> None:
        """What create returns is what load finds, as one line of base64url."""
        path = tmp_path / "root.key"
        root = file.create(path)
        assert file.load(path) == root
        assert len(path.read_bytes()) == 44
        assert path.read_bytes().endswith(b"\n")

    def test_only_its_owner_may_read_a_created_key(self, tmp_path: Path) -> None:
        """Mode 0600 from the first moment, and no draft is left beside it."""
        path = tmp_path / "root.key"
        file.create(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [path]

    def test_each_created_key_is_another(self, tmp_path: Path) -> None:
        """Keys are random."""
        assert file.create(tmp_path / "a").id != file.create(tmp_path / "b").id

    def test_creating_never_overwrites(self, tmp_path: Path) -> None:
        """Of two processes that start at once, the second uses the key of the first."""
        path = tmp_path / "root.key"
        first = file.create(path)
        content = path.read_bytes()
        assert file.create(path) == first
        assert path.read_bytes() == content
        assert list(tmp_path.iterdir()) == [path]

    def test_a_draft_that_somebody_else_put_there_is_not_written_to(self, tmp_path: Path) -> None:
        """Whoever guessed its name would read the key."""
        draft = written(tmp_path / "draft", b"theirs")
        with pytest.raises(FileExistsError):
            file._write(draft, b"ours")
        assert draft.read_bytes() == b"theirs"

    def test_creating_where_nothing_can_be_written_is_refused(self, tmp_path: Path) -> None:
        """The error names the path and the system's reason."""
        path = tmp_path / "no such folder" / "root.key"
        with pytest.raises(RootKeyError, match=r"cannot be made at .*root\.key: No such file"):
            file.create(path)

    def test_a_missing_file_is_told_apart(self, tmp_path: Path) -> None:
        """The caller decides whether a new key may be made."""
        with pytest.raises(file.RootKeyFileMissing, match="There is no root key at"):
            file.load(tmp_path / "root.key")

    def test_a_file_that_cannot_be_opened_is_refused(self, tmp_path: Path) -> None:
        """A path through a plain file is an error, not a missing key."""
        with pytest.raises(RootKeyError, match="cannot be read: Not a directory") as caught:
            file.load(written(tmp_path / "file", b"") / "root.key")
        assert not isinstance(caught.value, file.RootKeyFileMissing)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777])
    def test_a_file_open_to_others_is_refused(self, tmp_path: Path, mode: int) -> None:
        """Any right of group or others; the error says what to run."""
        path = written(tmp_path / "root.key", RAW.hex().encode(), mode)
        with pytest.raises(RootKeyError, match=rf"{path} is open .* \(mode 0{mode:o}\)\. Run: chmod 600 {path}$"):
            file.load(path)

    @pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
    def test_a_file_of_its_owner_alone_is_read(self, tmp_path: Path, mode: int) -> None:
        """Read-only is fine."""
        assert file.load(written(tmp_path / "root.key", RAW.hex().encode(), mode)) == RootKey.of(Secret(RAW))

    def test_a_link_to_a_file_is_followed(self, tmp_path: Path) -> None:
        """Mounted secrets are links; the file behind it is judged."""
        (tmp_path / "link").symlink_to(written(tmp_path / "root.key", RAW.hex().encode()))
        assert file.load(tmp_path / "link") == RootKey.of(Secret(RAW))

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        """Not a plain file; the error names it."""
        with pytest.raises(RootKeyError, match=f"{tmp_path} is not a plain file"):
            file.load(tmp_path)

    def test_a_pipe_is_refused_without_waiting(self, tmp_path: Path) -> None:
        """Nobody writes to it, and the start does not hang."""
        os.mkfifo(tmp_path / "root.key", 0o600)
        with pytest.raises(RootKeyError, match="is not a plain file"):
            file.load(tmp_path / "root.key")

    @pytest.mark.parametrize("content", [b"", b"too short", RAW.hex().encode()[:40], RAW.hex().encode() * 100])
    def test_a_file_without_a_key_is_refused(self, tmp_path: Path, content: bytes) -> None:
        """Empty, something else, cut, or far too long; the error does not repeat the content."""
        path = written(tmp_path / "root.key", content)
        with pytest.raises(RootKeyError, match="holds no root key") as caught:
            file.load(path)
        assert RAW.hex()[:40] not in str(caught.value)


class TestEnv:
    def test_a_key_is_read_from_a_variable(self) -> None:
        """Its value, which the settings have read, is a key in either notation."""
        assert env.load(Secret(RAW.hex().encode()), "FAKE_KEY") == RootKey.of(Secret(RAW))

    def test_a_value_that_is_no_key_is_refused_by_the_variables_name(self) -> None:
        """The value is not repeated."""
        with pytest.raises(RootKeyError, match="FAKE_KEY holds no root key") as caught:
            env.load(Secret(b"hunter2"), "FAKE_KEY")
        assert "hunter2" not in str(caught.value)


class TestPassphrase:
    def test_a_passphrase_and_its_salt_give_one_key(self) -> None:
        """A fixed result: Argon2id with 64 MiB, three passes, one lane. A change of these would lose vaults."""
        assert passphrase.load(Secret.from_text(PHRASE), SALT).id == "rk_f2018715b5cc"

    def test_another_salt_gives_another_key(self) -> None:
        """The same passphrase in two vaults makes two keys."""
        assert (
            passphrase.load(Secret.from_text(PHRASE), SALT).id
            != passphrase.load(Secret.from_text(PHRASE), SALT[::-1]).id
        )

    def test_composed_and_decomposed_letters_are_the_same(self) -> None:
        """Keyboards differ in how they send an é."""
        composed, decomposed = "caf\u00e9 sandbox battery", "cafe\u0301 sandbox battery"
        assert passphrase.load(Secret.from_text(composed), SALT) == passphrase.load(Secret.from_text(decomposed), SALT)

    @pytest.mark.parametrize("text", ["", "short", "fourteen chars", "e\u0301" * 14])
    def test_a_short_passphrase_is_refused(self, text: str) -> None:
        """Fifteen characters at least, counted after composing."""
        with pytest.raises(RootKeyError, match=r"too short: .* Give at least 15"):
            passphrase.load(Secret.from_text(text), SALT)

    def test_a_passphrase_of_the_least_length_is_taken(self) -> None:
        """Fifteen characters are enough."""
        assert passphrase.load(Secret.from_text("fifteen letters"), SALT).id.startswith("rk_")

    def test_bytes_that_are_no_text_are_refused(self) -> None:
        """A passphrase is text."""
        with pytest.raises(RootKeyError, match="not UTF-8"):
            passphrase.load(Secret(b"\xff" * 20), SALT)

    def test_salts_are_random(self) -> None:
        """Sixteen bytes, never the same."""
        assert len(passphrase.new_salt()) == 16
        assert passphrase.new_salt() != passphrase.new_salt()
