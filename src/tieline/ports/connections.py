"""Connections: a row without its token for operators, and one with sealed values for the data plane."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from tieline.core.names import Environment
from tieline.core.pages import Page, PageRequest
from tieline.vault.intake import SealedSecret

ConnectionState = Literal["pending", "active", "reauthorization_required"]


class EndUser(NamedTuple):
    """Whom a token belongs to: a user of an app, by the name that the app gave."""

    app_id: str
    user: str


class ConnectionKey(NamedTuple):
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
    key: ConnectionKey
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
class SealedConnection:
    """A token as it is kept, its values still sealed; ``previous`` are those of the generation before.

    ``fingerprint`` tells what credential and options it was got with, ``generation`` counts its tokens, 0 before the
    first. Times are seconds since the epoch. After ``failures`` failures in a row it is not tried again before
    ``retry_at``.
    """

    id: str
    key: ConnectionKey
    state: ConnectionState
    fingerprint: bytes
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

    fingerprint: bytes
    secrets: Mapping[str, SealedSecret]
    expires_at: float | None
    scopes: tuple[str, ...]
    account: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no new token, in words for operators; ``final``: not before somebody has signed in again.

    ``fingerprint`` is what it was asked for with. It is not tried again for ``pause`` seconds; None: not before a
    sign-in.
    """

    text: str
    final: bool
    pause: float | None
    fingerprint: bytes


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

    async def slot(self, key: ConnectionKey, by: str, at: datetime) -> tuple[str, int]:
        """The id of the connection, made if there is none, and the generation that its next token has."""
        ...

    async def fill(self, connection_id: str, generation: int, token: SealedToken, at: datetime) -> None:
        """Keep a token as ``generation`` and make the connection active; a renewal under way can save nothing then."""
        ...

    async def remove(self, connection_id: str) -> None:
        """Delete it with its token."""
        ...


class ConnectionStore(Protocol):
    """Where tokens are kept, and whose turn it is to renew one. Every method raises ``NotReady`` as the others do."""

    async def connection(self, key: ConnectionKey) -> SealedConnection | None:
        """The token of ``key`` with its sealed values."""
        ...

    async def lease(
        self, key: ConnectionKey, generation: int, holder: str, seconds: float, *, take_over: bool = False
    ) -> SealedConnection | None:
        """Take the turn to renew a token that is still of ``generation``; None where another has it, or it moved on.

        A ``key`` without a row gets one in generation 0. The turn ends with ``renewed`` or ``refused``. Where neither
        came within ``seconds``, by the store's own clock, whoever asks with ``take_over`` gets it.
        """
        ...

    async def renewed(self, row: SealedConnection, token: SealedToken, refusal: Refusal | None = None) -> bool:
        """Keep ``token`` as the generation after that of ``row``; False, with nothing changed, where that moved on.

        The values of ``row`` itself stay, those before it are deleted. It is one transaction, with a ``changes`` row.
        ``refusal`` is noted with it: the issuer gave values to be kept, but no token that can be used.
        """
        ...

    async def refused(self, row: SealedConnection, holder: str, refusal: Refusal) -> bool:
        """Note why there is no new token and end the turn of ``holder``; False where it had moved on."""
        ...
