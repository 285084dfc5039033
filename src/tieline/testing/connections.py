"""A connection store in memory: the rows, and whose turn it is. Nothing of the data plane is replaced."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tieline.core.errors import NotReady
from tieline.ports.connections import ConnectionKey, Refusal, SealedConnection, SealedToken


@dataclass
class MemoryConnections:
    """A ``ConnectionStore`` whose rows are a dictionary.

    ``away`` makes every method raise ``NotReady``, which ``missed`` counts; ``clock`` tells seconds since the epoch;
    ``reads`` counts rows read, ``most`` is how many were read at once.
    """

    away: bool = False
    clock: Callable[[], float] = time.time
    rows: dict[ConnectionKey, SealedConnection] = field(default_factory=dict)
    turns: dict[ConnectionKey, tuple[str, float]] = field(default_factory=dict)
    missed: int = 0
    reads: int = 0
    most: int = 0
    _reading: int = 0

    def put(self, key: ConnectionKey, token: SealedToken) -> None:
        """What a sign-in leaves: ``token`` as the next generation."""
        row = self.rows.get(key) or self._new(key)
        self.rows[key] = _after(row, token)
        self.turns.pop(key, None)

    async def connection(self, key: ConnectionKey) -> SealedConnection | None:
        self._reached()
        self.reads += 1
        self._reading += 1
        self.most = max(self.most, self._reading)
        await asyncio.sleep(0)  # as a database would make one wait
        self._reading -= 1
        return self.rows.get(key)

    async def lease(
        self, key: ConnectionKey, generation: int, holder: str, seconds: float, *, take_over: bool = False
    ) -> SealedConnection | None:
        self._reached()
        row = self.rows.get(key) or self._new(key)
        held_until = self.turns[key][1] if key in self.turns else None
        is_free = held_until is None or (take_over and held_until <= time.monotonic())
        if row.generation != generation or not is_free:
            return None
        self.rows[key] = row
        self.turns[key] = holder, time.monotonic() + seconds
        return row

    async def renewed(self, row: SealedConnection, token: SealedToken, refusal: Refusal | None = None) -> bool:
        self._reached()
        found = self.rows.get(row.key)
        if found is None or found.generation != row.generation:
            return False
        self.put(row.key, token)
        if refusal is not None:
            self.rows[row.key] = _noted(self.rows[row.key], refusal, row.failures, self.clock())
        return True

    async def refused(self, row: SealedConnection, holder: str, refusal: Refusal) -> bool:
        self._reached()
        found = self.rows.get(row.key)
        if found is None or found.generation != row.generation or self.turns.get(row.key, ("", 0.0))[0] != holder:
            return False
        self.rows[row.key] = _noted(found, refusal, row.failures, self.clock())
        del self.turns[row.key]
        return True

    def _new(self, key: ConnectionKey) -> SealedConnection:
        return SealedConnection(f"conn_{len(self.rows) + 1}", key, "pending", b"", 0, {}, {}, updated_at=time.time())

    def _reached(self) -> None:
        if self.away:
            self.missed += 1
            raise NotReady("The store cannot be reached. Try again.", retry_after=1)


def _noted(row: SealedConnection, refusal: Refusal, failures: int, now: float) -> SealedConnection:
    return replace(
        row,
        state="reauthorization_required" if refusal.final else row.state,
        fingerprint=row.fingerprint if row.generation else refusal.fingerprint,
        last_error=refusal.text,
        failures=failures + 1,
        retry_at=None if refusal.pause is None else now + refusal.pause,
        updated_at=now,
    )


def _after(row: SealedConnection, token: SealedToken) -> SealedConnection:
    return replace(
        row,
        state="active",
        fingerprint=token.fingerprint,
        generation=row.generation + 1,
        secrets=token.secrets,
        previous=row.secrets,
        scopes=token.scopes,
        account=token.account,
        expires_at=token.expires_at,
        refreshed_at=time.time(),
        last_error=None,
        failures=0,
        retry_at=None,
        updated_at=time.time(),
    )
