"""App keys: as operators see them, and as the data plane finds one by the keyed hash of its secret."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from tieline.core.names import Environment
from tieline.core.pages import Page, PageRequest


@dataclass(frozen=True, slots=True)
class KeySecretRow:
    """One secret of an app key: never the secret, only its redacted form and when it stops working."""

    id: str
    redacted: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An app key with its secrets, oldest first.

    ``permissions`` is ``access.permissions.Permissions.to_json()``; ``limits`` is
    ``access.limits.RequestLimits.to_json()``; ``models`` are patterns of ``access.limits``, none for any.
    """

    id: str
    app_id: str
    name: str
    environment: Environment
    permissions: Mapping[str, Any]
    expires_at: datetime | None
    from_ip: tuple[str, ...]
    created_at: datetime
    created_by: str
    limits: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    secrets: tuple[KeySecretRow, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvedKey:
    """One app key as found by the keyed hash of one of its secrets.

    ``expires_at`` is the earlier of the key's and the secret's expiry in seconds since the epoch, None for never.
    A revoked or expired key is found too, so that the answer can say which of the two it is. ``limits`` and ``models``
    are as in ``KeyRow``, ``app_limits`` those of its app.
    """

    key_id: str
    secret_id: str
    app_id: str
    app_name: str
    api_ids: frozenset[str]
    environment: Environment
    permissions: Mapping[str, Any]
    from_ip: tuple[str, ...]
    expires_at: float | None
    revoked: bool
    limits: Mapping[str, Any] = field(default_factory=dict)
    app_limits: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ()


class KeyReader(Protocol):
    """App keys, by id."""

    async def get(self, key_id: str) -> KeyRow | None: ...

    async def list(self, app_id: str, page: PageRequest) -> Page[KeyRow]: ...


class KeyWriter(KeyReader, Protocol):
    """Changes to app keys. Each adds a ``changes`` row of kind ``key``."""

    async def add(self, row: KeyRow, secret_hash: bytes) -> None:
        """Store the row with its one secret (``row.secrets[0]``), found from then on by ``secret_hash``."""
        ...

    async def replace(self, row: KeyRow) -> None:
        """Store under its id what can be changed: name, permissions, expiry, networks, limits and models of ``row``."""
        ...

    async def rotate(self, key_id: str, secret: KeySecretRow, secret_hash: bytes, older_end: datetime) -> None:
        """Add a secret; every older one ends at ``older_end``, or earlier where it already did."""
        ...

    async def revoke(self, key_id: str, at: datetime) -> None:
        """Set ``revoked_at``."""
        ...
