"""Any text gives a Definition or a DefinitionError; what was read can be written and read again."""

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tieline.definitions import template, tree
from tieline.definitions.catalogue import load
from tieline.definitions.environment import in_environment, resolve
from tieline.definitions.model import Definition
from tieline.definitions.parse import DefinitionError, parse, parse_data, to_json, to_yaml

RICH = (
    load("openai")
    + """
  rich:
    path: /a/<f>?x=<tenant>
    method: POST
    parameters:
      f: {raw: true, pattern: "[a-z]+"}
      u: {type: file}
      n: {in: query, type: number, default: 1.5, choices: [1.5, 2]}
    headers: [{name: X-A, value: "v <f>"}]
    query: [{name: q, value: "<f>"}]
    body: {type: multipart, fields: [{name: up, value: "<u>", filename: a.txt}]}
    response: {type: stream, stream: {text: {path: a}, events: [{name: e, fields: [{path: b, type: date}]}]}}
    timeout: 90s
  pages:
    path: /b
    parameters: {n: {in: query, type: integer, default: 1}}
    pagination: {kind: page, parameter: n, most: {items: 3}}
"""
).replace(
    "environments: {development: {}}",
    "variables: {tenant: {default: t}}\n"
    "environments: {development: {base_url: 'http://127.0.0.1:1', hosts: [127.0.0.1]}}",
)


def outcome(text: str) -> Definition | None:
    """The definition, or None for one that is refused; anything else fails the test."""
    try:
        definition = parse(text)
    except DefinitionError as error:
        refused = error
        definition = None
    if definition is None:
        assert 1 <= len(refused.problems) <= 20
        assert refused.public
        return None
    assert parse(to_yaml(definition)) == definition
    assert parse_data(json.loads(json.dumps(to_json(definition)))) == definition
    return definition


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else escapes."""
    outcome(text)


@given(st.text(alphabet=" \n\t:-[]{},&*!|>'\"%@`#?ab1~<\\/.\ufeff\x00\ud800\U0001f600", max_size=200))
def test_any_mixture_of_yamls_own_characters_is_read_or_refused(text: str) -> None:
    """Nothing else escapes, whatever the indicators."""
    outcome(text)
    outcome("tieline: v1\napi: a\nbase_url: https://a.example\n" + text)


def test_a_definition_with_random_damage_is_read_or_refused(soak: bool) -> None:
    """Characters and lines of a rich definition removed, doubled, swapped or replaced."""
    chance = random.Random(2026)
    assert outcome(RICH) is not None
    pieces = [
        "\n",
        ": ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "<",
        ">",
        '"',
        "'",
        "null",
        "&a ",
        "*a",
        "!!int ",
        "1e9",
        "é",
        "\x00",
    ]
    for _ in range(5000 if soak else 150):
        text = RICH
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(text))
            end = at + chance.choice([0, 1, 1, 5, 40])
            text = text[:at] + chance.choice([*pieces, "", text[at : at + 20]]) + text[end:]
        outcome(text)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["<a>", "/a", "5s"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
    max_leaves=8,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in below for place in _places(item, (*path, key)))]


PLAIN = tree.plain(tree.compose(RICH))
PLACES = _places(PLAIN)[1:]


@given(st.sampled_from(PLACES), VALUES)
def test_any_value_in_any_place_is_read_or_refused(place: tuple[Any, ...], value: Any) -> None:
    """A value of the wrong kind never reaches the code behind."""
    data = json.loads(json.dumps(PLAIN))
    spot = data
    for step in place[:-1]:
        spot = spot[step]
    spot[place[-1]] = value
    try:
        definition = parse_data(data)
    except DefinitionError:
        return
    assert parse(to_yaml(definition)) == definition


@given(VALUES)
def test_any_json_body_survives_writing_and_reading(value: Any) -> None:
    """A template is kept to the last character and number."""
    data = {"tieline": "v1", "api": "a", "base_url": "https://a.example"}
    body = {"type": "json", "template": value}
    try:
        definition = parse_data({**data, "calls": {"c": {"path": "/a", "method": "POST", "body": body}}})
    except DefinitionError:
        return
    assert definition.calls["c"].body.template == value
    assert parse(to_yaml(definition)) == definition


@given(st.text())
def test_escaped_text_is_a_template_of_itself(text: str) -> None:
    """``escape`` and ``parse`` are inverse."""
    parsed = template.parse(template.escape(text))
    assert parsed.names() == ()
    assert parsed.render_text({}) == text


@given(st.text(alphabet='<>\\abc_1 -.:/"', max_size=60))
def test_any_template_is_parsed_or_refused(text: str) -> None:
    """Only ValueError, and slots only where a reader sees them."""
    try:
        parsed = template.parse(text)
    except ValueError:
        return
    for name in parsed.names():
        assert f"<{name}>" in text


@given(st.text(max_size=30))
def test_no_variable_moves_a_credential(value: str) -> None:
    """Whatever a variable holds, the host stays below the one that is written."""
    definition = parse("tieline: v1\napi: a\nbase_url: https://<t>.shop.example/x\nvariables: {t: {}}\n")
    try:
        live = resolve(definition, "live", {"t": value})
    except DefinitionError:
        return
    assert live.hosts[0].endswith(".shop.example")
    assert live.base_url == f"https://{live.hosts[0]}/x"


def test_the_environment_view_of_a_rich_definition_is_itself_a_definition() -> None:
    """It can be written and read like any other."""
    seen = in_environment(parse(RICH), "development")
    assert parse(to_yaml(seen)) == seen
