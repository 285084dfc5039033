"""The tokens of a worker, in memory: used while they are good, renewed before they end, by one task for each of them.

Owns when a token is renewed and who waits for it; ``renewal`` gets it. A token in use goes through these states:

- fresh, until ``renew_at``: every request uses it.
- due, until ``good_until``: every request uses it still, and the first one starts a flight, the task that renews it.
  Where that fails, the next one starts a little later.
- over: requests wait for the flight, and fail with it.

A token that the API refuses is over for the request that says so (``renew``). One is dropped as soon as the store says
that its connection, credential, API or app changed, and read again when it is next needed; so is the one that has been
in memory longest where there are ``TOKENS_MOST``.
"""

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from tieline.core.errors import ConnectionRequired, TielineError, UpstreamError
from tieline.dataplane.openings import Openings
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens.holder import Holder
from tieline.dataplane.tokens.renewal import Renewer, StoredToken
from tieline.ports.connections import ConnectionKey, ConnectionStore
from tieline.ports.snapshot import Change
from tieline.schemes.base import Applier
from tieline.schemes.flow import Renewal
from tieline.vault.keyring import Keyring

log = logging.getLogger("tieline.dataplane.tokens.sessions")

MARGIN_SHARE: Final = 0.1
MARGIN_LEAST: Final = 5.0
MARGIN_MOST: Final = 60.0
SIGNAL_PAUSE: Final = 10.0
REFUSED_SECONDS: Final = 2.0
ABSENT_SECONDS: Final = 0.5
TOKENS_MOST: Final = 10_000
_LAST_SECOND: Final = 0.5
_CHANCE: Final = secrets.SystemRandom().random


@dataclass(slots=True, eq=False, repr=False)
class _TokenInUse:
    """A token with the applier that holds it. Times are seconds since the epoch."""

    stored: StoredToken
    renewal: Renewal
    applier: Applier
    good_until: float
    renew_at: float


@dataclass(frozen=True, slots=True)
class _RecentFailure:
    """Why a token could not be got, for those who ask until ``until``; without the traceback, which holds secrets."""

    kind: type[TielineError]
    public: str
    retry_after: float | None
    until: float


class TokenSessions:
    """``preparing.Sessions`` over the store. ``clock`` tells seconds since the epoch, ``chance`` draws from 0 to 1."""

    def __init__(
        self,
        store: ConnectionStore,
        keyring: Keyring,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = _CHANCE,
        openings: Openings | None = None,
    ) -> None:
        self._renewer = Renewer(store, keyring, clock, openings)
        self._clock = clock
        self._chance = chance
        self._tokens: dict[ConnectionKey, _TokenInUse] = {}
        self._flights: dict[ConnectionKey, asyncio.Task[_TokenInUse]] = {}
        self._failures: dict[ConnectionKey, _RecentFailure] = {}
        self._signalled: dict[ConnectionKey, float] = {}
        self._stored: WeakKeyDictionary[Applier, StoredToken] = WeakKeyDictionary()
        self._epoch = 0

    def current(self, plan: Plan, renewal: Renewal, holder: Holder) -> Applier | None:
        key = _key(plan, renewal, holder)
        token = self._fitting(key, renewal)
        now = self._clock()
        if token is None or now >= token.good_until:
            return None
        if now >= token.renew_at and key not in self._flights:
            _ = self._begin(key, plan, renewal, token.stored, by_api=False)
        return token.applier

    async def ready(self, plan: Plan, renewal: Renewal, holder: Holder) -> Applier:
        return self.current(plan, renewal, holder) or await self._next(_key(plan, renewal, holder), plan, renewal, None)

    async def renew(self, plan: Plan, renewal: Renewal, holder: Holder, stale: Applier) -> Applier:
        """As the protocol says. An API that refuses new tokens too is not believed again for ten seconds.

        Then ``stale`` itself comes back: or each of its answers would cost the issuer a token.
        """
        key, refused = _key(plan, renewal, holder), self._stored.get(stale)
        token = self._fitting(key, renewal)
        if refused is None or (token is not None and _is_newer(token.stored, refused)):
            return await self.ready(plan, renewal, holder)
        if key not in self._flights:
            now = self._clock()
            if now - self._signalled.get(key, -math.inf) < SIGNAL_PAUSE:
                return stale if token is not None else await self.ready(plan, renewal, holder)
            if len(self._signalled) >= TOKENS_MOST:
                self._signalled.clear()
            self._signalled[key] = now
        return await self._next(key, plan, renewal, refused)

    def connection_of(self, applier: Applier) -> str | None:
        stored = self._stored.get(applier)
        return stored.connection_id if stored is not None else None

    def changed(self, changes: Sequence[Change] | None) -> None:
        """Drop what the store says has changed; everything where it cannot say (None)."""
        self._epoch += 1
        self._failures.clear()
        if changes is None:
            self._tokens.clear()
        else:
            refs = {change.ref for change in changes}
            for key in [each for each, token in self._tokens.items() if not refs.isdisjoint(_names(each, token))]:
                del self._tokens[key]
        self._renewer.look_again()

    async def close(self, seconds: float) -> None:
        """Wait up to ``seconds`` for requests to issuers to end; flights that wait for another worker are cancelled."""
        await self._renewer.settle(seconds)
        for flight in self._flights.values():
            flight.cancel()

    def _fitting(self, key: ConnectionKey, renewal: Renewal) -> _TokenInUse | None:
        """The token in use, bound anew where the API was compiled anew; None where it is of another client."""
        token = self._tokens.get(key)
        if token is None or token.renewal is renewal:
            return token
        if self._renewer.fingerprint(renewal) != token.stored.fingerprint:
            return None
        token.renewal = renewal
        token.applier = self._bound(renewal, token.stored)
        return token

    async def _next(self, key: ConnectionKey, plan: Plan, renewal: Renewal, refused: StoredToken | None) -> Applier:
        """A token newer than ``refused``, which the API did not take; None for any that is good."""
        while True:
            flight = self._flights.get(key) or self._begin(key, plan, renewal, refused, by_api=refused is not None)
            token = await asyncio.shield(flight)
            if refused is not None and not _is_newer(token.stored, refused):
                continue
            if token.renewal is renewal:
                return token.applier
            if token.stored.fingerprint == self._renewer.fingerprint(renewal):  # else it was begun for another client
                return self._bound(renewal, token.stored)

    def _begin(
        self, key: ConnectionKey, plan: Plan, renewal: Renewal, refused: StoredToken | None, *, by_api: bool
    ) -> asyncio.Task[_TokenInUse]:
        flight = asyncio.get_running_loop().create_task(self._fly(key, plan, renewal, refused, by_api=by_api))
        self._flights[key] = flight
        flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    async def _fly(
        self, key: ConnectionKey, plan: Plan, renewal: Renewal, refused: StoredToken | None, *, by_api: bool
    ) -> _TokenInUse:
        """Get a token newer than ``refused``, and use it from now on."""
        failure = self._failures.get(key)
        if failure is not None and self._clock() < failure.until:
            raise failure.kind(failure.public, retry_after=failure.retry_after)
        epoch = self._epoch
        try:
            stored = await self._renewer.obtain(plan, renewal, key, refused, by_api=by_api)
        except (UpstreamError, ConnectionRequired) as error:
            self._note_failure(key, error)
            raise
        token = self._timed(stored, renewal)
        if epoch == self._epoch:  # else it may be older than what changed meanwhile: for those who wait, not kept
            if key not in self._tokens and len(self._tokens) >= TOKENS_MOST:
                del self._tokens[next(iter(self._tokens))]
            self._tokens[key] = token
        return token

    def _note_failure(self, key: ConnectionKey, error: TielineError) -> None:
        """Let those who ask next fail with ``error`` too, for a moment; not beyond the end of a token in use."""
        now, token = self._clock(), self._tokens.get(key)
        until = now + (ABSENT_SECONDS if isinstance(error, ConnectionRequired) else REFUSED_SECONDS)
        if token is not None and now < token.good_until:
            until = min(until, token.good_until)
        if len(self._failures) >= TOKENS_MOST:
            self._failures.clear()
        self._failures[key] = _RecentFailure(type(error), error.public, error.retry_after, until)

    def _landed(self, key: ConnectionKey, flight: "asyncio.Task[_TokenInUse]") -> None:
        """A flight is over: called by its task. After a failure the next renewal begins ``REFUSED_SECONDS`` later."""
        del self._flights[key]
        if flight.cancelled() or flight.exception() is None:
            return
        token = self._tokens.get(key)
        if token is not None:
            token.renew_at = self._clock() + REFUSED_SECONDS

    def _timed(self, stored: StoredToken, renewal: Renewal) -> _TokenInUse:
        """The token with the times from which it is due and over, a little different in each worker."""
        ends = stored.token.expires_at
        applier = self._bound(renewal, stored)
        if ends is None:
            return _TokenInUse(stored, renewal, applier, math.inf, math.inf)
        life = max(0.0, ends - self._clock())
        margin = min(max(life * MARGIN_SHARE, MARGIN_LEAST), MARGIN_MOST, life / 2) * (0.75 + self._chance() / 2)
        return _TokenInUse(stored, renewal, applier, ends - min(_LAST_SECOND, life / 20), ends - margin)

    def _bound(self, renewal: Renewal, stored: StoredToken) -> Applier:
        """An applier that holds a token. What it was made of is known as long as a request has it."""
        applier = renewal.scheme.bind_token(renewal.options, renewal.secrets, stored.token)
        self._stored[applier] = stored
        return applier


def _key(plan: Plan, renewal: Renewal, holder: Holder) -> ConnectionKey:
    app_id = holder.app_id if holder.user else ""
    return ConnectionKey(plan.api_id, plan.environment, renewal.position, app_id, holder.user)


def _names(key: ConnectionKey, token: _TokenInUse) -> frozenset[str]:
    """The ids of connection, API and app: a change of any of them drops the token from memory."""
    return frozenset({token.stored.connection_id, key.api_id, key.app_id})


def _is_newer(stored: StoredToken, refused: StoredToken) -> bool:
    return refused.is_newer(stored.connection_id, stored.generation)
