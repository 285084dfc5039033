"""What is asked of upstreams for an operator, through the data plane's own exit."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from tieline.core.names import Environment
from tieline.definitions.infer.learning import StreamSample
from tieline.definitions.model import Stream
from tieline.ports.connections import ConnectionKey, EndUser
from tieline.ports.requests import RequestRecord
from tieline.ports.signins import SignInRow
from tieline.ports.webhooks import SealedWebhook
from tieline.schemes.flow import DeviceSignIn, Pending, SignIn, Token


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What a verify request showed: ``status`` is the upstream's, ``problem`` what went wrong and what to do.

    ``tried`` says whether there is such a request at all: without one nothing is known of the API.
    """

    ok: bool
    status: int | None
    problem: str | None
    tried: bool = True


class Prober(Protocol):
    """Sends an API's verify request with its active credential, through the data plane's own exit."""

    async def probe(self, api_name: str, environment: Environment, end_user: EndUser | None = None) -> VerifyResult:
        """Send it, with the tokens of ``end_user`` where the API's users sign in (None: nobody was named)."""
        ...


@dataclass(frozen=True, slots=True)
class TrialFile:
    """A file for a parameter of a call."""

    filename: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TrialRun:
    """Which call to run once, with what, and with whose tokens (None: nobody was named)."""

    api: str
    call: str
    environment: Environment
    values: Mapping[str, Any] = field(repr=False)
    files: Mapping[str, TrialFile] = field(repr=False, default_factory=dict)
    end_user: EndUser | None = None


@dataclass(frozen=True, slots=True)
class TrialAnswer:
    """What an upstream answered: header names in lower case; secrets that it sent back are masked.

    ``body`` is decoded, and UTF-8 where it is text; ``whole`` says whether that is all of it.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes
    whole: bool


class Trier(Protocol):
    """Runs a call once, and looks at answers as the data plane would."""

    async def run(self, wanted: TrialRun) -> TrialAnswer:
        """Send one request through the data plane's own exit and read its answer, of whatever status.

        Raises RequestError, CredentialError, DestinationNotAllowed where it cannot be sent, UpstreamError where no
        usable answer came.
        """
        ...

    def recognise_stream(self, body: bytes, content_type: str, known: Stream | None) -> StreamSample | None:
        """The stream that ``body`` is the beginning of, in the shape ``known``, else proposed; None where it is none.

        Does no input or output.
        """
        ...


@dataclass(frozen=True, slots=True)
class Posted:
    """How a webhook's receiver took a message.

    ``status`` is what it answered, None where nothing came; ``problem`` says why that is no success and what to do,
    ``retry_after`` how many seconds it asked to be left alone.
    """

    status: int | None
    problem: str | None = None
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the message was taken."""
        return self.problem is None

    @property
    def gone(self) -> bool:
        """Whether nothing shall be sent there any more (410)."""
        return self.status == 410


class Poster(Protocol):
    """Sends messages to webhooks, signed, through the data plane's own exit."""

    async def post(self, webhook: SealedWebhook, message_id: str, body: bytes) -> Posted:
        """Send one message. Redirects are not followed, and of the answer nothing but its status is read.

        Raises NotReady where the vault cannot be asked now.
        """
        ...


class RecordedSide(NamedTuple):
    """What was recorded of a request or an answer, opened.

    Of a request ``facts`` has method, target (a path or a call), query, headers, size, and ``exact``: it is all of it.
    Of an answer status, headers, size, and ``whole``. Secrets are masked, what carries one is left out.
    """

    facts: Mapping[str, Any]
    body: bytes


class OpenedBodies(NamedTuple):
    """The recorded bodies of one request."""

    request: RecordedSide | None
    answer: RecordedSide | None


class Replayer(Protocol):
    """Opens what was recorded of requests, and sends them once more through the data plane's own exit."""

    async def open_bodies(self, record: RequestRecord) -> OpenedBodies | None:
        """The recorded bodies; None where there are none, or none any more."""
        ...

    async def replay(self, record: RequestRecord, before: Callable[[], Awaitable[None]]) -> TrialAnswer:
        """Send it once and read its answer, of whatever status. ``before`` is awaited when it is about to be sent.

        Raises InvalidInput where it cannot be sent as it was, and what ``before`` and ``Trier.run`` raise.
        """
        ...


class Issuers(Protocol):
    """Asks the issuers of tokens, through the data plane's own exit, with the API's active credential.

    Every method raises ``IssuerRefused`` where the issuer refuses, ``CredentialMissing`` where the API cannot be used
    now, and the errors of the exit. The fingerprint tells with what credential and options: where it is not that of a
    sign-in any more, the sign-in is refused.
    """

    async def begin(self, key: ConnectionKey, back: str, state: str) -> tuple[SignIn, bytes]:
        """Where to send the person, who comes back to ``back`` with ``state``; and the fingerprint of the sign-in."""
        ...

    async def finish(self, sign_in: SignInRow, answer: Mapping[str, str]) -> Token:
        """The token, from the query that the person came back with."""
        ...

    async def begin_device(self, key: ConnectionKey) -> tuple[DeviceSignIn, bytes]:
        """What to show the person; and the fingerprint of the sign-in."""
        ...

    async def poll_device(self, sign_in: SignInRow) -> Token | Pending:
        """The token once the person is done."""
        ...
