"""The limits of a key, an app or an API as the limiter counts them: one bound for each, with the cell it counts in.

Made once for each app key or plan. A bound with other numbers is another bound, in a cell of its own that begins fresh.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from tieline.access.limits import PERIODS, RequestLimits, RequestRate, words
from tieline.dataplane.limits.gcra import MICROSECONDS, Rate
from tieline.dataplane.limits.table import identity

Owner: TypeAlias = Literal["key", "app", "API"]
_MINUTE: Final = 60 * MICROSECONDS


@dataclass(frozen=True, slots=True)
class RateBound:
    """So many over time, such as "60 requests a minute" (``words``).

    With ``tokens``, tokens are counted and not requests: they are charged when they are known, and a request fits as
    long as something is left.
    """

    identity: bytes
    owner: Owner
    words: str
    rate: Rate
    tokens: bool = False


@dataclass(frozen=True, slots=True)
class SlotBound:
    """So many requests at once."""

    identity: bytes
    owner: Owner
    words: str
    most: int


Bound: TypeAlias = RateBound | SlotBound


def bounds_of(limits: RequestLimits, owner: Owner, owner_id: str) -> tuple[Bound, ...]:
    """What ``limits`` of the ``owner`` with this id come to; no bound for those of bodies and addresses."""
    found: list[Bound] = [_rate(each, owner, owner_id) for each in limits.rates]
    if limits.tokens_per_minute is not None:
        said = words("tokens_per_minute", limits.tokens_per_minute)
        rate = Rate(limits.tokens_per_minute, _MINUTE)
        found.append(RateBound(identity(owner_id, said), owner, said, rate, tokens=True))
    if limits.concurrent is not None:
        # The number is no part of the identity: those that are under way count against a new number too.
        slots = identity(owner_id, "concurrent")
        found.append(SlotBound(slots, owner, words("concurrent", limits.concurrent), limits.concurrent))
    return tuple(found)


def _rate(limit: RequestRate, owner: Owner, owner_id: str) -> RateBound:
    rate = Rate(limit.requests, PERIODS[limit.per] * MICROSECONDS)
    return RateBound(identity(owner_id, str(limit)), owner, str(limit), rate)
