"""The relay door: may this key do that on the API, and how the request goes out.

``/relay/{api}/{rest}`` stands for the API's base URL (contract section 4). Owns the decision and the head that is sent;
whose key it is was found out before (``admission``), what happens afterwards is ``exchange``'s.
"""

from collections.abc import Callable
from dataclasses import replace

from tieline.access.decide import Allowed, Denied, decide
from tieline.core.errors import MissingPermission, TielineError
from tieline.core.secret import Secret
from tieline.dataplane.admission.admit import CONNECTION, Admission, Asked, RefusalLedger, Remembered, is_lasting
from tieline.dataplane.attempt.prepare import Draft, Preparer, named_holder, prepare, steady_appliers
from tieline.dataplane.relaying.buffered import PatientExchange
from tieline.dataplane.relaying.exchange import Admitted, Exchange, framing_of
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.wire import framing
from tieline.wire.request import Request

PREFIX = b"/relay/"
_REMEMBERED = 1024
_LENGTH_MOST = 256


class Relay:
    """Serves requests to ``/relay/``."""

    def __init__(
        self, admission: Admission, preparer: Preparer, ledger: RefusalLedger, new_request_id: Callable[[], str]
    ) -> None:
        self._admission = admission
        self._snapshot = admission.snapshot
        self._preparer = preparer
        self._ledger = ledger
        self._new_request_id = new_request_id

    def open(self, request: Request) -> None:
        """Serve a request whose target begins with ``/relay/``."""
        request_id = self._new_request_id()
        memo = request.connection.memo
        if isinstance(memo, _Memo) and memo.is_for(request) and memo.holds(self._snapshot):
            try:
                self._send(request, request_id, memo)
            except TielineError as error:
                self._admission.refuse(request, request_id, memo.key, error)
            return
        self._admission.open(request, request_id, PREFIX, self._serve)

    def _serve(self, request: Request, request_id: str, asked: Asked, key: AppKey) -> None:
        """Decide, and send the request on its way."""
        plan = self._admission.plan(request, asked, key)
        path = asked.rest
        verdict = self._decide(request, plan, key, path)
        if plan.problem is not None:
            raise plan.problem
        draft = _draft(request, asked, path)
        if plan.steady:
            memo = _Memo(request, asked, key, plan, draft, verdict)
            if is_lasting(request):
                request.connection.memo = memo
            self._send(request, request_id, memo)
            return
        assert plan.lane is not None  # there is one where there is no problem
        admitted = Admitted(plan, plan.lane, key, path, verdict.area, verdict.level, b"")
        draft = replace(draft, holder=named_holder(key.app_id, request.noted.get(CONNECTION)))
        PatientExchange(request, request_id, admitted, self._ledger, self._preparer, draft).open()

    def _send(self, request: Request, request_id: str, memo: "_Memo") -> None:
        head = memo.head.reveal_bytes() + framing_of(request)
        admitted = Admitted(memo.plan, memo.lane, memo.key, memo.path, memo.area, memo.level, head)
        Exchange(request, request_id, admitted, self._ledger).open()

    def _decide(self, request: Request, plan: Plan, key: AppKey, path: bytes) -> Allowed:
        """What ``path`` is allowed as, which is then sent as it came; raises where it is not."""
        asked = (plan, request.method, path, request.upgrade)
        known = key.allowed.get(asked)
        if known is not None:
            return known
        verdict = decide(
            key.permissions, plan.name, plan.table, plan.title, request.method, path, upgrade=request.upgrade
        )
        if isinstance(verdict, Denied):
            raise MissingPermission(verdict.reason, param=verdict.param)
        if len(path) < _LENGTH_MOST:
            if len(key.allowed) >= _REMEMBERED:
                key.allowed.clear()
            key.allowed[asked] = verdict
        return verdict


class _Memo(Remembered):
    """What an admitted request is sent as; its head holds for every body."""

    __slots__ = ("area", "head", "lane", "level", "path")

    def __init__(self, request: Request, asked: Asked, key: AppKey, plan: Plan, draft: Draft, verdict: Allowed) -> None:
        super().__init__(request, asked, key, plan)
        prepared = prepare(plan, steady_appliers(plan), draft)
        self.lane = prepared.lane
        self.path = draft.path
        self.area = verdict.area
        self.level = verdict.level
        self.head = Secret(prepared.head)


def _draft(request: Request, asked: Asked, path: bytes) -> Draft:
    """What came, less the app key and what ends at this hop."""
    found = asked.found
    dropped = found.drop
    if request.connection_field:
        dropped = dropped | framing.named_by_connection(request.connection_field)
    headers = [pair for pair in request.headers if pair[0].lower() not in dropped] if dropped else [*request.headers]
    if found.protocol_without:
        headers.append((b"Sec-WebSocket-Protocol", found.protocol_without))
    if found.cookie_without:
        headers.append((b"Cookie", found.cookie_without))
    mark = not asked.query and request.target.endswith(b"?")
    return Draft(request.method, path, found.query_without, headers, mark=mark)
