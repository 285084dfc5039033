"""One token got or renewed: whose turn it is among all workers, the issuer asked, the answer kept before it is used.

Owns the order: take the turn in the store, ask, seal, keep, and only then give the token away. Knows neither requests
nor what a worker remembers (``sessions``), nor the protocol of tokens (the scheme's flows).
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tieline.core.errors import (
    ConnectionRequired,
    CredentialError,
    NotReady,
    Overloaded,
    ReauthorizationRequired,
    TielineError,
    UpstreamFailed,
    UpstreamTimeout,
)
from tieline.core.secret import Secret
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens import issuers
from tieline.dataplane.tokens.fingerprint import PURPOSE, fingerprint_of
from tieline.ports.connections import ConnectionKey, ConnectionStore, Refusal, SealedConnection, SealedToken
from tieline.schemes.flow import IssuerRefused, Renewal, Token
from tieline.vault.envelope import Place, SealBroken
from tieline.vault.intake import Intake, SealedSecret
from tieline.vault.keyring import Keyring
from tieline.vault.reveal import Revealer

log = logging.getLogger("tieline.dataplane.tokens.renewal")

TABLE: Final = "connection_secrets"
LEASE_SECONDS: Final = issuers.FLOW_SECONDS + 5.0
WAIT_SECONDS: Final = 2 * LEASE_SECONDS
SAVE_SECONDS: Final = 60.0
SOON_SECONDS: Final = 0.5
PAUSE_FIRST: Final = 1.0
PAUSE_MOST: Final = 60.0
_POLL_SECONDS: Final = 0.2
_STALE_PLAN_SECONDS: Final = 30.0
_DOUBLINGS_MOST: Final = 6
_READS_AT_ONCE: Final = 3  # of the store's few connections, some are left for the look-up of keys
_READS_WAITING: Final = 1_000
_UNFORESEEN: Final = "What the issuer answered could not be understood. Look into the log of the server."


@dataclass(frozen=True, slots=True, repr=False)
class Obtained:
    """A token that is kept in the store as ``generation`` of the connection."""

    connection_id: str
    generation: int
    basis: bytes
    token: Token

    def is_newer(self, connection_id: str, generation: int) -> bool:
        """Whether a token of that connection and generation came after this one, or is of another connection."""
        return connection_id != self.connection_id or generation > self.generation


class Renewer:
    """Gets tokens for one worker. ``clock`` tells seconds since the epoch."""

    def __init__(self, store: ConnectionStore, keyring: Keyring, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._keyring = keyring
        self._revealer = Revealer(keyring)
        self._intake = Intake(keyring)
        self._pepper = keyring.derive(PURPOSE)
        self._clock = clock
        self._name = f"worker_{secrets.token_hex(8)}"
        self._moved = asyncio.Event()
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._reading = 0
        self._asking: set[asyncio.Task[Any]] = set()

    def basis(self, renewal: Renewal) -> bytes:
        """What a token of ``renewal`` is got with."""
        return fingerprint_of(renewal, self._pepper)

    def look_again(self) -> None:
        """Some connection has changed: whoever waits for another worker's renewal looks at once."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def settle(self, seconds: float) -> None:
        """Wait, at most ``seconds``, until no issuer is being asked: it may have rotated what is kept already."""
        if self._asking:
            await asyncio.wait(self._asking, timeout=seconds)

    async def obtain(self, plan: Plan, renewal: Renewal, key: ConnectionKey, refused: Obtained | None) -> Obtained:
        """The token of ``key`` from the store or, where it is not good now, from the issuer.

        ``refused``, or one before it, will not do: it is about to end, or the API does not take it.

        Raises:
            ConnectionRequired: nobody has signed in yet.
            ReauthorizationRequired: somebody has to sign in, or set the credential, again.
            UpstreamError, DestinationNotAllowed: the issuer cannot be asked, or fails.
        """
        basis, waited = self.basis(renewal), time.monotonic()
        while True:
            row = await self._read(key)
            old = row is not None and refused is not None and not refused.is_newer(row.id, row.generation)
            if row is not None and self._is_good(row, basis) and not old:
                return Obtained(row.id, row.generation, basis, await self._opened(row, row.generation, row.secrets))
            await self._check(plan, renewal, key, row, basis)
            moved = self._moved
            leased = await self._store.lease(key, row.generation if row else 0, self._name, LEASE_SECONDS)
            obtained = await self._in_turn(plan, renewal, leased, basis) if leased is not None else None
            if obtained is not None:
                return obtained
            if time.monotonic() - waited > WAIT_SECONDS:
                raise UpstreamTimeout(f"The token for {plan.title} is being renewed and does not come. Try again.")
            if leased is None:
                await _pause(moved)

    async def _read(self, key: ConnectionKey) -> SealedConnection | None:
        """The row of ``key``. Users are whom an app says they are: as many as it likes must not keep others waiting."""
        if self._reading >= _READS_WAITING:
            raise Overloaded("Too many connections are being looked up. Try again shortly.", retry_after=1)
        self._reading += 1
        try:
            async with self._reads:
                return await self._store.connection(key)
        finally:
            self._reading -= 1

    def _is_good(self, row: SealedConnection, basis: bytes) -> bool:
        lasts = row.expires_at is None or self._clock() < row.expires_at - SOON_SECONDS
        return row.state == "active" and row.basis == basis and lasts

    async def _check(
        self, plan: Plan, renewal: Renewal, key: ConnectionKey, row: SealedConnection | None, basis: bytes
    ) -> None:
        """Raise where the issuer is not to be asked now: a person has to act, or it failed a moment ago."""
        person = bool(key.user) or renewal.scheme.needs_sign_in(renewal.options)
        if row is None or row.generation == 0:
            if person:
                raise ConnectionRequired(f"Nobody has signed in to {plan.title} yet. {_remedy(plan, key, person=True)}")
            if row is None:
                return
        if person and row.basis != basis:
            await self._outdated(plan, key, row, basis)
        refused = row.state == "reauthorization_required"
        waits = row.retry_at is not None and self._clock() < row.retry_at
        if row.basis != basis or not (waits or (refused and person)):
            return
        if refused:
            raise _must_act(plan, key, row.last_error or "", person=person)
        raise UpstreamFailed(row.last_error or "The token's issuer fails. Try again.", retry_after=1)

    async def _outdated(self, plan: Plan, key: ConnectionKey, row: SealedConnection, basis: bytes) -> None:
        """Refuse a token of another client, and note so; not at once, as it may be this worker's plan that is old."""
        text = f"The credential or the auth options of {plan.title} were changed since somebody signed in."
        if row.state == "active" and self._clock() - row.updated_at > _STALE_PLAN_SECONDS:
            leased = await self._store.lease(key, row.generation, self._name, LEASE_SECONDS)
            if leased is not None:
                await self._store.refused(leased, self._name, Refusal(text, final=True, pause=0.0, basis=basis))
        raise _must_act(plan, key, text, person=True)

    async def _in_turn(self, plan: Plan, renewal: Renewal, row: SealedConnection, basis: bytes) -> Obtained | None:
        task = asyncio.current_task()
        assert task is not None  # this is a coroutine
        self._asking.add(task)
        try:
            return await self._renewed(plan, renewal, row, basis)
        finally:
            self._asking.discard(task)

    async def _renewed(self, plan: Plan, renewal: Renewal, row: SealedConnection, basis: bytes) -> Obtained | None:
        """The next token, kept; None where the connection moved on meanwhile: somebody signed in, or removed it."""
        try:
            token = await self._ask(plan, renewal, row, basis)
        except NotReady:
            raise
        except TielineError as error:
            final = isinstance(error, IssuerRefused) and error.final
            pause = _pause_after(row)
            refusal = Refusal(error.public, final, PAUSE_MOST if final else pause, basis)
            if not await self._store.refused(row, self._name, refusal):
                return None
            log.warning("connection %s could not be renewed: %s", row.id, error.detail or error.public)
            if final:
                person = bool(row.key.user) or renewal.scheme.needs_sign_in(renewal.options)
                raise _must_act(plan, row.key, error.public, person=person) from None
            if isinstance(error, IssuerRefused):
                raise UpstreamFailed(error.public, detail=error.detail, retry_after=pause) from None
            raise
        except Exception:  # whatever nobody foresaw: the turn ends, and the error flies on
            await self._store.refused(row, self._name, Refusal(_UNFORESEEN, final=False, pause=PAUSE_MOST, basis=basis))
            raise
        generation = row.generation + 1
        return Obtained(row.id, generation, basis, token) if await self._kept(row, token, basis) else None

    async def _ask(self, plan: Plan, renewal: Renewal, row: SealedConnection, basis: bytes) -> Token:
        """Ask the issuer. Where it refuses the newest token for good, the one before it gets a last try."""
        if row.generation == 0 or row.basis != basis:
            return await self._run(plan, renewal, None)
        token = await self._opened(row, row.generation, row.secrets)
        try:
            return await self._run(plan, renewal, token)
        except IssuerRefused as error:
            if not error.final or not row.previous:
                raise
            before = await self._opened(row, row.generation - 1, row.previous)
            if before.values.get("refresh") in {None, token.values.get("refresh")}:
                raise
            return await self._run(plan, renewal, before)

    async def _run(self, plan: Plan, renewal: Renewal, token: Token | None) -> Token:
        flow = renewal.scheme.renew(renewal.options, renewal.secrets, token, self._clock())
        return await issuers.run(flow, plan.exit)

    async def _kept(self, row: SealedConnection, token: Token, basis: bytes) -> bool:
        """Keep the token. While the store is away it is tried again: the issuer may have rotated the old one."""
        environment, generation = row.key.environment, row.generation + 1
        sealed = {
            field: self._intake.seal(Place(TABLE, row.id, field, generation, environment), value)
            for field, value in token.values.items()
            if value
        }
        kept = SealedToken(basis, sealed, token.expires_at, token.scopes, token.account)
        began = time.monotonic()
        while True:
            try:
                return await self._store.renewed(row, kept)
            except NotReady:
                if time.monotonic() - began > SAVE_SECONDS:
                    log.exception("the new token of connection %s could not be kept", row.id)
                    raise
                await asyncio.sleep(SOON_SECONDS)

    async def _opened(self, row: SealedConnection, generation: int, sealed: Mapping[str, SealedSecret]) -> Token:
        """The token with its values opened."""
        try:
            values = self._reveal(row, generation, sealed)
        except SealBroken:
            await self._keyring.refresh()  # another process may have sealed with a newer data key
            values = self._reveal(row, generation, sealed)
        return Token(values, row.expires_at, row.scopes, row.account)

    def _reveal(self, row: SealedConnection, generation: int, sealed: Mapping[str, SealedSecret]) -> dict[str, Secret]:
        return {
            field: self._revealer.reveal(Place(TABLE, row.id, field, generation, row.key.environment), value)
            for field, value in sealed.items()
        }


def _pause_after(row: SealedConnection) -> float:
    """Seconds until a token that could not be renewed is tried again: longer each time."""
    return min(PAUSE_MOST, PAUSE_FIRST * (1 << min(row.failures, _DOUBLINGS_MOST)))


def _must_act(plan: Plan, key: ConnectionKey, why: str, *, person: bool) -> CredentialError:
    return ReauthorizationRequired(f"{why} {_remedy(plan, key, person=person)}".strip())


def _remedy(plan: Plan, key: ConnectionKey, *, person: bool) -> str:
    """Who has to do what."""
    environment = f" --environment {plan.environment}" if plan.environment != "live" else ""
    if key.user:
        return "The end user signs in: send them to a connect link (POST /api/v1/connect-links)."
    if person:
        return f"An operator signs in with: tieline connection sign-in {plan.name}{environment}"
    return f"An operator sets the credential again with: tieline credential set {plan.name}{environment} --activate"


async def _pause(moved: asyncio.Event) -> None:
    """Wait until something moved, at most a moment."""
    try:
        async with asyncio.timeout(_POLL_SECONDS):
            await moved.wait()
    except TimeoutError:
        return
