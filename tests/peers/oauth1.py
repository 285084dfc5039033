"""A provider of OAuth 1.0 built on oauthlib: the three endpoints of a sign-in, and things that a signature opens.

``/initiate``, ``/authorize`` and ``/token`` are RFC 5849 section 2; whoever is sent to ``/authorize`` has allowed it.
Every other path answers who the token belongs to. A nonce is taken once.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from oauthlib.oauth1 import RequestValidator, WebApplicationServer

from tests.peers.judges import TEXT, Answer, Arrival

CONSUMER = ("consumer", "consumer-" + "not-real")
GIVEN = ("a-token", "a-token-secret-" + "not-real")
_FORM = "application/x-www-form-urlencoded"


@dataclass
class Memory:
    """Tokens by themselves with their secrets; verifiers and ways back by temporary token; nonces that were seen."""

    tokens: dict[str, str] = field(default_factory=lambda: {GIVEN[0]: GIVEN[1]})
    temporary: dict[str, str] = field(default_factory=dict)
    back: dict[str, str] = field(default_factory=dict)
    verifiers: dict[str, str] = field(default_factory=dict)
    nonces: set[str] = field(default_factory=set)


class Validator(RequestValidator):  # type: ignore[misc]  # it has no types
    """What oauthlib asks of the provider's store."""

    enforce_ssl = False
    safe_characters = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    client_key_length = request_token_length = access_token_length = nonce_length = verifier_length = (3, 64)
    dummy_client = dummy_request_token = dummy_access_token = "dummy"
    realms = ("photos",)
    allowed_signature_methods = ("HMAC-SHA1", "HMAC-SHA256", "HMAC-SHA512", "PLAINTEXT")

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self.memory = memory

    def get_client_secret(self, client_key: str, request: Any) -> str:
        return CONSUMER[1]

    def get_request_token_secret(self, client_key: str, token: str, request: Any) -> str:
        return self.memory.temporary.get(token, "dummy")

    def get_access_token_secret(self, client_key: str, token: str, request: Any) -> str:
        return self.memory.tokens.get(token, "dummy")

    def get_default_realms(self, client_key: str, request: Any) -> list[str]:
        return ["photos"]

    def get_realms(self, token: str, request: Any) -> list[str]:
        return ["photos"]

    def get_redirect_uri(self, token: str, request: Any) -> str:
        return self.memory.back[token]

    def validate_client_key(self, client_key: str, request: Any) -> bool:
        return client_key == CONSUMER[0]

    def validate_request_token(self, client_key: str, token: str, request: Any) -> bool:
        return token in self.memory.temporary

    def validate_access_token(self, client_key: str, token: str, request: Any) -> bool:
        return token in self.memory.tokens

    def validate_timestamp_and_nonce(self, client_key: str, timestamp: str, nonce: str, request: Any, **_: Any) -> bool:
        fresh = nonce not in self.memory.nonces
        self.memory.nonces.add(nonce)
        return fresh

    def validate_redirect_uri(self, client_key: str, redirect_uri: str, request: Any) -> bool:
        return redirect_uri.startswith("https://")

    def validate_requested_realms(self, client_key: str, realms: Any, request: Any) -> bool:
        return True

    def validate_realms(self, client_key: str, token: str, request: Any, uri: str = "", realms: Any = None) -> bool:
        return True

    def validate_verifier(self, client_key: str, token: str, verifier: str, request: Any) -> bool:
        return self.memory.verifiers.get(token) == verifier

    def verify_request_token(self, token: str, request: Any) -> bool:
        return token in self.memory.temporary

    def verify_realms(self, token: str, realms: Any, request: Any) -> bool:
        return True

    def save_request_token(self, token: dict[str, str], request: Any) -> None:
        self.memory.temporary[token["oauth_token"]] = token["oauth_token_secret"]
        self.memory.back[token["oauth_token"]] = request.redirect_uri

    def save_verifier(self, token: str, verifier: dict[str, str], request: Any) -> None:
        self.memory.verifiers[token] = verifier["oauth_verifier"]

    def save_access_token(self, token: dict[str, str], request: Any) -> None:
        self.memory.tokens[token["oauth_token"]] = token["oauth_token_secret"]

    def invalidate_request_token(self, client_key: str, request_token: str, request: Any) -> None:
        del self.memory.temporary[request_token]


class Provider:
    """The judge, and its memory."""

    def __init__(self) -> None:
        self.memory = Memory()
        self._server = WebApplicationServer(Validator(self.memory))

    def __call__(self, arrival: Arrival) -> Answer:
        """``whose:TOKEN`` where the signature is right, 401 where it is not."""
        asked = (arrival.url, arrival.method, arrival.body.decode(), dict(arrival.headers))
        path = urlsplit(arrival.target).path
        if path == "/initiate":
            headers, body, status = self._server.create_request_token_response(*asked)
        elif path == "/token":
            headers, body, status = self._server.create_access_token_response(*asked)
        else:
            good, request = self._server.validate_protected_resource_request(*asked)
            text = f"whose:{request.resource_owner_key}" if good else "no"
            return (200 if good else 401), TEXT, text.encode()
        return status, {"Content-Type": _FORM, **headers}, (body or "").encode()

    def allow(self, url: str) -> dict[str, str]:
        """What a person's browser brings back who was sent to ``url`` and allowed it: the query of the way back."""
        token = parse_qs(urlsplit(url).query)["oauth_token"][0]
        verifier = secrets.token_hex(8)
        self.memory.verifiers[token] = verifier
        way = urlsplit(self.memory.back[token])
        came = {name: values[0] for name, values in parse_qs(way.query).items()}
        return {**came, "oauth_token": token, "oauth_verifier": verifier}
