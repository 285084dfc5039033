"""Sends a call's request and gives its answer's beginning: prepared, retried, repeated, redirected as the call says.

The seam for whoever runs calls: the door, and what tries one call for an operator. Make an ``Order``, send it, look at
``status`` and ``headers`` of what was reached, ``read`` or ``read_all`` (as it came: ``answers`` decodes and masks),
and ``close`` whatever happens:

    filled = call.template.fill(values, call.private, files)
    reached = await running.send(Order(plan, call, filled, upload))
    try:
        body = await reached.read_all(most)
    finally:
        reached.close()

Owns one request with its repetitions. Does not know who asks: ``permit`` of the order is asked for every path, and
nobody is told how it ended.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

from tieline.core.errors import (
    BodyTooLarge,
    TielineError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from tieline.dataplane.answers.content_coding import coding
from tieline.dataplane.answers.mask import Mask
from tieline.dataplane.attempt.prepare import (
    SIGNED_MOST,
    Draft,
    Hint,
    Holder,
    Prepared,
    Preparer,
    hint,
    listens,
    prepare,
    steady_appliers,
    wants_body,
)
from tieline.dataplane.attempt.retry import is_transient, pause
from tieline.dataplane.attempt.target import Target, target_of, told_target
from tieline.dataplane.calls.parameters import Files
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.dataplane.snapshot.plan import Plan
from tieline.definitions.fill.request import Filled
from tieline.schemes.base import Applier, field_value
from tieline.schemes.signal import BODY_MOST as JUDGED_MOST
from tieline.wire.conversation import Conversation, Waits
from tieline.wire.framing import Headers

HOPS_MOST = 5
_BODY_METHODS = frozenset({b"POST", b"PUT", b"PATCH"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

Permit = Callable[[bytes, bytes | None], None]
"""Raises where a method may not be sent on a path below the base URL (normalised), or (None) elsewhere."""


def anything(_method: bytes, _path: bytes | None) -> None:
    """The permit of those who are not asked for any."""


@dataclass(slots=True, repr=False)
class Order:
    """What is to be sent, for whom. ``upload`` has the files that ``filled`` refers to.

    ``key`` is sent in the call's idempotency header, where it has one; empty: a new one. ``target`` instead of the
    call's own; ``end`` on the loop's clock, else the call's timeout from now on.
    """

    plan: Plan
    call: ReadyCall
    filled: Filled
    upload: Files | None = None
    holder: Holder | None = None
    key: str = ""
    permit: Permit = anything
    target: Target | None = None
    end: float | None = None


class Reached:
    """An answer whose head is here. ``sent_at`` and ``answered_at`` are on the clock of ``time.perf_counter``.

    Nothing in it is hidden yet: a secret may stand in it in any coding. Whoever hands out what was read of it, whole or
    in part, has it go through ``mask`` last.
    """

    __slots__ = (
        "_conversation",
        "answered_at",
        "headers",
        "length",
        "mask",
        "prepared",
        "sent_at",
        "status",
        "target",
    )

    def __init__(self, conversation: Conversation, prepared: Prepared, target: Target, sent_at: float) -> None:
        answer = conversation.answer
        assert answer is not None  # its head is here
        self.status = answer.status
        self.headers: Headers = answer.headers
        self.length = answer.length
        self.target = target
        self.sent_at = sent_at
        self.answered_at = time.perf_counter()
        self.prepared = prepared
        self.mask = Mask(prepared.reflections)
        self._conversation = conversation

    async def read(self) -> bytes:
        """What came of the body since, as it came; empty at its end. Raises UpstreamError."""
        return await self._conversation.read()

    async def read_all(self, most: int) -> bytes:
        """The whole body as it came. Raises UpstreamResponseTooLarge and every other UpstreamError."""
        body = self._conversation.rest(most)
        return body if body is not None else await self._conversation.read_all(most)

    def header(self, name: bytes) -> bytes | None:
        """The first field called ``name`` (lower case)."""
        return field_value(self.headers, name)

    def values(self, name: bytes) -> list[bytes]:
        """Every value of the fields called ``name`` (lower case)."""
        return [value for each, value in self.headers if each.lower() == name]

    async def peek(self, most: int) -> bytes | None:
        """The whole body, decoded, to be read again afterwards; None where it has more than ``most`` bytes."""
        pieces: list[bytes] = []
        while sum(map(len, pieces)) <= most and (piece := await self._conversation.read()):
            pieces.append(piece)
        body = b"".join(pieces)
        self._conversation.put_back(body)
        if len(body) > most:
            return None
        undo = coding(self.headers, most)
        return body if undo is None else undo.feed(body)

    async def spend(self, seconds: float) -> None:
        """Read what is left and throw it away, if that takes no longer: then the connection can be used again."""
        with suppress(UpstreamError, TimeoutError):
            async with asyncio.timeout(seconds):
                while await self._conversation.read():
                    pass

    def close(self) -> None:
        """End it: an answer that is not whole is cut."""
        self._conversation.close()


class Running:
    """Sends orders, with the tokens that ``preparer`` gets."""

    def __init__(self, preparer: Preparer) -> None:
        self._preparer = preparer

    def send(self, order: Order) -> Awaitable[Reached]:
        """The answer to ``order``, of whatever status.

        Raises:
            UpstreamError: no usable answer came.
            MissingPermission: the path, or one that a redirect leads to, is not permitted.
            CredentialError, DestinationNotAllowed: it cannot go out.
            RequestError: the files of the order cannot be read to their end.
        """
        return _Errand(order, self._preparer).run()


@dataclass(slots=True, repr=False)
class _Message:
    """What is sent next; ``source`` are a body's pieces where it is not ``body``."""

    method: bytes
    target: Target
    headers: list[tuple[bytes, bytes]]
    body: bytes | None
    length: int | None


class _Errand:
    """One order under way."""

    __slots__ = ("_auth", "_end", "_hops", "_is_steady", "_may_repeat", "_message", "_order", "_preparer", "_refreshed",
                 "_tries", "_unsent")  # fmt: skip

    def __init__(self, order: Order, preparer: Preparer) -> None:
        call, limits = order.call, order.plan.limits
        self._order = order
        self._preparer = preparer
        seconds = call.call.timeout if call.call.timeout is not None else limits.total
        self._end = order.end if order.end is not None else asyncio.get_running_loop().time() + seconds
        self._message = _message(order)
        self._auth: tuple[Applier, ...] = ()
        self._is_steady = order.plan.steady
        self._may_repeat = call.repeatable and not self._passes
        self._tries = 0
        self._hops = 0
        self._refreshed = False
        self._unsent = True

    @property
    def _passes(self) -> bool:
        """Whether a file passes through, which can be sent once."""
        return self._order.upload is not None and self._order.upload.passes

    async def run(self) -> Reached:
        order, message = self._order, self._message
        order.permit(message.method, message.target.below)
        while True:
            self._tries += 1
            try:
                reached = await (self._send() if self._is_steady else self._send_judged())
            except UpstreamUnreachable:
                if not await self._waited(()):
                    raise
                continue
            if reached.status < 300:
                return reached
            if is_transient(reached.status) and await self._waited(reached.headers, reached):
                continue
            if reached.status in _REDIRECTS and order.call.call.follow_redirects and self._redirect(reached):
                continue
            return reached

    async def _send_judged(self) -> Reached:
        """Send what is to be sent; once more where the answer says that only the secret was wrong."""
        plan, holder = self._order.plan, self._order.holder
        self._auth = await self._preparer.appliers(plan, holder)
        reached = await self._send()
        if self._refreshed or reached.status < 300 or not listens(plan):
            return reached
        with ExitStack() as open_answer:
            open_answer.callback(reached.close)
            found = hint(plan, reached.prepared, reached.status, reached.headers)
            stale = found.stale or await _is_stale(found, reached)
            self._refreshed = stale or found.again
            is_gone = self._passes and self._message.body is None
            if stale and is_gone:  # too late for this one, in time for the next
                with suppress(TielineError):
                    await self._preparer.renew(plan, self._auth, holder)
            if is_gone or not self._refreshed:
                open_answer.pop_all()
                return reached
        if stale:
            await self._preparer.renew(plan, self._auth, holder)
        self._auth = await self._preparer.appliers(plan, holder)
        return await self._send()

    async def _send(self) -> Reached:
        """Send it once, and wait for the head of the answer."""
        message, plan = self._message, self._order.plan
        prepared = self._known_head() if self._is_steady else await self._prepared()
        self._unsent = True
        connection = prepared.lane.take()
        if connection is None:
            left = self._end - asyncio.get_running_loop().time()
            if left <= 0:
                raise UpstreamTimeout("The call took too long. Try again, or raise its timeout.")
            connection = await prepared.lane.dial(min(plan.limits.connect, left))
        self._unsent = False
        sent_at = time.perf_counter()
        conversation = Conversation(connection, Waits(plan.first_byte, plan.limits.idle, self._end))
        body = prepared.body if prepared.body is not None else message.body
        is_here = False
        try:
            if body is not None:
                head = prepared.head + _framing(message.method, len(body))
                await conversation.ask(head + body, head_only=message.method == b"HEAD")
            else:
                head = prepared.head + _framing(message.method, message.length)
                await conversation.ask(head, self._source(), chunked=message.length is None)
            is_here = True
        finally:
            if not is_here:
                conversation.close()
        return Reached(conversation, prepared, message.target, sent_at)

    def _known_head(self) -> Prepared:
        """A steady API's head: the same for the same path, query and headers, whatever the body."""
        message, heads, plan = self._message, self._order.call.heads, self._order.plan
        asked = (message.method, message.target, *message.headers)
        known: Prepared | None = heads.get(asked)
        if known is not None:
            return known
        prepared = prepare(plan, steady_appliers(plan), self._draft(None))
        heads.keep(asked, prepared, len(prepared.head))
        return prepared

    async def _prepared(self) -> Prepared:
        """The request with its secret put in anew, over the body where a scheme wants it."""
        message = self._message
        draft = self._draft(message.body)
        if draft.body is None and wants_body(self._auth, draft):
            message.body = await self._gathered()
            draft = self._draft(message.body)
        return prepare(self._order.plan, self._auth, draft)

    async def _gathered(self) -> bytes:
        """The whole body with its files, as far as a scheme may read it."""
        pieces: list[bytes] = []
        size = 0
        async for piece in self._source():
            pieces.append(piece)
            size += len(piece)
            if size > SIGNED_MOST:
                raise BodyTooLarge(
                    f"A scheme of {self._order.plan.title} has to read the whole body, which may then have "
                    f"{SIGNED_MOST // 1024**2} MiB. Send less, or use an option of the scheme that leaves the body "
                    "unsigned."
                )
        return b"".join(pieces)

    def _draft(self, body: bytes | None) -> Draft:
        message, target = self._message, self._message.target
        headers = list(message.headers)
        return Draft(message.method, target.path, target.query, headers, body, target.origin, self._order.holder)

    def _source(self) -> AsyncIterator[bytes]:
        filled, upload = self._order.filled, self._order.upload
        assert filled.body is not None  # there are files
        assert upload is not None  # they came with the form
        return upload.body(filled.body.pieces)

    async def _waited(self, headers: Headers, reached: Reached | None = None) -> bool:
        """Whether it may be sent again, after the wait that this takes; ``reached`` is closed then."""
        order = self._order
        attempts = order.call.call.retry_attempts
        if self._tries >= (order.plan.limits.retry_attempts if attempts is None else attempts):
            return False
        if not self._may_repeat and not (self._unsent and reached is None):
            return False
        seconds = pause(self._tries, headers)
        if seconds is None or asyncio.get_running_loop().time() + seconds >= self._end:
            return False
        if reached is not None:
            reached.close()
        await asyncio.sleep(seconds)
        return True

    def _redirect(self, reached: Reached) -> bool:
        """Whether the message was turned to where a redirect leads: to the same origin, by RFC 9110 section 15.4."""
        plan, message = self._order.plan, self._message
        location = field_value(reached.headers, b"location")
        if location is None or self._hops >= HOPS_MOST:
            return False
        try:
            target = told_target(plan, message.target, location.decode(errors="replace").strip())
        except UpstreamProtocolError:
            return False
        becomes_get = reached.status == 303 or (reached.status in {301, 302} and message.method == b"POST")
        if becomes_get and message.method != b"HEAD":
            headers = [pair for pair in message.headers if pair[0].lower() != b"content-type"]
            self._message = _Message(b"GET", target, headers, b"", 0)
        elif self._passes:
            return False
        else:
            self._message = replace(message, target=target)
        self._hops += 1
        self._tries = 0
        reached.close()
        self._order.permit(self._message.method, target.below)
        return True


async def _is_stale(found: Hint, reached: Reached) -> bool:
    """Whether the body, where only that can tell, says that a token is old."""
    if not found.unsure:
        return False
    try:
        body = await reached.peek(JUDGED_MOST)
    except UpstreamError:
        return False
    return body is not None and found.is_stale(body)


def _message(order: Order) -> _Message:
    call, filled = order.call, order.filled
    headers = [*call.defaults, *filled.headers]
    if call.call.idempotency_header is not None:
        headers.append((call.call.idempotency_header.encode(), (order.key or secrets.token_hex(16)).encode()))
    body: bytes | None = b""
    length: int | None = 0
    if filled.body is not None:
        headers.append((b"content-type", filled.body.content_type))
        pieces = filled.body.pieces
        first = pieces[0] if len(pieces) == 1 else None
        body = first if isinstance(first, bytes) else filled.body.content
        length = filled.body.length
    return _Message(call.method, order.target or target_of(order.plan, filled), headers, body, length)


def _framing(method: bytes, length: int | None) -> bytes:
    """The end of a head: what frames the body, and the empty line."""
    if length is None:
        return b"transfer-encoding: chunked\r\n\r\n"
    return b"content-length: %d\r\n\r\n" % length if length or method in _BODY_METHODS else b"\r\n"
