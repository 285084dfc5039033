"""The reference page against the format itself: every key, type and default, both ways, and every example."""

import re
from pathlib import Path
from typing import Any

import pytest

from tieline.definitions import problems, tree
from tieline.definitions.environment import in_environment
from tieline.definitions.model import Limits, Parameter, Verify
from tieline.definitions.parse import DEFINITION, parse
from tieline.definitions.schema import Key, Kind, Record, Required

PAGE = (Path(__file__).parents[3] / "docs/definitions.md").read_text(encoding="utf-8")
MINIMAL = "tieline: v1\napi: a\nbase_url: https://a.example\n"


def records(kind: Kind) -> dict[str, Record]:
    """Every record below ``kind`` by title."""
    found: dict[str, Record] = {}
    waiting: list[Any] = [kind]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Record) and each.title not in found:
            found[each.title] = each
            waiting.extend(key.kind for key in each.keys)
        elif hasattr(each, "kind"):
            waiting.append(each.kind)
    return found


RECORDS = records(DEFINITION)


def default_of(key: Key) -> str:
    """The default as the page writes it."""
    if isinstance(key.default, Required):
        return "required"
    if key.shows:
        return key.shows
    if key.default is None or key.default in ((), {}):
        return "none"
    return str(key.default).lower() if isinstance(key.default, bool) else f"`{key.default}`"


def rows_of(title: str) -> dict[str, tuple[str, str, str]]:
    """Type, default and meaning by key, from the table below the heading ``title``."""
    section = PAGE.split(f"\n### {title}\n", 1)[1].split("\n### ", 1)[0]
    rows = re.findall(r"^\| `([^`]+)` \| (.*?) \| (.*?) \| (.*) \|$", section, re.MULTILINE)
    return {key: (kind, default, meaning) for key, kind, default, meaning in rows}


@pytest.mark.parametrize("title", sorted(RECORDS))
def test_the_page_has_every_key_with_its_type_and_default(title: str) -> None:
    """And no key that there is not."""
    keys = {key.name: (key.kind.says, default_of(key)) for key in RECORDS[title].keys}
    rows = rows_of(title)
    assert {name: row[:2] for name, row in rows.items()} == keys
    assert all(row[2].strip() for row in rows.values())


def test_the_page_has_no_section_that_there_is_not() -> None:
    """A record that was removed takes its section with it."""
    assert set(re.findall(r"^### (.*)$", PAGE, re.MULTILINE)) == set(RECORDS)


def test_every_link_on_the_page_leads_to_a_heading() -> None:
    """Types link to their sections."""
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= headings


@pytest.mark.parametrize(
    "row",
    [
        f"| size | {tree.MOST_BYTES // 1024**2} MiB |",
        f"| nesting | {tree.MOST_DEPTH} levels |",
        f"| values in all | {tree.MOST_VALUES:,} |",
        f"| problems told at once | {problems.MOST_PROBLEMS} |",
    ],
)
def test_the_page_states_the_limits_of_the_text(row: str) -> None:
    """As the program has them."""
    assert row in PAGE


def test_what_is_shown_as_default_is_what_is_read() -> None:
    """The page's words for defaults that are not written as they are kept."""
    shown = {key.name: key.shows.strip("`") for title in ("timeout", "limits") for key in RECORDS[title].keys}
    times = ", ".join(f"{name}: {shown[name]}" for name in ("connect", "first_byte", "idle", "total"))
    text = f"limits: {{timeout: {{{times}}}, body: {shown['body']}}}\n"
    assert parse(MINIMAL + text).limits == parse(MINIMAL).limits == Limits()
    assert parse(MINIMAL + "verify: {}\n").verify == Verify()
    assert parse(MINIMAL + "calls: {c: {path: /<p>, parameters: {p: {}}}}\n").calls["c"].parameters["p"] == Parameter(
        "path"
    )


EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_on_the_page_is_read(text: str) -> None:
    """A whole definition as it is, a piece below the smallest one."""
    definition = parse(text if text.startswith("tieline:") else MINIMAL + text)
    for environment in ("live", "development"):
        assert in_environment(definition, environment).api == definition.api


def test_the_errors_on_the_page_are_those_that_are_told() -> None:
    """Their lines, keys and words."""
    lines = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert lines is not None
    first = "- {area: one, levels: [read], match: ['GET /one']}\n"
    text = MINIMAL + "areas:\n" + first + first.replace("one", "two") + "#\n" * 4 + "- area: three\n  levles: []\n"
    text += "#\n" * 4 + "limits:\n  timeout:\n    total: 10 minutes\n"
    with pytest.raises(problems.DefinitionError) as caught:
        parse(text)
    assert caught.value.public.splitlines() == lines[1].splitlines()
