"""What the data plane needs from the store: rows to build its snapshot from, and a place for records.

Owns the shapes of those rows. Knows no SQL, no engine and nothing of the control plane; ``storage.snapshots``,
``storage.records`` and ``storage.leases`` implement it, and tests may pass any object with these methods.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from tieline.vault.intake import SealedSecret

Environment = Literal["live", "development"]
ChangeKind = Literal["api", "credential", "app", "key", "connection"]
Outcome = Literal["complete", "client_gone", "upstream_cut", "refused"]
ConnectionState = Literal["pending", "active", "reauthorization_required"]


class TooOld(Exception):
    """The change log no longer reaches back to the version that was asked for: load everything again."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of what the data plane serves: ``ref`` is the id of the API, app, app key or connection.

    For a credential ``ref`` is the id of the API it belongs to, since that is what has to be compiled again.
    """

    version: int
    kind: ChangeKind
    ref: str


@dataclass(frozen=True, slots=True)
class ApiRow:
    """An API: its canonical definition as JSON text, and the revision that a change of it raises."""

    id: str
    name: str
    definition: str
    revision: int


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """The active credential of an API in one environment, its fields still sealed."""

    id: str
    api_id: str
    environment: Environment
    version: int
    hosts: tuple[str, ...]
    secrets: Mapping[str, SealedSecret]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One app key as found by the keyed hash of one of its secrets.

    ``expires_at`` is the earlier of the key's and the secret's expiry in seconds since the epoch, None for never.
    A revoked or expired key is found too, so that the answer can say which of the two it is.
    """

    key_id: str
    secret_id: str
    app_id: str
    app_name: str
    api_ids: frozenset[str]
    environment: Environment
    permissions: Mapping[str, Any]
    from_ip: tuple[str, ...]
    expires_at: float | None
    revoked: bool


class RequestRecord(NamedTuple):
    """What is kept about one relayed request or call; never a header, a query or a body.

    ``at`` is seconds since the epoch, durations are milliseconds, sizes are bytes of bodies. ``code`` is the Tieline
    error code when Tieline made the answer. ``call`` is the name of the call that was run, if one was. What was unknown
    when the request ended is None.
    """

    id: str
    at: float
    app_id: str | None
    key_id: str | None
    api: str | None
    environment: Environment | None
    method: str
    path: str
    area: str | None
    level: str | None
    status: int
    code: str | None
    duration_ms: float
    upstream_ms: float | None
    bytes_in: int
    bytes_out: int
    outcome: Outcome
    call: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class DriftRecord:
    """How often one place of a call's answers was otherwise than its fields say, since it was last told.

    ``kind`` is ``type``, ``missing`` or ``new``; ``expected`` and ``found`` are types, empty where there is none.
    """

    api: str
    environment: Environment
    call: str
    path: str
    kind: str
    count: int
    expected: str
    found: str


class SnapshotSource(Protocol):
    """Where the data plane reads from. Every method raises ``NotReady`` while the store cannot be reached."""

    async def version(self) -> int:
        """The version of the latest change, 0 before the first."""
        ...

    async def changes_since(self, version: int) -> list[Change]:
        """The changes after ``version`` in order. Raises ``TooOld`` when the log no longer reaches back to it."""
        ...

    async def apis(self) -> list[ApiRow]:
        """Every API, by name."""
        ...

    async def api(self, api_id: str) -> ApiRow | None:
        """One API, or None when it is gone."""
        ...

    async def credentials(self, api_id: str | None = None) -> list[CredentialRow]:
        """The active credentials, of one API or of all."""
        ...

    async def key_by_hash(self, keyed_hash: bytes) -> KeyRow | None:
        """The app key one of whose secrets has this keyed hash (32 bytes)."""
        ...

    async def wait_for_change(self, seconds: float) -> None:
        """Return as soon as something has changed since this method last returned, at the latest after ``seconds``.

        The first call returns at once. Changes made before or during the call are never slept through.
        """
        ...

    async def touch_keys(self, used: Mapping[str, float]) -> None:
        """Note when keys were last used: key id to seconds since the epoch, kept to the minute, never moved back."""
        ...

    async def add_records(self, records: Sequence[RequestRecord]) -> None:
        """Store a batch of records in one transaction; a record whose id is already there is left alone."""
        ...

    async def add_drifts(self, drifts: Sequence[DriftRecord]) -> None:
        """Add to what is counted already, in one transaction; what belongs to no API any more is passed over."""
        ...


class ConnectionKey(NamedTuple):
    """Whose token of which scheme (``position`` counts an API's); ``app_id`` and ``user`` are empty if it is shared."""

    api_id: str
    environment: Environment
    position: int
    app_id: str
    user: str


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A token as it is kept, its values still sealed; ``previous`` are those of the generation before.

    ``basis`` tells what credential and options it was got with. ``generation`` counts its tokens, 0 before the first.
    Times are seconds since the epoch. After ``failures`` failures in a row it is not tried again before ``retry_at``.
    """

    id: str
    key: ConnectionKey
    state: ConnectionState
    basis: bytes
    generation: int
    secrets: Mapping[str, SealedSecret]
    previous: Mapping[str, SealedSecret]
    scopes: tuple[str, ...] = ()
    account: str | None = None
    expires_at: float | None = None
    refreshed_at: float | None = None
    last_error: str | None = None
    failures: int = 0
    retry_at: float | None = None
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class SealedToken:
    """A token to be kept: its values sealed for the generation it will have, and what may be told of it."""

    basis: bytes
    secrets: Mapping[str, SealedSecret]
    expires_at: float | None
    scopes: tuple[str, ...]
    account: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no new token, in words for operators; ``final``: not before somebody has signed in again.

    ``basis`` is what it was asked for with. It is not tried again for ``pause`` seconds.
    """

    text: str
    final: bool
    pause: float
    basis: bytes


class ConnectionStore(Protocol):
    """Where tokens are kept, and whose turn it is to renew one. Every method raises ``NotReady`` as the others do."""

    async def connection(self, key: ConnectionKey) -> ConnectionRow | None:
        """The token of ``key`` with its sealed values."""
        ...

    async def lease(self, key: ConnectionKey, generation: int, holder: str, seconds: float) -> ConnectionRow | None:
        """Take the turn to renew a token that is still of ``generation``; None where another has it, or it moved on.

        A ``key`` without a row gets one in generation 0. The turn ends with ``renewed`` or ``refused``, at the latest
        after ``seconds`` by the store's own clock.
        """
        ...

    async def renewed(self, row: ConnectionRow, token: SealedToken) -> bool:
        """Keep ``token`` as the generation after that of ``row``; False, with nothing changed, where that moved on.

        The values of ``row`` itself stay, those before it are deleted. It is one transaction, with a ``changes`` row.
        """
        ...

    async def refused(self, row: ConnectionRow, holder: str, refusal: Refusal) -> bool:
        """Note why there is no new token and end the turn of ``holder``; False where it had moved on."""
        ...
