"""A store of tokens, an API whose connections they are, and workers that use them: what tests of tokens stand on.

Two ``TokenSessions`` over one store are two workers. Knows no issuer and no scheme.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tieline.core.secret import Secret
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import Snapshot
from tieline.dataplane.tokens.fingerprint import PURPOSE, fingerprint_of
from tieline.dataplane.tokens.holder import SHARED, Holder
from tieline.dataplane.tokens.sessions import TokenSessions
from tieline.ports.connections import ConnectionKey, SealedToken
from tieline.schemes.flow import Renewal
from tieline.testing.connections import MemoryConnections
from tieline.testing.dataplane import MemorySource
from tieline.testing.vault import memory_keyring
from tieline.vault.envelope import Place
from tieline.vault.intake import Intake
from tieline.vault.keyring import Keyring
from tieline.wire.deadlines import Deadlines
from tieline.wire.guard import Guard
from tieline.wire.pool import Pool
from tieline.wire.tls import Trust


@dataclass
class Clock:
    """The workers' clock, ``ahead`` of another one; tests move it."""

    other: Callable[[], float] = time.time
    ahead: float = 0.0

    def __call__(self) -> float:
        return self.other() + self.ahead


@dataclass
class Vaulted:
    """What holds tokens, and what tells the time to its workers."""

    keyring: Keyring
    plan: Plan
    clock: Clock
    store: MemoryConnections

    def worker(self) -> TokenSessions:
        """One more worker over the same store."""
        return TokenSessions(self.store, self.keyring, self.clock, lambda: 0.5)

    def key(self, holder: Holder = SHARED) -> ConnectionKey:
        """Where a holder's token is kept."""
        return ConnectionKey(self.plan.api_id, "live", 0, holder.app_id, holder.user)

    def keep(self, renewal: Renewal, values: Mapping[str, str], seconds: float | None, holder: Holder = SHARED) -> None:
        """Put a token into the store as a person's sign-in does; it lasts ``seconds``, for ever where None."""
        key = self.key(holder)
        row = self.store.rows.get(key)
        row_id = row.id if row else f"conn_{len(self.store.rows) + 1}"
        generation = row.generation + 1 if row else 1
        intake = Intake(self.keyring)
        sealed = {
            name: intake.seal(Place("connection_secrets", row_id, name, generation, "live"), Secret.from_text(value))
            for name, value in values.items()
        }
        fingerprint = fingerprint_of(renewal, self.keyring.derive(PURPOSE))
        ends = None if seconds is None else self.clock() + seconds
        self.store.put(key, SealedToken(fingerprint, sealed, ends, ("read",), "ann@example.com"))


@asynccontextmanager
async def planned() -> AsyncIterator[tuple[Keyring, Plan]]:
    """A vault in memory and the plan of an API on loopback."""
    keyring = await memory_keyring()
    source = MemorySource(keyring)
    source.put_api({"tieline": "v1", "api": "api", "base_url": "http://127.0.0.1:9/v1", "auth": {"scheme": "none"}})
    guard = Guard(["127.0.0.1"])
    pool = Pool(guard, Deadlines(), Trust())
    snapshot = Snapshot(source, keyring, guard, pool)
    await snapshot.load()
    api = snapshot.apis.get(b"api")
    assert api is not None
    try:
        yield keyring, api.plans["live"]
    finally:
        pool.close()
