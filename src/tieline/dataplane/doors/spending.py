"""Whose money a request spends, and the most that it may spend: what the ledger is asked for at a door."""

import time
from typing import Final, Protocol

from tieline.dataplane.admission.fields import CONNECTION
from tieline.dataplane.ledger.budgets import Spender
from tieline.dataplane.ledger.ledger import CostBound
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.metering.asked import BODY_MOST, asked_in_json
from tieline.metering.bound import bound
from tieline.metering.flat import per_request
from tieline.wire.request import Request

USER_MOST: Final = 200
_READS: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"DELETE"})


class Costing(Protocol):
    """What a door decided on, as far as it costs something."""

    @property
    def plan(self) -> Plan: ...

    @property
    def key(self) -> AppKey: ...

    @property
    def sends(self) -> int | None: ...


def spender_of(way: Costing, request: Request) -> Spender:
    """Whose request it is."""
    user = request.noted.get(CONNECTION)
    name = "" if user is None else user.decode("utf-8", "replace").strip()[:USER_MOST]
    return Spender(way.key.key_id, way.key.app_id, way.plan.api_id, name)


def bound_of(way: Costing, request: Request) -> CostBound:
    """The most that the request may cost, by the prices of its API and what has arrived of it.

    What only reads what is there costs nothing where an API's requests have no price as such and models have.
    """
    plan, now = way.plan, time.time()
    each = per_request(plan.prices, now)
    if each is not None:
        return CostBound(each * way.sends if way.sends is not None else None, None, each, plan.prices, now)
    if plan.usage is not None and plan.usage.kind != "declared" and request.method in _READS and not request.upgrade:
        return CostBound(0, 0, None, plan.prices, now)
    most = _of_body(plan, request, now) if way.sends == 1 else None
    return CostBound(most, None, None, plan.prices, now)


def _of_body(plan: Plan, request: Request, now: float) -> int | None:
    """The bound of what a whole body of JSON asks for."""
    if plan.prices is None or not request.complete or request.upgrade or request.length is None:
        return None
    if request.length > BODY_MOST:
        return None
    body = b"".join(request.pieces)
    asked = asked_in_json(body)
    return None if asked is None else bound(plan.prices, asked, len(body), now)
