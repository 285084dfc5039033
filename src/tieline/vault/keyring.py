"""The data keys in use, opened with the root key.

Owns how data keys are wrapped, which one seals now, and the keys derived from the root key for other purposes. It knows
neither what is sealed nor who may open it (``intake``, ``reveal``).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from tieline.core.clock import Clock, SystemClock
from tieline.core.errors import RootKeyError
from tieline.core.ids import new_id
from tieline.core.secret import Secret
from tieline.vault.derivation import KEY_LENGTH, derive
from tieline.vault.envelope import NONCE_LENGTH, Place, SealBroken, Sealed, seal, unseal
from tieline.vault.ports import DataKeyStore, RootRecord, WrappedDataKey
from tieline.vault.rootkeys.key import RootKey, mismatch

_WRAP = "wrap data keys"


@dataclass(frozen=True, slots=True)
class DataKeyStatus:
    """What may be told of a data key: never its bytes."""

    id: str
    created_at: datetime
    retired_at: datetime | None


@dataclass(frozen=True, slots=True)
class VaultStatus:
    """The root key's id, the data key that seals now, and every data key from oldest to newest."""

    root_key_id: str
    current: str
    data_keys: tuple[DataKeyStatus, ...]


class Keyring:
    """Opened data keys. Made by :meth:`open` only."""

    def __init__(self, root: RootKey, store: DataKeyStore) -> None:
        self._root = root
        self._store = store
        self._wrapping = derive(root.key, _WRAP)
        self._keys: dict[str, Secret] = {}
        self._known: tuple[DataKeyStatus, ...] = ()
        self._current = ""

    @classmethod
    async def open(
        cls, root: RootKey, store: DataKeyStore, *, record: RootRecord | None = None, clock: Clock | None = None
    ) -> Self:
        """Open every data key of ``store`` with ``root``, and make the first one where there is none to seal with.

        ``record``, as returned by ``rootkeys.source.open_root``, is kept where the store has none yet, before the first
        data key is. Raises RootKeyError, naming the expected and the given root key, when ``root`` is not the key the
        vault was made with, and when a data key was altered.
        """
        keyring = cls(root, store)
        stored = await store.root_record()
        if stored is None and record is not None:
            keyring._open_all(await store.load())
            await store.set_root_record(record)
            stored = await store.root_record()
        if stored is not None and stored.key_id != root.id:
            raise mismatch(stored.key_id, root.id)
        keys = await store.load()
        opened = keyring._open_all(keys)
        if all(key.retired_at is not None for key in keys):
            await store.add(keyring._new_data_key((clock or SystemClock()).now()))
            keys = await store.load()
            opened = keyring._open_all(keys)
        keyring._take(keys, opened)
        return keyring

    @property
    def current(self) -> tuple[str, Secret]:
        """The id and the bytes (32) of the data key that seals now: the newest that is not retired."""
        return self._current, self._keys[self._current]

    def get(self, id: str) -> Secret:
        """The bytes of the data key ``id``; raises SealBroken for one that the vault does not have."""
        try:
            return self._keys[id]
        except KeyError as error:
            raise SealBroken(
                "A stored secret cannot be opened: the vault does not have its data key. Restore the backup that the "
                "secret belongs to, or set the credential again.",
                detail=f"no data key {id} among {len(self._keys)}",
            ) from error

    def derive(self, purpose: str) -> bytes:
        """32 bytes for ``purpose`` (``app-key``, ``admin-token``, ``audit``) that change only with the root key."""
        return derive(self._root.key, f"derive/{purpose}")

    def status(self) -> VaultStatus:
        """What ``tieline vault status`` tells."""
        return VaultStatus(self._root.id, self._current, self._known)

    async def refresh(self) -> None:
        """Read the data keys again, for those that another process has added; raises RootKeyError as :meth:`open`."""
        keys = await self._store.load()
        self._take(keys, self._open_all(keys))

    def _open_all(self, keys: Sequence[WrappedDataKey]) -> dict[str, Secret]:
        return {key.id: self._unwrap(key) for key in keys}

    def _take(self, keys: Sequence[WrappedDataKey], opened: dict[str, Secret]) -> None:
        ordered = sorted(keys, key=lambda key: (key.created_at, key.id))
        live = [key.id for key in ordered if key.retired_at is None]
        if not live:
            raise RootKeyError("The vault has no data key left that may seal. Restore the store from a backup.")
        self._keys = opened
        self._known = tuple(DataKeyStatus(key.id, key.created_at, key.retired_at) for key in ordered)
        self._current = live[-1]

    def _unwrap(self, key: WrappedDataKey) -> Secret:
        if key.root_key_id != self._root.id:
            raise mismatch(key.root_key_id, self._root.id)
        sealed = Sealed(key.wrapped[:NONCE_LENGTH], key.wrapped[NONCE_LENGTH:])
        try:
            return Secret(unseal(self._wrapping, sealed, _place(key.id, key.root_key_id)))
        except SealBroken as error:
            raise RootKeyError(
                f"The vault's data key {key.id} was altered and does not open with root key {self._root.id}. "
                "Restore the store from a backup.",
                detail=error.detail,
            ) from error

    def _new_data_key(self, now: datetime) -> WrappedDataKey:
        key_id = new_id("dk")
        sealed = seal(self._wrapping, secrets.token_bytes(KEY_LENGTH), _place(key_id, self._root.id))
        return WrappedDataKey(key_id, self._root.id, sealed.nonce + sealed.ciphertext, now, None)


def _place(id: str, root_key_id: str) -> Place:
    """A wrapped data key opens under its own id and its own root key only."""
    return Place("data_keys", id, "wrapped", 1, root_key_id)
