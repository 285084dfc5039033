"""Whose money a request spends, and the most that it may spend: what the ledger is asked for at a door.

The bound of a relayed request is known with its whole body, that of a call once its template is filled.
"""

import asyncio
import time
from typing import Final, NamedTuple, Protocol

from tieline.core.errors import TielineError
from tieline.dataplane.admission.fields import CONNECTION
from tieline.dataplane.attempt.send import Order
from tieline.dataplane.ledger.budgets import Spender
from tieline.dataplane.ledger.ledger import CostBound, Ledger, Reservation
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.metering.asked import BODY_MOST, AskedOfModel, asked_in_json
from tieline.metering.asked_forms import FORM_MOST, asked_in_body_of_form, is_form
from tieline.metering.bound import bound
from tieline.metering.flat import per_request
from tieline.metering.reading import UsageReading
from tieline.wire.request import Request

USER_MOST: Final = 200
_LARGE: Final = 64 * 1024
"""A body of more bytes is read in a thread."""
_TYPE, _CODING = b"content-type", b"content-encoding"
_LENGTHS: Final = frozenset({len(_TYPE), len(_CODING)})
_READS: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"DELETE"})


class Costing(Protocol):
    """What a door decided on, as far as it costs something."""

    @property
    def plan(self) -> Plan: ...

    @property
    def key(self) -> AppKey: ...

    @property
    def sends(self) -> int | None: ...


class WholeBody(NamedTuple):
    """A whole body and its type; ``size`` in bytes, None where nobody knows it (a file that is sent as it comes)."""

    content_type: bytes
    content: bytes
    size: int | None


def spender_of(way: Costing, request: Request) -> Spender:
    """Whose request it is."""
    return Spender(way.key.key_id, way.key.app_id, way.plan.api_id, user_of(request))


def user_of(request: Request) -> str:
    """The end user that a request names, empty where it names none."""
    user = request.noted.get(CONNECTION)
    return "" if user is None else user.decode("utf-8", "replace").strip()[:USER_MOST]


class BodyKind(NamedTuple):
    """The type of a request's body, and up to how many bytes its bound is read out of it: 0 where it is not."""

    content_type: bytes
    most: int


def body_kind(request: Request) -> BodyKind:
    """What the fields of a request say of its body."""
    kind: bytes | None = None
    is_clear = not request.upgrade
    for name, value in request.headers:
        if len(name) not in _LENGTHS:
            continue
        lowered = name.lower()
        if lowered == _TYPE:
            is_clear = is_clear and kind is None
            kind = value if kind is None else kind
        elif lowered == _CODING and value:
            is_clear = False
    most = 0 if not is_clear else FORM_MOST if kind and is_form(kind) else BODY_MOST
    return BodyKind(kind or b"", most)


def known_bound(plan: Plan, method: bytes, sends: int | None, now: float, *, upgrade: bool = False) -> CostBound | None:
    """The most that a request may cost whatever is in its body, None where that is needed to tell.

    What only reads what is there costs nothing where an API's requests have no price as such and models have.
    """
    each = per_request(plan.prices, now)
    if each is not None:
        return CostBound(each * sends if sends is not None else None, None, each, plan.prices, now)
    if plan.usage is not None and plan.usage.kind != "declared" and method in _READS and not upgrade:
        return CostBound(0, 0, None, plan.prices, now)
    if plan.prices is None or sends != 1 or upgrade:
        return CostBound(None, None, None, plan.prices, now)
    return None


async def bound_of_body(plan: Plan, body: WholeBody | None) -> CostBound:
    """The most that a request with this body may cost; None for one that was too large to be read."""
    now = time.time()
    asked = None
    if body is not None:
        asked = await asyncio.to_thread(_asked, body) if len(body.content) > _LARGE else _asked(body)
    return _bound(plan, asked, body, now)


def bound_of_small(plan: Plan, body: WholeBody, now: float) -> CostBound | None:
    """The same at once, None where the body is not read at once."""
    return _bound(plan, _asked(body), body, now) if len(body.content) <= _LARGE else None


def body_of(request: Request, content_type: bytes) -> WholeBody:
    """The body of a request that is here as a whole, whose pieces stay where they are."""
    pieces = request.pieces
    content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return WholeBody(content_type, content, len(content))


class Purse:
    """What a run of a call spends: reserved when it is known what is sent, settled when the run has ended."""

    __slots__ = ("_is_over", "_ledger", "_reservation", "_spender")

    def __init__(self, ledger: Ledger, spender: Spender) -> None:
        self._ledger = ledger
        self._spender = spender
        self._reservation: Reservation | None = None
        self._is_over = False

    async def reserve(self, order: Order, sends: int | None) -> None:
        """Reserve the most that ``order`` may cost, which is sent then. Raises what the ledger refuses it with."""
        bound_ = known_bound(order.plan, order.call.method, sends, time.time())
        if bound_ is None:
            bound_ = await bound_of_body(order.plan, _filled(order))
        found = await self._ledger.obtain(self._spender, bound_)
        if isinstance(found, TielineError):
            raise found
        self._reservation = found
        if self._is_over and found is not None:
            found.settle(0, None)

    def sent(self) -> None:
        """As ``held.Spending`` says."""
        if self._reservation is not None:
            self._reservation.sent()

    def settle(self, requests: int, used: UsageReading | None) -> None:
        """As ``held.Spending`` says."""
        self._is_over = True
        if self._reservation is not None:
            self._reservation.settle(requests, used)


def _filled(order: Order) -> WholeBody | None:
    """The body of a call as far as it is at hand: what the template wrote, and of files nothing."""
    body = order.filled.body
    if body is None:
        return WholeBody(b"", b"", 0)
    content = b"".join([piece for piece in body.pieces if isinstance(piece, bytes)])
    return WholeBody(body.content_type, content, body.length)


def _asked(body: WholeBody) -> AskedOfModel | None:
    if is_form(body.content_type):
        return asked_in_body_of_form(body.content_type, body.content)
    return asked_in_json(body.content) if body.size == len(body.content) else None


def _bound(plan: Plan, asked: AskedOfModel | None, body: WholeBody | None, now: float) -> CostBound:
    most = None
    if plan.prices is not None and asked is not None and body is not None:
        most = bound(plan.prices, asked, len(body.content), now)
    return CostBound(most, None, None, plan.prices, now)
