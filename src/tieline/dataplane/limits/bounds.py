"""The limits of a key, an app and an API as the limiter counts them: one bound for each, with the cell it counts in.

Made once for each app key and each plan. A rate with other numbers is another bound, in a cell of its own that begins
fresh; what is under way at once counts against a new number too.
"""

from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Final, Literal, TypeAlias

from tieline.access.limits import PERIODS, RequestLimits, RequestRate, words
from tieline.core.errors import BodyTooLarge
from tieline.dataplane.limits.gcra import MICROSECONDS, Rate
from tieline.dataplane.limits.table import identity

Owner: TypeAlias = Literal["key", "app", "API"]
OWNERS: Final = {"key": "This app key", "app": "This app, with all its keys,", "API": "This API, with all its apps,"}
_MINUTE: Final = 60 * MICROSECONDS
_NETWORK_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class RateBound:
    """So many over time, such as "60 requests a minute" (``words``).

    With ``tokens``, tokens are counted and not requests: they are charged when they are known, and a request fits as
    long as something is left. ``policy`` is its name in ``RateLimit`` fields, ``declared`` what
    ``RateLimit-Policy`` says of it.
    """

    identity: bytes
    owner: Owner
    words: str
    policy: str
    rate: Rate
    tokens: bool = False
    streams: Literal[False] = False
    declared: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        unit = ';qu="tokens"' if self.tokens else ""
        declared = f'"{self.policy}";q={self.rate.units};w={self.rate.period // MICROSECONDS}{unit}'
        object.__setattr__(self, "declared", declared)


@dataclass(frozen=True, slots=True)
class SlotBound:
    """So many requests at once; with ``streams``, so many that are answered by a stream."""

    identity: bytes
    owner: Owner
    words: str
    policy: str
    most: int
    streams: bool = False
    declared: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "declared", f'"{self.policy}";q={self.most};qu="concurrent-requests"')


@dataclass(frozen=True, slots=True)
class BodyBound:
    """The largest body of a request, in bytes. ``whose`` says who takes no more, ``remedy`` what can be done."""

    most: int
    whose: str
    remedy: str = "Send less."

    def error(self) -> BodyTooLarge:
        """What a larger body is refused with."""
        return BodyTooLarge(f"The request's body is larger than the {self.most} bytes that {self.whose}. {self.remedy}")


@dataclass(frozen=True, slots=True)
class AddressBound:
    """A rate that every client address has for itself, of the ``owner`` with this id."""

    owner: Owner
    owner_id: str
    limit: RequestRate

    def of(self, network: str) -> RateBound:
        """The bound of one address, as :func:`network_of` gives it."""
        said = f"{self.limit} from each address"
        rate = Rate(self.limit.requests, PERIODS[self.limit.per] * MICROSECONDS)
        found = identity(self.owner_id, said, network)
        return RateBound(found, self.owner, said, f"tieline-{self.owner.lower()}-address-{self.limit.per}", rate)


Bound: TypeAlias = RateBound | SlotBound


@dataclass(frozen=True, slots=True)
class Bounds:
    """All bounds that hold for a request: ``shared`` are counted in the node's table, ``addresses`` in that of clients.

    None stands for no bounds at all, so that whoever has none costs nothing.
    """

    shared: tuple[Bound, ...] = ()
    addresses: tuple[AddressBound, ...] = ()
    body: BodyBound | None = None


def bounds_of(limits: RequestLimits, owner: Owner, owner_id: str) -> Bounds | None:
    """What ``limits`` of the ``owner`` with this id come to; None where nothing is limited."""
    if not limits:
        return None
    return Bounds(
        shared=_shared(limits, owner, owner_id),
        addresses=() if limits.per_address is None else (AddressBound(owner, owner_id, limits.per_address),),
        body=None if limits.body is None else BodyBound(limits.body, f"this {owner} may send"),
    )


def joined(first: Bounds | None, second: Bounds | None) -> Bounds | None:
    """What holds where both hold."""
    if first is None or second is None:
        return first or second
    bodies = [each.body for each in (first, second) if each.body is not None]
    body = min(bodies, key=lambda bound: bound.most, default=None)
    return Bounds(first.shared + second.shared, first.addresses + second.addresses, body)


def smallest_body(bounds: Bounds | None, other: BodyBound) -> BodyBound:
    """The bound of a request's body where ``other`` holds too."""
    if bounds is None or bounds.body is None or bounds.body.most >= other.most:
        return other
    return bounds.body


def network_of(address: str) -> str:
    """What a client address is counted as: an IPv6 address by its /64, which one client has whole."""
    found = ip_address(address.partition("%")[0])
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> _NETWORK_BITS << _NETWORK_BITS))


def _shared(limits: RequestLimits, owner: Owner, owner_id: str) -> tuple[Bound, ...]:
    name = f"tieline-{owner.lower()}"
    found: list[Bound] = [_rate(each, owner, owner_id) for each in limits.rates]
    if limits.tokens_per_minute is not None:
        said = words("tokens_per_minute", limits.tokens_per_minute)
        rate = Rate(limits.tokens_per_minute, _MINUTE)
        found.append(RateBound(identity(owner_id, said), owner, said, f"{name}-tokens", rate, tokens=True))
    if limits.concurrent is not None:
        said = words("concurrent", limits.concurrent)
        slots = identity(owner_id, "concurrent")
        found.append(SlotBound(slots, owner, said, f"{name}-concurrent", limits.concurrent))
    if limits.streams is not None:
        said = words("streams", limits.streams)
        slots = identity(owner_id, "streams")
        found.append(SlotBound(slots, owner, said, f"{name}-streams", limits.streams, streams=True))
    return tuple(found)


def _rate(limit: RequestRate, owner: Owner, owner_id: str) -> RateBound:
    rate = Rate(limit.requests, PERIODS[limit.per] * MICROSECONDS)
    return RateBound(identity(owner_id, str(limit)), owner, str(limit), f"tieline-{owner.lower()}-{limit.per}", rate)
