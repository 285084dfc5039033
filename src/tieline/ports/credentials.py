"""Credentials: a row without values for operators, and one with sealed values for the data plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from tieline.core.names import Environment
from tieline.core.pages import Page, PageRequest
from tieline.vault.intake import SealedSecret

CredentialState = Literal["pending", "active", "retired"]


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """One version of an API's credential, without its sealed values.

    ``version`` counts per API across environments and is never used twice. ``shown`` holds the masked form of each
    field. ``kept`` says whether the sealed values still exist; ``add`` ignores it.
    """

    id: str
    api_id: str
    environment: Environment
    version: int
    state: CredentialState
    hosts: tuple[str, ...]
    shown: Mapping[str, str]
    created_at: datetime
    created_by: str
    activated_at: datetime | None = None
    retired_at: datetime | None = None
    kept: bool = True


@dataclass(frozen=True, slots=True)
class SealedCredential:
    """The active credential of an API in one environment, its fields still sealed."""

    id: str
    api_id: str
    environment: Environment
    version: int
    hosts: tuple[str, ...]
    secrets: Mapping[str, SealedSecret]


class CredentialReader(Protocol):
    """Credentials of an API, never their values."""

    async def get(self, api_id: str, version: int) -> CredentialRow | None: ...

    async def list(self, api_id: str, page: PageRequest) -> Page[CredentialRow]: ...

    async def active(self, api_id: str) -> Sequence[CredentialRow]:
        """The active ones: at most one for each environment."""
        ...


class CredentialWriter(CredentialReader, Protocol):
    """Changes to credentials. Each adds a ``changes`` row of kind ``credential`` whose ``ref`` is the API's id."""

    async def next_version(self, api_id: str) -> int:
        """The number the next credential of this API gets: one more than any it ever had."""
        ...

    async def add(self, row: CredentialRow, sealed: Mapping[str, SealedSecret]) -> None:
        """Store the row and one sealed value for each field."""
        ...

    async def activate(self, credential_id: str, at: datetime) -> None:
        """Make it the active one of its API and environment and the one that was active retired (values kept)."""
        ...

    async def retire(self, credential_id: str, at: datetime) -> None:
        """Make it retired for good: its sealed values are deleted."""
        ...
