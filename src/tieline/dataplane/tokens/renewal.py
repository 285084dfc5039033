"""One token got or renewed: the lease taken in the store, the issuer asked, the answer stored before it is used.

Called by ``sessions``, once for all who wait in a worker. Knows neither requests nor the protocol of tokens, which is
the scheme's (``schemes.flow``).

A connection, as the store has it, is in one of three states:

- ``pending``: no token yet (generation 0). It becomes ``active`` with the first token.
- ``active``: there is a token, which may have ended. Each new token is the next generation. It becomes
  ``reauthorization_required`` when the issuer says a clear no and the token is no longer good; a no to an early renewal
  ends nothing.
- ``reauthorization_required``: it becomes ``active`` when somebody signs in, or when a later try works. There is one
  after ``retry_at``, which is not set where only a sign-in can help.

Whoever asks an issuer holds the connection's lease, which ends with the answer stored, or with a failure noted. It
lasts longer than asking and storing may take together. One that its holder let expire is taken over only by who could
reach the store for ``TAKE_OVER_SECONDS``: if the holder lives and just could not store its answer, it has done so by
then, and nobody uses a refresh token that was exchanged already.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tieline.core.errors import (
    ConnectionRequired,
    CredentialError,
    InvalidInput,
    NotReady,
    Overloaded,
    ReauthorizationRequired,
    TielineError,
    UpstreamFailed,
    UpstreamTimeout,
)
from tieline.core.secret import Secret
from tieline.dataplane.openings import Openings
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens import issuers
from tieline.dataplane.tokens.fingerprint import PURPOSE, fingerprint_of
from tieline.ports.connections import ConnectionKey, ConnectionStore, Refusal, SealedConnection, SealedToken
from tieline.schemes.flow import IssuerRefused, Renewal, Token
from tieline.vault.envelope import Place
from tieline.vault.intake import Intake, SealedSecret
from tieline.vault.keyring import Keyring
from tieline.vault.reveal import Revealer

log = logging.getLogger("tieline.dataplane.tokens.renewal")

TABLE: Final = "connection_secrets"
SAVE_SECONDS: Final = 5.0
LEASE_SECONDS: Final = issuers.FLOW_SECONDS + SAVE_SECONDS + 2.0
TAKE_OVER_SECONDS: Final = 2.0
WAIT_SECONDS: Final = 2 * LEASE_SECONDS
KEEP_SECONDS: Final = 600.0
SOON_SECONDS: Final = 0.5
PAUSE_FIRST: Final = 1.0
PAUSE_MOST: Final = 60.0
ASKED_PAUSE_MOST: Final = 900.0
_POLL_SECONDS: Final = 0.2
_STALE_PLAN_SECONDS: Final = 30.0
_DOUBLINGS_MOST: Final = 6
_READS_AT_ONCE: Final = 3  # of the store's few connections, some are left for the look-up of keys
_READS_WAITING: Final = 1_000
# What a mistake of a flow in reading an outsider's answer raises: it is logged, ends the lease and one request.
_MISTAKES: Final = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_UNFORESEEN: Final = "What the issuer answered could not be understood. Look into the log of the server."


@dataclass(frozen=True, slots=True, repr=False)
class StoredToken:
    """A token that is in the store as ``generation`` of the connection; ``fingerprint`` is what it was got with."""

    connection_id: str
    generation: int
    fingerprint: bytes
    token: Token

    def is_newer(self, connection_id: str, generation: int) -> bool:
        """Whether a token of that connection and generation came after this one, or is of another connection."""
        return connection_id != self.connection_id or generation > self.generation


@dataclass(frozen=True, slots=True, repr=False)
class _Attempt:
    """One turn at an issuer, for the connection as it was when the lease was taken.

    ``by_api``: the API has refused its token, whatever the clock says.
    """

    plan: Plan
    renewal: Renewal
    row: SealedConnection
    fingerprint: bytes
    by_api: bool

    @property
    def needs_person(self) -> bool:
        """Whether a token comes from somebody's sign-in."""
        return bool(self.row.key.user) or self.renewal.scheme.needs_sign_in(self.renewal.options)

    def lives(self, now: float) -> bool:
        """Whether the token that is to be renewed is still good: it is used on, whatever the issuer says now."""
        return not self.by_api and _is_good(self.row, self.fingerprint, now)


class Renewer:
    """Gets tokens for one worker. ``clock`` tells seconds since the epoch; ``openings`` hear of what is opened."""

    def __init__(
        self,
        store: ConnectionStore,
        keyring: Keyring,
        clock: Callable[[], float] = time.time,
        openings: Openings | None = None,
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._revealer = Revealer(keyring, (openings or Openings()).witness("token"))
        self._intake = Intake(keyring)
        self._pepper = keyring.derive(PURPOSE)
        self._clock = clock
        self._name = f"worker_{secrets.token_hex(8)}"
        self._moved = asyncio.Event()
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._reading = 0
        self._asking: set[asyncio.Task[Any]] = set()
        self._saving: dict[ConnectionKey, asyncio.Task[bool]] = {}

    def fingerprint(self, renewal: Renewal) -> bytes:
        """What a token of ``renewal`` is got with."""
        return fingerprint_of(renewal, self._pepper)

    def look_again(self) -> None:
        """Some connection has changed: whoever waits for another worker's renewal looks at once."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def settle(self, seconds: float) -> None:
        """Wait, at most ``seconds``, until no issuer is being asked and every answer is stored."""
        if under_way := {*self._asking, *self._saving.values()}:
            await asyncio.wait(under_way, timeout=seconds)

    async def obtain(
        self, plan: Plan, renewal: Renewal, key: ConnectionKey, refused: StoredToken | None, *, by_api: bool = False
    ) -> StoredToken:
        """The token of ``key`` from the store or, where it is not good now, from the issuer.

        ``refused``, or one before it, will not do: it is about to end or, with ``by_api``, the API does not take it.

        Raises:
            ConnectionRequired: nobody has signed in yet.
            ReauthorizationRequired: somebody has to sign in, or set the credential, again.
            UpstreamError, DestinationNotAllowed, CredentialMissing: the issuer cannot be asked, or fails.
        """
        fingerprint, waited = self.fingerprint(renewal), time.monotonic()
        while True:
            row = await self._read(key)
            old = row is not None and refused is not None and not refused.is_newer(row.id, row.generation)
            if row is not None and _is_good(row, fingerprint, self._clock()) and not old:
                token = await self._opened(row, row.generation, row.secrets)
                return StoredToken(row.id, row.generation, fingerprint, token)
            await self._check(plan, renewal, key, row, fingerprint)
            moved, leased = self._moved, None
            if key not in self._saving:
                generation, waited_long = row.generation if row else 0, time.monotonic() - waited > TAKE_OVER_SECONDS
                leased = await self._store.lease(key, generation, self._name, LEASE_SECONDS, take_over=waited_long)
            if leased is not None:
                obtained = await self._in_turn(_Attempt(plan, renewal, leased, fingerprint, by_api))
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

    async def _check(
        self, plan: Plan, renewal: Renewal, key: ConnectionKey, row: SealedConnection | None, fingerprint: bytes
    ) -> None:
        """Raise where the issuer is not to be asked now: a person has to act, or it failed a moment ago."""
        person = bool(key.user) or renewal.scheme.needs_sign_in(renewal.options)
        if row is None or row.generation == 0:
            if person:
                raise ConnectionRequired(f"Nobody has signed in to {plan.title} yet. {_remedy(plan, key, person=True)}")
            if row is None:
                return
        if row.fingerprint != fingerprint:
            if person:
                await self._outdated(plan, key, row, fingerprint)
            return
        refused = row.state == "reauthorization_required"
        only_person_helps = refused and person and row.retry_at is None
        waits = row.retry_at is not None and self._clock() < row.retry_at
        if refused and (only_person_helps or waits):
            raise _must_act(plan, key, row.last_error or "", person=only_person_helps)
        if waits:
            raise UpstreamFailed(row.last_error or "The token's issuer fails. Try again.", retry_after=1)

    async def _outdated(self, plan: Plan, key: ConnectionKey, row: SealedConnection, fingerprint: bytes) -> None:
        """Refuse a token of another client, and note so; not at once, as it may be this worker's plan that is old."""
        text = f"The credential or the auth options of {plan.title} were changed since somebody signed in."
        if row.state == "active" and self._clock() - row.updated_at > _STALE_PLAN_SECONDS:
            leased = await self._store.lease(key, row.generation, self._name, LEASE_SECONDS)
            if leased is not None:
                await self._store.refused(
                    leased, self._name, Refusal(text, final=True, pause=0.0, fingerprint=fingerprint)
                )
        raise _must_act(plan, key, text, person=True)

    async def _in_turn(self, attempt: _Attempt) -> StoredToken | None:
        task = asyncio.current_task()
        assert task is not None  # this is a coroutine
        self._asking.add(task)
        try:
            return await self._renewed(attempt)
        finally:
            self._asking.discard(task)

    async def _renewed(self, attempt: _Attempt) -> StoredToken | None:
        """The next token, stored; None where the connection moved on meanwhile: somebody signed in, or removed it."""
        row = attempt.row
        try:
            token = await self._ask(attempt)
            sealed = self._sealed(attempt, token)
        except NotReady:
            raise
        except TielineError as error:
            refusal = self._refusal(attempt, error)
            if not await self._noted(attempt, refusal, getattr(error, "rescued", {})):
                return None
            log.warning("connection %s could not be renewed: %s", row.id, error.explained)
            if refusal.final:
                person = attempt.needs_person and refusal.pause is None
                raise _must_act(attempt.plan, row.key, error.public, person=person) from None
            if isinstance(error, IssuerRefused | InvalidInput):
                raise UpstreamFailed(error.public, detail=error.detail, retry_after=refusal.pause) from None
            raise
        except _MISTAKES:
            log.exception("the answer of the issuer of connection %s", row.id)
            note = Refusal(_UNFORESEEN, final=False, pause=PAUSE_MOST, fingerprint=attempt.fingerprint)
            await self._store.refused(row, self._name, note)
            raise UpstreamFailed(_UNFORESEEN, retry_after=PAUSE_MOST) from None
        if not await self._stored(attempt, sealed):
            return None
        return StoredToken(row.id, row.generation + 1, attempt.fingerprint, token)

    def _refusal(self, attempt: _Attempt, error: TielineError) -> Refusal:
        """What is noted of an issuer that gave no token: whether that is final, and when it may be asked again."""
        now, row = self._clock(), attempt.row
        lives = attempt.lives(now)
        if isinstance(error, IssuerRefused) and error.final and not lives:
            only_person_helps = attempt.needs_person and not error.for_client
            pause = None if only_person_helps else PAUSE_MOST
            return Refusal(error.public, final=True, pause=pause, fingerprint=attempt.fingerprint)
        pause = min(PAUSE_MOST, PAUSE_FIRST * (1 << min(row.failures, _DOUBLINGS_MOST)))
        if lives and row.expires_at is not None:  # at its end, nobody shall wait for a pause that is left over
            pause = max(0.0, min(pause, row.expires_at - SOON_SECONDS - now))
        pause = max(pause, min(error.retry_after or 0.0, ASKED_PAUSE_MOST))
        return Refusal(error.public, final=False, pause=pause, fingerprint=attempt.fingerprint)

    async def _noted(self, attempt: _Attempt, refusal: Refusal, rescued: Mapping[str, Secret]) -> bool:
        """Note a refusal, and store what its answer held all the same; False where the connection moved on."""
        row = attempt.row
        if not rescued:
            return await self._store.refused(row, self._name, refusal)
        token = Token(rescued, 0.0)  # it has ended: nobody uses it, and the next try begins with what it holds
        if row.generation and row.fingerprint == attempt.fingerprint:
            before = await self._opened(row, row.generation, row.secrets)
            token = replace(before, values={**before.values, **rescued})
        return await self._stored(attempt, self._sealed(attempt, token), refusal)

    async def _ask(self, attempt: _Attempt) -> Token:
        """Ask the issuer. Where it refuses the newest refresh token finally, the one before it is tried once."""
        row = attempt.row
        end = time.monotonic() + issuers.FLOW_SECONDS
        if row.generation == 0 or row.fingerprint != attempt.fingerprint:
            return await self._run(attempt, None, end)
        token = await self._opened(row, row.generation, row.secrets)
        try:
            return await self._run(attempt, token, end)
        except IssuerRefused as error:
            if not error.final or error.for_client or not row.previous or attempt.lives(self._clock()):
                raise
            before = await self._opened(row, row.generation - 1, row.previous)
            older = before.values.get("refresh")
            if older is None or older == token.values.get("refresh"):
                raise
            return await self._run(attempt, before, end)

    async def _run(self, attempt: _Attempt, token: Token | None, end: float) -> Token:
        renewal = attempt.renewal
        flow = renewal.scheme.renew(renewal.options, renewal.secrets, token, self._clock())
        return await issuers.run(flow, attempt.plan.exit, max(_POLL_SECONDS, end - time.monotonic()))

    def _sealed(self, attempt: _Attempt, token: Token) -> SealedToken:
        """``token`` as the next generation. Raises InvalidInput for a value that is too large to be kept."""
        row = attempt.row
        sealed = {
            field: self._intake.seal(Place(TABLE, row.id, field, row.generation + 1, row.key.environment), value)
            for field, value in token.values.items()
            if value
        }
        return SealedToken(attempt.fingerprint, sealed, token.expires_at, token.scopes, token.account)

    async def _stored(self, attempt: _Attempt, token: SealedToken, refusal: Refusal | None = None) -> bool:
        """Store the token as the next generation; False where the connection moved on.

        While the store is away, those who wait are told so after ``SAVE_SECONDS``, and storing goes on by itself: the
        issuer may have rotated the refresh token that the store still has.
        """
        row = attempt.row
        saving = asyncio.get_running_loop().create_task(self._save(row, token, refusal))
        self._saving[row.key] = saving
        saving.add_done_callback(lambda done: self._saved(row, done))
        try:
            async with asyncio.timeout(SAVE_SECONDS):
                return await asyncio.shield(saving)
        except TimeoutError:
            raise NotReady(
                "The store cannot be reached, and a new token waits for it. Try again.", retry_after=1
            ) from None

    async def _save(self, row: SealedConnection, token: SealedToken, refusal: Refusal | None) -> bool:
        end = time.monotonic() + KEEP_SECONDS
        while True:
            try:
                return await self._store.renewed(row, token, refusal)
            except NotReady:
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(SOON_SECONDS)

    def _saved(self, row: SealedConnection, saving: "asyncio.Task[bool]") -> None:
        del self._saving[row.key]
        if not saving.cancelled() and (error := saving.exception()) is not None:
            log.error("the new token of connection %s is lost: it could not be stored: %s", row.id, error)

    async def _opened(self, row: SealedConnection, generation: int, sealed: Mapping[str, SealedSecret]) -> Token:
        """The token with its values opened."""
        values = await self._revealer.opened(lambda: self._reveal(row, generation, sealed))
        return Token(values, row.expires_at, row.scopes, row.account)

    def _reveal(self, row: SealedConnection, generation: int, sealed: Mapping[str, SealedSecret]) -> dict[str, Secret]:
        return {
            field: self._revealer.reveal(Place(TABLE, row.id, field, generation, row.key.environment), value)
            for field, value in sealed.items()
        }


def _is_good(row: SealedConnection, fingerprint: bytes, now: float) -> bool:
    lasts = row.expires_at is None or now < row.expires_at - SOON_SECONDS
    return row.state == "active" and row.fingerprint == fingerprint and lasts


def _must_act(plan: Plan, key: ConnectionKey, why: str, *, person: bool) -> CredentialError:
    return ReauthorizationRequired(f"{why} {_remedy(plan, key, person=person)}".strip())


def _remedy(plan: Plan, key: ConnectionKey, *, person: bool) -> str:
    """Who has to do what."""
    environment = f" --environment {plan.environment}" if plan.environment != "live" else ""
    if key.user:
        return "The end user signs in: send them to a connect link (POST /api/v1/connect-links)."
    if person:
        return f"An operator signs in with: tieline connection sign-in {plan.name}{environment}"
    command = f"tieline credential set {plan.name}{environment} --stdin --activate"
    return f"An operator sets the credential again with: {command}"


async def _pause(moved: asyncio.Event) -> None:
    """Wait until something moved, at most a moment."""
    try:
        async with asyncio.timeout(_POLL_SECONDS):
            await moved.wait()
    except TimeoutError:
        return
