"""What signing people in needs from outside: connections and sign-ins that are kept, and issuers that are asked.

Protocols and rows only, as in ``ports``. Token values come and stay sealed; only who asks issuers opens any.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from tieline.core.pages import Page, PageRequest
from tieline.definitions.model import Environment
from tieline.schemes.flow import DeviceSignIn, Pending, SignIn, Token
from tieline.vault.intake import SealedSecret

ConnectionState = Literal["pending", "active", "reauthorization_required"]


class Whose(NamedTuple):
    """Which token: the API's scheme at ``position``; ``app_id`` and ``user`` are empty for the shared one."""

    api_id: str
    environment: Environment
    position: int
    app_id: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection without its token. ``api`` and ``app`` are names; ``app`` is None for a shared one."""

    id: str
    whose: Whose
    api: str
    app: str | None
    state: ConnectionState
    scopes: tuple[str, ...]
    account: str | None
    expires_at: datetime | None
    refreshed_at: datetime | None
    last_error: str | None
    created_at: datetime
    created_by: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class KeptToken:
    """A token as it is kept: values sealed, and what may be told. ``basis`` is what it was got with."""

    basis: bytes
    secrets: Mapping[str, SealedSecret]
    expires_at: float | None
    scopes: tuple[str, ...]
    account: str | None


@dataclass(frozen=True, slots=True)
class SignInRow:
    """A sign-in on its way. ``kept`` is what the scheme needs to finish it, sealed; None before a browser began it.

    ``api`` and ``app`` are names, read but not stored; ``app`` is None for the shared connection. ``browser_hash`` is
    the hash of the cookie of the browser that began it, None where a device is polled for.
    """

    id: str
    whose: Whose
    api: str
    app: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    return_to: str | None = None
    basis: bytes = b""
    browser_hash: bytes | None = None
    kept: SealedSecret | None = None
    next_poll_at: datetime | None = None


class ConnectionReader(Protocol):
    """Connections, never their tokens."""

    async def get(self, connection_id: str) -> ConnectionRow | None: ...

    async def list(
        self, page: PageRequest, api_id: str | None = None, app_id: str | None = None
    ) -> Page[ConnectionRow]:
        """All, or those of one API or one app or both."""
        ...


class ConnectionWriter(ConnectionReader, Protocol):
    """Changes to connections. Each adds a ``changes`` row of kind ``connection``."""

    async def slot(self, whose: Whose, by: str, at: datetime) -> tuple[str, int]:
        """The id of the connection, made if there is none, and the generation that its next token has."""
        ...

    async def fill(self, connection_id: str, generation: int, token: KeptToken, at: datetime) -> None:
        """Keep a token as ``generation`` and make the connection active; whoever is renewing it comes too late."""
        ...

    async def remove(self, connection_id: str) -> None:
        """Delete it with its token."""
        ...


class SignInReader(Protocol):
    """Sign-ins on their way."""

    async def get(self, sign_in_id: str) -> SignInRow | None: ...

    async def by_link(self, link_hash: bytes) -> SignInRow | None: ...

    async def by_state(self, state_hash: bytes) -> SignInRow | None: ...


class SignInWriter(SignInReader, Protocol):
    """Changes to sign-ins; the data plane is not told of them."""

    async def add(self, row: SignInRow, link_hash: bytes | None = None) -> None: ...

    async def begin(self, row: SignInRow, state_hash: bytes) -> None:
        """Store ``basis``, ``browser_hash`` and ``kept`` of ``row``; from now on ``state_hash`` finds it."""
        ...

    async def postpone(self, sign_in_id: str, next_poll_at: datetime) -> None:
        """Not to be polled for before ``next_poll_at``."""
        ...

    async def remove(self, sign_in_id: str) -> bool:
        """Delete it; False where it was gone."""
        ...

    async def forget(self, now: datetime) -> None:
        """Delete all that have expired."""
        ...


class Issuers(Protocol):
    """Asks the issuers of tokens, through the data plane's own exit, with the API's active credential.

    Every method raises ``IssuerRefused`` where the issuer refuses, ``CredentialMissing`` where the API cannot be used
    now, and the errors of the exit. ``basis`` tells with what credential and options: where it is not that of a sign-in
    any more, the sign-in is refused.
    """

    async def begin(self, whose: Whose, back: str, state: str) -> tuple[SignIn, bytes]:
        """Where to send the person, who comes back to ``back`` with ``state``; and the basis."""
        ...

    async def finish(self, sign_in: SignInRow, answer: Mapping[str, str]) -> Token:
        """The token, from the query that the person came back with."""
        ...

    async def begin_device(self, whose: Whose) -> tuple[DeviceSignIn, bytes]:
        """What to show the person; and the basis."""
        ...

    async def poll_device(self, sign_in: SignInRow) -> Token | Pending:
        """The token once the person is done."""
        ...
