"""What commands print: results on standard output, everything else on standard error.

Owns tables, details and machine output. Text from outside is never read as markup, nor let through to the terminal as
control characters.
"""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 4000  # columns of a table that goes to a file or a pipe: nothing is cut


def emit(value: object) -> None:
    """Machine output: JSON on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def say(line: str) -> None:
    """A message on standard error."""
    print(line, file=sys.stderr, flush=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Rows under headings on standard output; where there are none, ``empty`` says so on standard error."""
    if not rows:
        say(empty)
        return
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(shown(cell)) for cell in row))
    _print(grid)


def details(pairs: Mapping[str, object]) -> None:
    """One thing's properties, a line each, on standard output; those that are None are left out."""
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in pairs.items():
        if value is not None:
            grid.add_row(Text(name), Text(shown(value)))
    _print(grid)


def finding(state: str, subject: str, told: str) -> None:
    """One finding of the doctor on standard output, its mark in colour where that can be seen."""
    mark, style = {"good": ("✓", "green"), "note": ("·", "yellow")}.get(state, ("✗", "bold red"))
    _console().print(Text.assemble((mark, style), f" {shown(subject)}: {shown(told)}"), soft_wrap=True)


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


def quoted(text: str) -> str:
    """``text`` as one word of a shell command that people copy."""
    return shlex.quote(text)


def _print(grid: Table) -> None:
    """A table as wide as the terminal; to a file or pipe whole, and without blanks at the ends of its lines."""
    console = _console()
    if sys.stdout.isatty():
        console.print(grid)
        return
    with console.capture() as captured:
        console.print(grid)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _console() -> Console:
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)
