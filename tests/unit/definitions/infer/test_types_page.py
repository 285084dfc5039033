"""docs/types.md against detection: the table of types, the bounds, every example."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tieline.definitions.infer import drift, embedded, evidence, paths, samples, settle
from tieline.definitions.infer.answers import read_answer
from tieline.definitions.infer.detect import Source, detect
from tieline.definitions.infer.markup import read_xml
from tieline.definitions.responses import FIELD_TYPES

PAGE = (Path(__file__).parents[4] / "docs/types.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^```(json|xml|csv)\n((?:(?!```).*\n)*)```\n\n((?:\|.*\n)+)", re.MULTILINE)
ROW = re.compile(r"^\| `(.*?)` \| `(.*?)` \| (.*?)\|$", re.MULTILINE)


def examples() -> list[tuple[str, Any, str]]:
    """Source, document and table of each example that is followed by its fields."""
    found: list[tuple[str, Any, str]] = []
    for language, text, table in EXAMPLE.findall(PAGE):
        document = read_answer(language, text)
        is_mapped = isinstance(document, dict) and "order" in document
        found.append(("xml" if is_mapped else language, document, table))
    return found


def test_the_page_has_every_type() -> None:
    """In the order of the format, and no other."""
    table = PAGE.split("## Detected types", 1)[1].split("\n\n", 3)[2]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == FIELD_TYPES


@pytest.mark.parametrize(("source", "document", "table"), examples(), ids=range(len(examples())))
def test_an_example_has_the_fields_of_its_table(source: Source, document: Any, table: str) -> None:
    """Path, type, and what else is said."""
    marks = ("list", "parse", "optional", "undecided")
    found = [
        (one.path, one.type, ", ".join(name for name in marks if getattr(one, name)))
        for one in detect(document, source=source)
    ]
    told = [(path, kind, mark.strip()) for path, kind, mark in ROW.findall(table)]
    order = {name: at for at, name in enumerate(marks)}
    told = [(path, kind, ", ".join(sorted(filter(None, mark.split(", ")), key=order.get))) for path, kind, mark in told]  # type: ignore[arg-type]
    assert told == found
    assert len(told) > 3


def test_the_xml_example_is_mapped_as_shown() -> None:
    """The XML gives the JSON beside it."""
    (found,) = re.findall(r"```xml\n(.*?)```\n\n```json\n(.*?)```", PAGE, re.DOTALL)
    assert read_xml(found[0]) == json.loads(found[1])


@pytest.mark.parametrize(
    ("what", "most"),
    [
        ("nesting, in documents and paths", f"{paths.MOST_STEPS} levels"),
        ("fields", f"{settle.MOST_FIELDS:,}"),
        ("values of a document that decide", f"{evidence.MOST_VALUES:,}"),
        ("characters of a sample", f"{samples.MOST_SAMPLE}"),
        ("characters of text that may hold JSON", f"{embedded.MOST_TEXT:,}"),
        ("items of a list looked at for drift", f"{drift.MOST_ITEMS}"),
        ("different findings of one answer", f"{drift.MOST_FINDINGS}"),
    ],
)
def test_the_page_states_the_bounds(what: str, most: str) -> None:
    """As the program has them."""
    assert f"| {what} | {most} |" in PAGE
