"""CSV (RFC 4180) as a list of objects: the delimiter found in the first rows, the header as names. Values are text."""

import csv
import io
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from tieline.definitions.infer.unreadable import UnreadableAnswer

MOST_COLUMNS: Final = 2_000
MOST_ROWS: Final = 500_000
MOST_CELLS: Final = 2_000_000
"""Rows and cells in all, those too that short rows lack: each becomes a member though nothing was sent for it."""
MOST_LINE: Final = 1024 * 1024
"""Characters of a line: the reader lets nobody run until it has taken one whole."""
_PIECE: Final = 64 * 1024
_SNIFFED = 16_384
_SNIFFED_ROWS = 20
_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"-?[0-9]+(?:[.,][0-9]+)?")


def read_csv(text: str) -> list[dict[str, Any]]:
    """The rows as objects, in order; an empty cell is empty text, a cell that a short row lacks null.

    The first row holds the names, unless one of its cells is a number; then, and for cells without a name, columns are
    ``column_1`` and so on. A name that comes again gets ``_2``. Raises ``UnreadableAnswer`` for more than 2,000
    columns, 500,000 rows or two million cells, a cell of more than 131,072 characters, a line of more than a million,
    or a quote that is never closed.
    """
    text = text.removeprefix("\ufeff")
    rows = _rows(text, _delimiter(text))
    try:
        first = next(rows, None)
        if first is None:
            return []
        if any(_NUMBER.fullmatch(cell.strip()) for cell in first):
            rows, first = itertools.chain([first], rows), []
        if len(first) > MOST_COLUMNS:
            raise _too_many_columns()
        return _records(rows, _names(first))
    except csv.Error as error:
        raise UnreadableAnswer(f"the answer is no CSV: {error}; check the answer's type") from None


def _rows(text: str, delimiter: str) -> Any:
    reader = csv.reader(_lines(text), delimiter=delimiter, strict=True)
    return (row for row in reader if row)


def _lines(text: str) -> Iterator[str]:
    """The lines with their ends, read in pieces between which others run."""
    begun = ""
    for at in range(0, len(text), _PIECE):
        lines = list(io.StringIO(begun + text[at : at + _PIECE], newline=""))
        begun = lines.pop()  # it may go on, and a return may have its feed in the next piece
        yield from lines
        if len(begun) > MOST_LINE:
            raise UnreadableAnswer("the answer has a line of more than a million characters; ask for fewer columns")
    if begun:
        yield from io.StringIO(begun, newline="")


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
    """The cells of the header as names, each once: the second ``a`` is ``a_2``, in steps as many as there are cells."""
    names: list[str] = []
    taken: set[str] = set()
    times: defaultdict[str, int] = defaultdict(int)
    for number, cell in enumerate(header, 1):
        name = plain = cell.strip() or f"column_{number}"
        while name in taken:
            times[plain] = max(times[plain], 1) + 1
            name = f"{plain}_{times[plain]}"
        taken.add(name)
        names.append(name)
    return names


def _records(rows: Iterable[list[str]], names: list[str]) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    cells = 0
    for row in rows:
        if len(row) > MOST_COLUMNS:
            raise _too_many_columns()
        while len(names) < len(row):
            names.append(f"column_{len(names) + 1}")
        cells += len(names)
        if cells > MOST_CELLS or len(records) >= MOST_ROWS:
            raise UnreadableAnswer(
                f"the answer has more than {MOST_ROWS:,} rows, or {MOST_CELLS:,} cells with those that its rows lack; "
                "ask for fewer"
            )
        records.append({name: row[at] if at < len(row) else None for at, name in enumerate(names)})
    return records


def _too_many_columns() -> UnreadableAnswer:
    return UnreadableAnswer(f"the answer has more than {MOST_COLUMNS:,} columns; ask for fewer")
