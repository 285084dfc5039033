"""A root key in a file of its own: base64url text, readable by its owner only."""

import os
import secrets
import stat
from pathlib import Path

from tieline.core.errors import RootKeyError
from tieline.core.secret import Secret
from tieline.vault.derivation import KEY_LENGTH
from tieline.vault.rootkeys.key import RootKey, decode, encode

_READ_MOST = 4096
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class RootKeyFileMissing(RootKeyError):
    """There is no file at the path."""


def load(path: Path) -> RootKey:
    """The root key in the file at ``path``.

    Raises RootKeyFileMissing where there is none, and RootKeyError for a file that cannot be read, is no plain file, is
    open to group or others, or holds something else than one key.
    """
    try:
        # Without O_NONBLOCK, a FIFO at this path would hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise RootKeyFileMissing(f"There is no root key at {path}.") from error
    except OSError as error:
        raise RootKeyError(f"The root key at {path} cannot be read: {error.strerror}.") from error
    try:
        text = _read(path, descriptor)
    finally:
        os.close(descriptor)
    try:
        return RootKey.of(decode(text))
    except ValueError as error:
        raise RootKeyError(
            f"The file at {path} holds no root key: it must be 32 bytes as base64url or hex. Put back the key from its "
            "backup."
        ) from error


def create(path: Path) -> RootKey:
    """Make a new root key at ``path``, durable when this returns; an existing file is never overwritten but loaded.

    The key is written to a file beside it (mode 0600, O_EXCL), synced, and only then linked to its name: a process
    killed half-way leaves no half key, and of two processes that start at once both use the key of the first.
    Raises RootKeyError when it cannot be written, and as :func:`load`.
    """
    key = Secret(secrets.token_bytes(KEY_LENGTH))
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(draft, encode(key).reveal_bytes() + b"\n")
        os.link(draft, path)
        _sync_folder(path.parent)
    except FileExistsError:
        return load(path)
    except OSError as error:
        raise RootKeyError(f"A root key cannot be made at {path}: {error.strerror}.") from error
    finally:
        draft.unlink(missing_ok=True)
    return RootKey.of(key)


def _read(path: Path, descriptor: int) -> Secret:
    """The content of the open file, if it is a plain file of its owner alone."""
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        raise RootKeyError(f"{path} is not a plain file. Name the file that holds the root key.")
    if mode & _OTHERS:
        raise RootKeyError(
            f"The root key at {path} is open to others than its owner (mode {stat.S_IMODE(mode):04o}). "
            f"Run: chmod 600 {path}"
        )
    return Secret(os.read(descriptor, _READ_MOST))


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
