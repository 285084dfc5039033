"""``GET /limits``: what the holder of an app key may do with it, and what is left of its limits.

Takes nothing of any limit or budget and leaves no record. Says nothing secret, and of limits and budgets of an API,
which other apps share, only what they are.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import orjson

from tieline.access.budgets import Amount
from tieline.access.levels import Level
from tieline.access.permissions import Mode, summary
from tieline.core.clock import rfc3339
from tieline.core.errors import MethodNotAllowed, TielineError
from tieline.dataplane.admission.admit import Admission
from tieline.dataplane.doors.door import Controls, Waiting
from tieline.dataplane.doors.spending import user_of
from tieline.dataplane.ledger.budgets import Spender
from tieline.dataplane.ledger.ledger import Balance
from tieline.dataplane.limits.bounds import Bounds, RateBound
from tieline.dataplane.limits.gcra import MICROSECONDS
from tieline.dataplane.limits.held import Left
from tieline.dataplane.snapshot.plan import Api, Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.wire import answers
from tieline.wire.request import Request

PATH: Final = b"/limits"


class Served(Protocol):
    """The APIs that are served, by name; a ``Snapshot``."""

    @property
    def apis(self) -> Mapping[bytes, Api]: ...


class KeyLimits:
    """Answers requests to ``/limits``."""

    def __init__(self, served: Served, admission: Admission, controls: Controls) -> None:
        self._served = served
        self._admission = admission
        self._limiter = controls.limiter
        self._ledger = controls.ledger

    def open(self, request: Request, request_id: str) -> None:
        """Answer ``request``. Raises MethodNotAllowed."""
        if request.method != b"GET":
            raise MethodNotAllowed("What is left of a key's limits is asked for by GET.")
        Waiting(request).task = request.run(self._answer(request, request_id))

    async def _answer(self, request: Request, request_id: str) -> None:
        try:
            key = await self._admission.holder(request)
            told = self._told(key, request.peer)
            told["budgets"] = await self._budgets(key, user_of(request))
        except TielineError as error:
            request.refuse(error, request_id)
            return
        request.sink = None
        request.send_last(answers.json_answer(orjson.dumps(told), request_id, close=request.closes))

    def _told(self, key: AppKey, peer: str) -> dict[str, Any]:
        """What is answered. Raises Overloaded where the tables of limits are full."""
        apis = sorted(self._served.apis.items())
        plans = [api.plans[key.environment] for _, api in apis if api.row.id in key.api_ids]
        left = self._limiter.look(key.bounds, peer) if key.bounds is not None else []
        body = key.bounds.body if key.bounds is not None else None
        return {
            "app": key.app_name,
            "environment": key.environment,
            "expires_at": None if key.expires_at is None else _moment(key.expires_at),
            "mode": key.permissions.mode,
            "may": summary(key.permissions, {plan.name: (plan.title, plan.table) for plan in plans}),
            "apis": {plan.name: _api(key, plan) for plan in plans},
            "models": key.models,
            "body": None if body is None else body.most,
            "limits": [_limit(each) for each in left],
        }

    async def _budgets(self, key: AppKey, user: str) -> list[dict[str, Any]]:
        """The budgets that hold for requests of the key, and of the end user if one is named."""
        names = {api.row.id: name.decode() for name, api in sorted(self._served.apis.items())}
        spenders = [Spender(key.key_id, key.app_id, api, user) for api in names if api in key.api_ids]
        return [_budget(each, names) for each in await self._ledger.look(spenders)]


def _api(key: AppKey, plan: Plan) -> dict[str, Any]:
    told: dict[str, Any] = {"title": plan.title, "limits": _words(plan.bounds)}
    if key.permissions.mode is Mode.RESTRICTED:
        held = key.permissions.grants.get(plan.name, {})
        told["areas"] = {
            area.title: held[area.name]
            for area in plan.table.areas
            if held.get(area.name, Level.NONE) is not Level.NONE
        }
    return told


def _words(bounds: Bounds | None) -> Collection[str]:
    return [] if bounds is None else [bound.words for bound in bounds.shared]


def _limit(left: Left) -> dict[str, Any]:
    told: dict[str, Any] = {"of": left.bound.owner, "limit": left.bound.words, "left": left.remaining}
    if isinstance(left.bound, RateBound):
        told["resets_in_seconds"] = left.reset / MICROSECONDS
    return told


def _budget(balance: Balance, apis: Mapping[str, str]) -> dict[str, Any]:
    budget, target = balance.account.budget, balance.account.budget.terms.target
    amount, ends = Amount(budget.amount, budget.unit), balance.window.ends_at
    told: dict[str, Any] = {
        "name": budget.name,
        "of": target.each or ("app" if target.app else "api" if target.api else "keys"),
        "amount": amount.shown(),
        "period": budget.terms.period,
        "mode": budget.terms.mode,
        "resets_at": None if ends is None else rfc3339(ends),
    }
    if target.api is not None:
        return told | {"api": apis.get(target.api)}
    return told | {"left": None if balance.left is None else amount.shown(balance.left)}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
