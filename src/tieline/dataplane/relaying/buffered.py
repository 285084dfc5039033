"""A relayed request that has to be prepared: signed one by one, given a token, sent once more after a challenge.

What an ``Exchange`` is, with a wait before it and a look at the answer's head. Requests to APIs with a steady scheme
never come here.
"""

import asyncio
import contextlib
from dataclasses import replace

from tieline.core.errors import BodyTooLarge, TielineError
from tieline.dataplane.attempt.prepare import (
    NO_HINT,
    SIGNED_MOST,
    Draft,
    Preparer,
    hint,
    listens,
    prepare,
    wants_body,
)
from tieline.dataplane.relaying.exchange import Exchange, Ledger, Route, framing_of
from tieline.schemes.base import Applier
from tieline.schemes.signal import BODY_MOST
from tieline.wire.egress import EgressConnection
from tieline.wire.request import Request

_SMALL = 64 * 1024


class PatientExchange(Exchange):
    """One request to an API whose schemes need more than its head.

    ``draft`` is the request without a secret. A request is repeated at most once, and only where its whole body is at
    hand: up to 64 KiB, or what a scheme had to read anyway (16 MiB).
    """

    __slots__ = (
        "_auth",
        "_body",
        "_draft",
        "_gathering",
        "_hint",
        "_judged",
        "_prepared",
        "_preparer",
        "_renewing",
        "_whole_body",
    )

    def __init__(
        self,
        request: Request,
        request_id: str,
        route: Route,
        ledger: Ledger,
        preparer: Preparer,
        draft: Draft,
    ) -> None:
        super().__init__(request, request_id, route, ledger)
        self._preparer = preparer
        self._draft = draft
        self._auth: tuple[Applier, ...] = ()
        self._gathering = False
        self._whole_body: asyncio.Event = asyncio.Event()
        self._body: bytes | None = None
        self._hint = NO_HINT
        self._renewing: asyncio.Task[None] | None = None
        self._judged = not listens(route.plan)

    def open(self) -> None:
        if not self._fits():
            return
        self._waiting = self.request.run(self._prepare_and_send())

    # -- before it is sent

    async def _prepare_and_send(self) -> None:
        try:
            self._auth = await self._preparer.appliers(self._plan, self._draft.holder)
            if wants_body(self._auth, self._draft) or (not self._judged and self._is_small()):
                self._body = await self._gather()
            self._ready()
        except TielineError as error:
            self._waiting = None
            self._refuse(error)
            return
        self._waiting = None
        self._start()

    def _is_small(self) -> bool:
        length = self.request.length
        return not self.request.upgrade and length is not None and length <= _SMALL

    async def _gather(self) -> bytes:
        """The whole body, once it is here."""
        request = self.request
        self._gathering = True
        if request.expects:
            request.continue_()
        request.resume()
        self.body_arrived()
        await self._whole_body.wait()
        self._gathering = False
        if sum(map(len, request.pieces)) > SIGNED_MOST:
            raise BodyTooLarge(
                f"A scheme of {self._plan.title} has to read the whole body, which may then have {SIGNED_MOST} bytes. "
                "Send less, or use an option of the scheme that leaves the body unsigned."
            )
        return b"".join(request.pieces)

    def _ready(self) -> None:
        """Prepare the head anew, and the body where all of it is here: a scheme may have changed it."""
        draft, request = self._draft, self.request
        body = b"" if request.length == 0 else self._body
        prepared = prepare(self._plan, self._auth, replace(draft, headers=list(draft.headers), body=body))
        if prepared.body is not None:
            request.pieces = [prepared.body] if prepared.body else []
            request.length = len(prepared.body)
            request.chunked = False
        self._prepared = prepared
        self.route.lane = prepared.lane
        self.route.head = prepared.head + framing_of(request)
        self._reflections = prepared.reflections

    def body_arrived(self) -> None:
        if not self._gathering:
            super().body_arrived()
        elif self.request.complete or sum(map(len, self.request.pieces)) > SIGNED_MOST:
            self._whole_body.set()

    # -- what the answer says of the secret

    def answer_arrived(self, connection: EgressConnection) -> None:
        if not self._judged:
            refused = self._is_refused(connection)
            if refused is None:
                return
            self._judged = True
            if refused and self._body is not None:
                self._connection = None
                connection.release(reusable=self._sent)
                self._waiting = self.request.run(self._send_again())
                return
            if self._hint.stale:
                self._renewing = self.request.run(self._renew())  # too late for this one, in time for the next
        super().answer_arrived(connection)

    def _is_refused(self, connection: EgressConnection) -> bool | None:
        """Whether the answer says that the secret is stale, or is a challenge; None while only more of it can tell."""
        answer = connection.answer
        assert answer is not None  # it arrived
        if self._hint is NO_HINT:
            self._hint = hint(self._plan, self._prepared, answer.status, answer.headers)
        found = self._hint
        if found.again or found.stale or not found.unsure:
            return found.again or found.stale
        if not connection.complete:
            return None if sum(map(len, connection.pieces)) <= BODY_MOST else False
        self._hint = replace(found, stale=found.is_stale(b"".join(connection.pieces)))
        return self._hint.stale

    async def _renew(self) -> None:
        with contextlib.suppress(TielineError):  # whoever asks next meets it too, and is told
            await self._preparer.renew(self._plan, self._auth, self._draft.holder)

    async def _send_again(self) -> None:
        try:
            if self._hint.stale:
                await self._preparer.renew(self._plan, self._auth, self._draft.holder)
            self._auth = await self._preparer.appliers(self._plan, self._draft.holder)
            self._ready()
        except TielineError as error:
            self._waiting = None
            self._refuse(error)
            return
        self._waiting = None
        self.bytes_in = 0
        self._first_write = b""
        self._sent = False
        self._start()
