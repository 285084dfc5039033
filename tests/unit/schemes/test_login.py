"""The scheme ``login``: steps that are filled safely, answers that are read, cookies that go where they are for."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.peers.flows import scripted, told
from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.schemes.base import Outgoing
from tieline.schemes.flow import IssuerAnswer, IssuerRefused, IssuerRequest, Token
from tieline.schemes.login.jar import Jar
from tieline.schemes.login.scheme import Login

NOW = 1_700_000_000.0
LOGIN = Login()
SECRET = "not-real-" + "0123456789abcdef"
FIELDS = [{"name": "user", "label": "User name", "secret": False}, {"name": "password"}]
CREDENTIAL = {"user": "ada", "password": SECRET}
TAKE = {"token": {"path": "token"}}
XML = {"Content-Type": "text/xml"}
PLACE = [{"name": "X-Token", "value": "<token>"}]


def step(**more: Any) -> dict[str, Any]:
    """A step that sends both fields as JSON."""
    body = {"type": "json", "template": {"user": "<user>", "password": "<password>"}}
    return {"url": "https://api.example.com/login", "body": body, "take": TAKE, **more}


def options(*steps: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Options in which nothing is wrong."""
    found = {"fields": FIELDS, "steps": list(steps) or [step()], "place": PLACE, **more}
    assert LOGIN.check(found) == []
    return found


def sealed(values: Mapping[str, str]) -> dict[str, Secret]:
    """Values as the vault holds them."""
    return {name: Secret.from_text(value) for name, value in values.items()}


def logged_in(
    said: Mapping[str, Any],
    answers: Sequence[IssuerAnswer],
    asked: list[IssuerRequest] | None = None,
    **credential: str,
) -> Token:
    """The token that a login ends with."""
    return scripted(LOGIN.renew(said, sealed({**CREDENTIAL, **credential}), None, NOW), answers, asked)


def request(said: Mapping[str, Any], token: Token, host: str = "api.example.com", **headers: str) -> Outgoing:
    """A request of the API, with what the login gave."""
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    outgoing = Outgoing(b"GET", b"/", b"", pairs, Origin("https", host, 443))
    LOGIN.bind_token(said, sealed(CREDENTIAL), token).apply(outgoing)
    return outgoing


def value_in(said: Mapping[str, Any], token: Token) -> bytes:
    """The last header that a request gets."""
    return request(said, token).headers[-1][1]


def test_a_user_name_that_goes_along_is_no_secret() -> None:
    """What was taken is one, by itself and with what stands around it."""
    place = [{"name": "X-User", "value": "<user>"}, {"name": "X-Session", "value": "<user>:<token>"}]
    applier = LOGIN.bind_token(options(place=place), sealed(CREDENTIAL), Token(sealed({"token": "t-1"})))
    assert {each.reveal_bytes() for each in applier.secrets()} == {b"t-1", b"ada:t-1"}


def test_one_step_with_json() -> None:
    """Fields in, token out, token into requests."""
    asked: list[IssuerRequest] = []
    said = options(place=[{"name": "Authorization", "value": "Session <token>;user=<user>"}])
    token = logged_in(said, [told('{"token":"t-1"}')], asked)
    assert (asked[0].method, asked[0].url) == ("POST", "https://api.example.com/login")
    assert ("Content-Type", "application/json") in asked[0].headers
    assert orjson.loads(asked[0].body) == {"user": "ada", "password": SECRET}
    assert request(said, token).headers == [(b"Authorization", b"Session t-1;user=ada")]


def test_several_steps() -> None:
    """What one takes the next ones use: in URL, query, header and form; cookies go along as in a browser."""
    said = options(
        {
            "method": "GET",
            "url": "https://api.example.com/start",
            "take": {"csrf": {"from": "header", "name": "X-CSRF"}, "sid": {"from": "cookie", "name": "sid"}},
        },
        {
            "url": "https://api.example.com/users/<user>/login?step=<csrf>",
            "query": [{"name": "q", "value": "a <csrf>"}],
            "headers": [{"name": "X-CSRF", "value": "<csrf>"}],
            "body": {"type": "form", "fields": [{"name": "p", "value": "<password>"}]},
            "take": TAKE,
        },
    )
    asked: list[IssuerRequest] = []
    first = told("", 200, {"X-CSRF": "c/1", "Set-Cookie": "sid=s1; Path=/; HttpOnly"})
    logged_in(said, [first, told('{"token":7}')], asked, user="a/da")
    assert (asked[0].method, asked[0].body, asked[0].headers) == ("GET", b"", ())
    parts = urlsplit(asked[1].url)
    assert (parts.path, dict(parse_qsl(parts.query))) == ("/users/a%2Fda/login", {"step": "c/1", "q": "a c/1"})
    assert dict(asked[1].headers) == {
        "X-CSRF": "c/1",
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": "sid=s1",
    }
    assert parse_qsl(asked[1].body.decode()) == [("p", SECRET)]


@pytest.mark.parametrize(
    ("take", "answer", "value"),
    [
        ({"path": "data[0].id"}, told('{"data":[{"id":"x"}]}'), b"x"),
        ({"path": "n"}, told('{"n":12345678901234567890}'), b"12345678901234567890"),
        ({"path": "$"}, told("\n plain-text \n", 200, {"Content-Type": "text/plain"}), b"plain-text"),
        ({"path": "$"}, told('"quoted"'), b"quoted"),
        (
            {"path": "session.token"},
            told("<session><token>x</token></session>", 200, {"Content-Type": "text/xml"}),
            b"x",
        ),
        ({"from": "header", "name": "X-Session"}, told("", 302, {"X-Session": "x", "Location": "/"}), b"x"),
        ({"from": "cookie", "name": "sid"}, told("", 303, {"Set-Cookie": "sid=x; Secure"}), b"x"),
    ],
)
def test_where_a_value_may_be(take: Mapping[str, str], answer: IssuerAnswer, value: bytes) -> None:
    """In a body of JSON, XML or text, a header, a cookie; a redirect is an answer like others."""
    said = options(step(take={"token": take}))
    assert value_in(said, logged_in(said, [answer])) == value


@pytest.mark.parametrize(
    ("expires", "answer", "end"),
    [
        ({"path": "ttl"}, told('{"token":"t","ttl":60}'), NOW + 60),
        ({"path": "end", "unit": "date"}, told('{"token":"t","end":"2023-11-14T22:14:20Z"}'), NOW + 60),
        ({"path": "end", "unit": "epoch"}, told(orjson.dumps({"token": "t", "end": int(NOW) + 60})), NOW + 60),
        (
            {"from": "header", "name": "X-Until", "unit": "milliseconds"},
            told('{"token":"t"}', 200, {"X-Until": "60000"}),
            NOW + 60,
        ),
        ({"path": "ttl"}, told('{"token":"t"}'), NOW + 1800),
        (None, told('{"token":"t"}'), NOW + 1800),
    ],
)
def test_when_a_login_ends(expires: Mapping[str, str] | None, answer: IssuerAnswer, end: float) -> None:
    """By the answer, else by the definition."""
    said = options(step(**({"expires": expires} if expires else {})), lifetime="30m")
    assert logged_in(said, [answer]).expires_at == end


def test_without_a_lifetime_it_lasts() -> None:
    """Until the API refuses it."""
    assert logged_in(options(), [told('{"token":"t"}')]).expires_at is None


def test_several_places() -> None:
    """Header, query and cookie; each takes the place of what the caller sent."""
    place = [
        {"name": "X-A", "value": "a <token>"},
        {"in": "query", "name": "k", "value": "<token>"},
        {"in": "cookie", "name": "sid", "value": "<token>"},
    ]
    said = options(place=place)
    outgoing = request(said, logged_in(said, [told('{"token":"t"}')]), Cookie="x=1; sid=mine")
    assert outgoing.headers == [(b"X-A", b"a t"), (b"Cookie", b"x=1; sid=t")]
    assert outgoing.query == b"k=t"
    places = LOGIN.places(said)
    assert [*places.headers, *places.query, *places.cookies] == [b"x-a", b"k", b"sid"]


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        (told(SECRET, 401), True),
        (told(SECRET, 403), True),
        (told(SECRET, 400), True),
        (told(SECRET, 422), True),
        (told(SECRET, 500), False),
        (told(SECRET, 429), False),
        (told(SECRET, 404), False),
        (told(f'{{"error":"{SECRET}"}}'), True),
        (told('{"token":null}'), True),
        (told('{"token":""}'), True),
        (told('{"token":true}'), True),
        (told('{"token":["t"]}'), True),
        (told('{"token":"a\\r\\nX-Evil: 1"}'), True),
        (told(orjson.dumps({"token": "t" * 20_000})), True),
        (told(b"\xff"), True),
        (told('{"token":"t","x":"' + "x" * 1_100_000 + '"}'), True),
        (told("<token>t</tok", 200, XML), True),
    ],
)
def test_a_login_that_fails(answer: IssuerAnswer, final: bool) -> None:
    """A wrong one is not tried again, which would lock the account; one that may pass is."""
    with pytest.raises(IssuerRefused) as refused:
        logged_in(options(), [answer])
    assert refused.value.final is final
    assert SECRET not in refused.value.public + refused.value.detail
    assert "step 1" in refused.value.public


@pytest.mark.parametrize("take", [{"from": "header", "name": "X"}, {"from": "cookie", "name": "sid"}])
def test_a_header_or_cookie_that_is_not_there(take: Mapping[str, str]) -> None:
    """It is a login that failed."""
    answer = told("", 200, {"Set-Cookie": "other=1"})
    with pytest.raises(IssuerRefused) as refused:
        logged_in(options(step(take={"token": take})), [answer])
    assert refused.value.final


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_value_changes_the_structure_of_a_step(user: str, password: str) -> None:
    """Path, query, header, JSON: a value is that text in its place, or the step is not made."""
    said = options(
        step(
            url="https://api.example.com/u/<user>/x?q=<password>",
            headers=[{"name": "X-User", "value": "u <user> u"}],
        )
    )
    asked: list[IssuerRequest] = []
    with contextlib.suppress(IssuerRefused):
        logged_in(said, [told('{"token":"t"}')], asked, user=user, password=password)
    if not asked:  # the step was not made: no value of that kind can stand there
        return
    parts = urlsplit(asked[0].url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "api.example.com", "")
    assert re.fullmatch(r"/u/[^/]+/x", parts.path)
    assert parse_qsl(parts.query, keep_blank_values=True) == [("q", password)]
    assert orjson.loads(asked[0].body) == {"user": user, "password": password}
    assert dict(asked[0].headers)["X-User"] == f"u {user} u"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"steps": []}, "steps:"),
        ({"steps": [step(url="not a url")]}, "url:"),
        ({"steps": [step(method="TRACE")]}, "method:"),
        ({"steps": [step(url="https://<user>.example.com/")]}, "cannot name a host"),
        ({"steps": [step(body={"type": "json", "template": "<pasword>"})]}, "no earlier step takes it"),
        (
            {"steps": [step(body={"type": "raw", "template": "{<user>}", "content_type": "application/json"})]},
            "escapes",
        ),
        ({"steps": [step(headers=[{"name": "Host", "value": "x"}])]}, "headers[0].name:"),
        ({"steps": [step(take={**TAKE, "user": {"path": "x"}})]}, "taken already"),
        ({"steps": [step(take={"token": {"from": "cookie"}})]}, "found by its name"),
        ({"steps": [step(take={"token": {"name": "x"}})]}, "found by path"),
        ({"steps": [step(take={"token": {"path": "a..b"}})]}, "path:"),
        ({"steps": [step(expires={"from": "cookie", "name": "x"})]}, "expires"),
        ({"place": [{"name": "X", "value": "<tokn>"}]}, "no earlier step takes it"),
        ({"place": [{"name": "Host", "value": "<token>"}]}, "written by Tieline itself"),
        ({"place": []}, "place is missing"),
        ({"fields": [{"name": "User"}]}, "fields[0].name:"),
        ({"cookies": "yes"}, "cookies:"),
        ({"renew_on": {"status": "401"}}, "renew_on"),
    ],
)
def test_a_wrong_option_is_a_problem(change: Mapping[str, Any], word: str) -> None:
    """IssuerAnswer where it is."""
    problems = LOGIN.check({"fields": FIELDS, "steps": [step()], "place": PLACE, **change})
    assert any(word in problem for problem in problems)
    assert len(problems) == 1


def test_a_variable_may_stand_in_a_url() -> None:
    """It is filled in before; one that is not there then is told."""
    said = options(step(url="https://<shop>.example.com/<tenant>/login"))
    assert LOGIN.hosts({**said, "steps": [step(url="https://a.example.com/x/login")]}) == ["a.example.com"]
    with pytest.raises(IssuerRefused, match="<tenant>"):
        logged_in(options(step(url="https://a.example.com/<tenant>/login")), [])


class TestCookies:
    """The jar: which cookies go to which host."""

    def jar(self, *lines: str, host: str = "login.example.com") -> Jar:
        """What these fields leave in it."""
        jar = Jar()
        for line in lines:
            jar.learn(told("", 200, {"Set-Cookie": line}), host, NOW)
        return jar

    def held(self, jar: Jar, host: str) -> dict[str, str]:
        """What a host is sent."""
        return {each.name: each.value for each in jar.held_for(host)}

    def test_a_cookie_goes_back_to_its_host(self) -> None:
        """To no other, unless it is for a domain."""
        jar = self.jar("a=1", "b=2; Domain=example.com", "c=3; domain=.example.com; Path=/x; Secure")
        assert self.held(jar, "login.example.com") == {"a": "1", "b": "2", "c": "3"}
        assert self.held(jar, "api.example.com") == {"b": "2", "c": "3"}
        assert self.held(jar, "example.org") == {}
        assert self.held(jar, "badexample.com") == {}

    @pytest.mark.parametrize(
        "line", ["a=1; Domain=com", "a=1; Domain=other.com", "a=1; Domain=x.login.example.com", "a b=1", "=1", "a=\x01"]
    )
    def test_a_cookie_for_somebody_else_is_left(self, line: str) -> None:
        """As is one that could not be sent."""
        jar = self.jar(line)
        assert self.held(jar, "login.example.com") == {}

    @pytest.mark.parametrize(
        "end", ["a=2; Max-Age=0", "a=; Max-Age=-1", "a=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a=2; Max-Age=x"]
    )
    def test_a_cookie_ends(self, end: str) -> None:
        """When the server says so."""
        assert self.held(self.jar("a=1", end), "login.example.com") == {}
        kept = self.jar("a=1", "b=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
        assert self.held(kept, "login.example.com") == {"a": "1", "b": "1"}

    def test_the_more_exact_of_two_goes(self) -> None:
        """One name, one value."""
        jar = self.jar("a=wide; Domain=example.com", "a=own")
        assert self.held(jar, "login.example.com") == {"a": "own"}
        assert self.held(jar, "api.example.com") == {"a": "wide"}

    def test_they_are_kept_with_the_token(self) -> None:
        """And go with the API's requests, beside the caller's own."""
        said = options(step(take={}), place=[], cookies=True)
        token = logged_in(said, [told("", 200, {"Set-Cookie": f"sid={SECRET}; Domain=example.com"})])
        assert request(said, token, "www.example.com", Cookie="x=1; sid=mine").headers == [
            (b"Cookie", f"x=1; sid={SECRET}".encode())
        ]
        assert request(said, token, "other.org").headers == []
        told_secrets = [each.reveal_bytes() for each in LOGIN.bind_token(said, {}, token).secrets()]
        assert SECRET.encode() in told_secrets
