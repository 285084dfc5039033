"""The first thing a control plane does: everything is there that serving needs, and the local command line may speak.

Owns ``admin.token``. Knows no request.
"""

import os
import secrets
from pathlib import Path

from tieline.access.caller import Caller, Role
from tieline.controlplane import tokens
from tieline.controlplane.services import Services
from tieline.core.errors import StartError
from tieline.core.secret import Secret
from tieline.settings.model import ServeSettings

TOKEN_FILE = "admin.token"  # noqa: S105  the file's name
THIS_MACHINE = Caller("local", "local", "this machine", Role.OWNER)


async def admin_token(services: Services, settings: ServeSettings) -> bool:
    """Mint an owner token for the local command line where there is no ``admin.token``; whether one was made.

    The token is durable in the store before the file (0600, synced) appears. Raises StartError when the file cannot be
    written.
    """
    path = settings.data_dir / TOKEN_FILE
    if path.exists():
        return False
    made = await tokens.create(services, THIS_MACHINE, tokens.NewToken("local command line", Role.OWNER))
    try:
        _write(path, made.secret)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}. Check the data directory.") from error
    return True


def _write(path: Path, secret: Secret) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret.reveal_bytes() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
