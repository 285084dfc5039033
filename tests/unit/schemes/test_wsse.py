"""``wsse`` by its published example and in the ways that providers differ."""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import pytest

from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.schemes.base import Outgoing
from tieline.schemes.wsse import Wsse

# M. Pilgrim, "Atom Authentication", 2003.
NONCE = bytes.fromhex("d36e316282959a9ed4c89851497a717f")
CREATED = 1071499387.9
SECRETS = {"username": Secret(b"bob"), "password": Secret(b"taadtaadpstcsm")}


def headers(options: Mapping[str, Any], secrets: Mapping[str, Secret] = SECRETS) -> dict[bytes, bytes]:
    """What a request gets."""
    outgoing = Outgoing(b"GET", b"/", b"", [], Origin("https", "api.example.com", 443))
    Wsse(lambda: CREATED, lambda: NONCE).bind(options, secrets).apply(outgoing)
    return dict(outgoing.headers)


def test_the_published_example() -> None:
    """Both fields, letter by letter."""
    assert headers({}) == {
        b"Authorization": b'WSSE profile="UsernameToken"',
        b"X-WSSE": b'UsernameToken Username="bob", PasswordDigest="quR/EWLAV4xLf9Zqyw4pDmfV9OY=", '
        b'Nonce="d36e316282959a9ed4c89851497a717f", Created="2003-12-15T14:43:07Z"',
    }


def test_the_nonce_of_oasis() -> None:
    """Its bytes are digested and base64 is sent (UsernameToken Profile 1.1 section 3.1)."""
    value = headers({"nonce": "base64", "algorithm": "sha256"})[b"X-WSSE"]
    digest = hashlib.sha256(NONCE + b"2003-12-15T14:43:07Z" + b"taadtaadpstcsm").digest()
    assert b'PasswordDigest="%b", Nonce="%b"' % (b64encode(digest), b64encode(NONCE)) in value


def test_the_digest_in_hex() -> None:
    """What is encoded is then its text."""
    value = headers({"digest": "hex"})[b"X-WSSE"]
    sent = value.partition(b'PasswordDigest="')[2].partition(b'"')[0]
    assert b64decode(sent).decode() == b64decode("quR/EWLAV4xLf9Zqyw4pDmfV9OY=").hex()


def test_the_header_alone() -> None:
    """``Authorization`` is left to another scheme."""
    options = {"authorization": False}
    assert set(headers(options)) == {b"X-WSSE"}
    assert Wsse().bind(options, SECRETS).replaces == {b"x-wsse"}


def test_a_user_name_is_quoted() -> None:
    """So that it ends where it should."""
    value = headers({}, {**SECRETS, "username": Secret(b'b"o\\b')})[b"X-WSSE"]
    assert b'Username="b\\"o\\\\b", ' in value


def test_a_nonce_is_never_used_twice() -> None:
    """It comes from the system's source of randomness."""
    bound = Wsse().bind({}, SECRETS)
    seen = set()
    for _ in range(50):
        outgoing = Outgoing(b"GET", b"/", b"", [], Origin("https", "api.example.com", 443))
        bound.apply(outgoing)
        seen.add(outgoing.headers[-1][1].partition(b'Nonce="')[2][:32])
    assert len(seen) == 50


@pytest.mark.parametrize(
    "options", [{"algorithm": "md5"}, {"nonce": "hex"}, {"digest": "base64"}, {"authorization": "yes"}]
)
def test_a_wrong_option_is_a_problem(options: Mapping[str, Any]) -> None:
    """Told at its name."""
    assert [problem.partition(":")[0] for problem in Wsse().check(options)] == list(options)
