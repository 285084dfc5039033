"""The relay door: may this key do that on the API, and how the request goes out.

``/relay/{api}/{rest}`` stands for the API's base URL (contract section 4). Owns the decision and the head that is sent;
whose key it is was found out before (``admission``), what happens afterwards is ``exchange``'s.
"""

from typing import Protocol

from tieline.access.appkey import hidden
from tieline.access.decide import Allowed, Denied, decide
from tieline.access.overrides import check_path_override
from tieline.core.errors import MissingPermission
from tieline.dataplane.admission.admit import Admission, Admitted
from tieline.dataplane.admission.fields import CONNECTION
from tieline.dataplane.attempt.model_list import check_target
from tieline.dataplane.attempt.prepare import Message, Preparer, prepare, steady_appliers
from tieline.dataplane.attempt.target import Target
from tieline.dataplane.copies import copying
from tieline.dataplane.doors.door import Controls, Door, RefusalLedger
from tieline.dataplane.limits.bounds import joined, smallest_body
from tieline.dataplane.limits.held import Held
from tieline.dataplane.relaying.exchange import Exchange
from tieline.dataplane.relaying.listed import ListedExchange
from tieline.dataplane.relaying.messages import without_extensions
from tieline.dataplane.relaying.route import Route
from tieline.dataplane.relaying.shared import ExchangeLedger, Relaying
from tieline.dataplane.snapshot.header_fate import REFUSED
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.dataplane.tokens.holder import named_holder
from tieline.dataplane.tracing.tracer import without_context
from tieline.wire import framing
from tieline.wire.request import Request

PREFIX = b"/relay/"
_REMEMBERED = 1024
_LENGTH_MOST = 256
_EVENTS = b"text/event-stream"


class RelayLedger(ExchangeLedger, RefusalLedger, Protocol):
    """Writes the request records of the relay: those that were sent, and those that were refused."""


class Relay(Door[Route]):
    """Serves requests to ``/relay/``."""

    def __init__(self, admission: Admission, controls: Controls, preparer: Preparer, ledger: RelayLedger) -> None:
        super().__init__(PREFIX, admission, controls, ledger)
        self._relaying = Relaying(ledger, preparer, controls.tracer)

    def _decide(self, request: Request, admitted: Admitted) -> Route:
        plan, key, path = admitted.plan, admitted.key, admitted.words.rest
        if key.restricted:
            check_path_override(request.noted.items())
        verdict = _permitted(request, plan, key, path)
        if plan.problem is not None:
            raise plan.problem
        message = _message(request, admitted, path)
        if self._tracer is not None:
            message.headers = without_context(message.headers)
        if request.upgrade and plan.usage is not None:
            message.headers = without_extensions(message.headers)
        if key.models and plan.usage is not None:
            check_target(key.models, path, message.target.query)
        prepared = prepare(plan, steady_appliers(plan), message) if plan.steady else None
        holder = named_holder(key.app_id, request.noted.get(CONNECTION)) if prepared is None else None
        shown = hidden(path.decode("ascii"))
        return Route(
            plan=plan,
            key=key,
            path=shown,
            area=verdict.area,
            level=verdict.level,
            message=message,
            prepared=prepared,
            body=plan.body if key.bounds is None else smallest_body(key.bounds, plan.body),
            holder=holder,
            bounds=key.bounds if plan.bounds is None else joined(key.bounds, plan.bounds),
            asks_stream=request.upgrade or _accepts_events_alone(request),
        )

    def _serve(self, request: Request, request_id: str, way: Route, held: Held | None) -> None:
        request.error_shape = way.plan.errors
        is_listed = way.key.models and way.plan.usage is not None
        exchange = (ListedExchange if is_listed else Exchange)(request, request_id, way, self._relaying, held)
        if way.plan.recorded is not None and not request.upgrade:
            exchange.copies = copying(request, way.plan.recorded.most)
        exchange.open()


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


def _accepts_events_alone(request: Request) -> bool:
    return any(value.strip().lower() == _EVENTS for name, value in request.headers if name.lower() == b"accept")


def _message(request: Request, admitted: Admitted, path: bytes) -> Message:
    """What came, less the app key and what ends at this hop.

    Raises InvalidRequest where a field imitates one that is the API's own.
    """
    found = admitted.words.found
    headers = found.headers_without
    fates = admitted.plan.request_fate
    for name, _ in headers:
        if fates[name] == REFUSED:
            raise framing.twin_refused(name.lower())
    if request.connection_field:
        dropped = framing.named_by_connection(request.connection_field)
        headers = [pair for pair in headers if pair[0].lower() not in dropped]
    mark = request.target.find(b"?") == len(request.target) - 1
    return Message(request.method, Target(path, found.query_without), headers, mark=mark)
