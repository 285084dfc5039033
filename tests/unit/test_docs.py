"""The documentation says what the product does: tables against live objects, samples against parsers and commands.

After Datasette's tests/test_docs.py. Links and make targets are checked by tools/links.py (tests/unit/test_house.py).
"""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tieline.cli.commands import root
from tieline.core.errors import ANSWERS
from tieline.definitions.parse import parse
from tieline.schemes.registry import SCHEMES
from tieline.settings.table import CLIENT_SETTINGS, SERVE_SETTINGS, Setting, variable_names

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(tieline [a-z][^`…]*)`")
PACKAGES = {
    path.stem if path.is_file() else path.name
    for path in (ROOT / "src" / "tieline").iterdir()
    if not path.name.startswith("__") and (path.suffix == ".py" or (path / "__init__.py").exists())
}
# Answers of the admin API, which apps never see: docs/admin-api.md has them.
ADMIN_CODES = {"invalid_token", "forbidden", "not_found", "already_exists", "precondition_failed", "invalid_input"}


def table(page: Path, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its head, cells as written."""
    section = re.split(r"^#+ ", page.read_text(encoding="utf-8").split(f"# {heading}\n", 1)[1], flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def samples(language: str) -> Iterator[tuple[str, str]]:
    """Every fenced sample in a language: the page's name and the text."""
    for page in PAGES:
        for found, text in FENCE.findall(page.read_text(encoding="utf-8")):
            if found == language:
                yield page.relative_to(ROOT).as_posix(), text


def command_lines() -> set[str]:
    """Every ``tieline`` command line that a page shows, inline or in a shell sample."""
    lines = {line for page in PAGES for line in INLINE.findall(page.read_text(encoding="utf-8"))}
    for _, text in samples("sh"):
        lines |= {
            line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip().startswith("tieline ")
        }
    return lines


def test_the_error_table_is_the_one_in_the_code() -> None:
    """docs/relay.md lists each code an app can meet with the status and the retry advice it is answered with."""
    advice = {"yes": True, "no": False, "–": None}
    told = {row[1].strip("`"): (int(row[0]), advice[row[2]]) for row in table(DOCS / "relay.md", "Errors")}
    real = {code: (answer.status, answer.retry) for code, answer in ANSWERS.items() if code not in ADMIN_CODES}
    assert told == real


@pytest.mark.parametrize("setting", [*SERVE_SETTINGS, *CLIENT_SETTINGS], ids=lambda setting: setting.name)
def test_every_setting_has_its_row(setting: Setting) -> None:
    """docs/operations.md has option, variable and, where it is a plain value, default of each setting."""
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith("|") and f"| `{setting.variable}` |" in row]
    assert len(rows) == 1
    assert not setting.option or f"`{setting.option}`" in rows[0]
    assert not setting.default or f"`{setting.default}`" in rows[0]


def test_no_page_names_a_setting_that_is_not_there() -> None:
    """Each ``TIELINE_…`` name on any page is one that the product or its tests read."""
    named = {name for page in PAGES for name in re.findall(r"\bTIELINE_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8"))}
    assert named <= variable_names()


def test_the_package_table_is_the_tree() -> None:
    """docs/design.md has a row for each package, and no other."""
    rows = table(DOCS / "design.md", "Packages, and who may import whom")
    assert {row[0].strip("`") for row in rows if row[0].strip("`") in PACKAGES} == PACKAGES


def test_the_adr_index_is_the_folder() -> None:
    """Each ADR is listed once, in order, under its own title."""
    records = sorted((DOCS / "adr").glob("0*.md"))
    listed = re.findall(r"\| (\d+) \| \[(.+)\]\((.+)\) \|", (DOCS / "adr" / "README.md").read_text(encoding="utf-8"))
    assert [(f"# {number}. {title}", name) for number, title, name in listed] == [
        (path.read_text(encoding="utf-8").splitlines()[0], path.name) for path in records
    ]


@pytest.mark.parametrize("section", ["Context", "Decision", "Consequences", "Rejected"])
def test_every_adr_has_every_section(section: str) -> None:
    """An ADR is context, decision, consequences and what was rejected."""
    records = sorted((DOCS / "adr").glob("0*.md"))
    assert [path.name for path in records if f"\n## {section}\n" not in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(("page", "text"), list(samples("python")))
def test_python_samples_are_python(page: str, text: str) -> None:
    """Every Python sample compiles."""
    ast.parse(text, filename=page)


def command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words name, and what is left of them. Raises KeyError for a word that is no command."""
    found = typer.main.get_command(root)
    while hasattr(found, "commands"):
        found, words = found.commands[words[0]], words[1:]
    return found, words


@pytest.mark.parametrize("line", sorted(command_lines()))
def test_every_command_line_on_a_page_is_one(line: str) -> None:
    """Each ``tieline …`` that a page shows names a command, and each of its options exists."""
    words = shlex.split(re.split(r" [|#] ", line)[0])[1:]
    found, rest = command(words)
    known = {option for parameter in found.params for option in parameter.opts}
    assert {word.split("=")[0] for word in rest if word.startswith("--")} <= known


@pytest.mark.parametrize(("page", "text"), [sample for sample in samples("yaml") if "tieline: v1" in sample[1]])
def test_definition_samples_are_definitions(page: str, text: str) -> None:
    """Every whole definition on a page can be added as it stands."""
    assert parse(text, schemes=SCHEMES).api, page
