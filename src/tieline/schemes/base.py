"""What a scheme is.

A scheme says which fields its credential has, which options a definition may give it, where the API's own SDK would put
the secret (so that an app key is found there), and binds a credential to an ``Applier`` that changes requests. It does
no input or output of its own: one whose secret has a lifetime says in flows (``flow``) what must be asked of whom.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from tieline.access.appkey import KeyPlaces
from tieline.access.keyplaces import form_decoded
from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.wire.tls import TlsIdentity

Options = Mapping[str, Any]
Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class SchemeField:
    """One value of a credential: its name, what a person calls it, and how it may look.

    ``secret`` values are never shown, and masked where an answer reflects them; names and ids are not. The value of a
    field with ``public_beside`` is a secret only where that other field has none. ``multiline`` values may hold line
    breaks (PEM keys), all others no control characters, as they end up in header fields and URLs.
    """

    name: str
    label: str
    secret: bool = True
    multiline: bool = False
    required: bool = True
    public_beside: str | None = None

    def is_secret(self, given: Collection[str]) -> bool:
        """Whether its value is a secret in a credential that has values for the fields ``given`` of its scheme."""
        return self.secret and (self.public_beside is None or self.public_beside not in given)


class Outgoing:
    """A request about to be sent upstream, as appliers see it.

    ``path`` and ``query`` (without ``?``) are bytes as they will be sent; ``headers`` are name and value pairs, without
    ``Host``. ``body`` is the whole body, or None where it is streamed and nobody has it. ``mark``: a question mark is
    sent before an empty query too. ``templated``: the body was made of a call's template, which says what is in it.
    """

    __slots__ = ("body", "headers", "mark", "method", "origin", "path", "query", "templated")

    def __init__(
        self,
        method: bytes,
        path: bytes,
        query: bytes,
        headers: list[tuple[bytes, bytes]],
        origin: Origin,
        body: bytes | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.origin = origin
        self.body = body
        self.mark = False
        self.templated = False

    def add_query(self, pair: bytes) -> None:
        """Append a ``name=value`` pair that is encoded already."""
        self.query = self.query + b"&" + pair if self.query else pair

    def drop_query(self, names: frozenset[bytes]) -> None:
        """Remove every pair with one of ``names``, however it is encoded."""
        self.query = without_pairs(self.query, names)

    def header(self, name: bytes) -> bytes | None:
        """The first field called ``name`` (lower case), or None."""
        return field_value(self.headers, name)


class Applier:
    """A credential bound to a scheme: what changes a request.

    ``replaces`` are the lower-case header fields, and ``replaces_query`` the query names, that are the scheme's alone:
    what a caller sent under them is dropped before ``apply``. ``constant`` says that ``apply`` does the same to every
    request with the same head, so that the result may be kept; ``reads_body`` that it needs ``outgoing.body``, which it
    may change, of those requests that ``wants_body`` tells; ``listens`` that ``answered`` wants to hear of answers;
    ``mints`` that ``secrets`` are others from time to time. ``tls`` is who Tieline is towards the upstream, where the
    scheme says so.
    """

    replaces: frozenset[bytes] = frozenset()
    replaces_query: frozenset[bytes] = frozenset()
    constant: bool = True
    reads_body: bool = False
    listens: bool = False
    mints: bool = False
    tls: TlsIdentity | None = None

    def apply(self, outgoing: Outgoing) -> None:
        """Add the secret to ``outgoing``. Raises CredentialMissing where this request cannot be signed, and why."""
        raise NotImplementedError

    def secrets(self) -> Sequence[Secret]:
        """Every form in which the secret goes over the wire, so that a reflection of it can be masked."""
        raise NotImplementedError

    def wants_body(self, headers: Headers) -> bool:
        """Whether ``apply`` needs the body of a request with these fields; it may be streamed where not."""
        return self.reads_body

    def answered(self, sent: Headers, status: int, headers: Headers) -> bool:
        """Hear of an answer's head; whether the request, applied anew, may now succeed (a challenge was learnt).

        ``sent`` are the fields that the request went out with: they tell which challenge it met.
        """
        return False


class Scheme(Protocol):
    """One way to apply a secret; ``sentence`` says it in a few words for a picker."""

    name: str
    sentence: str

    def fields(self, options: Options) -> Sequence[SchemeField]:
        """The credential's fields under these options."""

    def check(self, options: Options) -> list[str]:
        """What is wrong with the options, a sentence each; empty if nothing."""

    def places(self, options: Options) -> KeyPlaces:
        """Where the API's own clients put the secret."""


@runtime_checkable
class Static(Scheme, Protocol):
    """A scheme whose secret is what the operator put; one whose secret has a lifetime is a ``flow.Renewing``."""

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:
        """An applier that holds ``secrets``, which fit ``fields``. Raises CredentialMissing if they cannot be used."""


@runtime_checkable
class Checking(Scheme, Protocol):
    """A scheme that can tell at once, while an operator is there, that a value is no key or certificate."""

    def check_values(self, options: Options, secrets: Mapping[str, Secret]) -> None:
        """Raises CredentialMissing, its ``param`` the field, for ``secrets`` that could not be bound."""


def field_value(headers: Headers, name: bytes) -> bytes | None:
    """The first field called ``name`` (lower case), or None."""
    return next((value for each, value in headers if each.lower() == name), None)


def media_type(headers: Headers) -> bytes:
    """The media type of a body with these fields in lower case, without parameters; empty where none is said."""
    return (field_value(headers, b"content-type") or b"").partition(b";")[0].strip().lower()


def without_pairs(form: bytes, names: frozenset[bytes]) -> bytes:
    """A query or a form without the pairs that have one of ``names``, however they are encoded; the rest as it is."""
    pairs = form.split(b"&")
    return b"&".join([pair for pair in pairs if form_decoded(pair.partition(b"=")[0]) not in names])


def unknown_options(options: Options, known: frozenset[str]) -> list[str]:
    """A problem for each option that a scheme does not have."""
    takes = ", ".join(sorted(known)) or "none"
    return [
        f"{name}: a secret does not stand in a definition; remove it, and give it as the API's credential"
        if name in _SECRETS
        else f"{name}: this stands in the API's credential, beside its secret; remove it here, and give it there"
        if name in _BESIDE_SECRETS
        else f"unknown option {name!r}; it takes {takes}"
        for name in options
        if name not in known
    ]


_SECRETS = frozenset(
    {"key", "api_key", "token", "access_token", "secret", "password", "client_secret", "refresh_token"}
)
_BESIDE_SECRETS = frozenset({"user", "username", "client_id", "access_key_id", "consumer_key"})
