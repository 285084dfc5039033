"""Opens one API for an operator, in a process that serves no apps: compiled afresh, with an exit and tokens of its own.

What verify requests, trial runs and sign-ins have in common: what an operator sees is what the data plane would do.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from tieline.core.errors import CredentialMissing
from tieline.core.names import Environment
from tieline.dataplane.attempt.prepare import Preparer
from tieline.dataplane.openings import Openings, Why
from tieline.dataplane.snapshot.plan import Api, Plan
from tieline.dataplane.snapshot.view import Snapshot
from tieline.dataplane.tokens.sessions import TokenSessions
from tieline.ports.connections import ConnectionStore
from tieline.ports.snapshot import SnapshotSource
from tieline.vault.keyring import Keyring
from tieline.wire.deadlines import Deadlines
from tieline.wire.guard import Guard
from tieline.wire.pool import Pool
from tieline.wire.tls import Trust

RENEWAL_SECONDS: Final = 10.0
"""How long an issuer that is being asked is waited for at the end: its answer may be the only copy of a token."""


@dataclass(frozen=True, slots=True)
class OpenedApi:
    """An API while it is open: its connections end, and its tokens are saved, with the block."""

    api: Api
    preparer: Preparer

    def plan(self, environment: Environment) -> Plan:
        """The plan of ``environment``; raises its problem where it has one."""
        plan = self.api.plans[environment]
        if plan.problem is not None:
            raise plan.problem
        return plan


@dataclass(frozen=True, slots=True)
class Opening:
    """What an API is opened with."""

    source: SnapshotSource
    connections: ConnectionStore
    keyring: Keyring
    guard: Guard
    trust: Trust
    openings: Openings = field(default_factory=Openings)

    @asynccontextmanager
    async def api(self, name: str, why: Why) -> AsyncIterator[OpenedApi]:
        """The API called ``name``, opened for the reason ``why``, which the audit log is told.

        Raises CredentialMissing where it is gone or cannot be compiled.
        """
        deadlines = Deadlines()
        pool = Pool(self.guard, deadlines, self.trust)
        sessions = TokenSessions(self.connections, self.keyring, openings=self.openings)
        snapshot = Snapshot(self.source, self.keyring, self.guard, pool, witness=self.openings.witness(why))
        deadlines.start()
        try:
            await snapshot.load(only=name)
            api = snapshot.apis.get(name.encode())
            if api is None:
                raise CredentialMissing(
                    f"The API {name} is gone, or its definition or credential cannot be used: the log of the server "
                    "says why."
                )
            yield OpenedApi(api, Preparer(sessions))
        finally:
            await sessions.close(RENEWAL_SECONDS)
            pool.close()
            deadlines.stop()
            await self.openings.close()

    @asynccontextmanager
    async def api_by_id(self, api_id: str, why: Why) -> AsyncIterator[OpenedApi]:
        """The API of this id. Raises as ``api``."""
        row = await self.source.api(api_id)
        if row is None:
            raise CredentialMissing("The API is gone.")
        async with self.api(row.name, why) as opened:
            yield opened
