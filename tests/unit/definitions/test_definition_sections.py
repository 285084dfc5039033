"""The sections of a definition but calls: what each takes and refuses."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from tieline.access.levels import Level
from tieline.definitions.model import PriceRate
from tieline.definitions.parse import DefinitionError, parse, to_json, to_yaml

HEAD = "tieline: v1\napi: weather\n"
BASE = HEAD + "base_url: https://api.weather.example/v2\n"


def priced(rates: str) -> str:
    """Prices of a model."""
    return f"prices: {{m: {{date: 2026-08-21, source: 'https://a.example', rates: {rates}}}}}"


def refusal(text: str) -> str:
    """What the error for ``text`` says."""
    with pytest.raises(DefinitionError) as caught:
        parse(text)
    return caught.value.public


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("HTTPS://API.OpenAI.com", "https://api.openai.com"),
        ("http://127.0.0.1:8700/v1", "http://127.0.0.1:8700/v1"),
        ("https://[2001:DB8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("https://a.example/a%20b", "https://a.example/a%20b"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://a.example:443/v1", "https://a.example/v1"),
    ],
)
def test_a_base_url_is_kept_in_one_form(written: str, kept: str) -> None:
    """Scheme and host in lower case, no slash at the end."""
    assert parse(HEAD + f'base_url: "{written}"\n').base_url == kept


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://a.example", "no URL"),
        ("a.example/v1", "no URL"),
        ("https://", "no host"),
        ("https:///v1", "no host"),
        ("https://user:word@a.example", "no user name"),
        ("https://a.example/#x", "no fragment"),
        ("https://a.example/?x=1", "no query"),
        ("https://a.example\\\\@b.example", "backslashes"),
        ("https://a.example/a b", "blanks"),
        ("https://a.example/\\n", "blanks, control"),
        ("https://a.example:0", "out of range"),
        ("https://a.example:99999", "out of range"),
        ("https://a.example:x", "no number"),
        ("https://2130706433", "no IPv4"),
        ("https://127.1", "no IPv4"),
        ("https://0x7f.0.0.1", "no IPv4"),
        ("https://0177.0.0.1", "no IPv4"),
        ("https://[fe80::1%25eth0]", "no IPv6"),
        ("https://xn--zzzz.example", "IDNA 2008"),
        ("https://Bücher.example", "IDNA 2008"),
        ("https://a.example.", "dot at its end"),
        ("https://a.example/v1/{x}", "visible ASCII"),
        ("https://a..example", "no host"),
        ("https://*.example.com", "no host"),
        ("https://a.example/../b", 'no "//"'),
        ("https://a.example/..;/b", 'no "//"'),
        ("https://a.example//b", 'no "//"'),
        ("https://a.example/%2e%2e/b", "encoded dots"),
        ("https://a.example/%5Cb", "backslashes"),
        ("https://a.example/%0d%0a", "control characters"),
        ("https://a.example/%zz", "visible ASCII"),
    ],
)
def test_a_base_url_that_could_be_read_in_two_ways_is_refused(url: str, reason: str) -> None:
    """The URL is refused, never repaired."""
    assert reason in refusal(HEAD + f'base_url: "{url}"\n')


def test_the_base_urls_host_must_be_among_hosts() -> None:
    """Otherwise the credential could not go where the API is."""
    assert "api.weather.example" in refusal(BASE + "hosts: [other.example]\n")
    assert parse(BASE + "hosts: [api.weather.example, files.weather.example]\n").hosts[1] == "files.weather.example"


@pytest.mark.parametrize("host", ["https://a.example", "a.example:443", "'*.a.example'", "a b", "''"])
def test_a_host_is_a_name_or_address_only(host: str) -> None:
    """No scheme, port or wildcard."""
    assert "hosts[1]" in refusal(BASE + f"hosts: [api.weather.example, {host}]\n")


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", 'https://a.example/"onclick', "//a"])
def test_documentation_cannot_be_a_script(link: str) -> None:
    """The console shows it as a link."""
    assert "is no link" in refusal(BASE + f"documentation: '{link}'\n")


def test_one_auth_mapping_and_a_list_of_one_are_the_same() -> None:
    """A list applies several schemes in order."""
    one = parse(BASE + "auth: {scheme: api_key, in: header, name: X-Key}\n")
    assert one == parse(BASE + "auth: [{scheme: api_key, in: header, name: X-Key}]\n")
    assert one.auth[0].options == {"in": "header", "name": "X-Key"}


class _Rules:
    """A stand-in for the scheme registry, passed as an argument."""

    def names(self) -> Sequence[str]:
        return ("none", "api_key")

    def check(self, scheme: str, options: Mapping[str, Any]) -> list[str]:
        return ["in: must be header or query", "needs a name"] if options.get("in") == "body" else []


def test_a_schemes_own_problems_are_told_at_its_options() -> None:
    """What the scheme says is told with the line of the option it names."""
    with pytest.raises(DefinitionError) as caught:
        parse(BASE + "auth:\n  scheme: api_key\n  in: body\n", schemes=_Rules())
    assert caught.value.public == "line 4, auth: needs a name\nline 6, auth.in: must be header or query"


def test_an_unknown_scheme_is_refused_where_the_schemes_are_known() -> None:
    """With a suggestion."""
    with pytest.raises(DefinitionError, match=r'auth\.scheme: "apikey" is no scheme; did you mean "api_key"'):
        parse(BASE + "auth: {scheme: apikey}\n", schemes=_Rules())


def test_an_environments_scheme_is_checked_too() -> None:
    """The override has its own line."""
    text = BASE + "auth: {scheme: none}\nenvironments:\n  development:\n    auth: {scheme: nine}\n"
    with pytest.raises(DefinitionError, match=r"line 7, environments\.development\.auth\.scheme"):
        parse(text, schemes=_Rules())


@pytest.mark.parametrize(
    "name",
    ["Host", "content-length", "Transfer-Encoding", "Connection", "Proxy-Authorization", "Tieline-Key", "a b", ""],
)
def test_a_header_that_belongs_to_the_connection_cannot_be_set(name: str) -> None:
    """Framing belongs to the engine."""
    assert "headers[0].name" in refusal(BASE + f'headers: [{{name: "{name}", value: x}}]\n')


@pytest.mark.parametrize("value", ["a\\r\\nX: y", "a\\u0000", "é", " a", "a "])
def test_a_header_value_cannot_break_out(value: str) -> None:
    """No control characters, no blanks at the ends."""
    assert "headers[0].value" in refusal(BASE + f'headers: [{{name: X-A, value: "{value}"}}]\n')


def test_a_secret_header_has_no_value_in_a_definition() -> None:
    """It belongs in the vault."""
    text = BASE + "headers: [{name: authorization, value: Bearer abc}]\n"
    assert "carries a secret" in refusal(text)
    assert "Bearer abc" not in refusal(text)


def test_a_private_value_is_named_and_not_given() -> None:
    """Its value is a credential field."""
    definition = parse(
        BASE
        + "headers: [{name: X-Account, private: true}]\nparameters: [{name: account, in: query, private: true}]\n"
        + "variables: {tenant: {private: true}}\n"
        + "calls: {ask: {path: /, method: POST, parameters: {seed: {in: body, private: true}}, body: {type: json}}}\n"
    )
    assert definition.private_fields() == ("header.X-Account", "parameter.account", "variable.tenant", "call.ask.seed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("headers: [{name: X-A}]", 'the key "value" is missing'),
        ("headers: [{name: X-A, value: b, private: true}]", "lives in the vault"),
        ("headers: [{name: X-A, private: true}, {name: x-a, private: true}]", "a second private"),
        ("variables: {a: {private: true, default: b}}", "has no default"),
        ("variables: {a: {default: b, choices: [c]}}", "not one of the choices"),
        ("variables: {a: {default: b, required: true}}", "never missing"),
        ("variables: {a-b: {}}", 'variables.a-b: "a-b" is no name'),
        ("headers: [{name: X-A, value: '<tenant>'}]", "<tenant> is not among variables"),
        ("verify: {path: '/<id>'}", "<id> is not among variables"),
        ("headers: [{name: X-A, value: b, when: '/a*b'}]", '"*" stands only at the end'),
        ("verify: {path: models}", 'begin it with "/"'),
        ("verify: {expect: [20]}", "is no status"),
        ("verify: {expect: []}", "1 to 20"),
        ("icon: abc", "one or two"),
        ("drop_response_headers: [Content-Length]", "belongs to the connection"),
        ("limits: {timeout: {total: 5}}", "limits.timeout.total: expected text (duration 10ms–24h)"),
        ("limits: {timeout: {total: 10 minutes}}", "write it like 500ms, 5s or 2m"),
        ("limits: {timeout: {connect: 1h}}", "between 10ms and 2m"),
        ("limits: {body: 512MB}", "write it like 64KiB"),
        ("limits: {body: 1B}", "between 1KiB and 64GiB"),
        ("prices: {m: {date: 2026-08-21, source: 'https://a.example'}}", "says nothing of the model"),
        ("prices: {m: {date: 2026-13-21, source: 'https://a.example', window: 1}}", "is no date"),
        ("prices: {m: {source: 'https://a.example', window: 1}}", 'the key "date" is missing'),
        (priced("{input_tokens: {usd: -1, per: 1M}}"), "is no amount"),
        (priced("{input_tokens: {usd: 1e-3, per: 1M}}"), "is no amount"),
        (priced("{input_tokens: {usd: 1}}"), 'the key "per" is missing'),
        (priced("{input_tokens: {usd: 1, per: 1k}}"), "write one of 1M, 1K, 1, image, second, minute, hour"),
        (priced("{input_tokens: {usd: 1, per: minute}}"), "are not charged per minute; write one of 1M, 1K, 1"),
        (priced("{audio_seconds: {usd: 1, per: 1K}}"), "are not charged per 1K; write one of second, minute, hour"),
        (priced("{input_token: {usd: 1, per: 1M}}"), 'line 4, prices.m.rates.input_token: unknown key "input_token"'),
        (priced("{input_token: {usd: 1, per: 1M}}"), 'did you mean "input_tokens"'),
        (priced("{input_tokens: {usd: 1, per: 1M, above: [{tokens: 2, usd: 2}, {tokens: 1, usd: 3}]}}"), "do not rise"),
        (priced("{requests: {usd: 1, per: 1}}, from: 2026-02-01, until: 2026-02-01"), "is not after from"),
        ("prices: {m: {date: 2026-08-21, source: 'https://a.example', tiers: {batch: {}}}}", "differ from rates"),
        ("prices_from: Open AI", "names no provider"),
        ("environments: {staging: {}}", "use live or development"),
        ("environments: {live: []}", "expected a mapping of overrides"),
        ("environments: {live: {api: b}}", "environments.live.api: cannot differ"),
        ("environments: {live: {titel: b}}", 'environments.live.titel: unknown key "titel"; did you mean "title"'),
        ("environments: {live: {base_url: ftp://x}}", "environments.live.base_url"),
        ("environments: {live: {base_url: null}}", 'the key "base_url" is missing'),
    ],
)
def test_what_does_not_fit_a_section_is_refused(text: str, expected: str) -> None:
    """Each rule of the reference has its error."""
    assert expected in refusal(BASE + text + "\n")


def test_a_shared_header_applies_by_path() -> None:
    """``when`` is a path or, with a star, how paths begin."""
    exact, begin, always = parse(
        BASE + "headers: [{name: A, value: b, when: /x}, {name: A, value: b, when: '/x*'}, {name: A, value: b}]\n"
    ).headers
    assert [each.applies("/x") for each in (exact, begin, always)] == [True, True, True]
    assert [each.applies("/xy") for each in (exact, begin, always)] == [False, True, True]
    assert [each.applies("/y") for each in (exact, begin, always)] == [False, False, True]


def test_verify_accepts_what_it_expects() -> None:
    """A status or a class of them; by default any that succeeds."""
    assert parse(BASE + "verify: {path: /me}\n").verify.accepts(204)  # type: ignore[union-attr]
    verify = parse(BASE + "verify: {path: /me, expect: [200, 4xx]}\n").verify
    assert verify is not None
    assert [verify.accepts(status) for status in (200, 201, 404, 500)] == [True, False, True, False]


def test_an_area_has_its_levels_rules_and_parent() -> None:
    """Levels come in one order whatever the text says."""
    definition = parse(
        BASE
        + "areas:\n- {area: all, title: All}\n"
        + "- {area: a, levels: [write, read], parent: all, match: ['GET,HEAD /a', 'POST /a/*/find = read']}\n"
    )
    parent, area = definition.areas
    assert (parent.is_parent, area.levels, area.parent) == (True, (Level.READ, Level.WRITE), "all")
    assert [str(rule) for rule in area.rules] == ["GET,HEAD /a", "POST /a/*/find = read"]


@pytest.mark.parametrize(
    ("areas", "expected"),
    [
        ("[{area: a, levels: [read]}]", "needs match"),
        ("[{area: a, match: ['* /a']}]", "needs levels"),
        ("[{area: a, levels: [request, read], match: ['* /a']}]", "request stands alone"),
        ("[{area: a, levels: [read, read], match: ['* /a']}]", "a level twice"),
        ("[{area: a, levels: [all], match: ['* /a']}]", 'areas[0].levels[0]: "all" is not known here'),
        ("[{area: a, levels: [read], match: ['a']}]", "areas[0].match[0]"),
        ("[{area: a, levels: [read], match: ['POST /a = write']}]", "not among the area's levels"),
        ("[{area: a, parent: b}, {area: b}]", "a parent area has no parent"),
        ("[{area: a, levels: [read], parent: z, match: ['* /a']}]", '"z" is no parent area'),
        ("[{area: a}, {area: a}]", 'areas[1].area: a second area "a"'),
        ("[{area: A}]", "is no area name"),
        (
            "[{area: a, levels: [read], match: ['* /x']}, {area: b, levels: [read], match: ['* /x']}]",
            "claimed already",
        ),
    ],
)
def test_an_area_that_does_not_fit_is_refused(areas: str, expected: str) -> None:
    """Each rule about areas has its error."""
    assert expected in refusal(BASE + f"areas: {areas}\n")


def test_prices_stay_exact() -> None:
    """Money is never a float, neither in memory nor written out; several prices of a model and one are both kept."""
    tokens = "{usd: 0.10, per: 1M, above: [{tokens: 9, usd: 0.20}]}"
    rates = f"{{input_tokens: {tokens}, audio_seconds: {{usd: '0.006', per: hour}}}}"
    other = "{date: 2026-08-21, source: 'https://a.example/p', rates: {requests: {usd: '2.500000000001', per: 1}}}"
    definition = parse(f"{BASE}{priced(rates)[:-1]}, 'n*': [{other}, {other}]}}\n")
    assert definition.prices["m"][0].rates == {
        "input_tokens": PriceRate(Decimal("0.10"), "1M", ((9, Decimal("0.20")),)),
        "audio_ms": PriceRate(Decimal("0.006"), "hour"),
    }
    assert definition.prices["n*"][1].rates == {"requests": PriceRate(Decimal("2.500000000001"), "1")}
    assert parse(to_yaml(definition)) == definition


def test_no_secret_place_exists_in_what_is_written_out() -> None:
    """A private value is written as a name and nothing more."""
    definition = parse(BASE + "headers: [{name: X-Account, private: true}]\n")
    assert to_json(definition)["headers"] == [{"name": "X-Account", "private": True}]
