"""The vault's data keys, never their bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DataKeyRow:
    """A data key and how many stored secrets it seals."""

    id: str
    root_key_id: str
    created_at: datetime
    retired_at: datetime | None
    secrets: int


class DataKeyReader(Protocol):
    """Data keys, oldest first."""

    async def list(self) -> Sequence[DataKeyRow]: ...
