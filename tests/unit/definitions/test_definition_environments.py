"""Environments and variables: what a definition is in use."""

from dataclasses import replace

import pytest

from tieline.core.names import Environment
from tieline.definitions.environment import StoredDefinition, in_environment, resolve
from tieline.definitions.fill.call import compile_call
from tieline.definitions.model import ENVIRONMENTS
from tieline.definitions.parse import DefinitionError, parse, parse_data, to_json, to_yaml
from tieline.definitions.slots import surroundings_of
from tieline.definitions.stored_calls import StoredText, write
from tieline.definitions.tree import plant

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


SHARED = "tieline: v1\napi: a\nbase_url: {}\nvariables: {{h: {{{}}}}}\n{}"


@pytest.mark.parametrize(
    ("base_url", "variable", "rest", "expected"),
    [
        ("https://<h>.example", "default: a b", "", "line 3, base_url: with its variables filled in: the variable"),
        ("https://<h>", "default: 'foo:81'", "", "line 3, base_url: with its variables filled in: the variable"),
        ("https://<h>", "default: '1.2.3'", "", "line 3, base_url: with its variables filled in: this host is no IPv4"),
        ("https://a.example", "default: a b", "verify: {path: /<h>}", "line 5, verify.path: with its variables"),
        ("https://a.example", "default: ..", "verify: {path: /<h>}", "line 5, verify.path: with its variables"),
        ("https://a.example", 'default: "a\\nb"', "headers: [{name: X-A, value: <h>}]", "line 5, headers[0].value"),
        ("https://<h>.example", "required: false", "", "line 3, base_url: with its variables filled in: the optional"),
        ("https://a.example", "required: false", "calls: {c: {path: /<h>}}", "line 5, calls.c: the optional"),
        ("https://<h>.example", "default: ok", "environments: {development: {variables: {h: {default: a b}}}}",
         "line 3, environments.development.base_url: with its variables filled in: the variable"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_when_it_is_read(
    base_url: str, variable: str, rest: str, expected: str
) -> None:
    """Each environment for itself, with the field's name and line."""
    with pytest.raises(DefinitionError) as caught:
        parse(SHARED.format(base_url, variable, rest))
    assert caught.value.public.startswith(expected)
    assert len(caught.value.problems) == 1


def test_an_optional_variable_that_is_not_set_leaves_its_places_out() -> None:
    """No empty header, no ``?v=``, no empty text in a body, no empty option of auth."""
    rest = (
        "headers: [{name: X-A, value: 'a <h>'}, {name: X-B, value: b}]\n"
        "parameters: [{name: v, in: query, value: <h>}]\n"
        "auth: {scheme: api_key, format: 'Key <key>', prefix: <h>, more: [<h>, x]}\n"
        "calls: {c: {path: '/x?v=<h>&w=1', method: POST, headers: [{name: X-C, value: <h>}],\n"
        "  body: {type: json, template: {a: <h>, b: [<h>], c: 'x <h>', d: 1}}}}\n"
    )
    seen = resolve(parse(SHARED.format("https://a.example", "required: false", rest)), "live")
    assert [(each.name, each.value) for each in seen.headers] == [("X-B", "b")]
    assert seen.parameters == ()
    assert seen.auth[0].options == {"format": "Key <key>", "more": ["x"]}
    filled = compile_call(seen.calls["c"], surroundings_of({"h": None})).fill({})
    assert (filled.query, filled.headers) == (b"w=1", [])
    assert filled.body is not None
    assert filled.body.pieces == (b'{"b":[],"d":1}',)


def test_a_variable_in_the_query_of_an_issuers_url_is_encoded() -> None:
    """As everywhere: no value adds a pair."""
    auth = 'auth: {scheme: oauth2, token_url: "https://a.example/<h>?tenant=<h>&x=1", format: "<h> <key>"}\n'
    seen = resolve(parse(SHARED.format("https://a.example", "default: a&b=c", auth)), "live")
    assert seen.auth[0].options["token_url"] == "https://a.example/a&b=c?tenant=a%26b%3Dc&x=1"
    assert seen.auth[0].options["format"] == "a&b=c <key>"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("http://<h>/", "http://<h>"),
        ("HTTPS://<h>.Example.com:443/v1/", "https://<h>.example.com/v1"),
        ("https://a.example/v0x/<h>", "https://a.example/v0x/<h>"),
    ],
)
def test_a_url_with_slots_is_brought_to_one_form_too(written: str, kept: str) -> None:
    """Whether it holds slots makes no difference to how it is read."""
    assert parse(SHARED.format(written, "default: h", "")).base_url == kept


def test_an_international_name_beside_a_slot_is_refused() -> None:
    """Its ASCII form depends on the whole label."""
    with pytest.raises(DefinitionError, match="xn-- form"):
        parse(SHARED.format("https://bü<h>.example", "default: h", ""))


STORED = to_json(
    parse(
        TEXT.replace("calls: {ask:", "calls: {other: {path: /o, parameters: {p: {in: query, private: true}}}, ask:", 1)
    )
)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_stored_definition_reads_as_the_whole_does(environment: Environment) -> None:
    """Calls that are read one by one are the same calls."""
    stored = StoredDefinition(write(STORED)).in_environment(environment)
    whole = in_environment(parse_data(STORED), environment)
    assert dict(stored.calls) == dict(whole.calls)
    assert replace(stored, calls=dict(stored.calls)) == whole
    assert "call.other.p" in stored.private_fields()


def test_a_stored_call_is_read_when_it_is_asked_for() -> None:
    """One that this version cannot read keeps nothing else from being used."""
    data = {**STORED, "calls": {**STORED["calls"], "broken": {"path": 5}}}
    seen = StoredDefinition(write(data)).in_environment("live")
    assert list(seen.calls) == ["other", "ask", "broken"]
    assert seen.calls["ask"].method == "POST"
    with pytest.raises(DefinitionError, match=r"calls\.broken"):
        seen.calls["broken"]
    assert "nothing" not in seen.calls


def test_an_environment_may_remove_and_add_calls_of_a_stored_definition() -> None:
    """As overlays do: null removes, the rest merges."""
    over = {"calls": {"ask": None, "other": {"method": "HEAD"}, "new": {"path": "/n"}}}
    seen = StoredDefinition(write({**STORED, "environments": {"live": over}})).in_environment("live")
    assert {name: call.method for name, call in seen.calls.items()} == {"other": "HEAD", "new": "GET"}
    assert (
        not StoredDefinition(write({**STORED, "environments": {"live": {"calls": None}}})).in_environment("live").calls
    )


def test_a_stored_text_is_taken_apart_without_building_its_calls() -> None:
    """They stay texts, whatever blanks stand between them; private parameters are known."""
    text = ' { "a" : [1, {"calls": 2}] , "calls" : { "x" : {"parameters": {"p": {"private": true}}} ,"y":{ } } } '
    stored = StoredText(text)
    assert stored.head == {"a": [1, {"calls": 2}]}
    assert stored.calls == {"x": '{"parameters": {"p": {"private": true}}}', "y": "{ }"}
    assert stored.private == {"x"}
    assert stored.written({"y": "{}"}) == '{"a":[1,{"calls":2}],"calls":{"y":{}}}'
    assert StoredText("{}").written({}) == "{}"


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "{1:2}", '{"a" 1}', '{"a":1 "b":2}', '{"calls":{"a"}}', "null", '{"a":1,}']
)
def test_a_text_that_is_no_object_is_refused(text: str) -> None:
    """By one kind of error."""
    with pytest.raises(ValueError, match=r"JSON|Expecting"):
        StoredText(text)


def test_a_call_is_put_into_and_taken_out_of_a_stored_definition() -> None:
    """As the whole would be read; what another environment has of it is checked with it."""
    stored = StoredDefinition(write(STORED))
    added = stored.with_call("new", plant({"path": "/n/<tenant>"}))
    assert added == write(to_json(parse_data({**STORED, "calls": {**STORED["calls"], "new": {"path": "/n/<tenant>"}}})))
    assert StoredDefinition(added).without_call("new") == write(STORED)
    with pytest.raises(DefinitionError, match=r"calls\.new\.path"):
        stored.with_call("new", plant({"path": "n"}))
    with pytest.raises(DefinitionError, match=r"calls\.ask"):
        stored.with_call("ask", plant({"path": "/a"}))
    with pytest.raises(DefinitionError, match=r"calls\.ask"):
        stored.without_call("ask")
