"""What ``oauth2`` makes of an issuer's answers: tokens in the forms that there are, errors that say what to do."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.peers.flows import run, scripted, told
from tests.unit.schemes.oauth2.issued import CLIENT, NOW, OAUTH2, opened, options, sealed, token
from tieline.schemes.flow import IssuerAnswer, IssuerRefused, IssuerRequest, Token

SECRET = "not-real-" + "0123456789abcdef"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PERSON = {"authorize_url": "https://server.example.com/authorize"}


def got(answer: IssuerAnswer, before: Token | None = None, **more: Any) -> Token:
    """The token in an answer."""
    said = options(**{"grant": "client_credentials", **more})
    return scripted(OAUTH2.renew(said, sealed(CLIENT), before, NOW), [answer])


def refused(answer: IssuerAnswer, before: Token | None = None, **more: Any) -> IssuerRefused:
    """Why there is no token in an answer."""
    with pytest.raises(IssuerRefused) as error:
        got(answer, before, **more)
    shown = f"{error.value.public} {error.value.detail}"
    assert SECRET not in shown
    assert error.value.public.endswith(".")
    return error.value


def test_an_answer_as_a_form() -> None:
    """As GitHub gives it unless it is asked for JSON."""
    found = got(
        told("access_token=gho_x&expires_in=60&refresh_token=ghr_y&scope=repo%2Cgist&token_type=bearer", 200, FORM)
    )
    assert opened(found) == {"access": "gho_x", "refresh": "ghr_y"}
    assert (found.expires_at, found.scopes) == (NOW + 60, ("repo", "gist"))


@pytest.mark.parametrize(
    ("document", "more"),
    [
        ({"data": {"token": "t", "expires_in": 60}}, {"token_path": "data.token"}),
        (
            {"data": [{"token": "t"}], "ttl": "60000"},
            {"token_path": "data[0].token", "expires_path": "ttl", "expires_unit": "milliseconds"},
        ),
        ({"access_token": "t", "expires": int(NOW) + 60}, {"expires_path": "expires", "expires_unit": "epoch"}),
        ({"access_token": "t", "end": "2023-11-14T22:14:20Z"}, {"expires_path": "end", "expires_unit": "date"}),
        ({"access_token": "t"}, {"lifetime": "1m"}),
        ({"access_token": "t", "expires_in": 60}, {"lifetime": "1h"}),
        ({"access_token": "t", "expires_in": "never"}, {"lifetime": "1m"}),
    ],
)
def test_a_token_by_path_and_its_end_by_unit(document: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    """Or by the definition, where the answer does not say."""
    found = got(told(orjson.dumps(document)), **more)
    assert (opened(found)["access"], found.expires_at) == ("t", NOW + 60)


def test_what_the_answer_leaves_out_stays() -> None:
    """RFC 6749 section 6: no new refresh token means that the old one goes on; a new one takes its place."""
    before = token(access="old", refresh="kept")
    kept = got(told('{"access_token":"new"}'), before, grant="authorization_code", **PERSON)
    assert opened(kept) == {"access": "new", "refresh": "kept"}
    assert (kept.scopes, kept.account, kept.expires_at) == (("old",), "ada@example.com", None)
    rotated = got(told('{"access_token":"new","refresh_token":"next"}'), before, grant="authorization_code", **PERSON)
    assert opened(rotated)["refresh"] == "next"


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        ("a b", ("a", "b")),
        ("a,b c", ("a", "b", "c")),
        (["a", "b"], ("a", "b")),
        ("", ("asked",)),
        (None, ("asked",)),
        ([7, "a\x1b[31m"], ("asked",)),
    ],
)
def test_scopes_are_those_that_were_granted(scope: Any, scopes: tuple[str, ...]) -> None:
    """Where the answer says so, however it does; RFC 6749 section 5.1: else those that were asked for."""
    assert got(told(orjson.dumps({"access_token": "t", "scope": scope})), scopes=["asked"]).scopes == scopes


@pytest.mark.parametrize("kind", ["bearer", "Bearer", "BEARER", "bot", "N_A", "example", None])
def test_a_type_of_token_is_looked_at_loosely(kind: str | None) -> None:
    """Whatever providers call it."""
    assert opened(got(told(orjson.dumps({"access_token": "t", "token_type": kind}))))["access"] == "t"


@pytest.mark.parametrize("kind", ["DPoP", "mac", "pop"])
def test_a_token_that_needs_a_proof_is_refused(kind: str) -> None:
    """RFC 6749 section 7.1: it could not be used."""
    assert refused(told(orjson.dumps({"access_token": "t", "token_type": kind}))).final


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("invalid_client", "client_authentication"),
        ("invalid_grant", "client id"),
        ("unauthorized_client", "another grant"),
        ("access_denied", "Sign in again"),
        ("expired_token", "Begin the sign-in again"),
        ("unsupported_grant_type", "another one"),
        ("invalid_scope", "scopes"),
        ("invalid_target", "audience"),
        ("invalid_request", "documentation"),
        ("incorrect_client_credentials", "client id"),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 200])
def test_an_error_is_final_and_says_what_to_do(code: str, word: str, status: int) -> None:
    """RFC 6749 section 5.2, and those who answer 200; the issuer's own words are not repeated."""
    answer = {"error": code, "error_description": SECRET, "error_uri": f"https://x.example/{SECRET}"}
    error = refused(told(orjson.dumps(answer), status))
    assert error.final
    assert word in error.public
    assert code in error.public


def test_an_error_as_a_form() -> None:
    """As GitHub gives it."""
    error = refused(told(f"error=bad_verification_code&error_description={SECRET}", 200, FORM))
    assert (error.final, "bad_verification_code" in error.public) == (True, True)


def test_an_error_within_an_object() -> None:
    """As others give it."""
    error = refused(told('{"error":{"type":"invalid_grant","message":"x"}}', 400))
    assert (error.final, "invalid_grant" in error.public) == (True, True)


@pytest.mark.parametrize(
    ("grant", "secrets", "word"),
    [
        ("password", {"username": "u", "password": "p"}, "password are wrong"),
        ("refresh_token", {"refresh_token": "r"}, "refresh token is no longer good"),
        ("token_exchange", {"subject_token": "s"}, "subject token"),
    ],
)
def test_a_grant_that_is_no_longer_good(grant: str, secrets: dict[str, str], word: str) -> None:
    """What to do depends on what it was."""
    flow = OAUTH2.renew(options(grant=grant), sealed({**CLIENT, **secrets}), None, NOW)
    with pytest.raises(IssuerRefused) as error:
        scripted(flow, [told('{"error":"invalid_grant"}', 400)])
    assert (error.value.final, word in error.value.public) == (True, True)


def test_a_sign_in_that_has_ended() -> None:
    """The refresh token was revoked: somebody has to sign in."""
    answer = told('{"error":"invalid_grant"}', 400)
    error = refused(answer, token(access="a", refresh="r"), grant="authorization_code", **PERSON)
    assert (error.final, "Sign in again" in error.public) == (True, True)


@pytest.mark.parametrize("grant", ["authorization_code", "device_code"])
def test_without_a_refresh_token_a_person_signs_in_again(grant: str) -> None:
    """Nothing is asked of the issuer."""
    said = options(grant=grant, device_url="https://server.example.com/device", **PERSON)
    with pytest.raises(IssuerRefused) as error:
        scripted(OAUTH2.renew(said, sealed(CLIENT), token(access="a"), NOW), [])
    assert error.value.final
    assert "offline_access" in error.value.public


@pytest.mark.parametrize(
    "answer",
    [
        told(f'{{"error":"server_error","x":"{SECRET}"}}', 500),
        told(SECRET, 503),
        told('{"error":"temporarily_unavailable"}', 400),
        told('{"error":"invalid_grant"}', 502),
        told("{}", 429),
        told('{"error":"invalid_client"}', 429),
        told('{"access_token":"t"}', 500),
        told(f"<html>{SECRET}</html>", 200, {"Content-Type": "text/html"}),
        told(f'{{"token":"{SECRET}"}}'),
        told('{"access_token":7}'),
        told('["access_token"]'),
        told(b"\xff\xfe"),
        told(b""),
        told(b"{" * 100_000),
        told(b'{"access_token":"t","x":"' + b"x" * 1_100_000 + b'"}'),
        told('{"access_token":"a b"}'),
        told('{"access_token":"a\\r\\nX-Evil: 1"}'),
        told('{"access_token":"é"}'),
        told(orjson.dumps({"access_token": "t" * 20_000})),
        told(f"not found {SECRET}", 404),
    ],
)
def test_what_may_pass_is_not_final(answer: IssuerAnswer) -> None:
    """An issuer that is down, busy or talking nonsense is asked again."""
    assert not refused(answer).final


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize(
    "body", [f"<html>{SECRET}</html>", "", '{"message":"Forbidden"}', '{"error":"Forbidden"}', '{"error":403}']
)
def test_a_refusal_without_an_error_that_means_it_passes(status: int, body: str) -> None:
    """It may be a firewall's: RFC 6749 section 5.2 has the issuer say which error it is."""
    error = refused(told(body, status))
    assert not error.final
    assert "asked again" in error.public


def test_an_issuer_says_how_long_to_wait() -> None:
    """In seconds, whole or not, or as a date."""
    assert refused(told("", 429, {"Retry-After": "7.5"})).retry_after == 7.5
    assert refused(told("", 429, {"Retry-After": "Thu, 26 Nov 99999999999 12:00:30 GMT"})).retry_after is None


@pytest.mark.parametrize("code", ["INVALID_GRANT", "bad_refresh_token", "token_revoked"])
def test_a_grant_that_is_over_in_others_words(code: str) -> None:
    """Providers write the code in capitals, or have one of their own."""
    error = refused(told(orjson.dumps({"error": code}), 400))
    assert (error.final, error.for_client) == (True, False)


@pytest.mark.parametrize("code", ["invalid_client", "invalid_scope", "unauthorized_client", "redirect_uri_mismatch"])
def test_a_client_that_is_refused_is_no_end_of_a_sign_in(code: str) -> None:
    """An operator sets it right, and what people signed in for goes on."""
    error = refused(told(orjson.dumps({"error": code}), 401))
    assert (error.final, error.for_client) == (True, True)


SLACK = {"token_path": "authed_user.access_token", "grant": "authorization_code"}


def test_refresh_answers_may_have_the_standards_shape() -> None:
    """As Slack's for a person's token: the first answer has it below ``authed_user``, later ones at the top."""
    answer = told('{"ok":true,"access_token":"new","refresh_token":"next","expires_in":60}')
    found = got(answer, token(access="old", refresh="r"), **SLACK, **PERSON)
    assert (opened(found), found.expires_at) == ({"access": "new", "refresh": "next"}, NOW + 60)


def test_refresh_answers_may_have_a_shape_of_their_own() -> None:
    """``refresh_answer`` says it, and what lies beside the token is found there."""
    answer = told('{"renewed":{"key":"new","refresh_token":"next","expires_in":60}}')
    found = got(
        answer, token(access="old", refresh="r"), refresh_answer={"token_path": "renewed.key"}, **SLACK, **PERSON
    )
    assert (opened(found), found.expires_at) == ({"access": "new", "refresh": "next"}, NOW + 60)


@pytest.mark.parametrize(
    "answer",
    [
        {"authed_user": {"token": "t", "refresh_token": "next"}},
        {"token": "t", "refresh_token": "next"},
        {"access_token": "a b", "refresh_token": "next"},
        {"access_token": "t", "token_type": "DPoP", "refresh_token": "next"},
    ],
)
def test_a_refresh_token_is_handed_on_where_the_token_is_of_no_use(answer: Mapping[str, Any]) -> None:
    """The issuer has forgotten the one before it."""
    error = refused(told(orjson.dumps(answer)), token(access="old", refresh="r"), **SLACK, **PERSON)
    assert {name: value.reveal_bytes() for name, value in error.rescued.items()} == {"refresh": b"next"}


@pytest.mark.parametrize("code", [f"{SECRET}", "x" * 41, "a b", "a\nb", 7, ["invalid_grant"], None])
def test_only_a_short_code_is_repeated(code: Any) -> None:
    """Anything else might hold what it should not."""
    error = refused(told(orjson.dumps({"error": code}), 400))
    assert str(code) not in error.public or code is None


@given(st.binary(max_size=200), st.sampled_from([200, 302, 400, 401, 404, 429, 500]))
def test_no_answer_breaks_the_flow(body: bytes, status: int) -> None:
    """It is a token, or it is refused."""
    try:
        found = got(told(body, status))
    except IssuerRefused:
        return
    assert found.values["access"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=6,
)
MEMBERS = st.sampled_from(["access_token", "refresh_token", "expires_in", "scope", "token_type", "error", "x"])


@given(st.dictionaries(MEMBERS, JSON, max_size=6), st.sampled_from([200, 400, 500]))
def test_no_member_breaks_the_flow(document: dict[str, Any], status: int) -> None:
    """Whatever kind of value stands where: what comes out can be sent, kept and told."""
    try:
        found = got(told(json.dumps(document), status))
    except IssuerRefused:
        return
    assert opened(found)["access"].isascii()
    assert all(isinstance(scope, str) for scope in found.scopes)
    assert found.expires_at is None or found.expires_at > 0


class TestComingBack:
    """A person who comes back from the issuer."""

    def finish(self, answer: Mapping[str, str], **more: Any) -> Token:
        """The token that they bring."""
        said = options(**PERSON, **more)
        began = run(OAUTH2.begin(said, sealed(CLIENT), "https://t.example/cb", "s"))
        return scripted(OAUTH2.finish(said, sealed(CLIENT), began.context, answer), [told('{"access_token":"t"}')])

    @pytest.mark.parametrize(
        ("answer", "word"),
        [
            ({"error": "access_denied", "error_description": SECRET}, "allow it"),
            ({"error": SECRET}, "Sign in again"),
            ({}, "without a code"),
            ({"code": ""}, "without a code"),
            ({"code": "a\nb"}, "without a code"),
        ],
    )
    def test_without_a_code(self, answer: Mapping[str, str], word: str) -> None:
        """RFC 6749 section 4.1.2.1; nothing is asked of the issuer."""
        said = options(**PERSON)
        began = run(OAUTH2.begin(said, sealed(CLIENT), "https://t.example/cb", "s"))
        with pytest.raises(IssuerRefused) as error:
            scripted(OAUTH2.finish(said, sealed(CLIENT), began.context, answer), [])
        assert error.value.final
        assert word in error.value.public
        assert SECRET not in error.value.public + error.value.detail

    def test_from_the_right_issuer(self) -> None:
        """RFC 9207: ``iss`` is compared letter by letter."""
        issuer = "https://server.example.com"
        assert self.finish({"code": "c", "iss": issuer}, issuer=issuer).values
        assert self.finish({"code": "c", "iss": "anything"}).values

    @pytest.mark.parametrize("iss", [None, "", "https://server.example.com/", "https://evil.example.com", "é"])
    def test_from_another_issuer(self, iss: str | None) -> None:
        """The code is not sent anywhere."""
        answer = {"code": "c"} | ({"iss": iss} if iss is not None else {})
        with pytest.raises(IssuerRefused) as error:
            self.finish(answer, issuer="https://server.example.com")
        assert error.value.final


class TestProfile:
    """Who signed in."""

    PROFILE = {"url": "https://api.example.com/me?x=1", "id": "data.id", "email": "data.email"}  # noqa: RUF012

    def account(self, answer: IssuerAnswer, asked: list[IssuerRequest] | None = None, **more: Any) -> str | None:
        """Who it was, by the profile's answer."""
        said = options(profile=self.PROFILE, **PERSON, **more)
        began = run(OAUTH2.begin(said, sealed(CLIENT), "https://t.example/cb", "s"))
        flow = OAUTH2.finish(said, sealed(CLIENT), began.context, {"code": "c"})
        return scripted(flow, [told('{"access_token":"t"}'), answer], asked).account

    def test_is_read_with_the_token(self) -> None:
        """As the API gets it."""
        asked: list[IssuerRequest] = []
        assert self.account(told('{"data":{"id":7,"email":"ada@example.com"}}'), asked) == "ada@example.com"
        assert (asked[1].method, asked[1].url) == ("GET", "https://api.example.com/me?x=1")
        assert ("Authorization", "Bearer t") in asked[1].headers
        asked.clear()
        self.account(told("{}"), asked, **{"in": "query", "name": "key"})
        assert asked[1].url == "https://api.example.com/me?x=1&key=t"

    @pytest.mark.parametrize(
        ("answer", "account"),
        [
            (told('{"data":{"id":7}}'), "7"),
            (told('{"data":{"id":"7","email":""}}'), "7"),
            (told('{"data":{"email":["a"]}}'), None),
            (told('{"data":{"email":"a\\u0000b"}}'), None),
            (told("nonsense"), None),
            (told('{"data":{"email":"a@b.c"}}', 500), None),
        ],
    )
    def test_may_be_silent(self, answer: IssuerAnswer, account: str | None) -> None:
        """The sign-in is good all the same."""
        assert self.account(answer) == account


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"error":"invalid_grant: Token is expired or invalid."}', "invalid_grant"),
        ('{"code":400,"error_code":"refresh_token_not_found","msg":"Refresh Token Not Found"}',
         "refresh_token_not_found"),
        ('{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token"}', "BAD_REFRESH_TOKEN"),
        ('{"errors":[{"errorType":"invalid_grant","message":"Refresh token invalid"}],"success":false}',
         "invalid_grant"),
        ('{"error":{"type":"OAuthException","code":"invalid_grant"}}', "invalid_grant"),
        ('{"error":"invalid_token","error_description":"The token expired or was revoked."}',
         "invalid_token"),
        ('{"ok":false,"access_token":"","error":"token_revoked"}', "token_revoked"),
    ],
)  # fmt: skip
def test_a_clear_no_is_final_wherever_its_code_stands(body: str, code: str) -> None:
    """As providers write it beside RFC 6749 section 5.2, with 200 too."""
    for status in (200, 400):
        error = refused(told(body, status), token(refresh="r"), grant="authorization_code", **PERSON)
        assert (error.final, code in error.public) == (True, True)


@pytest.mark.parametrize(
    "body",
    ['{"status":"error","message":"Bad Gateway"}', '{"error":"Forbidden by policy"}', '{"type":"error"}', "[]",
     '{"errors":["invalid"],"status":"DOWN"}', '{"code":"rate_limited"}', '"invalid_grant"', "[" * 9000],
)  # fmt: skip
def test_what_is_no_clear_no_passes(body: str) -> None:
    """A gateway's error has members of these names too."""
    assert not refused(told(body, 403), token(refresh="r"), grant="authorization_code", **PERSON).final


@pytest.mark.parametrize("written", ["Bearer abc", "bearer abc", "abc\n", " abc"])
def test_a_token_with_its_type_before_it_is_the_token(written: str) -> None:
    """Issuers write it as for a header; no bearer token has blanks (RFC 6750 section 2.1)."""
    assert opened(got(told(orjson.dumps({"access_token": written})))) == {"access": "abc"}


def test_half_a_pair_beside_a_token_loses_nothing() -> None:
    """RFC 8259 section 8.2: it is JSON, and the refresh token in it is good for one use."""
    found = got(told('{"access_token":"a","refresh_token":"next","name":"cut \\ud83d"}'))
    assert opened(found) == {"access": "a", "refresh": "next"}
