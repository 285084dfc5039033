"""The call door: which call of which API is asked for, and by what method. ``/call/{api}/{call}`` (contract section 4).

Owns what all runs of a worker share. Whose key it is was found out before (``admission``); what happens afterwards is
``run``'s.
"""

from collections.abc import Callable

from tieline.core.errors import InvalidRequest, MethodNotAllowed, UnknownCall
from tieline.core.names import is_api_name
from tieline.dataplane.admission.admit import PAGES, Admission, Asked, Remembered, is_lasting
from tieline.dataplane.attempt.send import Running
from tieline.dataplane.calls.caching import Cache
from tieline.dataplane.calls.drift import Drifts
from tieline.dataplane.calls.idempotency import Idempotency
from tieline.dataplane.calls.multipart import boundary_of
from tieline.dataplane.calls.pages import check_walkable
from tieline.dataplane.calls.run import Admitted, Ledger, Run
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.wire.request import Request

PREFIX = b"/call/"


class CallDoor:
    """Serves requests to ``/call/``."""

    def __init__(
        self, admission: Admission, running: Running, ledger: Ledger, new_request_id: Callable[[], str]
    ) -> None:
        self.running = running
        self.cache = Cache()
        self.idempotency = Idempotency()
        self.drifts = Drifts()
        self.ledger = ledger
        self._admission = admission
        self._new_request_id = new_request_id

    def open(self, request: Request) -> None:
        """Serve a request whose target begins with ``/call/``."""
        request_id = self._new_request_id()
        memo = request.connection.memo
        if isinstance(memo, _Memo) and memo.is_for(request) and memo.holds(self._admission.snapshot):
            Run(self, request, request_id, memo.admitted).begin()
        else:
            self._admission.open(request, request_id, PREFIX, self._serve)

    def _serve(self, request: Request, request_id: str, asked: Asked, key: AppKey) -> None:
        admitted = self._admitted(request, asked, key)
        if is_lasting(request):
            request.connection.memo = _Memo(request, asked, admitted)
        Run(self, request, request_id, admitted).begin()

    def _admitted(self, request: Request, asked: Asked, key: AppKey) -> Admitted:
        plan = self._admission.plan(request, asked, key)
        call = _find(plan, asked.rest)
        if request.method != b"POST" and not (request.method == b"GET" and call.call.use_as == "data"):
            why = "an action runs by POST" if request.method == b"GET" else "calls run by POST, data calls by GET too"
            raise MethodNotAllowed(f"The call {call.name} cannot be run by {request.method.decode()}: {why}.")
        walks = _walks(request)
        if walks:
            check_walkable(call)
        content_type = next((value for name, value in request.headers if name.lower() == b"content-type"), b"")
        return Admitted(plan, call, key, asked.found.query_without, boundary_of(content_type), walks)

    async def look_again(self, request: Request, admitted: Admitted) -> Admitted | None:
        """The same with fresh knowledge; None where nothing has changed. Raises what refuses it now."""
        admission = self._admission
        if not await admission.snapshot.freshen():
            return None
        key = await admission.look_up(admitted.key.keyed_hash)
        return self._admitted(request, Asked(request, PREFIX, admission.snapshot), key)


class _Memo(Remembered):
    """A request that may ask for its call, whatever it runs it with."""

    __slots__ = ("admitted",)

    def __init__(self, request: Request, asked: Asked, admitted: Admitted) -> None:
        super().__init__(request, asked, admitted.key, admitted.plan)
        self.admitted = admitted


def _find(plan: Plan, rest: bytes) -> ReadyCall:
    """The call that the path names. Raises UnknownCall; what cannot be a name is not repeated, it may be a secret."""
    name = rest[1:65].decode("ascii", "replace")
    if not is_api_name(name) or len(rest) > 65:
        raise UnknownCall(f"What follows {plan.name} in the path is no name of a call. Write /call/{{api}}/{{call}}.")
    call = plan.calls.find(name)
    if call is None:
        raise UnknownCall(f"{plan.title} has no call named {name!r}. Check the path after /call/.", param=name)
    return call


def _walks(request: Request) -> bool:
    """Whether every page is asked for."""
    asked = request.noted.get(PAGES)
    if asked is None or asked == b"one":
        return False
    if asked != b"all":
        raise InvalidRequest("Tieline-Pages must be one or all.", param="Tieline-Pages")
    return True
