"""The tokens of a worker, in memory: used while they are good, renewed before they end, by one task for each of them.

Owns when a token is renewed and who waits for it. How it is got, and that one worker of all gets it, is the business of
``renewing``. A token is dropped as soon as the store says that its connection, credential, API or app changed, and read
again when it is next needed.
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
from tieline.dataplane.attempt.prepare import Holder
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens.renewal import Obtained, Renewer
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
HELD_MOST: Final = 10_000
_LAST_SECOND: Final = 0.5
_CHANCE: Final = secrets.SystemRandom().random


@dataclass(slots=True, eq=False, repr=False)
class _Held:
    """A token in use. Times are seconds since the epoch."""

    obtained: Obtained
    renewal: Renewal
    applier: Applier
    good_until: float
    renew_at: float


class TokenSessions:
    """``preparing.Sessions`` over the store. ``clock`` tells seconds since the epoch, ``chance`` draws from 0 to 1."""

    def __init__(
        self,
        store: ConnectionStore,
        keyring: Keyring,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = _CHANCE,
    ) -> None:
        self._renewer = Renewer(store, keyring, clock)
        self._clock = clock
        self._chance = chance
        self._held: dict[ConnectionKey, _Held] = {}
        self._flights: dict[ConnectionKey, asyncio.Task[_Held]] = {}
        self._failed: dict[ConnectionKey, tuple[TielineError, float]] = {}
        self._signalled: dict[ConnectionKey, float] = {}
        self._behind: WeakKeyDictionary[Applier, Obtained] = WeakKeyDictionary()
        self._epoch = 0

    def current(self, plan: Plan, renewal: Renewal, holder: Holder) -> Applier | None:
        key = _key(plan, renewal, holder)
        held = self._fitting(key, renewal)
        now = self._clock()
        if held is None or now >= held.good_until:
            return None
        if now >= held.renew_at and key not in self._flights:
            _ = self._begin(key, plan, renewal, held.obtained)  # the old one is good until it lands
        return held.applier

    async def ready(self, plan: Plan, renewal: Renewal, holder: Holder) -> Applier:
        return self.current(plan, renewal, holder) or await self._next(_key(plan, renewal, holder), plan, renewal, None)

    async def renew(self, plan: Plan, renewal: Renewal, holder: Holder, stale: Applier) -> Applier:
        """As the protocol says. An API that refuses new tokens too is not believed again for ten seconds.

        Then ``stale`` itself comes back: or each of its answers would cost the issuer a token.
        """
        key, refused = _key(plan, renewal, holder), self._behind.get(stale)
        held = self._fitting(key, renewal)
        if refused is None or (held is not None and _is_newer(held.obtained, refused)):
            return await self.ready(plan, renewal, holder)
        if key not in self._flights:
            now = self._clock()
            if now - self._signalled.get(key, -math.inf) < SIGNAL_PAUSE:
                return stale if held is not None else await self.ready(plan, renewal, holder)
            if len(self._signalled) >= HELD_MOST:
                self._signalled.clear()
            self._signalled[key] = now
        return await self._next(key, plan, renewal, refused)

    def changed(self, changes: Sequence[Change] | None) -> None:
        """Drop what the store says has changed; everything where it cannot say (None)."""
        self._epoch += 1
        self._failed.clear()
        if changes is None:
            self._held.clear()
        else:
            refs = {change.ref for change in changes}
            for key in [each for each, held in self._held.items() if not refs.isdisjoint(_names(each, held))]:
                del self._held[key]
        self._renewer.look_again()

    async def close(self, seconds: float) -> None:
        """Let what issuers are being asked end within ``seconds``; whoever only waits for another worker is let go."""
        await self._renewer.settle(seconds)
        for flight in self._flights.values():
            flight.cancel()

    def _fitting(self, key: ConnectionKey, renewal: Renewal) -> _Held | None:
        """The token in use, bound anew where the API was compiled anew; None where it is of another client."""
        held = self._held.get(key)
        if held is None or held.renewal is renewal:
            return held
        if self._renewer.basis(renewal) != held.obtained.basis:
            return None
        held.renewal = renewal
        held.applier = self._bound(renewal, held.obtained)
        return held

    async def _next(self, key: ConnectionKey, plan: Plan, renewal: Renewal, refused: Obtained | None) -> Applier:
        while True:
            flight = self._flights.get(key) or self._begin(key, plan, renewal, refused)
            held = await asyncio.shield(flight)
            if refused is not None and not _is_newer(held.obtained, refused):
                continue
            if held.renewal is renewal:
                return held.applier
            if held.obtained.basis == self._renewer.basis(renewal):  # else it was begun for another client
                return self._bound(renewal, held.obtained)

    def _begin(self, key: ConnectionKey, plan: Plan, renewal: Renewal, refused: Obtained | None) -> asyncio.Task[_Held]:
        flight = asyncio.get_running_loop().create_task(self._fly(key, plan, renewal, refused))
        self._flights[key] = flight
        flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    async def _fly(self, key: ConnectionKey, plan: Plan, renewal: Renewal, refused: Obtained | None) -> _Held:
        failed = self._failed.get(key)
        if failed is not None and self._clock() < failed[1]:
            raise type(failed[0])(failed[0].public, retry_after=failed[0].retry_after)
        epoch = self._epoch
        try:
            obtained = await self._renewer.obtain(plan, renewal, key, refused)
        except (UpstreamError, ConnectionRequired) as error:
            pause = ABSENT_SECONDS if isinstance(error, ConnectionRequired) else REFUSED_SECONDS
            if len(self._failed) >= HELD_MOST:
                self._failed.clear()
            self._failed[key] = error, self._clock() + pause
            raise
        held = self._timed(obtained, renewal)
        if epoch == self._epoch:  # else it may be older than what changed meanwhile: for those who wait, not kept
            self._keep(key, held)
        return held

    def _keep(self, key: ConnectionKey, held: _Held) -> None:
        if key not in self._held and len(self._held) >= HELD_MOST:
            del self._held[next(iter(self._held))]
        self._held[key] = held

    def _landed(self, key: ConnectionKey, flight: "asyncio.Task[_Held]") -> None:
        del self._flights[key]
        if flight.cancelled() or flight.exception() is None:
            return
        held = self._held.get(key)
        if held is not None:  # nobody may have waited: the old token is used on, and the next try is a little later
            held.renew_at = self._clock() + REFUSED_SECONDS

    def _timed(self, obtained: Obtained, renewal: Renewal) -> _Held:
        ends = obtained.token.expires_at
        applier = self._bound(renewal, obtained)
        if ends is None:
            return _Held(obtained, renewal, applier, math.inf, math.inf)
        life = max(0.0, ends - self._clock())
        margin = min(max(life * MARGIN_SHARE, MARGIN_LEAST), MARGIN_MOST, life / 2) * (0.75 + self._chance() / 2)
        return _Held(obtained, renewal, applier, ends - min(_LAST_SECOND, life / 20), ends - margin)

    def _bound(self, renewal: Renewal, obtained: Obtained) -> Applier:
        """An applier that holds a token, and what is behind it: the API may refuse it long after it was dropped."""
        applier = renewal.scheme.bind_token(renewal.options, renewal.secrets, obtained.token)
        self._behind[applier] = obtained
        return applier


def _key(plan: Plan, renewal: Renewal, holder: Holder) -> ConnectionKey:
    app_id = holder.app_id if holder.user else ""
    return ConnectionKey(plan.api_id, plan.environment, renewal.position, app_id, holder.user)


def _names(key: ConnectionKey, held: _Held) -> frozenset[str]:
    """The ids whose change ends what is held."""
    return frozenset({held.obtained.connection_id, key.api_id, key.app_id})


def _is_newer(obtained: Obtained, refused: Obtained) -> bool:
    return refused.is_newer(obtained.connection_id, obtained.generation)
