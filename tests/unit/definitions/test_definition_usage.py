"""The section ``usage``: its kinds, what goes with which, and the page about it."""

import re
from pathlib import Path
from typing import Any

import pytest

from tieline.core.quantities import QUANTITIES
from tieline.definitions.canonical import to_json
from tieline.definitions.model import Usage, UsageSpot
from tieline.definitions.parse import DefinitionError, parse, parse_data

BASE = "tieline: v1\napi: a\nbase_url: https://a.example\n"
PAGE = (Path(__file__).parents[3] / "docs/usage.md").read_text(encoding="utf-8")


def usage(text: str) -> Usage:
    """What a section says; written again it says the same."""
    definition = parse(f"{BASE}usage: {text}\n")
    assert definition.usage is not None
    assert parse_data(to_json(definition)).usage == definition.usage
    return definition.usage


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini"])
def test_a_provider_is_named(kind: str) -> None:
    """Its kind knows where usage is."""
    assert usage(f"{{kind: {kind}}}") == Usage(kind)


def test_asking_for_usage_can_be_left() -> None:
    """Some services refuse the member."""
    assert usage("{kind: openai, include_usage: false}") == Usage("openai", include_usage=False)


def test_quantities_have_places() -> None:
    """Paths in their order, or a header field."""
    assert usage(
        "{kind: declared, model: m, quantities: {audio_seconds: {path: [a.b, c], event: e, together: highest},"
        " images: {path: d, counts: items}, characters: {header: X-Cost, together: sum}}}"
    ) == Usage(
        "declared",
        model="m",
        quantities={
            "audio_seconds": UsageSpot(("a.b", "c"), event="e", together="highest"),
            "images": UsageSpot(("d",), counts="items"),
            "characters": UsageSpot(header="x-cost", together="sum"),
        },
    )


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("{kind: declared}", "needs quantities"),
        ("{kind: openai, quantities: {a: {path: b}}}", "remove it"),
        ("{kind: gemini, model: b}", "remove it"),
        ("{kind: anthropic, include_usage: true}", "remove it"),
        ("{kind: declared, include_usage: true, quantities: {a: {path: b}}}", "remove it"),
        ("{kind: declared, quantities: {a: {}}}", "give path or header"),
        ("{kind: declared, quantities: {a: {path: b, header: c}}}", "give path or header"),
        ("{kind: declared, quantities: {a: {header: c, counts: items}}}", "goes with a path"),
        ("{kind: declared, quantities: {audio_ms: {path: b}}}", "times end in _seconds"),
        ("{kind: declared, quantities: {Tokens: {path: b}}}", "is no quantity"),
        ("{kind: declared, quantities: {a: {path: 'b..c'}}}", "is no path"),
    ],
)
def test_what_does_not_go_together_is_said(section: str, says: str) -> None:
    """With what to do."""
    with pytest.raises(DefinitionError) as refused:
        parse(f"{BASE}usage: {section}\n")
    assert says in str(refused.value)


def test_the_page_lists_every_quantity() -> None:
    """By the names that people see, each with the nearest whole that it is part of."""
    rows = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`|–) \| .+ \|$", PAGE.split("## Quantities")[1], re.MULTILINE)
    wholes = {q.shown: QUANTITIES[q.parts_of[-1]].shown if q.parts_of else "" for q in QUANTITIES.values()}
    assert dict(rows) == wholes


def examples() -> list[Any]:
    """The samples of the page."""
    return re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("sample", examples())
def test_the_samples_of_the_page_are_taken(sample: str) -> None:
    """By the parser itself."""
    assert parse(BASE + sample).usage is not None
