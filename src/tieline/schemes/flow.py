"""Schemes whose secret has a lifetime: what they ask of a token's issuer, as flows without input or output.

A flow is a generator: it yields each request it needs, is sent the answer, and returns what it was for. Where no usable
answer came, the error is raised in it at the ``yield``; most flows let it pass. Who runs it (``dataplane.tokens``) owns
the exit, the deadlines, the store and whose turn it is; the flow owns the protocol.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from tieline.core.errors import TielineError
from tieline.core.secret import Secret
from tieline.schemes.base import Applier, Options, Scheme
from tieline.schemes.signal import Signal
from tieline.wire.tls import TlsIdentity


@dataclass(frozen=True, slots=True, repr=False)
class IssuerRequest:
    """A request that a flow needs answered. ``url`` is whole; ``headers`` (Latin-1) are without those that frame it."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    tls: TlsIdentity | None = None


@dataclass(frozen=True, slots=True, repr=False)
class IssuerAnswer:
    """The answer to an ``IssuerRequest``: header names in lower case, the body decoded."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first field called ``name`` (lower case), or None."""
        return next((value for each, value in self.headers if each == name), None)


_Result = TypeVar("_Result")
Flow: TypeAlias = Generator[IssuerRequest, IssuerAnswer, _Result]


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """What an issuer gave: secret ``values`` by name (``access``, ``refresh``, ``cookie`` …), and what may be told.

    ``expires_at`` is seconds since the epoch, None where the issuer did not say; ``account`` is who signed in.
    """

    values: Mapping[str, Secret]
    expires_at: float | None = None
    scopes: tuple[str, ...] = ()
    account: str | None = None


class IssuerRefused(TielineError):
    """The issuer gave no token.

    ``final``: it said clearly that it gives none for what we have; all else passes, and the same is asked again later.
    ``for_client``: what it does not take is the client or its request (RFC 6749 section 5.2, ``invalid_client``), which
    an operator sets right without anybody signing in again. ``rescued`` are values that its answer held all the same,
    such as the next refresh token, and that must not be lost. ``retry_after`` is what it asked for, in seconds.
    """

    code = "reauthorization_required"

    def __init__(
        self,
        public: str,
        *,
        detail: str = "",
        final: bool = False,
        for_client: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(public, detail=detail, retry_after=retry_after)
        self.final = final
        self.for_client = for_client
        self.rescued: Mapping[str, Secret] = {}


@dataclass(frozen=True, slots=True, repr=False)
class SignIn:
    """A sign-in that has begun: where the person goes, and what ``finish`` needs (kept sealed until then)."""

    url: str
    context: Mapping[str, Secret] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class DeviceSignIn:
    """A sign-in on another device (RFC 8628): what the person is shown; ``interval`` and ``expires_in`` in seconds."""

    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    interval: float
    expires_in: float
    context: Mapping[str, Secret]


@dataclass(frozen=True, slots=True)
class Pending:
    """The person has not finished yet: ask again in ``interval`` seconds."""

    interval: float


@runtime_checkable
class Renewing(Scheme, Protocol):
    """A scheme whose secret is given by an issuer and has a lifetime (under some options, or all)."""

    def renews(self, options: Options) -> bool:
        """Whether these options need an issuer; else the scheme is bound as a ``Static``."""

    def needs_sign_in(self, options: Options) -> bool:
        """Whether a person must sign in before there is a token; else ``renew`` makes the first one too."""

    def hosts(self, options: Options) -> Sequence[str]:
        """The issuer's hosts: the credential may go to them too."""

    def signal(self, options: Options) -> Signal:
        """What in an answer of the API says that the token is no longer good."""

    def renew(self, options: Options, secrets: Mapping[str, Secret], token: Token | None, now: float) -> Flow[Token]:
        """A flow that gets the next token; raises IssuerRefused. What the issuer leaves out stays as in ``token``."""

    def bind_token(self, options: Options, secrets: Mapping[str, Secret], token: Token) -> Applier:
        """An applier that holds ``token``."""


@runtime_checkable
class SigningIn(Renewing, Protocol):
    """A scheme that a person can sign in to. ``back`` is the redirect URI that the provider sends them back to."""

    def begin(self, options: Options, secrets: Mapping[str, Secret], back: str, state: str) -> Flow[SignIn]:
        """Where to send the person; ``state`` comes back with them."""

    def finish(
        self, options: Options, secrets: Mapping[str, Secret], context: Mapping[str, Secret], answer: Mapping[str, str]
    ) -> Flow[Token]:
        """The token, from the query the person came back with. Raises IssuerRefused."""


@runtime_checkable
class SigningInByDevice(Renewing, Protocol):
    """A scheme that a person can sign in to on another device."""

    def begin_device(self, options: Options, secrets: Mapping[str, Secret]) -> Flow[DeviceSignIn]:
        """What to show the person. Raises IssuerRefused."""

    def poll_device(
        self, options: Options, secrets: Mapping[str, Secret], context: Mapping[str, Secret]
    ) -> Flow[Token | Pending]:
        """The token once the person is done. Raises IssuerRefused."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Renewal:
    """A renewing scheme of an API with the options and secrets it works with; ``position`` counts the API's schemes."""

    scheme: Renewing
    options: Options
    secrets: Mapping[str, Secret]
    position: int
    signal: Signal
