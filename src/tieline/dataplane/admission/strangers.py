"""What whoever comes with an unknown app key is told, and how often: each address has a rate for it.

Beyond the rate the answer is 429, so that SDKs wait instead of asking on. Whether a key is known was found out before:
nobody with a good key is ever told so. Counted by each worker for itself, in bounded memory.
"""

import time
from typing import Final

from tieline.core.errors import InvalidAppKey, RateLimited, TielineError
from tieline.dataplane.limits.bounds import network_of
from tieline.dataplane.limits.gcra import MICROSECONDS, Arrival, Rate

RATE: Final = Rate(60, 60 * MICROSECONDS)
"""Requests with unknown keys that one address may send."""
ADDRESSES_MOST: Final = 10_000
_FRESH: Final = Arrival(0, 0)


class Strangers:
    """The addresses that unknown keys came from lately."""

    def __init__(self) -> None:
        self._arrivals: dict[str, Arrival] = {}

    def refusal(self, peer: str) -> TielineError:
        """What a request with an unknown key from ``peer`` is answered with."""
        network = network_of(peer)
        decision = RATE.take(self._arrivals.pop(network, _FRESH), time.monotonic_ns() // 1000)
        if len(self._arrivals) >= ADDRESSES_MOST:
            del self._arrivals[next(iter(self._arrivals))]  # the one that came last longest ago
        self._arrivals[network] = decision.arrival
        if decision.fits:
            return InvalidAppKey("No such app key exists here. Check that it was copied whole and from this Tieline.")
        return RateLimited(
            "Too many requests with unknown app keys come from your address. Check that the key was copied whole and "
            "from this Tieline, then try again.",
            param=f"{RATE.units} requests with unknown keys a minute",
            retry_after=decision.wait / MICROSECONDS,
        )
