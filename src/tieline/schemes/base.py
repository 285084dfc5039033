"""What a scheme is.

A scheme says which fields its credential has, which options a definition may give it, where the API's own SDK would put
the secret (so that an app key is found there), and binds a credential to an ``Applier`` that changes requests. It does
no input or output of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tieline.access.appkey import KeyPlaces
from tieline.access.keyplaces import form_decoded
from tieline.core.secret import Secret

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a credential: its name, what a person calls it, and how it may look.

    ``secret`` values are never shown; ``multiline`` ones may hold line breaks (PEM keys), all others no control
    characters, as they end up in header fields and URLs.
    """

    name: str
    label: str
    secret: bool = True
    multiline: bool = False
    required: bool = True


class Outgoing:
    """A request about to be sent upstream, as appliers see it.

    ``path`` and ``query`` (without ``?``) are bytes as they will be sent; ``headers`` are name and value pairs.
    """

    __slots__ = ("headers", "method", "path", "query")

    def __init__(self, method: bytes, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers

    def add_query(self, pair: bytes) -> None:
        """Append a ``name=value`` pair that is encoded already."""
        self.query = self.query + b"&" + pair if self.query else pair

    def drop_query(self, names: frozenset[bytes]) -> None:
        """Remove every pair with one of ``names``, however it is encoded."""
        pairs = self.query.split(b"&")
        self.query = b"&".join([pair for pair in pairs if form_decoded(pair.partition(b"=")[0]) not in names])


class Applier(Protocol):
    """A credential bound to a scheme: what changes a request.

    ``replaces`` are the lower-case header fields, and ``replaces_query`` the query names, that are the scheme's alone:
    what a caller sent under them is dropped before ``apply``.
    """

    replaces: frozenset[bytes]
    replaces_query: frozenset[bytes]

    def apply(self, outgoing: Outgoing) -> None:
        """Add the secret to ``outgoing``."""

    def secrets(self) -> Sequence[Secret]:
        """Every form in which the secret goes over the wire, so that a reflection of it can be masked."""


class Scheme(Protocol):
    """One way to apply a secret; ``sentence`` says it in a few words for a picker."""

    name: str
    sentence: str

    def fields(self, options: Options) -> Sequence[Field]:
        """The credential's fields under these options."""

    def check(self, options: Options) -> list[str]:
        """What is wrong with the options, a sentence each; empty if nothing."""

    def places(self, options: Options) -> KeyPlaces:
        """Where the API's own clients put the secret."""

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:
        """An applier that holds ``secrets`` (checked against ``fields``)."""


def unknown_options(options: Options, known: frozenset[str]) -> list[str]:
    """A problem for each option that a scheme does not have."""
    return [
        f"unknown option {name!r}; it takes {', '.join(sorted(known)) or 'none'}"
        for name in options
        if name not in known
    ]
