"""The one way to open the root key, from wherever an operator said that it comes.

Owns the rule that a vault which was sealed under one root key never gets another. It reads no environment: what a
variable holds is in the source.
"""

import asyncio
from pathlib import Path

from tieline.core.clock import Clock, SystemClock
from tieline.core.errors import RootKeyError
from tieline.core.secret import Secret
from tieline.vault.ports import RootRecord
from tieline.vault.rootkeys import env, file
from tieline.vault.rootkeys.choice import RootKeySource
from tieline.vault.rootkeys.key import RootKey, mismatch


async def open_root(
    source: RootKeySource,
    *,
    record: RootRecord | None,
    create: bool,
    clock: Clock | None = None,
) -> tuple[RootKey, RootRecord]:
    """The root key from ``source``, and the record the store is to keep of it.

    ``record`` is what the store has, None for a new vault; the returned one is the same where there was one. With
    ``create`` a new vault gets a new key file, or a new salt for its passphrase; a vault that has a record never does.
    Raises RootKeyError that names the expected key id when the key is missing, and also the given one when it is not
    the vault's.
    """
    salt: bytes | None = None
    if source.path is not None:
        root = _from_file(source.path, record, create=create)
    elif source.kind == "env":
        root = _from_env(source.variable, source.secret, record)
    else:
        salt = _salt(record, create=create)
        root = await _from_passphrase(source.secret, salt, record)
    if record is None:
        return root, RootRecord(root.id, source.kind, salt, (clock or SystemClock()).now())
    if record.key_id != root.id:
        raise mismatch(record.key_id, root.id)
    return root, record


def _from_file(path: Path, record: RootRecord | None, *, create: bool) -> RootKey:
    try:
        return file.load(path)
    except file.RootKeyFileMissing as error:
        if record is not None:
            raise RootKeyError(
                f"There is no root key at {path}, and this vault was made with {record.key_id}. Put that key back from "
                "its backup; a new key could not open what is stored."
            ) from error
        if not create:
            raise RootKeyError(
                f"There is no root key at {path}. The first start of `tieline serve` makes it."
            ) from error
    return file.create(path)


def _from_env(variable: str, value: Secret | None, record: RootRecord | None) -> RootKey:
    if value is None:
        raise RootKeyError(f"The variable {variable} is not set. {_wanted(record)}")
    return env.load(value, variable)


async def _from_passphrase(given: Secret | None, salt: bytes, record: RootRecord | None) -> RootKey:
    if given is None:
        raise RootKeyError(f"The root key's passphrase was not given. {_wanted(record)}")
    from tieline.vault.rootkeys import passphrase  # noqa: PLC0415  Argon2 is loaded where it is used (ADR 25)

    return await asyncio.to_thread(passphrase.load, given, salt)


def _salt(record: RootRecord | None, *, create: bool) -> bytes:
    if record is None:
        if not create:
            raise RootKeyError("This vault has no root key yet. The first start of `tieline serve` makes it.")
        from tieline.vault.rootkeys.passphrase import new_salt  # noqa: PLC0415  as above

        return new_salt()
    if record.salt is None:
        raise RootKeyError(
            f"This vault's root key {record.key_id} does not come from a passphrase but from {record.kind}. Start with "
            "that source."
        )
    return record.salt


def _wanted(record: RootRecord | None) -> str:
    if record is None:
        return "Give it, or choose another source of the root key."
    return f"Give it: this vault was made with root key {record.key_id} ({record.kind})."
