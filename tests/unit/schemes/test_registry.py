"""What the schemes of a definition together ask of its credential, and how new values are checked."""

from typing import Any

import pytest

from tieline.core.errors import InvalidInput
from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.definitions.environment import with_values
from tieline.definitions.model import Definition
from tieline.definitions.parse import DefinitionError, parse_data
from tieline.schemes.base import Applier, Outgoing
from tieline.schemes.registry import SCHEMES, bind, bound_hosts, check_fields, credential_fields

BASIC = {"scheme": "basic"}
BEARER = {"scheme": "bearer"}
HEADER = {"scheme": "api_key", "name": "X-Key"}
SIGN_IN = {
    "grant": "authorization_code",
    "authorize_url": "https://id.example.com/a",
    "token_url": "https://t.example.com",
}
QUERY = {"scheme": "api_key", "in": "query", "name": "k"}

ORIGIN = Origin("https", "api.example.com", 443)


def definition(*auth: Any, **more: Any) -> Definition:
    """A definition with these schemes."""
    data = {"tieline": "v1", "api": "api", "base_url": "https://api.example.com", "auth": list(auth), **more}
    return parse_data(data, schemes=SCHEMES)


def names(api: Definition) -> list[str]:
    """The names of the credential's fields."""
    return [each.name for each in credential_fields(api)]


def secrets(**fields: str) -> dict[str, Secret]:
    """Values as they are put, ``__`` for a dot in a name."""
    return {name.replace("__", "."): Secret.from_text(value) for name, value in fields.items()}


def test_a_single_scheme_has_its_own_names() -> None:
    """No prefix where nothing has to be told apart."""
    assert names(definition(BEARER)) == ["key"]
    assert names(definition(BASIC)) == ["username", "password"]
    assert names(definition({"scheme": "none"})) == []


def test_several_schemes_have_prefixes() -> None:
    """The second of a kind has a number."""
    assert names(definition(BEARER, HEADER, QUERY)) == ["bearer.key", "api_key.key", "api_key2.key"]


def test_private_values_are_fields_too() -> None:
    """Headers, parameters and variables that the definition only names."""
    api = definition(
        BEARER,
        headers=[{"name": "X-Org", "private": True}],
        parameters=[{"name": "tenant", "in": "query", "private": True}],
        variables={"region": {"private": True}},
    )
    assert names(api) == ["key", "header.X-Org", "parameter.tenant", "variable.region"]


def test_binding_gives_each_scheme_its_own_values() -> None:
    """In the order of the definition."""
    outgoing = Outgoing(b"GET", b"/", b"", [], ORIGIN)
    for applier in bind(definition(HEADER, QUERY), secrets(api_key__key="one", api_key2__key="two")):
        assert isinstance(applier, Applier)
        applier.apply(outgoing)
    assert (outgoing.headers, outgoing.query) == ([(b"X-Key", b"one")], b"k=two")


@pytest.mark.parametrize("value", ["sk-not-real\r\nX-Evil: 1", "s\x00k", "sk\x7f", "sk\u200bnot", "sk\ufeffnot"])
def test_what_is_not_to_be_seen_within_a_value_is_refused(value: str) -> None:
    """A line break would end the header field; a zero-width blank makes a key that no provider knows."""
    with pytest.raises(InvalidInput) as refused:
        check_fields(definition(BEARER), secrets(key=value))
    assert refused.value.param == "key"
    assert "line break" in refused.value.public
    assert value.strip() not in refused.value.public


@pytest.mark.parametrize(
    ("fields", "param", "word"),
    [
        ({}, "key", "lacks key"),
        ({"key": ""}, "key", "empty"),
        ({"kye": "x"}, "kye", "takes key"),
        ({"key": "x", "more": "y"}, "more", "no field 'more'"),
    ],
)
def test_what_is_missing_or_unknown_is_named(fields: dict[str, str], param: str, word: str) -> None:
    """The message says which field, and which there are."""
    with pytest.raises(InvalidInput) as refused:
        check_fields(definition(BEARER), secrets(**fields))
    assert refused.value.param == param
    assert word in refused.value.public


def test_basic_needs_one_of_its_two() -> None:
    """Either may be the key, and one there must be."""
    check_fields(definition(BASIC), secrets(username="x"))
    check_fields(definition(BASIC), secrets(password="x"))
    with pytest.raises(InvalidInput):
        check_fields(definition(BASIC), {})


def test_good_values_are_taken() -> None:
    """Every printable character may be part of a key."""
    check_fields(definition(BEARER), secrets(key="".join(map(chr, range(33, 127))) + " é"))
    check_fields(definition({"scheme": "none"}), {})


@pytest.mark.parametrize("mode", ["shared", "per_user", "per_user_or_shared"])
def test_whose_token_is_used_is_an_option_of_schemes_that_people_sign_in_to(mode: str) -> None:
    """The registry reads it, so that no scheme has to; the scheme's own options read as before."""
    options = {**SIGN_IN, "connections": mode}
    assert SCHEMES.check("oauth2", options) == []
    assert [each.name for each in SCHEMES.get("oauth2").fields(options)] == ["client_id", "client_secret"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({**SIGN_IN, "connections": "mine"}, "must be shared, per_user or per_user_or_shared"),
        (
            {"grant": "client_credentials", "token_url": "https://t.example.com", "connections": "per_user"},
            "sign in to",
        ),
    ],
)
def test_a_mode_that_cannot_be_is_refused(options: dict[str, Any], problem: str) -> None:
    """An unknown word, and end users where nobody signs in."""
    assert problem in SCHEMES.check("oauth2", options)[0]


def test_a_credential_may_go_to_its_issuers_too() -> None:
    """Unless the operator says where it may go, the token's hosts stand beside those of the API."""
    auth = {"scheme": "oauth2", **SIGN_IN}
    found = parse_data({"tieline": "v1", "api": "crm", "base_url": "https://api.example.com", "auth": auth})
    assert set(bound_hosts(found)) == {"api.example.com", "id.example.com", "t.example.com"}


@pytest.mark.parametrize(
    ("variable", "fits"),
    [
        ({"default": "acme"}, True),
        ({"private": True}, True),
        ({"choices": ["eu", "us"]}, True),
        ({"default": "a b"}, False),
        ({"default": ".."}, False),
    ],
)
def test_an_options_variable_is_tried_when_the_definition_is_put(variable: dict[str, Any], fits: bool) -> None:
    """With its default, else with a letter: a URL that it breaks is told then, at its option."""
    auth = {"scheme": "oauth2", "grant": "client_credentials", "token_url": "https://a.example.com/<tenant>/token"}
    if fits:
        assert definition(auth, variables={"tenant": variable}).auth
    else:
        with pytest.raises(DefinitionError, match="token_url"):
            definition(auth, variables={"tenant": variable})


@pytest.mark.parametrize(("value", "refused"), [("<k>", False), ("a-secret-itself", True)])
def test_a_header_of_token_requests_may_hold_a_private_variable(value: str, *, refused: bool) -> None:
    """Its value is in the vault; written out it is a secret in the wrong place."""
    auth = {
        "scheme": "oauth2",
        "grant": "client_credentials",
        "token_url": "https://a.example/token",
        "token_headers": {"X-Api-Key": value},
    }
    data = {"tieline": "v1", "api": "a", "base_url": "https://a.example", "auth": auth}
    data |= {"variables": {"k": {"private": True}}} if "<" in value else {}
    if refused:
        with pytest.raises(DefinitionError, match=r"auth.token_headers: the header X-Api-Key carries a secret"):
            parse_data(data, schemes=SCHEMES)
    else:
        filled = with_values(parse_data(data, schemes=SCHEMES), {"k": "a-secret-itself"})
        assert SCHEMES.check("oauth2", filled.auth[0].options) == []
