"""Sends a call's request, by the attempt loop, over a conversation; gives its answer's beginning.

The seam for whoever runs calls: the door, and what tries one call for an operator. Make an ``Order``, send it, look at
``status`` and ``headers`` of what was reached, ``read`` or ``read_all`` (as it came: ``answers`` decodes and masks),
and ``close`` whatever happens:

    filled = call.template.fill(values, call.private, files)
    reached = await sender.send(Order(plan, call, filled, upload))
    try:
        body = await reached.read_all(most)
    finally:
        reached.close()

Does not know who asks: ``permit`` of the order is asked for every path, and nobody is told how it ended.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from tieline.core.errors import UpstreamError, UpstreamTimeout
from tieline.dataplane.answers.content_coding import codings
from tieline.dataplane.answers.mask import Mask
from tieline.dataplane.answers.usage_listener import UsageListener
from tieline.dataplane.attempt.loop import Attempts, Job, Permit, Policy, anything
from tieline.dataplane.attempt.prepare import Message, Prepared, Preparer
from tieline.dataplane.attempt.target import Target, target_of
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens.holder import Holder
from tieline.dataplane.tracing.trace import Trace
from tieline.definitions.fill.request import Filled, Piece
from tieline.schemes.base import field_value
from tieline.wire import framing
from tieline.wire.conversation import Conversation, Waits
from tieline.wire.egress import Dialled
from tieline.wire.framing import Headers


class Files(Protocol):
    """The files that a body refers to. ``passes``: they come as they are sent, and so only once."""

    @property
    def passes(self) -> bool: ...

    def body(self, pieces: tuple[Piece, ...]) -> AsyncIterator[bytes]:
        """The bytes of a body made of ``pieces``. Raises RequestError where a file does not come to its end."""
        ...


@dataclass(slots=True, repr=False)
class Order:
    """What is to be sent, for whom. ``upload`` has the files that ``filled`` refers to.

    ``key`` is sent in the call's idempotency header, where it has one; empty: a new one. ``target`` instead of the
    call's own; ``permitted`` is the one that ``permit`` was asked for; ``end`` on the loop's clock, else the call's
    timeout from now on. ``who`` takes turns with others where connections are limited: an app key's id. ``trace`` goes
    on with it, and is told of each attempt. ``attempts`` instead of the call's own.
    """

    plan: Plan
    call: ReadyCall
    filled: Filled
    upload: Files | None = None
    holder: Holder | None = None
    key: str = ""
    permit: Permit = anything
    target: Target | None = None
    permitted: Target | None = None
    end: float | None = None
    who: str = ""
    trace: Trace | None = None
    attempts: int | None = None


class UpstreamAnswer:
    """An answer whose head is here. ``bounded``: its body ends by length or chunks, not with the connection.

    ``sent_at`` and ``answered_at`` are on the clock of ``time.perf_counter``. ``sends`` is how often it was asked for,
    ``dialled`` tells of the last connection that was opened for it. ``asked_bytes`` is the size of the request's body,
    0 where nobody knows it; ``listener`` hears what is read, as it came.

    Nothing in it is hidden yet: a secret may stand in it in any coding. Whoever hands out what was read of it, whole or
    in part, has it go through ``mask`` last.
    """

    __slots__ = (
        "_conversation",
        "answered_at",
        "asked_bytes",
        "bounded",
        "dialled",
        "headers",
        "length",
        "listener",
        "mask",
        "prepared",
        "sends",
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
        self.bounded = answer.length is not None or answer.chunked
        self.target = target
        self.sent_at = sent_at
        self.answered_at = time.perf_counter()
        self.sends = 1
        self.dialled: Dialled | None = None
        self.asked_bytes = 0
        self.listener: UsageListener | None = None
        self.prepared = prepared
        self.mask = Mask(prepared.reflections)
        self._conversation = conversation

    async def read(self) -> bytes:
        """What came of the body since, as it came; empty at its end. Raises UpstreamError."""
        data = await self._conversation.read()
        if self.listener is not None:
            self.listener.feed(data)
        return data

    def rest(self, most: int) -> bytes | None:
        """The whole body where all of it is here, has no content coding and at most ``most`` bytes; else None."""
        found = self._conversation.rest(most) if not codings(self.headers) else None
        if found is not None and self.listener is not None:
            self.listener.feed(found)
        return found

    async def read_all(self, most: int) -> bytes:
        """The whole body as it came. Raises UpstreamResponseTooLarge and every other UpstreamError."""
        found = await self._conversation.read_all(most)
        if self.listener is not None:
            self.listener.feed(found)
        return found

    @property
    def whole(self) -> bool:
        """Whether the body came to its end."""
        return self._conversation.whole

    def header(self, name: bytes) -> bytes | None:
        """The first field called ``name`` (lower case)."""
        return field_value(self.headers, name)

    def values(self, name: bytes) -> list[bytes]:
        """Every value of the fields called ``name`` (lower case)."""
        return [value for each, value in self.headers if each.lower() == name]

    async def peek(self, most: int) -> bytes | None:
        """The whole body as it came, to be read again afterwards; None where it has more than ``most`` bytes.

        Raises UpstreamError, as does whoever reads it then.
        """
        pieces: list[bytes] = []
        size = 0
        try:
            while size <= most and (piece := await self._conversation.read()):
                pieces.append(piece)
                size += len(piece)
        finally:
            self._conversation.put_back(b"".join(pieces))
        return b"".join(pieces) if size <= most else None

    async def spend(self, seconds: float) -> None:
        """Read what is left and throw it away, if that takes no longer: then the connection can be used again."""
        with suppress(UpstreamError, TimeoutError):
            async with asyncio.timeout(seconds):
                while await self._conversation.read():
                    pass

    def close(self) -> None:
        """End it: an answer that is not whole is cut."""
        if not self._conversation.whole:
            self._conversation.close()


class CallSender:
    """Sends orders, with the tokens that ``preparer`` gets."""

    def __init__(self, preparer: Preparer) -> None:
        self._preparer = preparer

    def send(self, order: Order) -> Awaitable[UpstreamAnswer]:
        """The answer to ``order``, of whatever status; raises what ``Attempts.run`` does."""
        plan, call, limits = order.plan, order.call.call, order.plan.limits
        seconds = call.timeout if call.timeout is not None else limits.total
        end = order.end if order.end is not None else asyncio.get_running_loop().time() + seconds
        sender = ConversationSender(plan, end, order.filled, order.upload, order.who)
        sender.trace = order.trace
        message = _message(order)
        attempts = limits.retry_attempts if call.retry_attempts is None else call.retry_attempts
        policy = Policy(
            attempts=attempts if order.attempts is None else order.attempts,
            idempotent=order.call.repeatable,
            retries_status=True,
            redirects=call.follow_redirects,
            end=end,
        )
        job = Job(plan, message, policy, order.holder, order.permit, order.permitted, order.call.heads)
        job.trace = order.trace
        return Attempts(job, sender, self._preparer).run()

    async def connections(self, order: Order) -> frozenset[str]:
        """The ids of the connections whose tokens ``order`` would be sent with now. Raises as ``send``."""
        if order.plan.steady:
            return frozenset()
        return self._preparer.connections(order.plan, await self._preparer.appliers(order.plan, order.holder))

    def connections_of(self, plan: Plan, reached: UpstreamAnswer) -> frozenset[str]:
        """The ids of the connections whose tokens an answer was got with."""
        return frozenset() if plan.steady else self._preparer.connections(plan, reached.prepared.auth)


class ConversationSender:
    """Sends messages by a conversation each, until ``end`` on the loop's clock. ``files`` are those of ``filled``.

    ``who`` takes turns with others where connections are limited: an app key's id.
    ``unsent``, ``sent`` and ``stale`` are as ``attempt.loop.Sender`` says.
    """

    __slots__ = ("_dialled", "_end", "_files", "_filled", "_plan", "_sends", "_who", "sent", "stale", "trace",
                 "unsent")  # fmt: skip

    def __init__(
        self, plan: Plan, end: float, filled: Filled | None = None, files: Files | None = None, who: str = ""
    ) -> None:
        self.unsent = True
        self.sent = False
        self.stale = False
        self.trace: Trace | None = None
        self._plan = plan
        self._sends = 0
        self._dialled: Dialled | None = None
        self._end = end
        self._filled = filled
        self._files = files
        self._who = who

    async def send(self, message: Message, prepared: Prepared) -> UpstreamAnswer:
        plan, body = self._plan, prepared.body if prepared.body is not None else message.body
        framing_lines = _framing(message.method, message.length if body is None else len(body))
        fresh, lane = self.stale, prepared.lane
        connection = None if fresh else lane.take()
        self.unsent = self.sent = False
        if connection is None:
            left = self._end - asyncio.get_running_loop().time()
            if left <= 0:
                raise UpstreamTimeout("The call took too long. Try again, or raise its timeout.")
            self.unsent, self.stale = True, False
            connection = await lane.connect(self._who, min(plan.limits.connect, left), fresh=fresh)
            self._dialled = self._dialled if connection.reused else connection.dialled
        self.unsent, self.stale = False, connection.reused
        self._sends += 1
        sent_at = time.perf_counter()
        traced = b"" if self.trace is None else self.trace.sending(lane.key.origin)
        data = prepared.head + traced + framing_lines + (body or b"")
        conversation = Conversation(connection, Waits(plan.first_byte, plan.limits.idle, self._end))
        is_here = False
        try:
            if body is not None:
                await conversation.ask(data, head_only=message.method == b"HEAD")
            else:
                await conversation.ask(data, self._source(), chunked=message.length is None)
            is_here = True
            self.stale = False
        finally:
            self.sent = conversation.sent
            if not is_here:
                conversation.close()
        answer = UpstreamAnswer(conversation, prepared, message.target, sent_at)
        answer.sends, answer.dialled = self._sends, self._dialled
        answer.asked_bytes = (message.length or 0) if body is None else len(body)
        return answer

    def repeatable(self, message: Message) -> bool:
        return message.body is not None or self._files is None or not self._files.passes

    def small(self) -> bool:
        """Files are sent as they come, however small they are."""
        return False

    async def gather(self, most: int) -> bytes | None:
        pieces: list[bytes] = []
        size = 0
        async for piece in self._source():
            pieces.append(piece)
            size += len(piece)
            if size > most:
                return None
        return b"".join(pieces)

    def _source(self) -> AsyncIterator[bytes]:
        assert self._filled is not None  # only a call has files
        assert self._filled.body is not None  # there are files
        assert self._files is not None  # they came with the form
        return self._files.body(self._filled.body.pieces)


def _message(order: Order) -> Message:
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
    return Message(call.method, order.target or target_of(order.plan, filled), headers, body, length, templated=True)


def _framing(method: bytes, length: int | None) -> bytes:
    """The end of a head: what frames the body, and the empty line."""
    if length is None:
        return b"transfer-encoding: chunked\r\n\r\n"
    return b"content-length: %d\r\n\r\n" % length if length or method in framing.WITH_BODY else b"\r\n"
