"""Lines of CSV (RFC 4180) that a spreadsheet takes for data: text from outside never begins a formula."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any, Final

CSV: Final = "text/csv"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_line(cells: Iterable[Any]) -> bytes:
    """One line. None is an empty cell, an object is JSON; text that would be a formula has an apostrophe before it."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([_cell(each) for each in cells])
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if value else None
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
