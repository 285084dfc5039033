"""Each scheme as a definition may use it: options, a credential that fits them, and a request that can be signed.

Every scheme of the registry has a sample here, and one more for each way in which it works differently. What holds for
all of them is in test_scheme_contract.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.peers.keys import CERTIFICATE, EC_KEY
from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.schemes.base import Applier, Outgoing, Static
from tieline.schemes.flow import Renewing, Token
from tieline.schemes.registry import SCHEMES

ORIGIN = Origin("https", "api.example.com", 443)
PEM = (
    rsa.generate_private_key(65537, 2048)
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)
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
    Sample("api_key", {"in": "body", "name": "auth.key"}, {"key": SECRET}, headers=[JSON], body=b'{"a": 1.0}'),
    Sample("api_key", {"in": "body", "name": "key"}, {"key": SECRET}, headers=[FORM], body=b"a=1"),
    Sample("bearer", {}, {"key": SECRET}),
    Sample("basic", {}, {"username": "me", "password": SECRET}),
    Sample(
        "digest",
        {"qop": "auth", "algorithms": ["SHA-256"]},
        {"username": "me", "password": SECRET},
        heard=[(b"WWW-Authenticate", b'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256')],
    ),
    Sample(
        "oauth1",
        {"realm": "Photos"},
        {"consumer_key": "ck", "consumer_secret": SECRET, "token": "tk-" + SECRET, "token_secret": "ts-" + SECRET},
        headers=[FORM],
        body=b"a=1&b=2",
    ),
    Sample(
        "oauth1",
        {"signature_method": "PLAINTEXT", "in": "query"},
        {"consumer_key": "ck", "consumer_secret": SECRET},
    ),
    Sample(
        "oauth1",
        {"signature_method": "RSA-SHA256", "in": "body"},
        {"consumer_key": "ck", "private_key": PEM},
        headers=[FORM],
        body=b"",
    ),
    Sample(
        "oauth1",
        {"signature_method": "RSA-SHA256", "body_hash": True},
        {"consumer_key": "ck", "private_key": PEM},
        headers=[JSON],
        body=b"{}",
    ),
    Sample(
        "oauth1",
        {
            "signature_method": "HMAC-SHA512",
            "sign_in": {
                "request_url": "https://<tenant>.example.com/oauth/request",
                "authorize_url": "https://example.com/oauth/authorize?name=Tieline",
                "token_url": "https://example.com/oauth/token",
            },
            "renew_on": {"status": [401]},
        },
        {"consumer_key": "ck", "consumer_secret": SECRET},
        token={"token": "tk-" + SECRET, "token_secret": "ts-" + SECRET},
    ),
    Sample(
        "oauth2",
        {
            "authorize_url": "https://issuer.example.com/authorize",
            "token_url": "https://issuer.example.com/token",
            "scopes": ["read", "write"],
            "token_headers": {"X-Version": "1"},
            "profile": {"url": "https://issuer.example.com/me", "email": "email"},
        },
        {"client_id": "app", "client_secret": SECRET},
        {"access": "at-" + SECRET, "refresh": "rt-" + SECRET},
    ),
    Sample(
        "oauth2",
        {"grant": "password", "token_url": "https://issuer.example.com/token", "in": "query", "name": "t"},
        {"client_id": "app", "client_secret": "c-" + SECRET, "username": "me", "password": SECRET},
        {"access": SECRET},
    ),
    Sample(
        "oauth2",
        {
            "grant": "jwt_bearer",
            "token_url": "https://issuer.example.com/token",
            "assertion": {"algorithm": "ES256", "claims": {"iss": "<issuer>", "exp": "<now+60>"}},
        },
        {"private_key": EC_KEY, "issuer": "me"},
        {"access": SECRET},
    ),
    Sample(
        "login",
        {
            "fields": [{"name": "user", "label": "User name", "secret": False}, {"name": "password"}],
            "steps": [
                {
                    "url": "https://api.example.com/login",
                    "body": {"type": "json", "template": {"user": "<user>", "password": "<password>"}},
                    "take": {"token": {"path": "data.token"}},
                }
            ],
            "place": [{"name": "X-Token", "value": "v1 <token>"}, {"in": "query", "name": "u", "value": "<user>"}],
            "cookies": True,
        },
        {"user": "me", "password": "p-" + SECRET},
        {"token": SECRET, "cookies": f'[["sid","{SECRET}","example.com",true]]'},
    ),
    Sample("jwt", {"algorithm": "HS256"}, {"key": "shared-" + SECRET}),
    Sample(
        "jwt",
        {
            "algorithm": "ES256",
            "fields": [{"name": "team", "secret": False}],
            "header": {"kid": "k"},
            "claims": {"iss": "<team>", "exp": "<now+60>", "jti": "<uuid>"},
            "in": "header",
            "name": "X-Token",
            "format": "v1 <key>",
        },
        {"key": EC_KEY, "team": "blue"},
    ),
    Sample("mtls", {"format": "pem", "server_name": "other.example.com"}, {"certificate": CERTIFICATE, "key": EC_KEY}),
    Sample("wsse", {"algorithm": "sha256", "nonce": "base64"}, {"username": 'm"e', "password": SECRET}),
    Sample("hawk", {"ext": "more", "app": "a", "dlg": "d"}, {"id": "key-1", "key": SECRET}),
    Sample("hawk", {"payload": True}, {"id": "key-1", "key": SECRET}, headers=[JSON], body=b"{}"),
    Sample(
        "aws_sigv4",
        {"service": "execute-api", "region": "eu-west-1", "payload": "signed", "expires": 60, "path": "normalised"},
        {"access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET, "session_token": "st-" + SECRET},
        headers=[JSON],
        body=b"{}",
    ),
    Sample(
        "aws_sigv4",
        {"service": "s3", "region": "eu-central-1", "in": "query", "sign_session_token": False},
        {"access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET},
    ),
    Sample(
        "aws_sigv4",
        {
            "service": "bedrock",
            "region": "eu-central-1",
            "assume_role": {"role_arn": "arn:aws:iam::123456789012:role/demo", "external_id": "x-1"},
            "renew_on": {"status": [403]},
        },
        {"access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET},
        token={"access_key_id": "ASIAEXAMPLE", "secret_access_key": "sk-" + SECRET, "session_token": "st-" + SECRET},
    ),
    Sample(
        "hmac",
        {
            "template": "<timestamp>\n<method>\n<target>\n<body>",
            "key_encoding": "text",
            "encoding": "base64",
            "name": "Authorization",
            "format": "V1 <key_id>:<signature>",
            "headers": [{"name": "X-Timestamp", "value": "<timestamp>"}],
            "timestamp": "unix_ms",
        },
        {"key_id": "id-" + SECRET, "secret": SECRET},
        headers=[JSON],
        body=b"{}",
    ),
    Sample(
        "hmac",
        {
            "template": "<query><header:x-day>",
            "in": "query",
            "name": "signature",
            "parameters": [{"name": "nonce", "value": "<nonce>"}],
            "nonce": "uuid",
        },
        {"secret": SECRET},
    ),
)
