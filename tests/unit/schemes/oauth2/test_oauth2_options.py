"""The options of ``oauth2``: what is wrong with them, the fields they ask for, the hosts they name."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.peers.keys import EC_KEY
from tests.unit.schemes.oauth2.issued import OAUTH2, TOKEN_URL, options, sealed
from tieline.core.errors import CredentialMissing
from tieline.schemes.base import Checking
from tieline.schemes.flow import SigningIn, SigningInByDevice

AUTHORIZE = "https://server.example.com/authorize"


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"authorize_url": AUTHORIZE}, '"token_url" is missing'),
        ({"token_url": TOKEN_URL}, "authorize_url is missing"),
        ({"token_url": TOKEN_URL, "grant": "device_code"}, "device_url is missing"),
        ({"token_url": TOKEN_URL, "grant": "implicit"}, "grant:"),
        ({"token_url": "server.example.com", "grant": "password"}, "token_url:"),
        ({"token_url": TOKEN_URL, "grant": "client_credentials", "client_authentication": "none"}, "none cannot"),
        (
            {
                "token_url": TOKEN_URL,
                "grant": "password",
                "client_authentication": "private_key_jwt",
                "client_algorithm": "HS256",
            },
            "client_algorithm",
        ),
        (
            {
                "token_url": TOKEN_URL,
                "grant": "password",
                "client_authentication": "client_secret_jwt",
                "client_algorithm": "RS256",
            },
            "client_algorithm",
        ),
        (
            {"token_url": TOKEN_URL, "authorize_url": AUTHORIZE, "authorize_parameters": {"state": "x"}},
            "authorize_parameters:",
        ),
        (
            {"token_url": TOKEN_URL, "grant": "password", "token_parameters": {"client_secret": "x"}},
            "token_parameters:",
        ),
        (
            {"token_url": TOKEN_URL, "grant": "password", "refresh_parameters": {"grant_type": "x"}},
            "refresh_parameters:",
        ),
        ({"token_url": TOKEN_URL, "grant": "password", "token_headers": {"Host": "x"}}, "token_headers.Host:"),
        ({"token_url": TOKEN_URL, "grant": "password", "token_headers": {"X": "a\nb"}}, "token_headers.X:"),
        ({"token_url": TOKEN_URL, "grant": "password", "token_path": "a..b"}, "token_path:"),
        ({"token_url": TOKEN_URL, "grant": "password", "lifetime": "soon"}, "lifetime:"),
        ({"token_url": TOKEN_URL, "grant": "password", "expires_unit": "days"}, "expires_unit:"),
        ({"token_url": TOKEN_URL, "grant": "password", "pkce": "no"}, "pkce:"),
        ({"token_url": TOKEN_URL, "grant": "password", "profile": {"id": "x"}}, "profile:"),
        ({"token_url": TOKEN_URL, "grant": "password", "in": "nowhere", "name": "x"}, "in:"),
        ({"token_url": TOKEN_URL, "grant": "password", "renew_on": {"status": [99]}}, "renew_on"),
        ({"token_url": TOKEN_URL, "grant": "jwt_bearer", "assertion": {"claims": {"iss": "<who>"}}}, "assertion:"),
        ({"token_url": TOKEN_URL, "grant": "jwt_bearer", "assertion": {"claims": "iss"}}, "assertion.claims:"),
    ],
)
def test_a_wrong_option_is_a_problem(said: Mapping[str, Any], word: str) -> None:
    """One, told where it is."""
    problems = OAUTH2.check(said)
    assert len(problems) == 1
    assert word in problems[0]


@pytest.mark.parametrize(
    ("more", "required", "optional"),
    [
        ({"authorize_url": AUTHORIZE}, {"client_id", "client_secret"}, set()),
        ({"grant": "client_credentials", "client_authentication": "post"}, {"client_id", "client_secret"}, set()),
        ({"grant": "password", "client_authentication": "none"}, {"client_id", "username", "password"}, set()),
        ({"grant": "refresh_token"}, {"client_id", "client_secret", "refresh_token"}, set()),
        ({"grant": "token_exchange"}, {"client_id", "client_secret", "subject_token"}, {"actor_token"}),
        ({"grant": "jwt_bearer"}, {"private_key", "issuer"}, {"client_id", "subject"}),
        (
            {"grant": "jwt_bearer", "assertion": {"header": {"kid": "<key_id>"}, "claims": {"iss": "x"}}},
            {"private_key", "key_id"},
            {"client_id"},
        ),
        (
            {"grant": "client_credentials", "client_authentication": "private_key_jwt"},
            {"client_id", "client_key"},
            {"client_key_id"},
        ),
        (
            {"grant": "client_credentials", "client_authentication": "mtls"},
            {"client_id", "certificate", "key"},
            {"password", "authorities"},
        ),
        (
            {"grant": "client_credentials", "client_authentication": "mtls", "certificate": {"format": "pkcs12"}},
            {"client_id", "bundle"},
            {"password", "authorities"},
        ),
    ],
)
def test_fields_follow_from_grant_and_client(more: dict[str, Any], required: set[str], optional: set[str]) -> None:
    """Nothing is asked for that is not used."""
    fields = OAUTH2.fields(options(**more))
    assert {each.name for each in fields if each.required} == required
    assert {each.name for each in fields if not each.required} == optional


def test_variables_may_stand_in_urls() -> None:
    """A tenant of its own is what a third of providers have; they are filled in before anything is asked."""
    said = options(token_url="https://<shop>.example.com/token", authorize_url="https://<shop>.example.com/auth")
    assert {each.name for each in OAUTH2.fields(said)} == {"client_id", "client_secret"}
    assert OAUTH2.needs_sign_in(said)


def test_hosts_are_those_of_all_urls() -> None:
    """Each once, without ports."""
    said = options(
        authorize_url="https://a.example.com/authorize",
        token_url="https://b.example.com:8443/token",
        refresh_url="https://c.example.com/refresh",
        device_url="https://b.example.com/device",
        profile={"url": "https://d.example.com/me", "id": "id"},
    )
    assert set(OAUTH2.hosts(said)) == {f"{letter}.example.com" for letter in "abcd"}
    assert len(OAUTH2.hosts(said)) == 4


@pytest.mark.parametrize(
    ("grant", "needed"),
    [("authorization_code", True), ("device_code", True), ("password", False), ("jwt_bearer", False)],
)
def test_some_grants_need_a_person(grant: str, needed: bool) -> None:
    """The others get their first token themselves."""
    said = options(grant=grant, authorize_url=AUTHORIZE, device_url=AUTHORIZE)
    assert OAUTH2.needs_sign_in(said) is needed
    assert OAUTH2.renews(said)


def test_the_scheme_fulfils_its_interfaces() -> None:
    """People sign in either way, and bad keys are told at once."""
    assert isinstance(OAUTH2, SigningIn)
    assert isinstance(OAUTH2, SigningInByDevice)
    assert isinstance(OAUTH2, Checking)


@pytest.mark.parametrize(
    ("more", "secrets", "param"),
    [
        ({"grant": "jwt_bearer"}, {"private_key": EC_KEY, "issuer": "me"}, "private_key"),
        ({"grant": "password", "client_authentication": "private_key_jwt"}, {"client_key": "nonsense"}, "client_key"),
        (
            {"grant": "password", "client_authentication": "client_secret_jwt"},
            {"client_secret": "short"},
            "client_secret",
        ),
        ({"grant": "password", "client_authentication": "mtls"}, {"certificate": "x", "key": EC_KEY}, "certificate"),
    ],
)
def test_a_key_that_is_none_is_told_when_it_is_put(more: dict[str, Any], secrets: dict[str, str], param: str) -> None:
    """With the field that it is about."""
    with pytest.raises(CredentialMissing) as refused:
        OAUTH2.check_values(options(**more), sealed(secrets))
    assert refused.value.param == param
