"""The audit chain: one link, what checking all of it found, and who reads and appends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from tieline.audit.events import AuditEvent
from tieline.core.pages import Page, PageRequest


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One link of the audit chain. ``actor`` is the caller as ``kind:id``, such as ``token:tok_06…``."""

    seq: int
    id: str
    at: datetime
    actor: str
    kind: str
    target: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """What checking the whole chain found: how many events were read and a sentence for each break (none: it holds)."""

    events: int
    breaks: Sequence[str]


class AuditReader(Protocol):
    """The audit chain."""

    async def list(self, page: PageRequest) -> Page[AuditRow]:
        """Events, newest first; ``after`` and ``next`` are event ids."""
        ...

    async def verify(self) -> AuditVerdict:
        """Read the whole chain and its signed head and say where it does not hold."""
        ...


class AuditWriter(AuditReader, Protocol):
    """The audit chain, within a write."""

    async def add(self, event: AuditEvent) -> None:
        """Append ``event`` with the caller of this write as its actor."""
        ...
