"""What commands print: results on standard output, everything else on standard error.

Owns tables, details and machine output. Text from outside is never read as markup, nor let through to the terminal as
control characters.
"""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from tieline.core.errors import SettingsError

PLAIN_WIDTH = 4000  # columns of what goes to a file or a pipe: nothing is cut
GAP = 2  # columns between two cells
NARROW = 12  # cells are shortened to this before columns are left out, and to fewer only after that


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. On a terminal that is too narrow, all cells are shortened but those of a ``whole`` column.

    ``whole``: an id or a secret's ends, which people copy. ``spare``: left out first.
    """

    title: str
    whole: bool = False
    spare: bool = False


def emit(value: object) -> None:
    """Machine output: JSON on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def emit_line(value: object) -> None:
    """Machine output as it comes: one line of JSON on standard output."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def line(text: str) -> None:
    """One line of text that came from outside, on standard output as it comes."""
    print(shown(text), flush=True)


def say(line: str) -> None:
    """A message on standard error."""
    print(line, file=sys.stderr, flush=True)


def table(columns: Sequence[str | Column], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Rows under headings on standard output; where there are none, ``empty`` says so on standard error.

    A row is a line, also on a narrow terminal: cells end in ``…``, and a message names the columns that are left out.
    """
    if not rows:
        say(empty)
        return
    heads = [each if isinstance(each, Column) else Column(each) for each in columns]
    cells = [[shown(cell) for cell in row] for row in rows]
    natural = [max(cell_len(head.title), *(cell_len(row[place]) for row in cells)) for place, head in enumerate(heads)]
    console = _console()
    widths = fit(heads, natural, console.width)
    lines = [[head.title for head in heads], *cells]
    for number, line in enumerate(lines):
        text = (" " * GAP).join(set_cell_size(_cut(line[place], width), width) for place, width in widths.items())
        _print_line(console, Text(text.rstrip(), "" if number else "bold"))
    left_out = [head.title for place, head in enumerate(heads) if place not in widths]
    if left_out:
        say(f"Left out, as the terminal is narrow: {', '.join(left_out)}. --json shows everything.")


def fit(columns: Sequence[Column], natural: Sequence[int], room: int) -> dict[int, int]:
    """The width of each column that is shown, by its place, so that a row takes ``room`` if that can be.

    The last spare column goes first, until the rest can be shown with 12 characters a cell; then the widest are cut.
    """
    widths = dict(enumerate(natural))

    def excess(least: int) -> int:
        taken = (each if columns[place].whole else min(each, least) for place, each in widths.items())
        return sum(taken) + GAP * (len(widths) - 1) - room

    for place in reversed(range(len(columns))):
        if excess(NARROW) > 0 and columns[place].spare:
            del widths[place]
    while excess(max(natural)) > 0:
        widest = max((place for place in widths if not columns[place].whole), key=widths.__getitem__, default=None)
        if widest is None or widths[widest] == 1:
            break
        widths[widest] -= 1
    return widths


def details(pairs: Mapping[str, object]) -> None:
    """One thing's properties, a line each, on standard output; those that are None are left out. Nothing is cut."""
    given = {name: shown(value) for name, value in pairs.items() if value is not None}
    width = max(cell_len(name) for name in given) + GAP
    console = _console()
    for name, value in given.items():
        _print_line(console, Text.assemble((set_cell_size(name, width), "bold"), value))


def finding(state: str, subject: str, told: str) -> None:
    """One finding of the doctor on standard output, its mark in colour where that can be seen."""
    mark, style = {"good": ("✓", "green"), "note": ("·", "yellow")}.get(state, ("✗", "bold red"))
    _print_line(_console(), Text.assemble((mark, style), f" {shown(subject)}: {shown(told)}"))


def shown(value: object) -> str:
    """A value as people read it: nothing as a dash, lists with commas, times to the second."""
    if value is None or value in ("", [], ()):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(item) for item in value)
    return "".join(letter if letter.isprintable() else "�" for letter in str(value))


def moment(value: Any) -> str | None:
    """An RFC 3339 time as ``2026-11-23 07:00:00 UTC``, None where there is none."""
    if not isinstance(value, str):
        return None
    return f"{value[:10]} {value[11:19]} UTC"


def is_past(value: str) -> bool:
    """Whether an RFC 3339 time has passed, by this machine's clock."""
    return datetime.fromisoformat(value) <= datetime.now(UTC)


def seconds_until(value: Any) -> int:
    """Whole seconds until an RFC 3339 time, by this machine's clock. Raises SettingsError for another form."""
    try:
        return round((datetime.fromisoformat(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        raise SettingsError("expires_at must be a time such as 2027-01-31T12:00:00Z.") from None


def quoted(text: str) -> str:
    """``text`` as one word of a shell command that people copy."""
    return shlex.quote(text)


def counted(number: int, noun: str) -> str:
    """``1 key``, ``2 keys``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _print_line(console: Console, text: Text) -> None:
    """A line as it is: a terminal folds what is too long, so that it is copied whole."""
    console.print(text, soft_wrap=True)


def _console() -> Console:
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)
