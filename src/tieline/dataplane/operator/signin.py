"""Asks issuers for what a sign-in needs, for the control plane.

Owns whether a sign-in still belongs to the API as it is. Who may sign in, and what becomes of a token, is not for it to
say.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from tieline.core.secret import Secret
from tieline.dataplane.operator.opening import Opening
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens import issuers
from tieline.dataplane.tokens.fingerprint import PURPOSE, fingerprint_of
from tieline.ports.connections import ConnectionKey
from tieline.ports.signins import SignInRow
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
from tieline.vault.envelope import Place
from tieline.vault.reveal import Revealer


class SignIns:
    """Begins and ends sign-ins; a ``ports.operator.Issuers``, whose methods raise what that says."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._pepper = opening.keyring.derive(PURPOSE)

    async def begin(self, key: ConnectionKey, back: str, state: str) -> tuple[SignIn, bytes]:
        """Where to send the person, and the fingerprint of the sign-in."""
        async with self._renewal(key) as (plan, renewal):
            if not isinstance(renewal.scheme, SigningIn):
                raise _no_sign_in(plan)
            flow = renewal.scheme.begin(renewal.options, renewal.secrets, back, state)
            return await issuers.run(flow, plan.exit), fingerprint_of(renewal, self._pepper)

    async def finish(self, sign_in: SignInRow, answer: Mapping[str, str]) -> Token:
        """The token, from the query that the person came back with."""
        async with self._renewal(sign_in.key) as (plan, renewal):
            if not isinstance(renewal.scheme, SigningIn):
                raise _no_sign_in(plan)
            self._check(renewal, sign_in)
            context = await self._context(sign_in)
            return await issuers.run(
                renewal.scheme.finish(renewal.options, renewal.secrets, context, answer), plan.exit
            )

    async def begin_device(self, key: ConnectionKey) -> tuple[DeviceSignIn, bytes]:
        """What to show the person, and the fingerprint of the sign-in."""
        async with self._renewal(key) as (plan, renewal):
            if not isinstance(renewal.scheme, SigningInByDevice):
                raise _no_sign_in(plan)
            flow = renewal.scheme.begin_device(renewal.options, renewal.secrets)
            return await issuers.run(flow, plan.exit), fingerprint_of(renewal, self._pepper)

    async def poll_device(self, sign_in: SignInRow) -> Token | Pending:
        """The token once the person is done."""
        async with self._renewal(sign_in.key) as (plan, renewal):
            if not isinstance(renewal.scheme, SigningInByDevice):
                raise _no_sign_in(plan)
            self._check(renewal, sign_in)
            context = await self._context(sign_in)
            return await issuers.run(renewal.scheme.poll_device(renewal.options, renewal.secrets, context), plan.exit)

    @asynccontextmanager
    async def _renewal(self, key: ConnectionKey) -> AsyncIterator[tuple[Plan, Renewal]]:
        """The plan and the scheme as they are now, with an exit that is open while the block lasts."""
        async with self._opening.api_by_id(key.api_id, "sign_in") as opened:
            plan = opened.plan(key.environment)
            renewal = plan.auth[key.position] if key.position < len(plan.auth) else None
            if not isinstance(renewal, Renewal):
                raise _no_sign_in(plan)
            yield plan, renewal

    def _check(self, renewal: Renewal, sign_in: SignInRow) -> None:
        if sign_in.fingerprint != fingerprint_of(renewal, self._pepper):
            raise IssuerRefused("The API was changed since this sign-in began. Begin it again.", final=True)

    async def _context(self, sign_in: SignInRow) -> Mapping[str, Secret]:
        """What the scheme needs to finish a sign-in that it began."""
        context = sign_in.context
        if context is None:
            return {}
        place = Place("sign_ins", sign_in.id, "kept", 0, sign_in.key.environment)
        revealer = Revealer(self._opening.keyring, self._opening.openings.witness("sign_in"))
        return unpack(await revealer.opened(lambda: revealer.reveal(place, context)))


def _no_sign_in(plan: Plan) -> IssuerRefused:
    return IssuerRefused(f"Nobody signs in to {plan.title} this way. Look at the auth of its definition.", final=True)
