"""Each scheme: the options it takes, the places it names, what it does to a request, what it counts as secret."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import pytest

from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.schemes.base import Applier, Outgoing, Static
from tieline.schemes.registry import SCHEMES

KEY = "sk-sandbox-" + "unit-not-real"

ORIGIN = Origin("https", "api.example.com", 443)


def bound(scheme: str, options: Mapping[str, Any], secrets: Mapping[str, Secret]) -> Applier:
    """The scheme with these secrets."""
    found = SCHEMES.get(scheme)
    assert isinstance(found, Static)
    return found.bind(options, secrets)


def applied(scheme: str, options: Mapping[str, Any], fields: Mapping[str, str], **request: Any) -> Outgoing:
    """A request after the scheme was applied to it."""
    secrets = {name: Secret.from_text(value) for name, value in fields.items()}
    outgoing = Outgoing(b"GET", b"/x", request.get("query", b""), list(request.get("headers", [])), ORIGIN)
    applier = bound(scheme, options, secrets)
    outgoing.drop_query(applier.replaces_query)
    applier.apply(outgoing)
    return outgoing


def test_bearer_is_an_authorization_field() -> None:
    """RFC 6750."""
    assert applied("bearer", {}, {"key": KEY}).headers == [(b"Authorization", b"Bearer " + KEY.encode())]


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({}, b"Authorization", KEY),
        ({"in": "header", "name": "X-Key"}, b"X-Key", KEY),
        ({"name": "Authorization", "format": "Token token=<key>"}, b"Authorization", f"Token token={KEY}"),
        ({"name": "X-Key", "encoding": "base64"}, b"X-Key", b64encode(KEY.encode()).decode()),
        (
            {"name": "X-Key", "encoding": "base64", "format": "b <key>"},
            b"X-Key",
            "b " + b64encode(KEY.encode()).decode(),
        ),
    ],
)
def test_api_key_in_a_header(options: Mapping[str, str], name: bytes, value: str) -> None:
    """Under its name, in its format, encoded if asked."""
    assert applied("api_key", options, {"key": KEY}).headers == [(name, value.encode())]


def test_api_key_in_the_query() -> None:
    """Encoded, at the end, instead of what the caller sent under the name however it is encoded."""
    options = {"in": "query", "name": "a key"}
    got = applied("api_key", options, {"key": "odd/&=+ not-real"}, query=b"a+key=1&x=2&a%20key=3&%61+key")
    assert got.query == b"x=2&a%20key=odd%2F%26%3D%2B%20not-real"


def test_api_key_in_the_query_without_any_other() -> None:
    """No stray ampersand."""
    assert applied("api_key", {"in": "query", "name": "key"}, {"key": KEY}).query == b"key=" + KEY.encode()


def test_api_key_in_a_cookie() -> None:
    """One field with the caller's other cookies, less the one of that name."""
    headers = [(b"Cookie", b"a=1; session=mine;"), (b"X", b"y"), (b"cookie", b"b=2; ;session=too")]
    got = applied("api_key", {"in": "cookie", "name": "session"}, {"key": KEY}, headers=headers)
    assert got.headers == [(b"X", b"y"), (b"Cookie", b"a=1; b=2; session=" + KEY.encode())]


@pytest.mark.parametrize(
    ("fields", "pair"),
    [
        ({"username": "me", "password": "pass:word"}, b"me:pass:word"),
        ({"username": KEY}, KEY.encode() + b":"),
        ({"password": KEY}, b":" + KEY.encode()),
    ],
)
def test_basic(fields: Mapping[str, str], pair: bytes) -> None:
    """RFC 7617; a part that is not given is empty."""
    assert applied("basic", {}, fields).headers == [(b"Authorization", b"Basic " + b64encode(pair))]


def test_none_changes_nothing() -> None:
    """Not a byte."""
    got = applied("none", {}, {}, headers=[(b"A", b"b")], query=b"q")
    assert (got.headers, got.query, got.path) == ([(b"A", b"b")], b"q", b"/x")


@pytest.mark.parametrize(
    ("scheme", "options", "fields"),
    [
        ("bearer", {}, {"key": KEY}),
        ("api_key", {"in": "header", "name": "X", "encoding": "base64"}, {"key": KEY}),
        ("api_key", {"in": "query", "name": "x"}, {"key": KEY}),
        ("api_key", {"in": "cookie", "name": "x"}, {"key": KEY}),
        ("basic", {}, {"username": "me", "password": KEY}),
    ],
)
def test_what_goes_out_is_among_the_secrets(scheme: str, options: Mapping[str, str], fields: Mapping[str, str]) -> None:
    """A reflection of it can be found in an answer; and nothing of it shows in a repr."""
    applier = bound(scheme, options, {name: Secret.from_text(value) for name, value in fields.items()})
    outgoing = Outgoing(b"GET", b"/", b"", [], ORIGIN)
    applier.apply(outgoing)
    sent = outgoing.query + b"".join(value for _, value in outgoing.headers)
    assert any(secret.reveal_bytes() in sent for secret in applier.secrets())
    assert KEY not in repr(applier)
    assert KEY not in repr(applier.secrets())


@pytest.mark.parametrize(
    ("options", "headers", "query", "cookies"),
    [
        ({}, {b"authorization"}, set(), set()),
        ({"in": "header", "name": "X-Key"}, {b"x-key"}, set(), set()),
        ({"in": "query", "name": "Key"}, set(), {b"Key"}, set()),
        ({"in": "cookie", "name": "sid"}, set(), set(), {b"sid"}),
    ],
)
def test_places_of_api_key(
    options: Mapping[str, str], headers: frozenset[bytes], query: frozenset[bytes], cookies: frozenset[bytes]
) -> None:
    """Where the API's own clients put the secret, an app key is found."""
    places = SCHEMES.get("api_key").places(options)
    assert (places.headers, places.query, places.cookies) == (headers, query, cookies)


@pytest.mark.parametrize(
    ("options", "fields", "masked"),
    [
        ({}, {"username": "AC-account", "password": "pw-secret"}, {"pw-secret"}),
        ({}, {"username": "sk-as-user"}, {"sk-as-user"}),
        ({}, {"password": "pw-secret"}, {"pw-secret"}),
        ({"key": "username"}, {"username": "sk-as-user", "password": "X"}, {"sk-as-user", "X"}),
    ],
)
def test_a_user_name_is_a_secret_only_where_it_is_the_key(
    options: Mapping[str, str], fields: Mapping[str, str], masked: set[str]
) -> None:
    """Beside a password it is a name (Twilio's account, an e-mail address); alone, or by ``key``, it is the secret."""
    applier = bound("basic", options, {name: Secret.from_text(value) for name, value in fields.items()})
    told = {secret.reveal_bytes().decode() for secret in applier.secrets()}
    assert {each for each in told if not each.startswith("Basic ")} == masked


def test_places_of_the_other_schemes() -> None:
    """Bearer and Basic use Authorization; none has no place of its own."""
    assert SCHEMES.get("bearer").places({}).headers == {b"authorization"}
    assert SCHEMES.get("basic").places({}).basic
    assert SCHEMES.get("none").places({}).headers == frozenset()


@pytest.mark.parametrize(
    ("scheme", "options", "word"),
    [
        ("api_key", {"in": "trailer", "name": "x"}, "in:"),
        ("api_key", {"in": "body"}, "name:"),
        ("api_key", {"in": "body", "name": "a[0].b"}, "name:"),
        ("api_key", {"in": "body", "name": "$"}, "name:"),
        ("api_key", {"in": "body", "name": "a..b"}, "name:"),
        ("api_key", {"in": "query"}, "name:"),
        ("api_key", {"in": "cookie"}, "name:"),
        ("api_key", {"name": ""}, "name:"),
        ("api_key", {"name": 5}, "name:"),
        ("api_key", {"name": "X Key"}, "name:"),
        ("api_key", {"name": "X\r\nY"}, "name:"),
        ("api_key", {"in": "cookie", "name": "a=b"}, "name:"),
        ("api_key", {"name": "Host"}, "name:"),
        ("api_key", {"name": "content-LENGTH"}, "name:"),
        ("api_key", {"name": "Transfer-Encoding"}, "name:"),
        ("api_key", {"name": "Proxy-Authorization"}, "name:"),
        ("api_key", {"format": "Bearer"}, "format:"),
        ("api_key", {"format": "<key><key>"}, "format:"),
        ("api_key", {"format": "a\n<key>"}, "format:"),
        ("api_key", {"format": 7}, "format:"),
        ("api_key", {"encoding": "rot13"}, "encoding:"),
        ("api_key", {"nmae": "x"}, "unknown option 'nmae'"),
        ("bearer", {"name": "x"}, "unknown option 'name'"),
        ("basic", {"realm": "x"}, "unknown option 'realm'"),
        ("none", {"in": "header"}, "unknown option 'in'"),
    ],
)
def test_a_wrong_option_is_a_problem(scheme: str, options: Mapping[str, Any], word: str) -> None:
    """Each problem begins with the option that it is about."""
    problems = SCHEMES.check(scheme, options)
    assert len(problems) == 1
    assert problems[0].startswith(word)


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("api_key", {}),
        ("api_key", {"in": "query", "name": "any name"}),
        ("api_key", {"in": "cookie", "name": "sid", "format": "v1.<key>", "encoding": "base64"}),
        ("bearer", {}),
        ("basic", {}),
        ("none", {}),
    ],
)
def test_right_options_are_no_problem(scheme: str, options: Mapping[str, Any]) -> None:
    """What the documentation shows is taken."""
    assert SCHEMES.check(scheme, options) == []
