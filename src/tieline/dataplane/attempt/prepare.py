"""Makes a request ready for its upstream: tokens waited for, shared values and secrets added, the body signed over.

For all that the memoised path of ``relay`` cannot serve, and for every call: schemes that sign each request, that read
its body, that need a token, that listen for a challenge. Owns the order; what a scheme adds is the scheme's, and
whose turn it is to renew a token is that of ``sessions``.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tieline.core.errors import ConnectionRequired, CredentialMissing, TielineError
from tieline.core.urls import Origin
from tieline.dataplane.attempt.target import Target
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.reflections import reflected
from tieline.dataplane.tokens.holder import SHARED, Holder, holder_of
from tieline.schemes.base import Applier, Headers, Outgoing
from tieline.schemes.connections import mode_of
from tieline.schemes.flow import Renewal
from tieline.wire import framing
from tieline.wire.pool import Lane


class Sessions(Protocol):
    """The tokens of renewing schemes, kept fresh; one renewal at a time for each token, whoever asks."""

    def current(self, plan: Plan, renewal: Renewal, holder: Holder) -> Applier | None:
        """The applier with the token in use, or None where it has to be got or renewed first."""

    async def ready(self, plan: Plan, renewal: Renewal, holder: Holder) -> Applier:
        """The applier with a token that is good now, got or renewed if it must be.

        Raises:
            ConnectionRequired: nobody has signed in yet.
            ReauthorizationRequired: the issuer refused for good; somebody has to sign in again.
            UpstreamError, DestinationNotAllowed: the issuer cannot be reached.
        """

    async def renew(self, plan: Plan, renewal: Renewal, holder: Holder, stale: Applier) -> Applier:
        """As ``ready``, after the API refused ``stale``; where another has renewed it since, that one."""

    def connection_of(self, applier: Applier) -> str | None:
        """The id of the connection whose token ``applier`` holds."""


@dataclass(slots=True, repr=False)
class Message:
    """A request before anything is added to it.

    ``headers`` are without those that frame the message; ``mark``: the target ends in a question mark with nothing
    behind it, which goes on too. ``body`` is the whole body where it is at hand, None where its sender streams it;
    ``length`` is its size in bytes, None where that is not known (chunked). ``templated``: a call's template made it.
    """

    method: bytes
    target: Target
    headers: list[tuple[bytes, bytes]]
    body: bytes | None = None
    length: int | None = None
    mark: bool = False
    templated: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Prepared:
    """A request that may go out: ``head`` lacks the fields that frame its body, and the empty line.

    ``headers`` are those of the head; ``auth`` the appliers that were used, in order; ``reflections`` what is masked
    where it comes back.
    """

    lane: Lane
    head: bytes
    headers: Headers
    body: bytes | None
    auth: tuple[Applier, ...]
    reflections: tuple[bytes, ...]


class Preparer:
    """Prepares requests with the tokens of ``sessions``."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._renewing: set[asyncio.Task[None]] = set()

    async def appliers(self, plan: Plan, holder: Holder | None) -> tuple[Applier, ...]:
        """Every scheme of ``plan`` in order, with a token that is good now for ``holder`` (None: nobody was named).

        Raises what ``Sessions.ready`` raises, and the plan's problem where it has one.
        """
        if plan.problem is not None:
            raise plan.problem
        return tuple(
            [each if isinstance(each, Applier) else await self._token(plan, each, holder) for each in plan.auth]
        )

    async def renew(self, plan: Plan, auth: Sequence[Applier], holder: Holder | None) -> None:
        """Get new tokens in place of those in ``auth``, which the API refused; raises what ``Sessions.renew`` does."""
        for each, stale in zip(plan.auth, auth, strict=True):
            if isinstance(each, Renewal):
                await self._token(plan, each, holder, stale)

    def renew_soon(self, plan: Plan, auth: Sequence[Applier], holder: Holder | None) -> None:
        """As ``renew``, without waiting: too late for the request that was refused, in time for the next."""
        task = asyncio.get_running_loop().create_task(self._renew_quietly(plan, auth, holder))
        self._renewing.add(task)
        task.add_done_callback(self._renewing.discard)

    async def _renew_quietly(self, plan: Plan, auth: Sequence[Applier], holder: Holder | None) -> None:
        with contextlib.suppress(TielineError):  # whoever asks next meets it too, and is told
            await self.renew(plan, auth, holder)

    def connections(self, plan: Plan, auth: Sequence[Applier]) -> frozenset[str]:
        """The ids of the connections in ``auth`` that people signed in to, and may to another account."""
        pairs = zip(plan.auth, auth, strict=True)
        found = [
            self._sessions.connection_of(applier)
            for each, applier in pairs
            if isinstance(each, Renewal) and each.scheme.needs_sign_in(each.options)
        ]
        return frozenset(each for each in found if each is not None)

    async def _token(
        self, plan: Plan, renewal: Renewal, holder: Holder | None, stale: Applier | None = None
    ) -> Applier:
        """A token of whom ``holder_of`` says or, where that user has none and it may be, the shared one."""
        whose = holder_of(plan, renewal, holder)
        try:
            return await self._token_of(plan, renewal, whose, stale)
        except ConnectionRequired:
            if whose is SHARED or mode_of(renewal.options) != "per_user_or_shared":
                raise
        return await self._token_of(plan, renewal, SHARED, stale)

    async def _token_of(self, plan: Plan, renewal: Renewal, whose: Holder, stale: Applier | None) -> Applier:
        if stale is not None:
            return await self._sessions.renew(plan, renewal, whose, stale)
        return self._sessions.current(plan, renewal, whose) or await self._sessions.ready(plan, renewal, whose)


def prepare(plan: Plan, auth: tuple[Applier, ...], message: Message) -> Prepared:
    """Add to ``message`` what the API shares and its schemes put in.

    Raises:
        CredentialMissing: this request cannot be signed, what was added cannot go over the wire, or a client
            certificate cannot be used.
        DestinationNotAllowed: a call's own URL leads where the credential may not go.
    """
    return _prepared(plan, auth, message, *_way(plan, auth, message.target.origin))


async def prepare_in_thread(plan: Plan, auth: tuple[Applier, ...], message: Message) -> Prepared:
    """As ``prepare``, for a body so large that changing or signing it would keep other requests waiting."""
    return await asyncio.to_thread(_prepared, plan, auth, message, *_way(plan, auth, message.target.origin))


def _way(plan: Plan, auth: tuple[Applier, ...], own: Origin | None) -> tuple[Origin, Lane]:
    """Where the request goes, and on which connections; ``own`` is the origin of a call's own URL."""
    origin, lane = plan.origin, plan.lane
    identity = next((each.tls for each in auth if each.tls is not None), None)
    if (own is not None and own != origin) or identity is not plan.exit.identity:
        origin = own or origin
        lane = plan.exit.lane_to(origin, identity)
    assert lane is not None  # there is one where there is no problem
    return origin, lane


def _prepared(plan: Plan, auth: tuple[Applier, ...], message: Message, origin: Origin, lane: Lane) -> Prepared:
    target, own = message.target, message.target.origin
    path = target.path if own is not None else plan.base_path + target.path or b"/"
    outgoing = Outgoing(message.method, path, target.query, message.headers, origin, message.body)
    outgoing.mark = message.mark
    outgoing.templated = message.templated
    _drop_replaced(plan, auth, outgoing)
    plan.shared.add(outgoing, target.path)
    for applier in auth:
        applier.apply(outgoing)
    return Prepared(lane, _head(plan, outgoing), outgoing.headers, outgoing.body, auth, _reflections(plan, auth))


def head_of(outgoing: Outgoing) -> bytes:
    """Request line and header fields, each line ended, without what frames the body and without the empty line."""
    target = outgoing.path + b"?" + outgoing.query if outgoing.query or outgoing.mark else outgoing.path
    lines = [b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (outgoing.method, target, outgoing.origin.authority)]
    for name, value in outgoing.headers:
        lines += (name, b": ", value, b"\r\n")
    return b"".join(lines)


def steady_appliers(plan: Plan) -> tuple[Applier, ...]:
    """The schemes of a plan that is steady."""
    return tuple([each for each in plan.auth if isinstance(each, Applier)])


def wants_body(auth: Sequence[Applier], message: Message) -> bool:
    """Whether a scheme needs the whole body before the head can be written."""
    return any(applier.reads_body and applier.wants_body(message.headers) for applier in auth)


def _drop_replaced(plan: Plan, auth: Sequence[Applier], outgoing: Outgoing) -> None:
    """Remove what a caller sent in the places that are a scheme's, or the operator's, alone."""
    names = frozenset[bytes]().union(*(applier.replaces for applier in auth))
    queries = plan.replaced_query.union(*(applier.replaces_query for applier in auth))
    fates = plan.request_fate
    outgoing.headers = [pair for pair in outgoing.headers if fates[pair[0]] and pair[0].lower() not in names]
    if outgoing.query and queries:
        outgoing.drop_query(queries)


def _head(plan: Plan, outgoing: Outgoing) -> bytes:
    fields = framing.are_fields(outgoing.headers)
    if not fields or not framing.is_target(outgoing.path + b"?" + outgoing.query):
        raise CredentialMissing(
            f"What the schemes of {plan.title} add holds a character that cannot be sent. An operator sets the "
            "credential again, without line breaks."
        )
    return head_of(outgoing)


def _reflections(plan: Plan, auth: Sequence[Applier]) -> tuple[bytes, ...]:
    pairs = zip(plan.auth, auth, strict=True)
    tokens = [applier for each, applier in pairs if applier.mints or isinstance(each, Renewal)]
    return plan.reflections if not tokens else (*plan.reflections, *reflected(tokens, ()))
