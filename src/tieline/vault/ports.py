"""What the vault needs of a store: its wrapped data keys and one record of its root key.

Owns the shapes of what is stored. It knows no database; ``storage`` implements the port and
``tieline.testing.vault`` keeps it in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

RootKind = Literal["file", "env", "passphrase"]


@dataclass(frozen=True, slots=True)
class WrappedDataKey:
    """A data key sealed under the root key ``root_key_id``.

    ``wrapped`` is the nonce (12 bytes) followed by the ciphertext (48 bytes). A retired key opens what it sealed, and
    seals nothing new. Times are aware, in UTC.
    """

    id: str
    root_key_id: str
    wrapped: bytes
    created_at: datetime
    retired_at: datetime | None


@dataclass(frozen=True, slots=True)
class RootRecord:
    """Which root key the vault was made with, so that a wrong or missing one is named instead of replaced.

    ``salt`` (16 bytes) belongs to a passphrase and is None for the other kinds.
    """

    key_id: str
    kind: RootKind
    salt: bytes | None
    created_at: datetime


class DataKeyStore(Protocol):
    """Where wrapped data keys and the root key's record are kept. What is acknowledged is durable."""

    async def load(self) -> Sequence[WrappedDataKey]:
        """Every data key, retired ones too, in any order."""
        ...

    async def add(self, key: WrappedDataKey) -> None:
        """Keep one more data key."""
        ...

    async def root_record(self) -> RootRecord | None:
        """The root key's record, None for a vault that was never opened."""
        ...

    async def set_root_record(self, record: RootRecord) -> None:
        """Keep ``record`` unless there is one: of two processes that start a vault at once, the first wins."""
        ...
