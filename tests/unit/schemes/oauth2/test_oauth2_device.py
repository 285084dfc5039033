"""Signing in on another device, by the examples of RFC 8628."""

from typing import Any

import orjson
import pytest

from tests.peers.flows import scripted, told
from tests.unit.schemes.oauth2.issued import OAUTH2, form, opened, options, sealed
from tieline.schemes.flow import DeviceSignIn, IssuerAnswer, IssuerRefused, IssuerRequest, Pending, Token

CLIENT = sealed({"client_id": "1406020730"})
DEVICE_URL = "https://server.example.com/device_authorization"
# RFC 8628 section 3.2
ANSWER = {
    "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://example.com/device",
    "verification_uri_complete": "https://example.com/device?user_code=WDJB-MJHT",
    "expires_in": 1800,
    "interval": 5,
}


def said(**more: Any) -> dict[str, Any]:
    """The example's issuer, for a client without a secret."""
    return options(grant="device_code", device_url=DEVICE_URL, client_authentication="none", **more)


def began(answer: object, asked: list[IssuerRequest] | None = None, **more: Any) -> DeviceSignIn:
    """What a person is shown."""
    return scripted(OAUTH2.begin_device(said(**more), CLIENT), [told(orjson.dumps(answer))], asked)


def polled(answer: IssuerAnswer, asked: list[IssuerRequest] | None = None) -> Token | Pending:
    """What asking gives."""
    return scripted(OAUTH2.poll_device(said(), CLIENT, began(ANSWER).context), [answer], asked)


def test_the_device_authorization_request() -> None:
    """Section 3.1, and 3.2 for what came back."""
    asked: list[IssuerRequest] = []
    got = began(ANSWER, asked, scopes=["example_scope"])
    assert (asked[0].method, asked[0].url) == ("POST", DEVICE_URL)
    assert set(asked[0].body.split(b"&")) == {b"client_id=1406020730", b"scope=example_scope"}
    assert (got.user_code, got.verification_uri) == ("WDJB-MJHT", "https://example.com/device")
    assert got.verification_uri_complete == "https://example.com/device?user_code=WDJB-MJHT"
    assert (got.interval, got.expires_in) == (5, 1800)


def test_the_device_access_token_request() -> None:
    """Section 3.4."""
    asked: list[IssuerRequest] = []
    got = polled(told('{"access_token":"t","refresh_token":"r"}'), asked)
    assert form(asked[0]) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS",
        "client_id": "1406020730",
    }
    assert isinstance(got, Token)
    assert opened(got) == {"access": "t", "refresh": "r"}


@pytest.mark.parametrize(("code", "interval"), [("authorization_pending", 5), ("slow_down", 10)])
def test_the_person_is_not_done(code: str, interval: float) -> None:
    """Section 3.5: wait, or wait longer."""
    assert polled(told(orjson.dumps({"error": code}), 400)) == Pending(interval)


@pytest.mark.parametrize(
    ("code", "word"), [("access_denied", "allow it"), ("expired_token", "Begin the sign-in again")]
)
def test_it_has_come_to_nothing(code: str, word: str) -> None:
    """Section 3.5: begin again."""
    with pytest.raises(IssuerRefused) as error:
        polled(told(orjson.dumps({"error": code}), 400))
    assert (error.value.final, word in error.value.public) == (True, True)


def test_an_issuer_that_is_down_is_asked_again() -> None:
    """The code is good as long as it lasts."""
    with pytest.raises(IssuerRefused) as error:
        polled(told("", 502))
    assert not error.value.final


def test_what_is_left_out_has_a_usual_value() -> None:
    """Section 3.2: five seconds; ten minutes are ours. ``verification_url`` is what it was called before."""
    answer = {"device_code": "d", "user_code": "u", "verification_url": "https://x.example/d"}
    got = began(answer)
    assert (got.interval, got.expires_in, got.verification_uri_complete) == (5, 600, None)
    assert got.verification_uri == "https://x.example/d"


@pytest.mark.parametrize(
    "change",
    [
        {"device_code": None},
        {"user_code": 7},
        {"user_code": "a\x1b[31m"},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "https://x.example/ a"},
        {"verification_uri": None},
    ],
)
def test_what_cannot_be_shown_is_refused(change: dict[str, Any]) -> None:
    """A person would follow it."""
    with pytest.raises(IssuerRefused):
        began({**ANSWER, **change})


def test_odd_times_are_bounded() -> None:
    """Nobody waits a day, or asks without a pause."""
    got = began({**ANSWER, "interval": 86_400, "expires_in": 10**9})
    assert (got.interval, got.expires_in) == (60, 86_400)
    assert began({**ANSWER, "interval": -1, "expires_in": "x"}).interval == 5


def test_a_person_may_sign_in_either_way() -> None:
    """Where the definition says both; else the error says what is missing."""
    both = options(authorize_url="https://server.example.com/authorize", device_url=DEVICE_URL)
    secrets = sealed({"client_id": "a", "client_secret": "b"})
    assert scripted(OAUTH2.begin(both, secrets, "https://t.example", "s"), []).url
    assert scripted(OAUTH2.begin_device(both, secrets), [told(orjson.dumps(ANSWER))]).user_code
    with pytest.raises(IssuerRefused, match="authorize_url"):
        scripted(OAUTH2.begin(said(), CLIENT, "https://t.example", "s"), [])
    with pytest.raises(IssuerRefused, match="device_url"):
        OAUTH2.begin_device(options(authorize_url="https://server.example.com/authorize"), CLIENT)
