"""Variables in the options of schemes: what is taken in can be given a credential, and bound."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.schemes.samples import SAMPLES, Sample
from tieline.core.errors import InvalidInput
from tieline.core.secret import Secret
from tieline.definitions.environment import resolve
from tieline.definitions.parse import DefinitionError, parse_data
from tieline.schemes.flow import Renewing, SigningIn
from tieline.schemes.registry import SCHEMES, bind, bound_hosts, check_fields, credential_fields, sign_in_schemes

PRIVATE = {"acct": {"private": True}}
DEFAULT = {"acct": {"default": "x"}}
CLAIMS = {"claims": {"iss": "<issuer>", "sub": "<acct>", "aud": "https://<acct>.example.com"}}
OAUTH2 = {"scheme": "oauth2", "token_url": "https://t.example.com/token"}


def with_variable(value: Any) -> Iterator[Any]:
    """``value`` as often as it has texts, each time with the variable in another one, as a part and as all of it."""
    if isinstance(value, str):
        yield from ("<acct>", value + "<acct>")
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from ({**value, key: changed} for changed in with_variable(each))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from ([*value[:index], changed, *value[index + 1 :]] for changed in with_variable(each))


def definition(auth: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    """An API with one scheme."""
    data = {"tieline": "v1", "api": "api", "base_url": "https://api.example.com", "auth": auth}
    return {**data, "variables": variables}


@pytest.mark.parametrize("variables", [PRIVATE, DEFAULT], ids=["private", "default"])
@pytest.mark.parametrize("sample", SAMPLES, ids=[f"{n}-{each.scheme}" for n, each in enumerate(SAMPLES)])
def test_what_is_taken_in_takes_a_credential(sample: Sample, variables: dict[str, Any]) -> None:
    """A variable anywhere in the options is refused when the definition is read, or works."""
    for options in with_variable(dict(sample.options)):
        try:
            api = parse_data(definition({"scheme": sample.scheme, **options}, variables), schemes=SCHEMES)
        except DefinitionError:
            continue
        fields = {each.name for each in credential_fields(api)}
        secrets = {name: value for name, value in sample.sealed.items() if name in fields}
        if "variable.acct" in fields:
            secrets["variable.acct"] = Secret(b"x")
        try:
            check_fields(api, secrets)
        except InvalidInput:
            continue  # the sample's key is not that of the changed algorithm
        seen = resolve(api, "live", {"acct": "x"})
        assert bound_hosts(seen)
        assert sign_in_schemes(api, SigningIn) == sign_in_schemes(seen, SigningIn)
        assert len(bind(seen, secrets)) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"grant": "jwt_bearer", "assertion": CLAIMS},
        {"grant": "client_credentials", "token_path": "<acct>.access_token"},
        {"grant": "client_credentials", "refresh_answer": {"token_path": "tokens.<acct>"}},
    ],
    ids=["claims", "token_path", "refresh_answer"],
)
def test_the_token_is_asked_for_with_the_variables_value(options: dict[str, Any]) -> None:
    """The credential's fields can be told before the value is known."""
    api = parse_data(definition({**OAUTH2, **options}, PRIVATE), schemes=SCHEMES)
    assert "variable.acct" in {each.name for each in credential_fields(api)}
    seen = resolve(api, "live", {"acct": "acme"})
    scheme = SCHEMES.get("oauth2")
    assert isinstance(scheme, Renewing)
    assert scheme.check(seen.auth[0].options) == []
    assert "<acct>" not in str(seen.auth[0].options)
