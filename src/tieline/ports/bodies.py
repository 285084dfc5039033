"""Recorded bodies of requests and answers: sealed, apart from the records, and gone when they expire."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tieline.core.names import Environment
from tieline.vault.envelope import Place
from tieline.vault.intake import SealedSecret


class SealedBodies(NamedTuple):
    """What was kept of one request, and until when (whole seconds since the epoch); each side may be missing."""

    request_id: str
    expires: int
    environment: Environment
    request: SealedSecret | None
    answer: SealedSecret | None

    def place(self, field: str) -> Place:
        """Where ``request`` or ``answer`` is sealed for. The end is part of it: nobody moves it later."""
        return Place("request_bodies", self.request_id, field, self.expires, self.environment)


class BodyStore(Protocol):
    """Where they lie. Every method raises ``NotReady`` while it cannot be reached, is busy or full."""

    async def add(self, rows: Sequence[SealedBodies]) -> None:
        """Store a batch, all or nothing; of two with the same id the first stays."""
        ...

    async def find(self, request_id: str, expires: int) -> SealedBodies | None:
        """What was kept of the request until ``expires``; None where that is over, or nothing is there."""
        ...

    async def forget(self, now: float) -> None:
        """Delete what had expired at ``now`` (seconds since the epoch); on SQLite some of it an hour later."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...
