"""Apps: their row, and who reads and writes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from tieline.core.pages import Page, PageRequest


@dataclass(frozen=True, slots=True)
class AppRow:
    """An app. ``apis`` maps the ids of the APIs it may use to their names (writes read the ids only).

    ``limits`` is ``access.limits.RequestLimits.to_json()`` and holds for all its keys together.
    """

    id: str
    name: str
    apis: Mapping[str, str]
    created_at: datetime
    created_by: str
    limits: Mapping[str, Any] = field(default_factory=dict)


class AppReader(Protocol):
    """Apps, by id or by name."""

    async def get(self, id_or_name: str) -> AppRow | None: ...

    async def list(self, page: PageRequest) -> Page[AppRow]: ...

    async def using(self, api_id: str) -> Sequence[AppRow]:
        """All apps that may use this API."""
        ...


class AppWriter(AppReader, Protocol):
    """Changes to apps. Each adds a ``changes`` row of kind ``app``."""

    async def add(self, row: AppRow) -> bool:
        """Add it; False, with nothing changed, where the name is taken."""
        ...

    async def replace(self, row: AppRow) -> bool:
        """Store name, limits and the ids in ``apis`` under the row's id; False where the name is another app's."""
        ...

    async def remove(self, app_id: str) -> None:
        """Delete it and all its keys with their secrets."""
        ...
