"""One frozen dataclass for each thing that an operator can do: what was done, to what, and the facts worth keeping.

Owns the kinds of audit events and which facts each one carries. Knows nothing of who did it (the unit of work adds the
caller), of time, or of storage. No event has a field for a secret: credentials are named by their field names, keys by
their redacted form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

Fact = str | int | float | bool | None | tuple[str, ...] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What every event has: a ``kind`` such as ``key.created`` and the id of its ``target``."""

    kind: ClassVar[str]
    target: str

    def data(self) -> dict[str, Any]:
        """The facts beside the target, as values that JSON has."""
        facts = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "target"}
        return {name: _plain(fact) for name, fact in facts.items()}


def _plain(fact: Fact) -> object:
    """Tuples as lists and mappings as dictionaries, so that the same event always reads the same."""
    if isinstance(fact, tuple):
        return list(fact)
    if isinstance(fact, Mapping):
        return dict(fact)
    return fact


@dataclass(frozen=True, slots=True)
class ApiAdded(AuditEvent):
    """An API was added; ``source_entry`` is the catalogue entry it came from."""

    kind: ClassVar[str] = "api.added"
    name: str
    source_entry: str | None = None


@dataclass(frozen=True, slots=True)
class ApiChanged(AuditEvent):
    """An API's definition was replaced; ``revision`` is the new one."""

    kind: ClassVar[str] = "api.changed"
    name: str
    revision: int


@dataclass(frozen=True, slots=True)
class ApiRemoved(AuditEvent):
    """An API was removed with its credentials."""

    kind: ClassVar[str] = "api.removed"
    name: str


@dataclass(frozen=True, slots=True)
class ApiVerified(AuditEvent):
    """An API's verify request was sent with its credential; ``status`` is None when there was no answer."""

    kind: ClassVar[str] = "api.verified"
    name: str
    environment: str
    ok: bool
    status: int | None = None


@dataclass(frozen=True, slots=True)
class CallAdded(AuditEvent):
    """A call was added to an API; ``revision`` is the API's new one."""

    kind: ClassVar[str] = "call.added"
    api: str
    name: str
    revision: int


@dataclass(frozen=True, slots=True)
class CallChanged(AuditEvent):
    """A call was replaced; ``revision`` is the API's new one."""

    kind: ClassVar[str] = "call.changed"
    api: str
    name: str
    revision: int


@dataclass(frozen=True, slots=True)
class CallRemoved(AuditEvent):
    """A call was removed from an API; ``revision`` is the API's new one."""

    kind: ClassVar[str] = "call.removed"
    api: str
    name: str
    revision: int


@dataclass(frozen=True, slots=True)
class CallInitialized(AuditEvent):
    """A call was run once, or looked at samples, to learn what it answers.

    ``environment`` and ``status`` are None for samples, ``revision`` where nothing was saved.
    """

    kind: ClassVar[str] = "call.initialized"
    api: str
    name: str
    environment: str | None = None
    status: int | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class CredentialPut(AuditEvent):
    """A credential's new version was sealed; ``fields`` are the names of its values, never the values."""

    kind: ClassVar[str] = "credential.put"
    api: str
    environment: str
    version: int
    fields: tuple[str, ...]
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CredentialActivated(AuditEvent):
    """A credential's version is the one in use from now on."""

    kind: ClassVar[str] = "credential.activated"
    api: str
    environment: str
    version: int


@dataclass(frozen=True, slots=True)
class CredentialRetired(AuditEvent):
    """A credential's version is no longer used and its values are erased."""

    kind: ClassVar[str] = "credential.retired"
    api: str
    environment: str
    version: int


@dataclass(frozen=True, slots=True)
class AppCreated(AuditEvent):
    """An app was created; ``apis`` are the names of the APIs it may use, ``limits`` what holds for all its keys."""

    kind: ClassVar[str] = "app.created"
    name: str
    apis: tuple[str, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AppChanged(AuditEvent):
    """An app's name, APIs or limits changed; all as they are now."""

    kind: ClassVar[str] = "app.changed"
    name: str
    apis: tuple[str, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AppRemoved(AuditEvent):
    """An app was removed with its keys."""

    kind: ClassVar[str] = "app.removed"
    name: str


@dataclass(frozen=True, slots=True)
class KeyCreated(AuditEvent):
    """An app key was minted; ``redacted`` is how it may be shown, ``expires_at`` RFC 3339 or None for never."""

    kind: ClassVar[str] = "key.created"
    app: str
    name: str | None
    environment: str
    permissions: Mapping[str, Any]
    redacted: str
    expires_at: str | None = None
    from_ip: tuple[str, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyChanged(AuditEvent):
    """What an app key may do changed; ``changed`` holds what was set, as it is now."""

    kind: ClassVar[str] = "key.changed"
    app: str
    changed: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KeyRotated(AuditEvent):
    """An app key got a second secret; the one before ends at ``previous_ends_at`` (RFC 3339)."""

    kind: ClassVar[str] = "key.rotated"
    app: str
    redacted: str
    previous_ends_at: str | None


@dataclass(frozen=True, slots=True)
class KeyRevoked(AuditEvent):
    """An app key was revoked for good."""

    kind: ClassVar[str] = "key.revoked"
    app: str
    redacted: str


@dataclass(frozen=True, slots=True)
class BudgetCreated(AuditEvent):
    """A budget was made; ``amount`` and ``terms`` as the admin API shows them."""

    kind: ClassVar[str] = "budget.created"
    name: str
    amount: Mapping[str, Any]
    terms: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BudgetChanged(AuditEvent):
    """A budget's name, amount or terms changed; all as they are now."""

    kind: ClassVar[str] = "budget.changed"
    name: str
    amount: Mapping[str, Any]
    terms: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BudgetRemoved(AuditEvent):
    """A budget was removed with what was spent of it."""

    kind: ClassVar[str] = "budget.removed"
    name: str


@dataclass(frozen=True, slots=True)
class WebhookCreated(AuditEvent):
    """A webhook was made; of its URL, which may hold a secret, the origin is kept."""

    kind: ClassVar[str] = "webhook.created"
    name: str
    origin: str
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WebhookChanged(AuditEvent):
    """A webhook's name, URL, events or state changed; all as they are now. ``moved`` says that the URL is another."""

    kind: ClassVar[str] = "webhook.changed"
    name: str
    origin: str
    events: tuple[str, ...]
    state: str
    moved: bool


@dataclass(frozen=True, slots=True)
class WebhookRotated(AuditEvent):
    """A webhook has another secret; the one before signs beside it for ``overlap`` seconds."""

    kind: ClassVar[str] = "webhook.rotated"
    name: str
    overlap: int


@dataclass(frozen=True, slots=True)
class WebhookTested(AuditEvent):
    """A test event was sent to a webhook; ``status`` is what it answered."""

    kind: ClassVar[str] = "webhook.tested"
    name: str
    ok: bool
    status: int | None = None


@dataclass(frozen=True, slots=True)
class WebhookRemoved(AuditEvent):
    """A webhook was removed with its secret and its deliveries."""

    kind: ClassVar[str] = "webhook.removed"
    name: str


@dataclass(frozen=True, slots=True)
class SignInBegun(AuditEvent):
    """A sign-in was begun by an operator; its target is the sign-in. ``user`` is empty for the shared connection."""

    kind: ClassVar[str] = "signin.begun"
    api: str
    environment: str
    app: str | None
    user: str
    device: bool = False


@dataclass(frozen=True, slots=True)
class SignInFinished(AuditEvent):
    """A person signed in: the connection that is the target has a new token. ``account`` is who the issuer says."""

    kind: ClassVar[str] = "signin.finished"
    sign_in: str
    api: str
    environment: str
    app: str | None
    user: str
    account: str | None = None


@dataclass(frozen=True, slots=True)
class SignInRefused(AuditEvent):
    """A sign-in ended without a token; ``why`` is what the person was told."""

    kind: ClassVar[str] = "signin.refused"
    api: str
    environment: str
    app: str | None
    user: str
    why: str


@dataclass(frozen=True, slots=True)
class ConnectionRemoved(AuditEvent):
    """A connection was removed with its token."""

    kind: ClassVar[str] = "connection.removed"
    api: str
    environment: str
    app: str | None
    user: str


@dataclass(frozen=True, slots=True)
class TokenCreated(AuditEvent):
    """An admin token was made."""

    kind: ClassVar[str] = "token.created"
    name: str
    role: str
    expires_at: str | None = None


@dataclass(frozen=True, slots=True)
class TokenRevoked(AuditEvent):
    """An admin token was revoked for good."""

    kind: ClassVar[str] = "token.revoked"
    name: str


@dataclass(frozen=True, slots=True)
class PricesReplaced(AuditEvent):
    """The price lists of providers were made anew, of another version of their data; its target is that version."""

    kind: ClassVar[str] = "prices.replaced"
    providers: int
    models: int


@dataclass(frozen=True, slots=True)
class VaultOpened(AuditEvent):
    """A process opened secrets; its target is the vault.

    ``why`` is ``serve`` (to add them to requests), ``token`` (a connection's, to use or renew it), ``verify``,
    ``trial``, ``sign_in``, ``webhook``, ``bodies`` or ``replay`` (recorded bodies, to show or send them). ``opened``
    has what they belong to by id: a credential, connection, sign-in, webhook or request, its environment, version and
    the names of its fields. ``more`` were opened beside those that are named.
    """

    kind: ClassVar[str] = "vault.opened"
    why: str
    opened: Mapping[str, Any]
    more: int = 0


@dataclass(frozen=True, slots=True)
class RequestBodiesOpened(AuditEvent):
    """The recorded bodies of the request that is the target were asked for by an operator."""

    kind: ClassVar[str] = "bodies.opened"
    api: str
    app: str


@dataclass(frozen=True, slots=True)
class RequestReplayed(AuditEvent):
    """The recorded request that is the target was sent once more; ``call`` is the call that was run, if it was one."""

    kind: ClassVar[str] = "request.replayed"
    api: str
    environment: str
    method: str
    path: str
    call: str | None = None
