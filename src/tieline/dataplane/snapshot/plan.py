"""An API made ready for requests: what its definition and credential say in each environment. ``compiler`` makes it.

Plans are never altered, only replaced. Knows nothing of keys or of a single request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tieline.access.appkey import KeyPlaces
from tieline.access.areas import AreaTable
from tieline.core.errors import TielineError
from tieline.core.names import Environment
from tieline.core.urls import Origin
from tieline.dataplane.limits.bounds import BodyBound, Bounds
from tieline.dataplane.snapshot.calls import Calls
from tieline.dataplane.snapshot.exit import Exit
from tieline.dataplane.snapshot.header_fate import HeaderFate
from tieline.dataplane.snapshot.shared import SharedValues
from tieline.definitions.model import Definition, Limits, RecordedBodies, Verify
from tieline.metering.rates import PriceTable
from tieline.metering.usage.reader import UsageReader
from tieline.ports.apis import ApiRow
from tieline.ports.credentials import SealedCredential
from tieline.schemes.base import Applier
from tieline.schemes.flow import Renewal
from tieline.wire.pool import Lane, LaneKey


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Plan:
    """One API in one environment.

    ``problem`` is why it cannot be used now (no credential, an unusable definition); then ``lane`` is None. ``exit``
    leads elsewhere, where a call names a whole URL. ``auth`` is what changes a request, in order: what sets shared
    members of bodies, then the schemes; ``steady`` says that what they add depends on the
    head of a request alone. ``base_path`` has no slash at its end. What callers send under a name in
    ``replaced_query``, or under one that ``request_fate`` drops, does not go on. ``reflections`` are secrets that are
    masked if the upstream sends them back. ``first_byte`` is how many seconds an answer may take to begin. ``calls``
    are made ready when they are first run. ``prices`` are None where nobody gives one. ``bounds`` are the limits that
    hold for all its apps together, ``body`` is the largest body of a request. ``strict``: an answer is whole once its
    record is stored. ``recorded`` says what is kept of bodies, None for nothing.
    """

    api_id: str
    name: str
    title: str
    environment: Environment
    table: AreaTable
    errors: str
    places: KeyPlaces
    limits: Limits
    first_byte: float
    origin: Origin
    base_path: bytes
    lane: Lane | None
    exit: Exit
    auth: tuple[Applier | Renewal, ...]
    request_fate: HeaderFate
    answer_fate: HeaderFate
    replaced_query: frozenset[bytes]
    shared: SharedValues
    reflections: tuple[bytes, ...]
    usage: UsageReader | None
    prices: PriceTable | None
    verify: Verify | None
    problem: TielineError | None
    steady: bool
    calls: Calls
    bounds: Bounds | None = None
    strict: bool = False
    recorded: RecordedBodies | None = None
    body: BodyBound = field(init=False)

    def __post_init__(self) -> None:
        bound = BodyBound(self.limits.body, f"{self.title} takes", "Send less, or raise limits.body of the API.")
        object.__setattr__(self, "body", bound)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ReadEnvironment:
    """What a definition says in one environment, whatever its credential: its areas are ready, its variables are not.

    ``problem`` is why this version cannot use it; then there is no ``definition``.
    """

    definition: Definition | None
    table: AreaTable
    problem: TielineError | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Api:
    """An API in every environment, and what it was compiled from; ``price_state`` is that of ``prices.Prices``."""

    row: ApiRow
    credentials: tuple[SealedCredential, ...]
    read: Mapping[Environment, ReadEnvironment]
    plans: Mapping[Environment, Plan]
    places: KeyPlaces
    lanes: frozenset[LaneKey]
    price_state: object
