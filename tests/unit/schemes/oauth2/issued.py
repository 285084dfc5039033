"""What the tests of ``oauth2`` share: the scheme at a fixed time, credentials as text, whole options."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from tieline.core.secret import Secret
from tieline.schemes.flow import IssuerRequest, Token
from tieline.schemes.oauth2.scheme import OAuth2

NOW = 1_700_000_000.0
TOKEN_URL = "https://server.example.com/token"
# RFC 6749's client.
CLIENT = {"client_id": "s6BhdRkqt3", "client_secret": "gX1fBat3bV"}
OAUTH2 = OAuth2(lambda: NOW)


def sealed(values: Mapping[str, str]) -> dict[str, Secret]:
    """Values as the vault holds them."""
    return {name: Secret.from_text(value) for name, value in values.items()}


def token(**values: str) -> Token:
    """A token of yesterday."""
    return Token(sealed(values), NOW - 86_400, ("old",), "ada@example.com")


def opened(found: Token) -> dict[str, str]:
    """The values of a token as text."""
    return {name: value.reveal_bytes().decode() for name, value in found.values.items()}


def form(ask: IssuerRequest) -> dict[str, str]:
    """The body of a request as pairs; none has a name twice."""
    assert ("Content-Type", "application/x-www-form-urlencoded") in ask.headers
    pairs = parse_qsl(ask.body.decode(), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def header(ask: IssuerRequest, name: str) -> str | None:
    """The only header of that name, None where there is none."""
    found = [value for each, value in ask.headers if each.lower() == name.lower()]
    assert len(found) <= 1
    return found[0] if found else None


def options(**more: Any) -> dict[str, Any]:
    """Options in which nothing is wrong."""
    found = {"token_url": TOKEN_URL, **more}
    assert OAUTH2.check(found) == []
    return found
