"""Asks issuers for what a sign-in needs, from a process that relays nothing.

It compiles the API afresh from the store and asks through an exit of its own, as ``probe`` does. Owns whether a sign-in
still belongs to the API as it is. Who may sign in, and what becomes of a token, is the control plane's.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tieline.core.errors import CredentialMissing
from tieline.core.names import Environment
from tieline.core.secret import Secret
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import Snapshot
from tieline.dataplane.tokens import issuers
from tieline.dataplane.tokens.fingerprint import PURPOSE, fingerprint_of
from tieline.ports.snapshot import SnapshotSource
from tieline.schemes.flow import (
    DeviceSignIn,
    IssuerRefused,
    Pending,
    Renewal,
    SignIn,
    SigningIn,
    SigningInByDevice,
    Token,
)
from tieline.schemes.sign_in_context import unpack
from tieline.vault.envelope import Place, SealBroken
from tieline.vault.intake import SealedSecret
from tieline.vault.keyring import Keyring
from tieline.vault.reveal import Revealer
from tieline.wire.deadlines import Deadlines
from tieline.wire.guard import Guard
from tieline.wire.pool import Pool
from tieline.wire.tls import Trust


@dataclass(frozen=True, slots=True)
class Target:
    """The scheme that is signed in to: ``position`` counts those of the API."""

    api_id: str
    environment: Environment
    position: int


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that has begun: its id, what it was begun with, and what the scheme kept, sealed."""

    id: str
    basis: bytes
    kept: SealedSecret | None


class SignInDesk:
    """Begins and ends sign-ins. Every method raises what ``issuers.run`` does, and CredentialMissing."""

    def __init__(self, source: SnapshotSource, keyring: Keyring, guard: Guard, trust: Trust) -> None:
        self._source = source
        self._keyring = keyring
        self._guard = guard
        self._trust = trust
        self._pepper = keyring.derive(PURPOSE)

    async def begin(self, target: Target, back: str, state: str) -> tuple[SignIn, bytes]:
        """Where to send the person, and the basis of the sign-in."""
        async with self._renewal(target) as (plan, renewal):
            if not isinstance(renewal.scheme, SigningIn):
                raise _no_sign_in(plan)
            flow = renewal.scheme.begin(renewal.options, renewal.secrets, back, state)
            return await issuers.run(flow, plan.exit), fingerprint_of(renewal, self._pepper)

    async def finish(self, target: Target, begun: Begun, answer: Mapping[str, str]) -> Token:
        """The token, from the query that the person came back with."""
        async with self._renewal(target) as (plan, renewal):
            if not isinstance(renewal.scheme, SigningIn):
                raise _no_sign_in(plan)
            self._check(renewal, begun)
            context = await self._opened(target, begun)
            return await issuers.run(
                renewal.scheme.finish(renewal.options, renewal.secrets, context, answer), plan.exit
            )

    async def begin_device(self, target: Target) -> tuple[DeviceSignIn, bytes]:
        """What to show the person, and the basis of the sign-in."""
        async with self._renewal(target) as (plan, renewal):
            if not isinstance(renewal.scheme, SigningInByDevice):
                raise _no_sign_in(plan)
            flow = renewal.scheme.begin_device(renewal.options, renewal.secrets)
            return await issuers.run(flow, plan.exit), fingerprint_of(renewal, self._pepper)

    async def poll_device(self, target: Target, begun: Begun) -> Token | Pending:
        """The token once the person is done."""
        async with self._renewal(target) as (plan, renewal):
            if not isinstance(renewal.scheme, SigningInByDevice):
                raise _no_sign_in(plan)
            self._check(renewal, begun)
            context = await self._opened(target, begun)
            return await issuers.run(renewal.scheme.poll_device(renewal.options, renewal.secrets, context), plan.exit)

    @asynccontextmanager
    async def _renewal(self, target: Target) -> AsyncIterator[tuple[Plan, Renewal]]:
        """The plan and the scheme as they are now, with an exit that is open while the block lasts."""
        pool = Pool(self._guard, Deadlines(), self._trust)
        snapshot = Snapshot(self._source, self._keyring, self._guard, pool)
        try:
            row = await self._source.api(target.api_id)
            if row is not None:
                await snapshot.load(only=row.name)
            api = snapshot.api(row.name.encode()) if row is not None else None
            if api is None:
                raise CredentialMissing("The API cannot be used now; the log of the server says why.")
            plan = api.plans[target.environment]
            if plan.problem is not None:
                raise plan.problem
            renewal = plan.auth[target.position] if target.position < len(plan.auth) else None
            if not isinstance(renewal, Renewal):
                raise _no_sign_in(plan)
            yield plan, renewal
        finally:
            pool.close()

    def _check(self, renewal: Renewal, begun: Begun) -> None:
        if begun.basis != fingerprint_of(renewal, self._pepper):
            raise IssuerRefused("The API was changed since this sign-in began. Begin it again.", final=True)

    async def _opened(self, target: Target, begun: Begun) -> Mapping[str, Secret]:
        if begun.kept is None:
            return {}
        place, revealer = Place("sign_ins", begun.id, "kept", 0, target.environment), Revealer(self._keyring)
        try:
            return unpack(revealer.reveal(place, begun.kept))
        except SealBroken:
            await self._keyring.refresh()  # another process may have sealed with a newer data key
            return unpack(revealer.reveal(place, begun.kept))


def _no_sign_in(plan: Plan) -> IssuerRefused:
    return IssuerRefused(f"Nobody signs in to {plan.title} this way. Look at the auth of its definition.", final=True)
