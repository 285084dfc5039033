"""What a page says is not there yet is not there: whoever builds it finds here which sentence to change.

Every line of a page with "yet" in it is either about what people have not done, or a claim that is proved below.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main

from tieline.cli.commands import root
from tieline.controlplane import catalogue

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "tieline"
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name != "adr")]
OPENAPI = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
COMMANDS = getattr(typer.main.get_command(root), "commands", {})
ABOUT_PEOPLE = ("has shown yet what it holds", "has put no key for this API", "nobody has signed in to the API yet")


def found(pattern: str, *, outside: str = "definitions") -> list[str]:
    """The modules, but for those of one package, that hold a pattern."""
    modules = (path for path in SOURCE.rglob("*.py") if outside not in path.relative_to(SOURCE).parts)
    return [str(path) for path in modules if re.search(pattern, path.read_text(encoding="utf-8"))]


NOT_YET: dict[str, Callable[[], bool]] = {
    "There is no command for it yet": lambda: not {"backup", "restore"} & set(COMMANDS),
    "What works now, and what does not yet": lambda: set(cells()) == set(README_ROWS),
    "| works | not yet |": lambda: all(holds() for holds in README_ROWS.values()),
}
README_ROWS: dict[str, Callable[[], bool]] = {
    "cloud key services as root key, rekeying": lambda: "rekey" not in COMMANDS["vault"].commands,
    "console editor, generated clients": lambda: not any("client" in path for path in OPENAPI["paths"]),
    "more catalogue entries, imports from OpenAPI, Postman, curl": lambda: (
        list(catalogue.names()) == ["openai"] and "import" not in COMMANDS
    ),
    "public keys": lambda: not found(r"tl_pub_"),
    "web console, operators' sign-in, backup": lambda: "operator" not in COMMANDS and "backup" not in COMMANDS,
}


def claims() -> list[str]:
    """Every line of a page that says "yet", but for those about what people have not done."""
    lines = [line for page in PAGES for line in page.read_text(encoding="utf-8").splitlines()]
    said = [line for line in lines if re.search(r"\byet\b|does not act on", line)]
    return [line for line in said if not any(each in line for each in ABOUT_PEOPLE)]


def cells() -> list[str]:
    """What the README's table says is missing."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("| works | not yet |", 1)[1].split("\n\n", 1)[0]
    return [cell for line in table.splitlines()[2:] if (cell := line.strip("|").split("|")[1].strip())]


@pytest.mark.parametrize("line", claims())
def test_what_is_said_not_to_be_there_is_not_there(line: str) -> None:
    """A new claim of this kind is proved here too."""
    proofs = [holds for said, holds in NOT_YET.items() if said in line]
    assert len(proofs) == 1, f"prove in NOT_YET that it is so: {line}"
    assert proofs[0](), f"no longer true: {line}"


def test_every_proof_has_its_claim() -> None:
    """One whose sentence went is not kept."""
    assert [said for said in NOT_YET if not any(said in line for line in claims())] == []
