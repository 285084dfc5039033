"""The audit chain: one link, what checking all of it found, and who reads and appends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from tieline.audit.chain import Anchor
from tieline.audit.events import AuditEvent, VaultOpened
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
class AuditFilter:
    """Which events: all that is given must fit.

    ``actor`` and ``target`` as they stand in an event; ``kind`` is a whole kind or its noun (``key``, for
    ``key.created`` and the others); ``since`` is the earliest moment, ``until`` the first one no more; ``text`` stands
    in the target or the facts, small and capital letters of ASCII being equal.
    """

    actor: str | None = None
    kind: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


EVERYTHING = AuditFilter()


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """What checking the whole chain found: how many events were read and a sentence for each break (none: it holds).

    ``anchor`` is the end of a chain that holds, None where it is empty or broken.
    """

    events: int
    breaks: Sequence[str]
    anchor: Anchor | None = None


class AuditReader(Protocol):
    """The audit chain."""

    async def list(self, page: PageRequest, wanted: AuditFilter = EVERYTHING) -> Page[AuditRow]:
        """The events that are ``wanted``, newest first; ``after`` and ``next`` are event ids."""
        ...

    async def verify(self, anchor: Anchor | None = None) -> AuditVerdict:
        """Read the whole chain and its signed head and say where it does not hold, or misses the ``anchor``."""
        ...


class AuditWriter(AuditReader, Protocol):
    """The audit chain, within a write."""

    async def add(self, event: AuditEvent) -> None:
        """Append ``event`` with the caller of this write as its actor."""
        ...


class OpeningLog(Protocol):
    """Where a process tells what it opened in the vault."""

    async def add_openings(self, events: Sequence[VaultOpened]) -> None:
        """Append ``events`` to the audit chain, all or nothing. Raises ``NotReady`` while that cannot be."""
        ...
