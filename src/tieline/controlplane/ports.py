"""What the control plane needs from outside: a store with a unit of work, a prober, a trier. Protocols and rows only.

``tieline.storage`` implements the store, ``tieline.dataplane`` the others, the composition root joins them. This module
knows neither SQL nor HTTP. All times are aware and in UTC. All lists are ordered by id (oldest first) unless said
otherwise; ``PageRequest.after`` is the id of the last item already seen, ``Page.next`` the id to pass on or None.

A *write* is one transaction: what the use case changes, its audit event and the ``changes`` rows that tell the data
plane. Writes run one at a time (the audit chain needs that anyway), so a use case may read, decide and write in one.
A store that cannot be reached raises ``NotReady``.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from tieline.access.caller import Caller, Role
from tieline.audit.events import Event
from tieline.controlplane.connecting import ConnectionReader, ConnectionWriter, SignInReader, SignInWriter
from tieline.core.pages import Page, PageRequest
from tieline.definitions.infer.lesson import StreamSeen
from tieline.definitions.model import Stream
from tieline.vault.intake import SealedSecret

Environment = Literal["live", "development"]
CredentialState = Literal["pending", "active", "retired"]


@dataclass(frozen=True, slots=True)
class ApiRow:
    """An API. ``definition`` is canonical JSON text; ``revision`` starts at 1 and rises by one with each change."""

    id: str
    name: str
    definition: str
    revision: int
    source_entry: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """One version of an API's credential, without its sealed values.

    ``version`` counts per API across environments and is never used twice. ``shown`` holds the masked form of each
    field. ``kept`` says whether the sealed values still exist; ``add`` ignores it.
    """

    id: str
    api_id: str
    environment: Environment
    version: int
    state: CredentialState
    hosts: tuple[str, ...]
    shown: Mapping[str, str]
    created_at: datetime
    created_by: str
    activated_at: datetime | None = None
    retired_at: datetime | None = None
    kept: bool = True


@dataclass(frozen=True, slots=True)
class AppRow:
    """An app. ``apis`` maps the ids of the APIs it may use to their names (writes read the ids only)."""

    id: str
    name: str
    apis: Mapping[str, str]
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class KeySecretRow:
    """One secret of an app key: never the secret, only its redacted form and when it stops working."""

    id: str
    redacted: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An app key with its secrets, oldest first. ``permissions`` is ``access.permissions.Permissions.to_json()``."""

    id: str
    app_id: str
    name: str
    environment: Environment
    permissions: Mapping[str, Any]
    expires_at: datetime | None
    from_ip: tuple[str, ...]
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    secrets: tuple[KeySecretRow, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenRow:
    """An admin token, without its hash. ``created_by`` is the id of the caller who made it."""

    id: str
    name: str
    role: Role
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One link of the audit chain. ``actor`` is the caller as ``kind:id``, such as ``token:tok_06…``."""

    seq: int
    id: str
    at: datetime
    actor: str
    kind: str
    target: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """What checking the whole chain found: how many events were read and a sentence for each break (none: it holds)."""

    events: int
    breaks: Sequence[str]


@dataclass(frozen=True, slots=True)
class DataKeyRow:
    """A data key and how many stored secrets it seals."""

    id: str
    root_key_id: str
    created_at: datetime
    retired_at: datetime | None
    secrets: int


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One place where a call's answers were otherwise than its fields say, and how often since the fields are so.

    ``kind`` is ``type`` (another type was found than expected), ``missing`` or ``new``.
    """

    environment: Environment
    path: str
    kind: Literal["type", "missing", "new"]
    expected: str
    found: str
    count: int
    first_at: datetime
    last_at: datetime


class ApiReader(Protocol):
    """APIs, by name."""

    async def get(self, name: str) -> ApiRow | None: ...

    async def list(self, page: PageRequest) -> Page[ApiRow]: ...


class ApiWriter(ApiReader, Protocol):
    """Changes to APIs. Each adds a ``changes`` row of kind ``api``."""

    async def add(self, row: ApiRow) -> bool:
        """Add it; False, with nothing changed, where the name is taken."""
        ...

    async def replace(self, row: ApiRow) -> None:
        """Store ``definition``, ``revision``, ``source_entry`` and ``updated_at`` of ``row`` under its id."""
        ...

    async def remove(self, api_id: str) -> None:
        """Delete it, its credentials with their sealed values, and its places in apps (a ``changes`` row each)."""
        ...


class CredentialReader(Protocol):
    """Credentials of an API, never their values."""

    async def get(self, api_id: str, version: int) -> CredentialRow | None: ...

    async def list(self, api_id: str, page: PageRequest) -> Page[CredentialRow]: ...

    async def active(self, api_id: str) -> Sequence[CredentialRow]:
        """The active ones: at most one for each environment."""
        ...


class CredentialWriter(CredentialReader, Protocol):
    """Changes to credentials. Each adds a ``changes`` row of kind ``credential`` whose ``ref`` is the API's id."""

    async def next_version(self, api_id: str) -> int:
        """The number the next credential of this API gets: one more than any it ever had."""
        ...

    async def add(self, row: CredentialRow, sealed: Mapping[str, SealedSecret]) -> None:
        """Store the row and one sealed value for each field."""
        ...

    async def activate(self, credential_id: str, at: datetime) -> None:
        """Make it the active one of its API and environment and the one that was active retired (values kept)."""
        ...

    async def retire(self, credential_id: str, at: datetime) -> None:
        """Make it retired for good: its sealed values are deleted."""
        ...


class AppReader(Protocol):
    """Apps, by id or by name."""

    async def get(self, id_or_name: str) -> AppRow | None: ...

    async def list(self, page: PageRequest) -> Page[AppRow]: ...

    async def using(self, api_id: str) -> Sequence[AppRow]:
        """All apps that may use this API."""
        ...


class AppWriter(AppReader, Protocol):
    """Changes to apps. Each adds a ``changes`` row of kind ``app``."""

    async def add(self, row: AppRow) -> bool:
        """Add it; False, with nothing changed, where the name is taken."""
        ...

    async def replace(self, row: AppRow) -> bool:
        """Store ``name`` and the ids in ``apis`` under the row's id; False where the name is another app's."""
        ...

    async def remove(self, app_id: str) -> None:
        """Delete it and all its keys with their secrets."""
        ...


class KeyReader(Protocol):
    """App keys, by id."""

    async def get(self, key_id: str) -> KeyRow | None: ...

    async def list(self, app_id: str, page: PageRequest) -> Page[KeyRow]: ...


class KeyWriter(KeyReader, Protocol):
    """Changes to app keys. Each adds a ``changes`` row of kind ``key``."""

    async def add(self, row: KeyRow, secret_hash: bytes) -> None:
        """Store the row with its one secret (``row.secrets[0]``), found from then on by ``secret_hash``."""
        ...

    async def replace(self, row: KeyRow) -> None:
        """Store ``name``, ``permissions``, ``expires_at`` and ``from_ip`` of ``row`` under its id."""
        ...

    async def rotate(self, key_id: str, secret: KeySecretRow, secret_hash: bytes, older_end: datetime) -> None:
        """Add a secret; every older one ends at ``older_end``, or earlier where it already did."""
        ...

    async def revoke(self, key_id: str, at: datetime) -> None:
        """Set ``revoked_at``."""
        ...


class TokenReader(Protocol):
    """Admin tokens."""

    async def get(self, token_id: str) -> TokenRow | None: ...

    async def by_hash(self, token_hash: bytes) -> TokenRow | None: ...

    async def list(self, page: PageRequest) -> Page[TokenRow]: ...

    async def owners(self, now: datetime) -> int:
        """How many owner tokens are good at ``now``: neither revoked nor expired."""
        ...


class TokenWriter(TokenReader, Protocol):
    """Changes to admin tokens."""

    async def add(self, row: TokenRow, token_hash: bytes) -> None: ...

    async def revoke(self, token_id: str, at: datetime) -> None: ...


class AuditReader(Protocol):
    """The audit chain."""

    async def list(self, page: PageRequest) -> Page[AuditRow]:
        """Events, newest first; ``after`` and ``next`` are event ids."""
        ...

    async def verify(self) -> AuditVerdict:
        """Read the whole chain and its signed head and say where it does not hold."""
        ...


class AuditWriter(AuditReader, Protocol):
    """The audit chain, within a write."""

    async def add(self, event: Event) -> None:
        """Append ``event`` with the caller of this write as its actor."""
        ...


class DataKeyReader(Protocol):
    """The vault's data keys, never their bytes."""

    async def list(self) -> Sequence[DataKeyRow]: ...


class DriftReader(Protocol):
    """What the data plane counted of answers that no longer fit."""

    async def of_call(self, api_id: str, call: str) -> Sequence[DriftRow]:
        """All that is known of a call, most frequent first; at most 200 places in each environment."""
        ...


class DriftWriter(DriftReader, Protocol):
    """Drift, within a write."""

    async def forget(self, api_id: str, call: str) -> None:
        """Begin to count anew."""
        ...


class Reading(Protocol):
    """One consistent view of the store."""

    @property
    def apis(self) -> ApiReader: ...
    @property
    def credentials(self) -> CredentialReader: ...
    @property
    def apps(self) -> AppReader: ...
    @property
    def keys(self) -> KeyReader: ...
    @property
    def tokens(self) -> TokenReader: ...
    @property
    def audit(self) -> AuditReader: ...
    @property
    def data_keys(self) -> DataKeyReader: ...
    @property
    def drift(self) -> DriftReader: ...
    @property
    def connections(self) -> ConnectionReader: ...
    @property
    def sign_ins(self) -> SignInReader: ...


class Writing(Protocol):
    """One write: everything in it is kept, durably, when the block ends without an exception, and otherwise nothing."""

    @property
    def apis(self) -> ApiWriter: ...
    @property
    def credentials(self) -> CredentialWriter: ...
    @property
    def apps(self) -> AppWriter: ...
    @property
    def keys(self) -> KeyWriter: ...
    @property
    def tokens(self) -> TokenWriter: ...
    @property
    def audit(self) -> AuditWriter: ...
    @property
    def drift(self) -> DriftWriter: ...
    @property
    def connections(self) -> ConnectionWriter: ...
    @property
    def sign_ins(self) -> SignInWriter: ...


class Store(Protocol):
    """Where the control plane keeps its state."""

    def read(self) -> AbstractAsyncContextManager[Reading]:
        """``async with store.read() as rx``."""
        ...

    def write(self, caller: Caller) -> AbstractAsyncContextManager[Writing]:
        """``async with store.write(caller) as tx``; ``caller`` is the actor of the audit events added in it."""
        ...

    async def touch_token(self, token_id: str, at: datetime) -> None:
        """Note that a token was used; called at most once a minute for each token. No audit event."""
        ...

    async def reachable(self) -> bool:
        """Whether the store answers now."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verify request showed: ``status`` is the upstream's, ``problem`` what went wrong and what to do."""

    ok: bool
    status: int | None
    problem: str | None


class Prober(Protocol):
    """Sends an API's verify request with its active credential, through the data plane's own exit."""

    async def probe(self, api_name: str, environment: Environment) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file for a parameter of a call."""

    filename: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which call to run once, and with what."""

    api: str
    call: str
    environment: Environment
    values: Mapping[str, Any] = field(repr=False)
    files: Mapping[str, GivenFile] = field(repr=False, default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tried:
    """What an upstream answered: header names in lower case; secrets that it sent back are masked.

    ``body`` is decoded, and UTF-8 where it is text; ``whole`` says whether that is all of it.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes
    whole: bool


class Trier(Protocol):
    """Runs a call once, and looks at answers as the data plane would."""

    async def run(self, attempt: Attempt) -> Tried:
        """Send one request through the data plane's own exit and read its answer, of whatever status.

        Raises RequestError, CredentialError, DestinationNotAllowed where it cannot be sent, UpstreamError where no
        usable answer came.
        """
        ...

    def sight(self, body: bytes, content_type: str, known: Stream | None) -> StreamSeen | None:
        """The stream that ``body`` is the beginning of, in the shape ``known``, else proposed; None where it is none.

        Does no input or output.
        """
        ...
