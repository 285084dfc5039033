"""The scheme ``jwt``: claims as templates, one token for many requests, the next before that one ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.peers.keys import EC_KEY
from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.schemes import claims
from tieline.schemes.base import Applier, Outgoing
from tieline.schemes.jwt import Jwt

KEY = "not-real-" * 8
ORIGIN = Origin("https", "api.example.com", 443)


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 1_700_000_000.5

    def __call__(self) -> float:
        return self.now


def bound(options: Mapping[str, Any], clock: Clock, **secrets: str) -> Applier:
    """The scheme with these options and fields."""
    scheme = Jwt(clock)
    assert scheme.check(options) == []
    return scheme.bind(options, {name: Secret.from_text(text) for name, text in {"key": KEY, **secrets}.items()})


def sent(applier: Applier) -> str:
    """The value of the field that a request gets."""
    outgoing = Outgoing(b"GET", b"/", b"", [], ORIGIN)
    applier.apply(outgoing)
    return outgoing.headers[-1][1].decode()


def token(applier: Applier) -> jwt.Token:
    """The token of a request, verified."""
    return jwt.decode(sent(applier).removeprefix("Bearer "), OctKey.import_key(KEY))


def test_claims_are_filled() -> None:
    """Times as numbers, fields as text, all else as it is written."""
    options = {
        "algorithm": "HS256",
        "fields": [{"name": "issuer"}, {"name": "key_id"}],
        "header": {"typ": "JWT", "kid": "<key_id>"},
        "claims": {
            "iss": "<issuer>",
            "iat": "<now-10>",
            "exp": "<now+300>",
            "text": "at <now> by <issuer>",
            "deep": [{"n": 5, "flag": True, "none": None, "literal": "\\<issuer>"}],
        },
    }
    got = token(bound(options, Clock(), issuer='me"}', key_id="k1"))
    assert got.header == {"alg": "HS256", "typ": "JWT", "kid": "k1"}
    assert got.claims == {
        "iss": 'me"}',
        "iat": 1_699_999_990,
        "exp": 1_700_000_300,
        "text": 'at 1700000000 by me"}',
        "deep": [{"n": 5, "flag": True, "none": None, "literal": "<issuer>"}],
    }


def test_a_token_is_used_again_until_shortly_before_it_ends() -> None:
    """A minute before, the next one is minted."""
    clock = Clock()
    applier = bound({"algorithm": "HS256", "claims": {"exp": "<now+300>", "jti": "<uuid>"}}, clock)
    first = sent(applier)
    clock.now += 239
    assert sent(applier) == first
    clock.now += 2
    second = sent(applier)
    assert second != first
    assert token(applier).claims["exp"] == int(clock.now) + 300


def test_a_short_token_is_used_for_half_its_life() -> None:
    """A minute is more than there is."""
    clock = Clock()
    applier = bound({"algorithm": "HS256", "claims": {"exp": "<now+20>", "jti": "<uuid>"}}, clock)
    first = sent(applier)
    clock.now += 8
    assert sent(applier) == first
    clock.now += 3
    assert sent(applier) != first


def test_a_token_without_an_end_has_a_lifetime() -> None:
    """That of the option."""
    clock = Clock()
    options = {"algorithm": "HS256", "claims": {"iat": "<now>", "jti": "<uuid>"}, "lifetime": "10m"}
    applier = bound(options, clock)
    first = sent(applier)
    clock.now += 530
    assert sent(applier) == first
    clock.now += 20
    assert sent(applier) != first


def test_a_clock_that_was_set_back_mints_another() -> None:
    """The one in hand would not be good yet."""
    clock = Clock()
    applier = bound({"algorithm": "HS256"}, clock)
    first = sent(applier)
    clock.now -= 3600
    assert sent(applier) != first


def test_the_token_in_use_is_told_for_masking() -> None:
    """And the key, which never leaves, is not."""
    applier = bound({"algorithm": "HS256"}, Clock())
    value = sent(applier).encode()
    told = [secret.reveal_bytes() for secret in applier.secrets()]
    assert value in told
    assert KEY.encode() not in told


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, '"algorithm" is missing'),
        ({"algorithm": "none"}, "algorithm:"),
        ({"algorithm": "HS256", "claims": "x"}, "claims:"),
        ({"algorithm": "HS256", "claims": {"iss": "<issuer>"}}, "claims:"),
        ({"algorithm": "HS256", "header": {"alg": "none"}}, "header:"),
        ({"algorithm": "HS256", "fields": [{"name": "key"}]}, "fields:"),
        ({"algorithm": "HS256", "fields": [{"name": "Upper"}]}, "fields[0].name:"),
        ({"algorithm": "HS256", "lifetime": "never"}, "lifetime:"),
        ({"algorithm": "HS256", "in": "nowhere", "name": "x"}, "in:"),
        ({"algorithm": "HS256", "format": "no slot"}, "format:"),
    ],
)
def test_a_wrong_option_is_a_problem(options: Mapping[str, Any], word: str) -> None:
    """One, told where it is."""
    problems = Jwt().check(options)
    assert len(problems) == 1
    assert problems[0].startswith(word) or word in problems[0]


def test_a_key_of_another_kind_is_told_when_it_is_put() -> None:
    """Not at the first request."""
    with pytest.raises(CredentialMissing) as refused:
        Jwt().check_values({"algorithm": "RS256"}, {"key": Secret.from_text(EC_KEY)})
    assert refused.value.param == "key"


@given(st.text(max_size=50), st.text(max_size=50))
def test_no_value_changes_the_structure(one: str, two: str) -> None:
    """Whatever a field holds, it is that text and nothing else."""
    data = {"a": "<one>", "b": ["<two>", "x<one>y<two>"]}
    rendered = claims.render(data, {"one": one, "two": two}, 0, lambda: "id")
    assert rendered == {"a": one, "b": [two, f"x{one}y{two}"]}
