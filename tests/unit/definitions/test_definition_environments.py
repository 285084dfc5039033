"""Environments and variables: what a definition is in use."""

import pytest

from tieline.definitions.environment import in_environment, resolve
from tieline.definitions.parse import DefinitionError, parse, parse_data, to_json, to_yaml

TEXT = """\
tieline: v1
api: shop
base_url: https://<tenant>.shop.example/<version>
documentation: https://shop.example/docs
variables: {tenant: {}, version: {default: v1, choices: [v1, v2]}, account: {private: true}}
auth: {scheme: api_key, in: header, name: X-Key, format: "Key <key>"}
headers: [{name: X-Account, value: "acct <account>"}, {name: X-Literal, value: 'a \\<b> c'}]
verify: {path: "/accounts/<account>"}
limits: {timeout: {total: 30s}, retry: {attempts: 3}}
calls: {ask: {path: "/<tenant>/ask", method: POST, body: {type: json, template: {a: 1, b: 2}}}}
environments:
  development:
    base_url: https://sandbox.shop.example/v1
    documentation: null
    auth: {scheme: bearer}
    headers: []
    limits: {timeout: {connect: 1s}}
    calls: {ask: {body: {template: {b: null, c: 3}}}}
"""
VALUES = {"tenant": "acme", "account": "a-1"}


def test_live_is_the_definition_with_its_variables_filled_in() -> None:
    """Base URL, hosts, verify path and shared values hold what is sent."""
    live = resolve(parse(TEXT), "live", VALUES)
    assert (live.base_url, live.hosts) == ("https://acme.shop.example/v1", ("acme.shop.example",))
    assert [header.value for header in live.headers] == ["acct a-1", "a <b> c"]
    assert live.verify is not None
    assert live.verify.path == "/accounts/a-1"
    assert live.auth[0].options["format"] == "Key <key>"


def test_overrides_merge_mappings_replace_lists_and_null_removes() -> None:
    """Every field may differ; the rest stays."""
    seen = in_environment(parse(TEXT), "development")
    assert (seen.documentation, seen.headers, seen.hosts) == (None, (), ("sandbox.shop.example",))
    assert (seen.limits.total, seen.limits.connect, seen.limits.retry_attempts) == (30.0, 1.0, 3)
    assert seen.calls["ask"].body.template == {"a": 1, "c": 3}
    assert seen.environments == {}


def test_another_scheme_replaces_all_options_of_auth() -> None:
    """Options of one scheme mean nothing to another."""
    assert in_environment(parse(TEXT), "development").auth[0].options == {}


def test_an_environment_without_overrides_is_the_definition() -> None:
    """Nothing said, nothing different."""
    text = TEXT[: TEXT.index("environments")]
    assert in_environment(parse(text), "development") == parse(text)


def test_the_original_is_left_as_it_was() -> None:
    """Definitions are values."""
    definition = parse(TEXT)
    before = to_json(definition)
    resolve(definition, "development", {**VALUES})
    assert to_json(definition) == before


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"account": "a"}, "variables.tenant: has no value"),
        ({"tenant": "acme"}, "variables.account: has no value"),
        ({**VALUES, "version": "v3"}, "variables.version: is not one of its choices"),
        ({**VALUES, "other": "x"}, "variables.other: there is no such variable"),
        ({**VALUES, "tenant": "evil.example/"}, "goes into a URL"),
        ({**VALUES, "tenant": "a@b"}, "goes into a URL"),
        ({**VALUES, "tenant": ""}, "goes into a URL"),
        ({**VALUES, "tenant": "a..b"}, "is no host"),
        ({**VALUES, "account": ".."}, "write it plainly"),
        ({**VALUES, "account": "a\r\nX: y"}, "goes into a URL"),
    ],
)
def test_a_value_that_is_missing_or_unfit_is_refused(values: dict[str, str], expected: str) -> None:
    """A variable cannot move the credential elsewhere or break a header."""
    with pytest.raises(DefinitionError) as caught:
        resolve(parse(TEXT), "live", values)
    assert expected in caught.value.public


def test_a_variable_cannot_break_a_header() -> None:
    """Nobody adds a header through a variable."""
    text = "tieline: v1\napi: a\nbase_url: https://a.example\nvariables: {v: {}}\nheaders: [{name: X-A, value: <v>}]\n"
    assert resolve(parse(text), "live", {"v": "fine"}).headers[0].value == "fine"
    with pytest.raises(DefinitionError, match="printable ASCII"):
        resolve(parse(text), "live", {"v": "a\r\nX: y"})


def test_null_removes_and_removing_what_is_not_there_is_no_mistake() -> None:
    """The canonical form leaves defaults out, so a key that was written may not be there."""
    text = "tieline: v1\napi: a\nbase_url: https://a.example\nlimits: {timeout: {connect: 5s, total: 9s}}\n"
    definition = parse(text + "environments: {live: {limits: {timeout: {connect: null, total: null}}}}\n")
    assert in_environment(definition, "live").limits.total == 600.0
    assert parse(to_yaml(definition)) == definition


def test_null_in_a_new_template_is_json_null() -> None:
    """A body may have to send null."""
    text = "tieline: v1\napi: a\nbase_url: https://a.example\n"
    call = "{path: /a, method: POST, body: {type: json, template: {a: null, b: {c: null}}}}"
    definition = parse(text + f"environments: {{live: {{calls: {{c: {call}}}}}}}\n")
    assert in_environment(definition, "live").calls["c"].body.template == {"a": None, "b": {"c": None}}


def test_a_private_variable_cannot_name_a_host() -> None:
    """Where a credential goes is no secret."""
    with pytest.raises(DefinitionError, match="private and cannot name a host"):
        parse("tieline: v1\napi: a\nbase_url: https://<t>.example.com\nvariables: {t: {private: true}}\n")


def test_an_auth_option_may_hold_a_variable_beside_the_schemes_slots() -> None:
    """A token URL often has the tenant in it."""
    text = TEXT.replace('"Key <key>"', '"Key \\\\<x> <key> <tenant>"')
    assert resolve(parse(text), "live", VALUES).auth[0].options["format"] == "Key \\<x> <key> acme"


def test_calls_find_the_variables_values() -> None:
    """Their slots are filled when they run."""
    live = resolve(parse(TEXT), "live", VALUES)
    assert live.calls["ask"].path == "/<tenant>/ask"
    assert live.variables["tenant"].default == "acme"


def test_an_override_that_breaks_the_whole_is_told_at_its_line() -> None:
    """Each environment is checked as a whole."""
    with pytest.raises(DefinitionError) as caught:
        parse(TEXT.replace("limits: {timeout: {connect: 1s}}", "hosts: [other.example]"))
    assert caught.value.public.startswith("line 17, environments.development.hosts: the host of base_url")


def test_a_default_host_is_not_written_out() -> None:
    """So that data with another base URL has that URL's host."""
    data = to_json(parse("tieline: v1\napi: a\nbase_url: https://a.example/v1\nhosts: [a.example]\n"))
    assert parse_data({**data, "base_url": "http://127.0.0.1:8700/v1"}).hosts == ("127.0.0.1",)
