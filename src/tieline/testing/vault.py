"""A vault without a database: the data keys' store in memory, and a keyring that is ready to use."""

from tieline.core.secret import Secret
from tieline.vault.keyring import Keyring
from tieline.vault.ports import RootRecord, WrappedDataKey
from tieline.vault.rootkeys.key import RootKey


class MemoryDataKeyStore:
    """A DataKeyStore that forgets everything with the process."""

    def __init__(self) -> None:
        self.keys: dict[str, WrappedDataKey] = {}
        self.record: RootRecord | None = None

    async def load(self) -> list[WrappedDataKey]:
        return list(self.keys.values())

    async def add(self, key: WrappedDataKey) -> None:
        self.keys[key.id] = key

    async def root_record(self) -> RootRecord | None:
        return self.record

    async def set_root_record(self, record: RootRecord) -> None:
        self.record = self.record or record


def fake_root_key(mark: bytes = b"fake root key") -> RootKey:
    """A root key that everybody can see is fake: ``mark`` (at most 32 bytes), filled up with dots."""
    return RootKey.of(Secret(mark.ljust(32, b".")))


async def memory_keyring(root: RootKey | None = None) -> Keyring:
    """An open keyring over a new store in memory."""
    return await Keyring.open(root or fake_root_key(), MemoryDataKeyStore())
