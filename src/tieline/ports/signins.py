"""Sign-ins on their way: their row, and who reads and writes it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tieline.ports.connections import ConnectionKey
from tieline.vault.intake import SealedSecret


@dataclass(frozen=True, slots=True)
class SignInRow:
    """A sign-in on its way. ``context`` is what the scheme needs to finish it, sealed; None before a browser began it.

    ``api`` and ``app`` are names, read but not stored; ``app`` is None for the shared connection. ``browser_hash`` is
    the hash of the cookie of the browser that began it, None where a device is polled for.
    """

    id: str
    key: ConnectionKey
    api: str
    app: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    return_to: str | None = None
    fingerprint: bytes = b""
    browser_hash: bytes | None = None
    context: SealedSecret | None = None
    next_poll_at: datetime | None = None


class SignInReader(Protocol):
    """Sign-ins on their way."""

    async def get(self, sign_in_id: str) -> SignInRow | None: ...

    async def by_link(self, link_hash: bytes) -> SignInRow | None: ...

    async def by_state(self, state_hash: bytes) -> SignInRow | None: ...


class SignInWriter(SignInReader, Protocol):
    """Changes to sign-ins; the data plane is not told of them."""

    async def add(self, row: SignInRow, link_hash: bytes | None = None) -> None: ...

    async def begin(self, row: SignInRow, state_hash: bytes) -> None:
        """Store ``fingerprint``, ``browser_hash`` and ``context`` of ``row``; from now on ``state_hash`` finds it."""
        ...

    async def postpone(self, sign_in_id: str, next_poll_at: datetime) -> None:
        """Not to be polled for before ``next_poll_at``."""
        ...

    async def remove(self, sign_in_id: str) -> bool:
        """Delete it; False where it was gone."""
        ...

    async def forget(self, now: datetime) -> None:
        """Delete all that have expired."""
        ...
