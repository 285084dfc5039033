"""CSV (RFC 4180) as a list of objects: the delimiter found in the first rows, the header as names. Values are text."""

import csv
import io
import itertools
import re
from collections import Counter
from typing import Any, Final

from tieline.definitions.infer.unreadable import UnreadableAnswer

MOST_COLUMNS: Final = 2_000
_SNIFFED = 16_384
_SNIFFED_ROWS = 20
_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"-?[0-9]+(?:[.,][0-9]+)?")


def read_csv(text: str) -> list[dict[str, Any]]:
    """The rows as objects, in order; an empty cell is empty text, a cell that a short row lacks null.

    The first row holds the names, unless one of its cells is a number; then, and for cells without a name, columns are
    ``column_1`` and so on. A name that comes again gets ``_2``. Raises ``UnreadableAnswer`` for more than 2,000
    columns, a cell of more than 131,072 characters, or a quote that is never closed.
    """
    text = text.removeprefix("\ufeff")
    rows = _rows(text, _delimiter(text))
    try:
        first = next(rows, None)
        if first is None:
            return []
        if any(_NUMBER.fullmatch(cell.strip()) for cell in first):
            rows, first = itertools.chain([first], rows), []
        names = _names(first)
        return [_record(row, names) for row in rows]
    except csv.Error as error:
        raise UnreadableAnswer(f"the answer is no CSV: {error}; check the answer's type") from None


def _rows(text: str, delimiter: str) -> Any:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    return (row for row in reader if row)


def _delimiter(text: str) -> str:
    """The delimiter that gives the most rows of one width above one, within the first 16,384 characters."""
    head = text[:_SNIFFED]
    best, most = ",", 0
    for delimiter in _DELIMITERS:
        if delimiter not in head:
            continue
        reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
        try:
            widths = Counter(len(row) for row in itertools.islice(reader, _SNIFFED_ROWS) if len(row) > 1)
        except csv.Error:
            continue
        score = max((count * 100 + min(width, 99) for width, count in widths.items()), default=0)
        if score > most:
            best, most = delimiter, score
    return best


def _names(header: list[str]) -> list[str]:
    names: list[str] = []
    taken: set[str] = set()
    for number, cell in enumerate(header, 1):
        name = cell.strip() or f"column_{number}"
        plain, again = name, 1
        while name in taken:
            again += 1
            name = f"{plain}_{again}"
        taken.add(name)
        names.append(name)
    return names


def _record(row: list[str], names: list[str]) -> dict[str, Any]:
    if len(row) > MOST_COLUMNS:
        raise UnreadableAnswer(f"the answer has more than {MOST_COLUMNS:,} columns; ask for fewer")
    while len(names) < len(row):
        names.append(f"column_{len(names) + 1}")
    return {name: row[at] if at < len(row) else None for at, name in enumerate(names)}
