"""The page on schemes against the schemes: each has its section, every option its row, every example is taken."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.schemes.samples import SAMPLES
from tieline.definitions.parse import parse
from tieline.schemes.registry import SCHEMES

PAGE = (Path(__file__).parents[3] / "docs/schemes.md").read_text(encoding="utf-8")
MINIMAL = "tieline: v1\napi: a\nbase_url: https://a.example\n"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def section(name: str) -> str:
    """What the page says of a scheme."""
    return PAGE.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]


def options_of(name: str) -> set[str]:
    """The options that a scheme takes, as it says itself where it meets one that it does not."""
    message = SCHEMES.check(name, {"no_such": 1})[0]
    return set(message.partition("it takes ")[2].split(", ")) - {"none"}


def test_the_page_lists_every_scheme_with_its_sentence() -> None:
    """In the order of the registry, as a picker shows them."""
    rows = re.findall(r"^\| \[`(\w+)`\]\(#(\w+)\) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(name, name, SCHEMES.get(name).sentence) for name in SCHEMES.names()]
    assert re.findall(r"^## (\w+)$", PAGE, re.MULTILINE) == list(SCHEMES.names())


@pytest.mark.parametrize("name", SCHEMES.names())
def test_a_section_has_a_row_for_every_option(name: str) -> None:
    """And none for one that there is not."""
    table = section(name).split("\n| option | default | meaning |\n| --- | --- | --- |\n")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", table[1], re.MULTILINE) if len(table) > 1 else []
    assert {row[0] for row in rows} == options_of(name)


@pytest.mark.parametrize("name", SCHEMES.names())
def test_a_section_names_the_fields(name: str) -> None:
    """Of every use of the scheme that a sample shows, but for those that a definition declares itself."""
    samples = [sample for sample in SAMPLES if sample.scheme == name]
    fields = {each.name for sample in samples for each in SCHEMES.get(name).fields(sample.options)}
    declared = {each["name"] for sample in samples for each in sample.options.get("fields", ())}
    assert {each for each in fields - declared if f"`{each}`" not in section(name)} == set()


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_is_a_definition(text: str) -> None:
    """That can be added as it stands, below the smallest one."""
    definition: Any = parse(text if text.startswith("tieline:") else MINIMAL + text, schemes=SCHEMES)
    assert definition.auth
