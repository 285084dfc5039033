"""The relay door: may this key do that on the API, and how the request goes out.

``/relay/{api}/{rest}`` stands for the API's base URL (contract section 4). Owns the decision and the head that is sent;
whose key it is was found out before (``admission``), what happens afterwards is ``exchange``'s.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from tieline.access.decide import Allowed, Denied, decide
from tieline.access.overrides import check_path_override
from tieline.core.errors import MissingPermission
from tieline.core.secret import Secret
from tieline.dataplane.admission.admit import Admission, Admitted
from tieline.dataplane.admission.fields import CONNECTION
from tieline.dataplane.attempt.prepare import Draft, Preparer, named_holder, prepare, steady_appliers
from tieline.dataplane.doors.door import Door, RefusalLedger
from tieline.dataplane.relaying.buffered import PatientExchange
from tieline.dataplane.relaying.exchange import Exchange, Ledger, Route, framing_of
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.wire import framing
from tieline.wire.pool import Lane
from tieline.wire.request import Request

PREFIX = b"/relay/"
_REMEMBERED = 1024
_LENGTH_MOST = 256


class RelayLedger(Ledger, RefusalLedger, Protocol):
    """Who is told how relayed requests end, admitted or not."""


@dataclass(slots=True, repr=False)
class _Way:
    """How an admitted request goes out; the same for every body.

    ``head`` is whole but for what frames the body, where the API's scheme needs no more than the words of a request;
    else it is None and ``draft`` is prepared for each request.
    """

    admitted: Admitted
    lane: Lane
    path: bytes
    verdict: Allowed
    draft: Draft
    head: Secret | None


class Relay(Door[_Way]):
    """Serves requests to ``/relay/``."""

    def __init__(
        self, admission: Admission, preparer: Preparer, ledger: RelayLedger, new_request_id: Callable[[], str]
    ) -> None:
        super().__init__(PREFIX, admission, ledger, new_request_id)
        self._preparer = preparer
        self._ledger = ledger

    def _decide(self, request: Request, admitted: Admitted) -> _Way:
        known = admitted.door_state
        if isinstance(known, _Way):
            return known
        plan, key, words = admitted.plan, admitted.key, admitted.words
        path = words.rest
        if key.restricted:
            check_path_override(request.noted.items())
        verdict = _permitted(request, plan, key, path)
        if plan.problem is not None:
            raise plan.problem
        assert plan.lane is not None  # there is one where there is no problem
        draft = _draft(request, admitted, path)
        if plan.steady:
            prepared = prepare(plan, steady_appliers(plan), draft)
            way = _Way(admitted, prepared.lane, path, verdict, draft, Secret(prepared.head))
        else:
            holder = named_holder(key.app_id, request.noted.get(CONNECTION))
            way = _Way(admitted, plan.lane, path, verdict, replace(draft, holder=holder), None)
        admitted.door_state = way
        return way

    def _serve(self, request: Request, request_id: str, way: _Way) -> None:
        admitted, verdict = way.admitted, way.verdict
        head = way.head.reveal_bytes() + framing_of(request) if way.head is not None else b""
        route = Route(admitted.plan, way.lane, admitted.key, way.path, verdict.area, verdict.level, head)
        if way.head is not None:
            Exchange(request, request_id, route, self._ledger).open()
        else:
            PatientExchange(request, request_id, route, self._ledger, self._preparer, way.draft).open()


def _permitted(request: Request, plan: Plan, key: AppKey, path: bytes) -> Allowed:
    """What ``path`` is allowed as, which is then sent as it came. Raises InvalidRequest, MissingPermission."""
    asked = (plan.calls.serial, request.method, path, request.upgrade)
    known = key.allowed.get(asked)
    if known is not None:
        return known
    verdict = decide(key.permissions, plan.name, plan.table, plan.title, request.method, path, upgrade=request.upgrade)
    if isinstance(verdict, Denied):
        raise MissingPermission(verdict.reason, param=verdict.param)
    if len(path) < _LENGTH_MOST:
        if len(key.allowed) >= _REMEMBERED:
            key.allowed.clear()
        key.allowed[asked] = verdict
    return verdict


def _draft(request: Request, admitted: Admitted, path: bytes) -> Draft:
    """What came, less the app key and what ends at this hop."""
    found = admitted.words.found
    headers = found.headers_without
    if request.connection_field:
        dropped = framing.named_by_connection(request.connection_field)
        headers = [pair for pair in headers if pair[0].lower() not in dropped]
    mark = request.target.find(b"?") == len(request.target) - 1
    return Draft(request.method, path, found.query_without, headers, mark=mark)
