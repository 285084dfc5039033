"""How the text of a definition is read: YAML, JSON, strictness, and what an error says."""

import json
from dataclasses import replace

import pytest

from tieline.definitions.parse import DefinitionError, parse, parse_data, to_json, to_yaml
from tieline.definitions.tree import MOST_BYTES, compose, plain

BASE = "tieline: v1\napi: weather\nbase_url: https://api.weather.example/v2\n"


def refusal(text: str) -> str:
    """What the error for ``text`` says."""
    with pytest.raises(DefinitionError) as caught:
        parse(text)
    return caught.value.public


def test_the_smallest_definition_has_the_documented_defaults() -> None:
    """Three keys are enough; the rest has defaults."""
    definition = parse(BASE)
    assert (definition.title, definition.hosts, definition.auth) == ("weather", ("api.weather.example",), ())
    assert (definition.limits.total, definition.limits.body, definition.limits.retry_attempts) == (600.0, 2**29, 2)


def test_limits_of_all_apps_are_read_and_written_back() -> None:
    """What an API may have at once and over time, in the form that keys and apps have it."""
    rates = [{"requests": 60, "per": "minute"}, {"requests": 1000, "per": "day"}]
    limits = {"rates": rates, "tokens_per_minute": 90_000, "concurrent": 10, "streams": 4}
    definition = parse(BASE + f"limits: {json.dumps(limits)}\n")
    assert definition.limits.traffic.to_json() == limits
    assert to_json(definition)["limits"] == limits
    assert parse(to_yaml(definition)) == definition


def test_json_is_read_like_yaml() -> None:
    """The same definition as indented JSON with tabs gives the same value."""
    assert parse(json.dumps(to_json(parse(BASE)), indent="\t")) == parse(BASE)


def test_json_with_escaped_characters_beyond_the_basic_plane_is_read() -> None:
    """JSON writers escape an emoji as two surrogates; it arrives as one character."""
    text = json.dumps({"tieline": "v1", "api": "a", "title": "Sun \U0001f31e", "base_url": "https://a.example"})
    assert "\\ud83c" in text
    assert parse(text).title == "Sun \U0001f31e"


def test_data_that_was_read_already_gives_the_same_definition() -> None:
    """The admin API passes JSON bodies as data."""
    assert parse_data(to_json(parse(BASE))) == parse(BASE)


def test_an_unknown_key_is_told_with_line_path_and_suggestion() -> None:
    """The text of the error is the one that the documentation promises."""
    text = BASE + "areas:\n  - {area: a, levels: [read], match: ['GET /a']}\n  - area: b\n    levles: [read]\n"
    assert refusal(text).splitlines()[0] == 'line 7, areas[1].levles: unknown key "levles"; did you mean "levels"?'


def test_an_unknown_key_like_no_other_lists_the_keys_there_are() -> None:
    """Where no key is close, the choice is shown."""
    assert "choose from kind" in refusal(BASE + "usage: {kind: openai, zzz: 1}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title: 5\n", "line 4, title: expected text, found a whole number; write it in quotes"),
        ("title:\n", "line 4, title: has no value"),
        ("areas: {}\n", "line 4, areas: expected a list, found a mapping"),
        ("limits: []\n", "line 4, limits: expected a mapping, found a list"),
        ("limits: {retry: {attempts: '2'}}\n", "limits.retry.attempts: expected a whole number, found text"),
        ("limits: {retry: {attempts: 0}}\n", "limits.retry.attempts: must be between 1 and 10"),
        ("limits: {rates: {requests: 1, per: day}}\n", "limits.rates: expected a list, found a mapping"),
        ("limits: {rates: [{requests: 1, per: week}]}\n", 'limits.rates[0].per: "week" is not known here'),
        ("limits: {rates: [{requests: 0, per: day}]}\n", "limits.rates[0].requests: must be between 1"),
        (
            "limits: {rates: [{requests: 1, per: day}, {requests: 2, per: day}]}\n",
            "limits.rates: names a period twice; keep the lower of the two",
        ),
        ("limits: {streams: 0}\n", "limits.streams: must be between 1 and 1000000"),
        ("headers: [{name: A, value: b, private: yes}]\n", "headers[0].private: expected true or false, found text"),
        ("usage: {kind: opanai}\n", 'usage.kind: "opanai" is not known here; did you mean "openai"?'),
        ("verify: {method: 1}\n", "verify.method: expected one of GET, HEAD, OPTIONS, POST, found a whole number"),
        ("api: other\n", 'line 4, api: duplicate key "api", first on line 2; keep one of them'),
        ("limits: {body: 1KiB, body: 2KiB}\n", 'limits.body: duplicate key "body"'),
        ("auth: &a {scheme: none}\n", "line 4: anchors (&name) are not allowed"),
        ("auth: *a\n", "line 4: aliases (*name) are not allowed"),
        ("title: !!str x\n", "line 4: tags (!name) are not allowed"),
        ("title: !!python/object/apply:os.system [ls]\n", "line 4: tags (!name) are not allowed"),
        ("---\napi: b\n", "line 4: one file holds one definition"),
        ("5: x\n", 'line 4: a key is text; write "5" in quotes'),
        ("true: x\n", 'line 4: a key is text; write "true" in quotes'),
        ("? [a]\n: x\n", "line 4: a key is text, not a mapping or list"),
        ("title: [\n", "line 5: the file ends here, and what was opened is not closed"),
        ("title: a: b\n", 'line 4: a text with ": " in it is written in quotes'),
        ("title: \x07\n", "line 4: the character U+0007 is not allowed"),
        ("calls: {a: {path: /a, body: {type: json, template: 1e999}}}\n", 'line 4: the number "1e999" is out of range'),
        ("calls: {a: {path: /a, body: {type: json, template: " + "9" * 50 + "}}}\n", "is out of range"),
    ],
)
def test_what_is_not_the_format_is_refused_with_its_line(text: str, expected: str) -> None:
    """Each kind of mistake is told where it stands."""
    assert expected in refusal(BASE + text)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n...\n"])
def test_an_empty_text_is_refused(text: str) -> None:
    """Nothing is no definition."""
    assert "empty" in refusal(text) or "mapping" in refusal(text)


@pytest.mark.parametrize("text", ["5", "[]", "text", "null", "true"])
def test_a_text_that_is_no_mapping_is_refused(text: str) -> None:
    """A scalar or a list is no definition."""
    assert any(why in refusal(text) for why in ("expected a mapping", "has no value", "this is another text"))


def test_a_missing_key_is_told() -> None:
    """Required keys are named."""
    assert 'the key "base_url" is missing' in refusal("tieline: v1\napi: a\n")


def test_another_version_is_refused() -> None:
    """Only v1 is known."""
    assert 'tieline: "v2" is not known here; choose from v1' in refusal(BASE.replace("v1", "v2", 1))


def test_several_problems_are_told_at_once_in_order_of_lines() -> None:
    """A person mends them in one go."""
    lines = refusal("tieline: v1\napi: A!\nbase_url: ftp://x\nnonsense: 1\nlimits: {body: big}\n").splitlines()
    assert [line.split(",")[0] for line in lines] == ["line 2", "line 3", "line 4", "line 5"]


def test_at_most_twenty_problems_are_told() -> None:
    """A text that is something else altogether does not flood the screen."""
    with pytest.raises(DefinitionError) as caught:
        parse(BASE + "".join(f"key{number}: 1\n" for number in range(500)))
    assert len(caught.value.problems) == 20


def test_problems_in_data_name_keys_and_no_lines() -> None:
    """Data has no lines."""
    with pytest.raises(DefinitionError) as caught:
        parse_data({"tieline": "v1", "api": "a", "base_url": "https://a.example", "titel": "A"})
    assert caught.value.public == 'titel: unknown key "titel"; did you mean "title"?'
    assert caught.value.code == "invalid_input"


@pytest.mark.parametrize("value", [{1: "a"}, {"a": object()}, {"a": float("inf")}, {"a": 2**70}, {"a": "\ud800"}])
def test_data_that_json_cannot_hold_is_refused(value: dict[str, object]) -> None:
    """Data comes from JSON; anything else is a mistake of the caller's that is told as a problem."""
    with pytest.raises(DefinitionError):
        parse_data(value)


def test_a_long_value_is_not_shown_in_an_error() -> None:
    """A secret that was pasted into the wrong place does not travel through errors and logs."""
    secret = "sk-sandbox-" + "a1b2c3d4" * 6
    assert secret not in refusal(BASE + f"usage: {{kind: {secret}}}\n")
    assert secret not in refusal(BASE + f"{secret}: 1\n")


def test_nesting_deeper_than_the_limit_is_refused() -> None:
    """64 levels are read, 65 are not."""
    head = BASE + "calls: {a: {path: /a, method: POST, body: {type: json, template: "
    assert parse(head + "[" * 60 + "]" * 60 + "}}}\n").calls["a"].body.template
    assert "deeper than 64" in refusal(head + "[" * 61 + "]" * 61 + "}}}\n")


def test_a_text_larger_than_the_limit_is_refused() -> None:
    """4 MiB are read, more is not."""
    padding = "#" * (MOST_BYTES - len(BASE) - 1) + "\n"
    assert parse(BASE + padding).api == "weather"
    assert "larger than 4 MiB" in refusal(BASE + "#" + padding)


def test_the_norwegian_country_code_is_text() -> None:
    """Words of older YAML (no, on, yes) are text, as are dates, base 60 and octal numbers."""
    read = plain(compose("{a: no, b: on, c: 2026-08-21, d: 12:30:00, e: 0o17, f: 007, g: .5, h: 1_000, i: 0x1F}"))
    assert all(isinstance(value, str) for value in read.values())


@pytest.mark.parametrize(
    "title", ["no", "y", "Off", "null", "1", "1e3", "2026-08-21", "0x1F", "a: b", "- a", "a #b", "<<", "="]
)
def test_text_that_another_reader_could_misread_is_written_in_quotes(title: str) -> None:
    """An exported definition means the same to every YAML tool."""
    definition = replace(parse(BASE), title=title)
    assert f'title: "{title}"' in to_yaml(definition)
    assert parse(to_yaml(definition)) == definition


def test_numbers_are_those_of_json() -> None:
    """Exponents make numbers although older YAML says text."""
    assert plain(compose("[1e3, -0, 2.50, 12]")) == [1000.0, 0, 2.5, 12]


def test_billions_of_laughs_are_refused() -> None:
    """Aliases that would expand without bound are never expanded."""
    laughs = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(50))
    assert "anchors" in refusal(laughs)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        "{a: " * 500_000,
        "- " * 1_000_000,
        "a: b\n" * 400_000,
        "[" + "a," * 1_500_000 + "]",
        '"' + "\\u" * 1_000_000,
        "? " * 1_000_000,
        "<" * 1_000_000,
        BASE + "notes: " + "<a>" * 1_000_000 + "\n",
        BASE + "calls: {a: {path: '/" + "<" * 1_000_000 + "'}}\n",
        BASE + "calls: {a: {path: /a, body: {type: json, template: '" + "\\" * 3_000_000 + "<a>'}}}\n",
        BASE + "calls: {a: {path: /a, body: {type: json, template: '" + "\\" * 3_000_000 + "'}}, b: {}}\n",
        BASE + "calls: {a: {path: /a, body: {type: json, template: '" + "<a" * 1_000_000 + "'}}, b: {}}\n",
        BASE + "hosts: [" + "a" * 100_000 + "]\n",
    ],
    ids=lambda text: text[-12:],
)
@pytest.mark.timeout(60)
def test_large_nonsense_is_refused_in_the_end(text: str) -> None:
    """No text makes the reader work without end: the square of these lengths would take hours."""
    with pytest.raises(DefinitionError):
        parse(text)
