"""What all doors do alike: admit a request, wait for the store or a call where need be, then serve or refuse it once.

States of a request at a door, and who owns it:

    judged ── admitted, and the door agrees ──▶ served, if it fits its limits: its exchange or run owns it, answers
      ▲ │                                       and records it, and gives back what it holds of them
      ▲ │
      │ ├──── ``Rejected`` ───────────────────▶ refused: answered and recorded here
      │ │
      │ └──── ``NeedsStore``, ``NeedsCall`` ──▶ waiting: ``Waiting`` is its sink and holds its body back
      │                                           │    └── the client leaves ──▶ gone: the look is cancelled
      └──── the store knows more, or the call ────┘
            is compiled

Under a budget, what is served may wait first for its body, which says what it may cost, and for a lease.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, Protocol, TypeVar, cast

from tieline.core.errors import TielineError
from tieline.dataplane.admission.admit import Admission, Admitted, NeedsStore, Rejected
from tieline.dataplane.admission.fields import check_tag
from tieline.dataplane.admission.words import Words
from tieline.dataplane.awaited import AwaitedRecord, unrecorded
from tieline.dataplane.doors.spending import (
    BodyKind,
    body_kind,
    body_of,
    bound_of_body,
    bound_of_small,
    known_bound,
    spender_of,
)
from tieline.dataplane.ledger.budgets import Spender
from tieline.dataplane.ledger.ledger import CostBound, Ledger, NeedsLease, Reservation
from tieline.dataplane.limits.bounds import BodyBound, Bounds
from tieline.dataplane.limits.held import Held
from tieline.dataplane.limits.limiter import Limiter
from tieline.dataplane.snapshot.calls import Calls
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import AppKey
from tieline.dataplane.tracing.trace import Trace
from tieline.dataplane.tracing.tracer import Tracer
from tieline.wire.request import Request

HELD_MOST: Final = 64 * 1024


class Passage(Protocol):
    """What a door decided on for a request: at least whose key it is and which limits hold, None where there are none.

    ``asks_stream`` says that it wants a stream, as far as its words tell; ``sends`` is how many requests of the
    upstream are answered for it at the most, None where nobody knows.
    """

    @property
    def key(self) -> AppKey: ...

    @property
    def plan(self) -> Plan: ...

    @property
    def bounds(self) -> Bounds | None: ...

    @property
    def sends(self) -> int | None: ...

    @property
    def asks_stream(self) -> bool: ...

    @property
    def body(self) -> BodyBound: ...


Way = TypeVar("Way", bound=Passage)


@dataclass(frozen=True, slots=True)
class NeedsCall:
    """The call that an admitted request asks for is not compiled yet: that is done in a thread, then judged again."""

    admitted: Admitted
    calls: Calls
    name: str

    async def compiled(self) -> TielineError | None:
        """Compile the call; why that cannot be, if so."""
        try:
            await asyncio.to_thread(self.calls.find, self.name)
        except TielineError as error:
            return error
        return None


class RefusalLedger(Protocol):
    """Writes the request records of requests that a door refused, and knows whether records can be stored."""

    def takes(self, plan: Plan) -> bool: ...

    def refused(
        self, request: Request, request_id: str, rejected: Rejected, plan: Plan | None
    ) -> AwaitedRecord | None: ...


class Controls(NamedTuple):
    """What requests are held to at every door of a worker."""

    limiter: Limiter
    ledger: Ledger
    tracer: Tracer | None = None


class Door(ABC, Generic[Way]):
    """A door. ``Way`` is what it decides on for an admitted request, and serves it by."""

    def __init__(self, prefix: bytes, admission: Admission, controls: Controls, ledger: RefusalLedger) -> None:
        self._prefix = prefix
        self._admission = admission
        self._limiter = controls.limiter
        self._ledger = controls.ledger
        self._tracer = controls.tracer
        self._refusals = ledger

    def open(self, request: Request, request_id: str) -> None:
        """Serve a request whose target begins with the door's prefix; ``request_id`` is what it is known by."""
        way = self._judge(request, None)
        if not isinstance(way, (Rejected, NeedsStore, NeedsCall)):
            self._pass(request, request_id, way)
        elif isinstance(way, Rejected):
            self._refuse(request, request_id, way)
        else:
            Waiting(request).task = request.run(self._wait(request, request_id, way))

    def trace_of(self, request_id: str) -> Trace | None:
        """The trace that a request which passed is part of, None where nothing is traced."""
        return self._tracer.of(request_id) if self._tracer is not None else None

    async def again(self, request: Request, admitted: Admitted, error: TielineError) -> Way:
        """What becomes of a request that was admitted and is about to fail with ``error``, by what the store knows now.

        Raises ``error``, or what else speaks against the request, where nothing has changed for the better.
        """
        way = await self._look(request, self._admission.unless_changed(error, admitted))
        if isinstance(way, Rejected):
            raise way.error
        return way

    @abstractmethod
    def _decide(self, request: Request, admitted: Admitted) -> Way | NeedsCall:
        """What becomes of an admitted request, the same for every request in the same words.

        Has no effect, as it may be called again for the same request. Raises a TielineError to refuse it.
        """

    @abstractmethod
    def _serve(self, request: Request, request_id: str, way: Way, held: Held | None) -> None:
        """Send the request on its way, which owns it from then on, its record and what it holds of limits.

        Raises nothing on purpose.
        """

    def _pass(self, request: Request, request_id: str, way: Way) -> None:
        """Serve the request if it fits its limits, and there will be a record of it where that matters."""
        if self._tracer is not None:
            self._tracer.begin(request_id, request.headers)
        if way.plan.strict and not self._refusals.takes(way.plan):
            self._refuse(request, request_id, Rejected(unrecorded(sent=False), way.key))
            return
        if request.noted:
            try:
                check_tag(request.noted)
            except TielineError as error:
                self._refuse(request, request_id, Rejected(error, way.key))
                return
        bounds = way.bounds
        held = None if bounds is None else self._held(request, way, bounds)
        if isinstance(held, TielineError):
            self._refuse(request, request_id, Rejected(held, way.key))
        elif self._ledger.in_use:
            self._spend(request, request_id, way, held)
        else:
            self._serve(request, request_id, way, held)

    def _spend(self, request: Request, request_id: str, way: Way, held: Held | None) -> None:
        """Serve the request if it fits its budgets; it waits for its body, and where the node has leased too little."""
        spender = spender_of(way, request)
        if not self._ledger.index.of(spender):
            self._serve(request, request_id, way, held)
            return
        now = time.time()
        bound = known_bound(way.plan, request.method, way.sends, now, upgrade=request.upgrade)
        if bound is None:
            kind = body_kind(request)
            if kind.most and request.complete:
                bound = bound_of_small(way.plan, body_of(request, kind.content_type), now)
            if bound is None:
                gathering = Gathering(request, kind, way.body.most)
                gathering.task = request.run(self._read(request, request_id, (way, held), spender, gathering))
                return
        found = self._ledger.reserve(spender, bound)
        if isinstance(found, NeedsLease):
            work = self._obtain(request, request_id, (way, held), (spender, bound))
            Waiting(request).task = request.run(work)
        else:
            self._reserved(request, request_id, (way, held), found)

    async def _read(
        self,
        request: Request,
        request_id: str,
        passage: tuple[Way, Held | None],
        spender: Spender,
        gathering: "Gathering",
    ) -> None:
        """Read what the request may cost out of its body."""
        way, held = passage
        try:
            is_whole = await gathering.whole()
            body = body_of(request, gathering.kind.content_type) if is_whole else None
            bound = await bound_of_body(way.plan, body)
        except BaseException:
            if held is not None:
                held.free()
            raise
        if request.is_over(way.body.most):
            self._reserved(request, request_id, passage, way.body.error())
            return
        await self._obtain(request, request_id, passage, (spender, bound))

    async def _obtain(
        self, request: Request, request_id: str, passage: tuple[Way, Held | None], wanted: tuple[Spender, CostBound]
    ) -> None:
        try:
            found = await self._ledger.obtain(*wanted)
        except BaseException:
            if passage[1] is not None:
                passage[1].free()
            raise
        self._reserved(request, request_id, passage, found)

    def _reserved(
        self,
        request: Request,
        request_id: str,
        passage: tuple[Way, Held | None],
        found: Reservation | TielineError | None,
    ) -> None:
        way, held = passage
        if isinstance(found, TielineError):
            if held is not None:
                held.free()
            self._refuse(request, request_id, Rejected(found, way.key))
            return
        if found is not None:
            held = held if held is not None else self._limiter.nothing()
            held.spending = found
        self._serve(request, request_id, way, held)

    def _held(self, request: Request, way: Way, bounds: Bounds) -> Held | TielineError:
        """What the request takes of its limits, or why it does not fit. What it announces to be too large takes none.

        A body whose size nobody announced is measured as it comes.
        """
        if bounds.body is not None and request.length is not None and request.length > bounds.body.most:
            return bounds.body.error()
        return self._limiter.hold(bounds, request.peer, stream=way.asks_stream)

    def _judge(self, request: Request, words: Words | None) -> Way | Rejected | NeedsStore | NeedsCall:
        admitted = self._admission.admit(request, self._prefix, words)
        if not isinstance(admitted, Admitted):
            return admitted
        if admitted.way is not None:
            return cast("Way", admitted.way)  # the words that it was admitted by begin with this door's prefix
        try:
            way = self._decide(request, admitted)
        except TielineError as error:
            return self._admission.unless_changed(error, admitted)
        if not isinstance(way, NeedsCall):
            admitted.way = way
        return way

    async def _look(self, request: Request, needed: NeedsStore | NeedsCall) -> Way | Rejected:
        """Judge again with what the store knows and the call compiled, until the outcome is final.

        Changes are looked for once for each request; its key again where it changed while it was looked up.
        """
        looked = False
        way: Way | Rejected | NeedsStore | NeedsCall = needed
        while isinstance(way, (NeedsStore, NeedsCall)):
            if isinstance(way, NeedsCall):
                error, admitted = await way.compiled(), way.admitted
                if error is None:
                    way = self._judge(request, admitted.words)
                else:
                    way = self._admission.unless_changed(error, admitted)
                continue
            rejected = await self._admission.look(way, request, again=looked)
            looked = looked or way.keyed_hash is None
            way = rejected if rejected is not None else self._judge(request, way.words)
        return way

    async def _wait(self, request: Request, request_id: str, needed: NeedsStore | NeedsCall) -> None:
        way = await self._look(request, needed)
        if isinstance(way, Rejected):
            self._refuse(request, request_id, way)
        else:
            self._pass(request, request_id, way)

    def _refuse(self, request: Request, request_id: str, rejected: Rejected) -> None:
        if self._tracer is not None and rejected.key is not None:
            self._tracer.begin(request_id, request.headers)
        plan = self._admission.plan_asked(request, self._prefix, rejected.key)
        awaited = self._refusals.refused(request, request_id, rejected, plan)
        request.error_shape = plan.errors if plan is not None else "tieline"
        if awaited is None:
            request.refuse(rejected.error, request_id)
            return
        Waiting(request)

        def recorded(stored: bool) -> None:  # noqa: FBT001  as ``awaited.Told`` is
            request.refuse(rejected.error if stored else unrecorded(sent=False), request_id)

        awaited.then(recorded)


class Waiting:
    """The sink of a request that ``task`` works on: its body waits, up to 64 KiB of it, and its client may leave."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.task: asyncio.Task[None] | None = None
        request.sink = self

    def body_arrived(self) -> None:
        if self._request.is_over(HELD_MOST):
            self._request.pause()

    def client_gone(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def client_paused(self) -> None:
        """Nothing was written yet."""

    def client_resumed(self) -> None:
        """Nothing was written yet."""

    def client_bytes(self, data: bytes) -> None:
        """There is no tunnel yet."""

    def client_ended(self) -> None:
        """There is no tunnel yet."""


class Gathering(Waiting):
    """The sink of a request that waits until its body is whole, or known to be too large to be read or ``allowed``."""

    def __init__(self, request: Request, kind: BodyKind, allowed: int) -> None:
        super().__init__(request)
        self.kind = kind
        self._most = min(kind.most, allowed)
        self._announced = request.length
        self._wake: asyncio.Future[None] | None = None

    def body_arrived(self) -> None:
        if self._wake is None:
            super().body_arrived()
        elif not self._wake.done():
            self._wake.set_result(None)

    async def whole(self) -> bool:
        """Whether the body is whole and may be read; it waits in the request then, in one piece."""
        request = self._request
        if self._announced is not None and self._announced > self._most:
            return False
        request.continue_()
        body = bytearray()
        while True:
            pieces, request.pieces = request.pieces, []
            for piece in pieces:
                body += piece
            if request.complete or len(body) > self._most:
                break
            self._wake = asyncio.get_running_loop().create_future()
            if request.paused:
                request.resume()
            await self._wake
        self._wake = None
        request.pieces = [bytes(body)] if body else []
        return len(body) <= self._most
