"""The attempt loop: prepare, send, judge, renew and repeat, retry, redirect; written once, for whoever sends.

What differs between a relayed request, a call and a verify request is a ``Sender`` (how bytes travel) and a ``Policy``
(how often, and what for, it is sent again). The loop owns their order:

    prepare ──▶ send ──▶ judge ──▶ answered: handed out, whoever asked owns it
       ▲         │         │
       │         │         ├─ the secret is stale, or was challenged: the token is renewed; once for each request
       │         │         ├─ the status may be another a moment later, and the policy retries it: after a pause
       │         │         └─ a redirect that the policy follows: the message is turned there
       │         └─ lost before its answer: at once where a connection had been idle, else after a pause
       └─────────────────── an answer that is not handed out is closed before the next turn

What waits for a pause has to have a place in the lane's retry budget; each send asks the lane's breaker, which is
told how it went.

It does not know who asks, and tells nobody how it ended.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from tieline.core.errors import BodyTooLarge, UpstreamError, UpstreamProtocolError, UpstreamUnreachable
from tieline.dataplane.attempt.judge import AnswerHead, is_judged, judge
from tieline.dataplane.attempt.prepare import (
    Message,
    Prepared,
    Preparer,
    prepare,
    prepare_in_thread,
    steady_appliers,
    wants_body,
)
from tieline.dataplane.attempt.retry import is_transient, pause
from tieline.dataplane.attempt.target import Target, told_target
from tieline.dataplane.snapshot.calls import BoundedCache
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens.holder import Holder
from tieline.dataplane.tracing.trace import Trace
from tieline.schemes.base import Applier, Headers, field_value
from tieline.wire.breaker import FAILED_STATUSES
from tieline.wire.pool import Lane

SIGNED_MOST: Final = 16 * 1024 * 1024
"""Bytes of a body that a scheme may have to read before the request can be sent."""
LARGE: Final = 64 * 1024
"""A body of more bytes is changed and signed in a thread."""
HOPS_MOST: Final = 5
NEVER: Final = float("inf")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

Head = TypeVar("Head", bound=AnswerHead)
Head_co = TypeVar("Head_co", bound=AnswerHead, covariant=True)
Permit = Callable[[bytes, bytes | None], None]
"""Raises where a method may not be sent on a path below the base URL, or (None) elsewhere.

It is asked for every target but the one that whoever made the job had permitted already.
"""


def anything(_method: bytes, _path: bytes | None) -> None:
    """The permit of those who are not asked for any."""


class Sender(Protocol[Head_co]):
    """Sends a message once, each time it is asked to. It owns the connection until the answer's head is here.

    ``unsent`` says of a send that failed that no byte of it left; ``stale`` that it went over a connection that had
    been idle, which the upstream may have closed just then: the next goes over a new one. ``sent``: all of it left, so
    that the upstream, and not the client's body, was waited for.
    """

    @property
    def unsent(self) -> bool: ...

    @property
    def stale(self) -> bool: ...

    @property
    def sent(self) -> bool: ...

    async def send(self, message: Message, prepared: Prepared) -> Head_co:
        """Send it and wait for the head of the answer, of whatever status. Raises UpstreamError."""
        ...

    def repeatable(self, message: Message) -> bool:
        """Whether the body can be sent once more."""
        ...

    def small(self) -> bool:
        """Whether the body, which is not at hand, is small enough to be gathered for a repetition that may come."""
        ...

    async def gather(self, most: int) -> bytes | None:
        """The whole body; None where it has more than ``most`` bytes."""
        ...


class Policy(NamedTuple):
    """When a message is sent again: at most ``attempts`` times in all, until ``end`` on the loop's clock.

    ``idempotent``: its method, or its key, allows that it arrives twice. ``retries_status``: also where there was no
    connection, and for answers whose status may be another a moment later. ``redirects``: those to the same origin.
    """

    attempts: int
    idempotent: bool
    retries_status: bool = False
    redirects: bool = False
    end: float = NEVER


@dataclass(slots=True, repr=False)
class Job:
    """What is to be sent, for whom.

    ``permitted`` is the target that ``permit`` was asked for before. Of a steady plan, ``prepared`` is the message as
    it goes out, where that is known; else ``heads`` remembers it for messages that come again. ``trace`` is told of
    each attempt.
    """

    plan: Plan
    message: Message
    policy: Policy
    holder: Holder | None = None
    permit: Permit = anything
    permitted: Target | None = None
    heads: BoundedCache[Prepared] | None = None
    prepared: Prepared | None = None
    trace: Trace | None = None


class Attempts(Generic[Head]):
    """One job under way. Its message changes as it is gathered and redirected."""

    __slots__ = ("_auth", "_hops", "_job", "_judged", "_message", "_preparer", "_sender", "_tries")

    def __init__(self, job: Job, sender: Sender[Head], preparer: Preparer) -> None:
        self._job = job
        self._sender = sender
        self._preparer = preparer
        self._message = job.message
        self._auth: tuple[Applier, ...] = ()
        self._judged = job.plan.steady or not is_judged(job.plan)
        self._tries = 0
        self._hops = 0

    async def run(self, lost: UpstreamUnreachable | None = None) -> Head:
        """The answer, of whatever status. ``lost``: it was sent once already, and that is what became of it.

        Raises:
            UpstreamError: no usable answer came.
            Overloaded: the upstream failed so often that nothing is sent to it now.
            MissingPermission: the path, or one that a redirect leads to, is not permitted.
            CredentialError, DestinationNotAllowed: it cannot go out.
            RequestError: its body cannot be read to its end, or is too large for a scheme that has to read it.
        """
        message = self._message
        if message.target is not self._job.permitted:
            self._job.permit(message.method, message.target.below)
        if lost is not None:
            self._tries = 1
            if self._job.trace is not None:
                self._job.trace.failed(lost.code, self._job.plan.origin, time.perf_counter())
            await self._after(lost, None)
        while True:
            self._tries += 1
            prepared = self._steady() if self._job.plan.steady else await self._prepare()
            try:
                head = await self._send(prepared)
            except UpstreamUnreachable as error:
                await self._after(error, prepared.lane)
                continue
            if self._judged and head.status < 300:
                return head
            if not await self._goes_again(prepared, head):
                return head

    async def _send(self, prepared: Prepared) -> Head:
        """Send it once, if the breaker lets it, which is told how that went."""
        breaker, counts = prepared.lane.breaker, self._job.plan.limits.breaker
        if breaker.open and not counts:
            breaker.close()  # the definition had one before
        probe = breaker.open and breaker.admit()
        since = time.perf_counter()
        good: bool | None = None
        try:
            head = await self._sender.send(self._message, prepared)
            good = head.status not in FAILED_STATUSES or not counts
            if self._job.trace is not None:
                self._job.trace.answered(head.status)
        except UpstreamError as error:
            if counts and self._is_failure(error):
                good = False
            if self._job.trace is not None:
                self._job.trace.failed(error.code, prepared.lane.key.origin, since)
            raise
        finally:
            if good and not probe:
                breaker.successes += 1
            else:
                breaker.ended(good=good, probe=probe, since=since)
        return head

    def _is_failure(self, error: UpstreamError) -> bool:
        """Whether the upstream is to blame: nobody is for a connection that was lost while it was idle."""
        sender = self._sender
        if isinstance(error, UpstreamUnreachable):
            return sender.unsent or not sender.stale
        return sender.unsent or sender.sent

    async def _goes_again(self, prepared: Prepared, head: Head) -> bool:
        """Whether the message is sent again, after what that takes; ``head`` is closed then, or where this fails."""
        policy = self._job.policy
        try:
            if not self._judged and await self._renewed(prepared, head):
                return True
            if policy.retries_status and is_transient(head.status):
                seconds = self._pause(head.headers)
                if seconds is not None and self._may_repeat() and prepared.lane.retries.take():
                    head.close()
                    await asyncio.sleep(seconds)
                    return True
            return policy.redirects and head.status in _REDIRECTS and self._redirect(head)
        except BaseException:
            head.close()
            raise

    # -- preparing

    async def _prepare(self) -> Prepared:
        plan, message = self._job.plan, self._message
        self._auth = await self._preparer.appliers(plan, self._job.holder)
        wanted = wants_body(self._auth, message)
        if message.body is None and (wanted or (not self._judged and self._sender.small())):
            message.body = await self._gathered()
        if wanted and message.body is not None and len(message.body) > LARGE:
            return await prepare_in_thread(plan, self._auth, message)
        return prepare(plan, self._auth, message)

    def _steady(self) -> Prepared:
        """The head for a steady plan: the same for the same path, query and headers, whatever the body."""
        plan, message, heads = self._job.plan, self._message, self._job.heads
        if message is self._job.message and self._job.prepared is not None:
            return self._job.prepared
        asked = (message.method, message.target, *message.headers)
        known = heads.get(asked) if heads is not None else None
        if known is not None:
            return known
        # A steady scheme leaves the body alone, and the next message with this head may have another one.
        prepared = replace(prepare(plan, steady_appliers(plan), message), body=None)
        return heads.keep(asked, prepared, len(prepared.head)) if heads is not None else prepared

    async def _gathered(self) -> bytes:
        body = await self._sender.gather(SIGNED_MOST)
        if body is None:
            raise BodyTooLarge(
                f"A scheme of {self._job.plan.title} has to read the whole body, which may then have "
                f"{SIGNED_MOST // 1024**2} MiB. Send less, or use an option of the scheme that leaves the body "
                "unsigned."
            )
        return body

    # -- sending again

    async def _renewed(self, prepared: Prepared, head: Head) -> bool:
        """Whether the answer was about the secret, which is another now."""
        plan, holder = self._job.plan, self._job.holder
        verdict = await judge(plan, prepared, head)
        if not (verdict.stale or verdict.challenged):
            return False
        self._judged = True
        if not self._sender.repeatable(self._message):
            if verdict.stale:
                self._preparer.renew_soon(plan, self._auth, holder)
            return False
        head.close()
        if verdict.stale:
            await self._preparer.renew(plan, self._auth, holder)
        self._tries -= 1  # it was refused, not tried in vain
        return True

    async def _after(self, lost: UpstreamUnreachable, lane: Lane | None) -> None:
        """Wait until the message may be sent again; raises ``lost`` where it may not.

        What was lost over an idle connection is no part of the retry budget: the upstream had closed it, and it is
        repeated once at most.
        """
        sender, policy = self._sender, self._job.policy
        if self._tries >= policy.attempts or not (sender.unsent or self._may_repeat()):
            raise lost
        if sender.stale and not sender.unsent:
            return
        seconds = self._pause(()) if policy.retries_status else None
        if seconds is None or lane is None or not lane.retries.take():
            raise lost
        await asyncio.sleep(seconds)

    def _may_repeat(self) -> bool:
        return self._job.policy.idempotent and self._sender.repeatable(self._message)

    def _pause(self, headers: Headers) -> float | None:
        """Seconds until the next try, None for none."""
        if self._tries >= self._job.policy.attempts:
            return None
        seconds = pause(self._tries, headers)
        if seconds is None or asyncio.get_running_loop().time() + seconds >= self._job.policy.end:
            return None
        return seconds

    def _redirect(self, head: Head) -> bool:
        """Whether the message was turned to where a redirect leads, by RFC 9110 section 15.4."""
        plan, message = self._job.plan, self._message
        location = field_value(head.headers, b"location")
        if location is None or self._hops >= HOPS_MOST:
            return False
        try:
            target = told_target(plan, message.target, location.decode(errors="replace").strip())
        except UpstreamProtocolError:
            return False
        becomes_get = head.status == 303 or (head.status in {301, 302} and message.method == b"POST")
        if becomes_get and message.method != b"HEAD":
            headers = [pair for pair in message.headers if pair[0].lower() != b"content-type"]
            self._message = Message(b"GET", target, headers, b"", 0)
        elif not self._sender.repeatable(message):
            return False
        else:
            self._message = replace(message, target=target)
        self._hops += 1
        self._tries = 0
        head.close()
        self._job.permit(self._message.method, target.below)
        return True
