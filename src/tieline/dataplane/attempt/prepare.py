"""Makes a request ready for its upstream: tokens waited for, shared values and secrets added, the body signed over.

For all that the memoised path of ``relay`` cannot serve, and for every call: schemes that sign each request, that read
its body, that need a token, that listen for a challenge. Owns the order; what a scheme does is its own matter, and
whose turn it is to renew a token is that of ``sessions``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tieline.core.errors import ConnectionRequired, CredentialMissing, InvalidRequest
from tieline.core.urls import Origin
from tieline.dataplane.answers.streams.paths import getter
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.reflections import reflected
from tieline.schemes.base import Applier, Headers, Outgoing
from tieline.schemes.flow import Renewal
from tieline.wire import framing
from tieline.wire.pool import Lane

SIGNED_MOST = 16 * 1024 * 1024
USER_MOST = 200


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose token a request uses: an end user of an app, or (``user`` empty) the API's shared one."""

    app_id: str = ""
    user: str = ""


SHARED = Holder()


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


@dataclass(frozen=True, slots=True, repr=False)
class Draft:
    """A request before anything is added. ``path`` is as it came and below the base URL; ``body`` None if streamed.

    ``mark``: the target ends in a question mark with nothing behind it, which goes on too. ``headers`` are without
    those that frame the message. With ``url_origin`` the path is whole: a call's own URL.
    ``holder`` is the end user that was named, None where nobody was.
    """

    method: bytes
    path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes | None = None
    url_origin: Origin | None = None
    holder: Holder | None = None
    mark: bool = False


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

    async def _token(
        self, plan: Plan, renewal: Renewal, holder: Holder | None, stale: Applier | None = None
    ) -> Applier:
        """A token of whom ``holder_of`` says or, where that user has none and it may be, the shared one."""
        whose = holder_of(plan, renewal, holder)
        try:
            return await self._token_of(plan, renewal, whose, stale)
        except ConnectionRequired:
            if whose is SHARED or _connections(renewal) != "per_user_or_shared":
                raise
        return await self._token_of(plan, renewal, SHARED, stale)

    async def _token_of(self, plan: Plan, renewal: Renewal, whose: Holder, stale: Applier | None) -> Applier:
        if stale is not None:
            return await self._sessions.renew(plan, renewal, whose, stale)
        return self._sessions.current(plan, renewal, whose) or await self._sessions.ready(plan, renewal, whose)


def holder_of(plan: Plan, renewal: Renewal, holder: Holder | None) -> Holder:
    """Whose token a scheme uses for a request of ``holder``: option ``connections`` says it.

    ``shared`` (unless said), ``per_user``, or ``per_user_or_shared``: the user's where there is one. Raises
    ConnectionRequired where a user has to be named and is not.
    """
    mode = _connections(renewal)
    if mode == "shared":
        return SHARED
    if holder is None:
        if mode == "per_user":
            raise ConnectionRequired(
                f"{plan.title} is used in the name of an end user. Say whose connection to use: "
                "Tieline-Connection: <end user>, or --connection USER on the command line.",
                param="Tieline-Connection",
            )
        return SHARED
    return holder


def named_holder(app_id: str, user: bytes | None) -> Holder | None:
    """The end user that ``Tieline-Connection`` names. Raises InvalidRequest where it cannot be one's name."""
    if user is None:
        return None
    try:
        name = user.decode().strip()
    except UnicodeDecodeError:
        name = ""
    if not 0 < len(name) <= USER_MOST or not name.isprintable():
        raise InvalidRequest(f"Tieline-Connection names an end user in 1 to {USER_MOST} printable characters (UTF-8).")
    return Holder(app_id, name)


def prepare(plan: Plan, auth: tuple[Applier, ...], draft: Draft) -> Prepared:
    """Add to ``draft`` what the API shares and its schemes put in.

    Raises:
        CredentialMissing: this request cannot be signed, what was added cannot go over the wire, or a client
            certificate cannot be used.
        DestinationNotAllowed: a call's own URL leads where the credential may not go.
    """
    own = draft.url_origin
    origin, lane = plan.origin, plan.lane
    identity = next((each.tls for each in auth if each.tls is not None), None)
    if (own is not None and own != origin) or identity is not plan.exit.identity:
        origin = own or origin
        lane = plan.exit.lane_to(origin, identity)
    assert lane is not None  # there is one where there is no problem
    path = draft.path if own is not None else plan.base_path + draft.path or b"/"
    outgoing = Outgoing(draft.method, path, draft.query, draft.headers, origin, draft.body)
    outgoing.mark = draft.mark
    _drop_replaced(plan, auth, outgoing)
    plan.shared.add(outgoing, draft.path)
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


def wants_body(auth: Sequence[Applier], draft: Draft) -> bool:
    """Whether a scheme needs the whole body before the head can be written."""
    return any(applier.reads_body and applier.wants_body(draft.headers) for applier in auth)


def listens(plan: Plan) -> bool:
    """Whether an answer may say that the same request, prepared anew, would succeed."""
    return any(isinstance(each, Renewal) or each.listens for each in plan.auth)


@dataclass(frozen=True, slots=True)
class Hint:
    """What an answer's head said of the secret: ``again`` that a challenge was learnt, ``stale`` that tokens are old.

    ``unsure``: only the body can tell whether tokens are; ask ``is_stale`` with it.
    """

    again: bool = False
    stale: bool = False
    unsure: tuple[Renewal, ...] = ()

    def is_stale(self, body: bytes) -> bool:
        """Whether the body (at most 64 KiB of it, decoded) says that a token is old."""
        return any(each.signal.fits_body(body, lambda path, value: getter(path)(value)) for each in self.unsure)


NO_HINT = Hint()


def hint(plan: Plan, sent: Prepared, status: int, headers: Headers) -> Hint:
    """What the head of an answer says of the secret that was sent."""
    again = stale = False
    unsure: list[Renewal] = []
    for each, applier in zip(plan.auth, sent.auth, strict=True):
        again = (applier.listens and applier.answered(sent.headers, status, headers)) or again
        if isinstance(each, Renewal) and each.signal.fits_head(status, headers):
            stale = stale or each.signal.body is None
            unsure += [each] if each.signal.body is not None else []
    return Hint(again, stale, tuple(unsure)) if again or stale or unsure else NO_HINT


def _connections(renewal: Renewal) -> str:
    mode: str = renewal.options.get("connections", "shared")
    return mode


def _drop_replaced(plan: Plan, auth: Sequence[Applier], outgoing: Outgoing) -> None:
    """Remove what a caller sent in the places that are a scheme's, or the operator's, alone."""
    names = frozenset[bytes]().union(*(applier.replaces for applier in auth))
    queries = plan.replaced_query.union(*(applier.replaces_query for applier in auth))
    fates = plan.request_fate
    outgoing.headers = [pair for pair in outgoing.headers if fates[pair[0]] and pair[0].lower() not in names]
    if outgoing.query and queries:
        outgoing.drop_query(queries)


def _head(plan: Plan, outgoing: Outgoing) -> bytes:
    fields = all(framing.is_name(name) and framing.is_value(value) for name, value in outgoing.headers)
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
