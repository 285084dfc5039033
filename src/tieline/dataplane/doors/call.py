"""The call door: which call of which API is asked for, and by what method. ``/call/{api}/{call}`` (contract section 4).

Owns what all runs of a worker share. Whose key it is was found out before (``admission``); what happens afterwards is
``run``'s.
"""

from collections.abc import Callable
from typing import Protocol

from tieline.core.errors import InvalidRequest, MethodNotAllowed, UnknownCall
from tieline.core.names import is_api_name
from tieline.dataplane.admission.admit import Admission, Admitted
from tieline.dataplane.admission.fields import PAGES
from tieline.dataplane.attempt.send import Running
from tieline.dataplane.calls.caching import Cache
from tieline.dataplane.calls.drift import Drifts
from tieline.dataplane.calls.idempotency import Idempotency
from tieline.dataplane.calls.multipart import boundary_of
from tieline.dataplane.calls.pages import check_walkable
from tieline.dataplane.calls.run import CallRequest, Ledger, Run
from tieline.dataplane.doors.door import Door, NeedsCall, RefusalLedger
from tieline.dataplane.snapshot.plan import Plan
from tieline.wire.request import Request

PREFIX = b"/call/"


class CallLedger(Ledger, RefusalLedger, Protocol):
    """Who is told how runs end, admitted or not."""


class CallDoor(Door[CallRequest]):
    """Serves requests to ``/call/``."""

    def __init__(
        self, admission: Admission, running: Running, ledger: CallLedger, new_request_id: Callable[[], str]
    ) -> None:
        super().__init__(PREFIX, admission, ledger, new_request_id)
        self.running = running
        self.cache = Cache()
        self.idempotency = Idempotency()
        self.drifts = Drifts()
        self.ledger = ledger

    def _decide(self, request: Request, admitted: Admitted) -> CallRequest | NeedsCall:
        name = _name(admitted.plan, admitted.words.rest)
        call = admitted.plan.calls.known(name)
        if call is None:
            return NeedsCall(admitted, admitted.plan.calls, name)
        if request.method != b"POST" and not (request.method == b"GET" and call.call.use_as == "data"):
            why = "an action runs by POST" if request.method == b"GET" else "calls run by POST, data calls by GET too"
            raise MethodNotAllowed(f"The call {call.name} cannot be run by {request.method.decode()}: {why}.")
        walks = _walks(request)
        if walks:
            check_walkable(call)
        content_type = next((value for name, value in request.headers if name.lower() == b"content-type"), b"")
        return CallRequest(
            admitted, admitted.plan, call, admitted.key, admitted.words.query, boundary_of(content_type), walks
        )

    def _serve(self, request: Request, request_id: str, way: CallRequest) -> None:
        Run(self, request, request_id, way).begin()


def _name(plan: Plan, rest: bytes) -> str:
    """The call that the path names. Raises UnknownCall; what cannot be a name is not repeated, it may be a secret."""
    name = rest[1:65].decode("ascii", "replace")
    if not is_api_name(name) or len(rest) > 65:
        raise UnknownCall(f"What follows {plan.name} in the path is no name of a call. Write /call/{{api}}/{{call}}.")
    if name not in plan.calls:
        raise UnknownCall(f"{plan.title} has no call named {name!r}. Check the path after /call/.", param=name)
    return name


def _walks(request: Request) -> bool:
    """Whether every page is asked for."""
    asked = request.noted.get(PAGES)
    if asked is None or asked == b"one":
        return False
    if asked != b"all":
        raise InvalidRequest("Tieline-Pages must be one or all.", param="Tieline-Pages")
    return True
