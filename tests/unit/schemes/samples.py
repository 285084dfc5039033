"""Each scheme as a definition may use it: options, a credential that fits them, and a request that can be signed.

Every scheme of the registry has a sample here, and one more for each way in which it works differently. What holds for
all of them is in test_scheme_contract.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tieline.core.secret import Secret
from tieline.schemes.base import Applier, Outgoing, Static
from tieline.schemes.flow import Renewing, Token
from tieline.schemes.registry import SCHEMES
from tieline.wire.guard import Origin

ORIGIN = Origin("https", "api.example.com", 443)
SECRET = "not-real-" + "5f2c81d09ab47e36"
FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
JSON = (b"Content-Type", b"application/json; charset=utf-8")


@dataclass(frozen=True)
class Sample:
    """One use of a scheme. ``token`` is what its issuer gave, where it has one; ``heard`` a refusal it learns from."""

    scheme: str
    options: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    token: Mapping[str, str] | None = None
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes | None = None
    heard: Sequence[tuple[bytes, bytes]] = ()

    @property
    def sealed(self) -> dict[str, Secret]:
        """The credential."""
        return {name: Secret.from_text(value) for name, value in self.secrets.items()}

    def bound(self) -> Applier:
        """The scheme, holding the secrets and the token."""
        scheme = SCHEMES.get(self.scheme)
        if self.token is not None:
            assert isinstance(scheme, Renewing)
            values = {name: Secret.from_text(value) for name, value in self.token.items()}
            applier = scheme.bind_token(self.options, self.sealed, Token(values))
        else:
            assert isinstance(scheme, Static)
            applier = scheme.bind(self.options, self.sealed)
        if self.heard:
            applier.answered([], 401, self.heard)
        return applier

    def request(self, *headers: tuple[bytes, bytes], query: bytes = b"a=1&b=%20x") -> Outgoing:
        """A request of the sample's kind, with ``headers`` besides."""
        method = b"GET" if self.body is None else b"POST"
        return Outgoing(method, b"/v1/things", query, [*self.headers, *headers], ORIGIN, self.body)


SAMPLES = (
    Sample("none"),
    Sample("api_key", {}, {"key": SECRET}),
    Sample("api_key", {"in": "header", "name": "X-Key", "format": "v1 <key>", "encoding": "base64"}, {"key": SECRET}),
    Sample("api_key", {"in": "query", "name": "key"}, {"key": SECRET}),
    Sample("api_key", {"in": "cookie", "name": "sid"}, {"key": SECRET}),
    Sample("bearer", {}, {"key": SECRET}),
    Sample("basic", {}, {"username": "me", "password": SECRET}),
    Sample(
        "digest",
        {"qop": "auth", "algorithms": ["SHA-256"]},
        {"username": "me", "password": SECRET},
        heard=[(b"WWW-Authenticate", b'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256')],
    ),
)
