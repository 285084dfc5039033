"""APIs: their row, and who reads and writes it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tieline.core.pages import Page, PageRequest


@dataclass(frozen=True, slots=True)
class ApiRow:
    """An API. ``definition`` is canonical JSON text; ``revision`` starts at 1 and rises by one with each change."""

    id: str
    name: str
    definition: str
    revision: int
    source_entry: str | None
    created_at: datetime
    updated_at: datetime


class ApiReader(Protocol):
    """APIs, by name."""

    async def get(self, name: str) -> ApiRow | None: ...

    async def list(self, page: PageRequest) -> Page[ApiRow]: ...


class ApiWriter(ApiReader, Protocol):
    """Changes to APIs. Each adds a ``changes`` row of kind ``api``."""

    async def add(self, row: ApiRow) -> bool:
        """Add it; False, with nothing changed, where the name is taken."""
        ...

    async def replace(self, row: ApiRow) -> None:
        """Store ``definition``, ``revision``, ``source_entry`` and ``updated_at`` of ``row`` under its id."""
        ...

    async def remove(self, api_id: str) -> None:
        """Delete it, its credentials with their sealed values, and its places in apps (a ``changes`` row each)."""
        ...
