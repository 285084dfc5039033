"""Drift: how often answers of a call were otherwise than its fields say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from tieline.core.names import Environment


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One place where a call's answers were otherwise than its fields say, and how often since the fields are so.

    ``kind`` is ``type`` (another type was found than expected), ``missing`` or ``new``.
    """

    environment: Environment
    path: str
    kind: Literal["type", "missing", "new"]
    expected: str
    found: str
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, order=True)
class DriftRecord:
    """How often one place of a call's answers was otherwise than its fields say, since it was last told.

    ``kind`` is ``type``, ``missing`` or ``new``; ``expected`` and ``found`` are types, empty where there is none.
    """

    api: str
    environment: Environment
    call: str
    path: str
    kind: str
    count: int
    expected: str
    found: str


class DriftReader(Protocol):
    """What the data plane counted of answers that no longer fit."""

    async def of_call(self, api_id: str, call: str) -> Sequence[DriftRow]:
        """All that is known of a call, most frequent first; at most 200 places in each environment."""
        ...


class DriftWriter(DriftReader, Protocol):
    """Drift, within a write."""

    async def forget(self, api_id: str, call: str) -> None:
        """Begin to count anew."""
        ...
