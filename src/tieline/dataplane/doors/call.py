"""The call door: which call of which API is asked for, and by what method. ``/call/{api}/{call}`` (contract section 4).

Owns what all runs of a worker share. Whose key it is was found out before (``admission``); what happens afterwards is
``call_exchange``'s, which reads the arguments of a run and writes what it gives.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from tieline.core.errors import InvalidRequest, MethodNotAllowed, UnknownCall
from tieline.core.names import is_plain_name
from tieline.dataplane.admission.admit import Admission, Admitted
from tieline.dataplane.admission.fields import CONNECTION, PAGES
from tieline.dataplane.attempt.send import CallSender
from tieline.dataplane.calls.pages import check_walkable
from tieline.dataplane.calls.run import CallRunner, CallTarget
from tieline.dataplane.copies import copying
from tieline.dataplane.doors.call_exchange import CallExchange, CallRequest, RunLedger
from tieline.dataplane.doors.door import Controls, Door, NeedsCall, RefusalLedger
from tieline.dataplane.doors.spending import Purse, spender_of
from tieline.dataplane.limits.bounds import joined, smallest_body
from tieline.dataplane.limits.held import Held
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens.holder import named_holder
from tieline.ports.snapshot import Change
from tieline.wire.multipart import boundary_of
from tieline.wire.request import Request

PREFIX = b"/call/"
_CHANGES = frozenset({"api", "credential", "connection"})


class CallLedger(RunLedger, RefusalLedger, Protocol):
    """Writes the request records of calls: those that ran, and those that were refused."""


class CallDoor(Door[CallRequest]):
    """Serves requests to ``/call/``."""

    def __init__(self, admission: Admission, controls: Controls, sender: CallSender, ledger: CallLedger) -> None:
        super().__init__(PREFIX, admission, controls, ledger)
        self.runner = CallRunner(sender)
        self.ledger = ledger
        self._left: set[asyncio.Task[None]] = set()

    def changed(self, changes: Sequence[Change] | None) -> None:
        """Drop what was answered with APIs, credentials or connections that changed; None: everything was read anew.

        The next token of the same account is no such change.
        """
        refs = {change.ref for change in changes if change.kind in _CHANGES} if changes is not None else None
        if refs is None or refs:
            self.runner.changed(refs)

    def left(self, task: "asyncio.Task[None]") -> None:
        """A run goes on though its client left."""
        self._left.add(task)
        task.add_done_callback(self._left.discard)

    async def stop(self, seconds: float) -> None:
        """Let the runs whose clients left end within ``seconds``, then cancel them."""
        if self._left:
            await asyncio.wait(self._left, timeout=seconds)
        for task in self._left:
            task.cancel()

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
        holder = named_holder(admitted.key.app_id, request.noted.get(CONNECTION))
        plan, key = admitted.plan, admitted.key
        return CallRequest(
            admitted=admitted,
            target=CallTarget(plan, call, key, walks),
            holder=holder,
            query=admitted.words.query,
            boundary=boundary_of(content_type),
            body=plan.body if key.bounds is None else smallest_body(key.bounds, plan.body),
            bounds=key.bounds if plan.bounds is None else joined(key.bounds, plan.bounds),
            asks_stream=walks or call.stream is not None,
        )

    def _spend(self, request: Request, request_id: str, way: CallRequest, held: Held | None) -> None:
        """What a call may cost is known once its template is filled, so its run reserves it, just before it sends."""
        held = held if held is not None else self._limiter.nothing()
        held.spending = Purse(self._ledger, spender_of(way, request))
        self._serve(request, request_id, way, held)

    def _serve(self, request: Request, request_id: str, way: CallRequest, held: Held | None) -> None:
        request.error_shape = way.target.plan.errors
        exchange = CallExchange(self, request, request_id, way, held)
        exchange.begin()
        if way.plan.recorded is not None:
            exchange.reply.copies = copying(request, way.plan.recorded.most)
            exchange.reply.copies.secrets = way.plan.reflections


def _name(plan: Plan, rest: bytes) -> str:
    """The call that the path names. Raises UnknownCall; what cannot be a name is not repeated, it may be a secret."""
    name = rest[1:65].decode("ascii", "replace")
    if len(rest) <= 65 and name in plan.calls:
        return name
    if not is_plain_name(name):
        raise UnknownCall(f"What follows {plan.name} in the path is no name of a call. Write /call/{{api}}/{{call}}.")
    raise UnknownCall(f"{plan.title} has no call named {name!r}. Check the path after /call/.", param=name)


def _walks(request: Request) -> bool:
    """Whether every page is asked for."""
    asked = request.noted.get(PAGES)
    if asked is None or asked == b"one":
        return False
    if asked != b"all":
        raise InvalidRequest("Tieline-Pages must be one or all.", param="Tieline-Pages")
    return True
