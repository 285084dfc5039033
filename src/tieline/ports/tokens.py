"""Admin tokens: their row, and who reads and writes it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tieline.access.caller import Role
from tieline.core.pages import Page, PageRequest


@dataclass(frozen=True, slots=True)
class TokenRow:
    """An admin token, without its hash. ``created_by`` is the id of the caller who made it."""

    id: str
    name: str
    role: Role
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class TokenReader(Protocol):
    """Admin tokens."""

    async def get(self, token_id: str) -> TokenRow | None: ...

    async def by_hash(self, token_hash: bytes) -> TokenRow | None: ...

    async def list(self, page: PageRequest) -> Page[TokenRow]: ...

    async def owners(self, now: datetime) -> int:
        """How many owner tokens are good at ``now``: neither revoked nor expired."""
        ...


class TokenWriter(TokenReader, Protocol):
    """Changes to admin tokens."""

    async def add(self, row: TokenRow, token_hash: bytes) -> None: ...

    async def revoke(self, token_id: str, at: datetime) -> None: ...
