"""Links and commands in the documentation: every relative link leads somewhere, every ``make`` target exists.

It knows Markdown only as far as links, headings and code fences. Links to other sites are not followed: checks must
pass without a network. Run it as ``python tools/links.py``.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$")
FENCE = re.compile(r"^ *(```|~~~)")
MAKE = re.compile(r"(?:^|[`;&|$] *)make ((?:[A-Z_]+=\S+ )*)([a-z][a-z-]*)", re.MULTILINE)
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def pages() -> list[Path]:
    """Every Markdown page that ships with the product."""
    folders = (ROOT / "docs", ROOT / "bench", ROOT / ".github")
    return sorted([*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))])


def prose(text: str) -> Iterator[str]:
    """The lines of a page that are outside code fences."""
    inside = False
    for line in text.splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            yield line


def anchors(text: str) -> set[str]:
    """The fragment names that forges give to the headings of a page."""
    found: set[str] = set()
    for line in prose(text):
        if heading := HEADING.match(line):
            plain = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading[1]).lower())
            found.add(plain.replace(" ", "-"))
    return found


def broken_links(page: Path, root: Path = ROOT) -> Iterator[str]:
    """Relative links of one page that lead nowhere."""
    place = page.relative_to(root)
    for line in prose(page.read_text(encoding="utf-8")):
        for link in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            address, _, fragment = link.partition("#")
            if re.match(r"[a-z]+:", address):
                continue
            target = (page.parent / address).resolve() if address else page
            if not target.exists():
                yield f"{place}: the link {link} leads to nothing"
            elif fragment and target.suffix == ".md" and fragment not in anchors(target.read_text(encoding="utf-8")):
                yield f"{place}: the link {link} names a heading that is not there"


def unknown_targets(page: Path, targets: set[str], root: Path = ROOT) -> Iterator[str]:
    """``make`` targets that one page tells the reader to run and the Makefile lacks."""
    for _, target in MAKE.findall(page.read_text(encoding="utf-8")):
        if target not in targets:
            yield f"{page.relative_to(root)}: `make {target}` is no target of the Makefile"


def main() -> int:
    """Check every page; 0 when all links and targets are there."""
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    found = [problem for page in pages() for problem in (*broken_links(page), *unknown_targets(page, targets))]
    for problem in found:
        print(problem)
    if not found:
        print(f"links: {len(pages())} pages lead where they say")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
