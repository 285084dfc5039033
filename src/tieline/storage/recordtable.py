"""``ports.recordsearch.RecordSearch`` in PostgreSQL's table ``requests``, by its index on time and id.

A page reads a stretch of ``ROWS_MOST`` rows at most, whatever is filtered, so that nobody makes the database read it
all. A place is the time and id of a row. Who follows sees a record a second after it was saved at the earliest, when
those that ended before it are there too.
"""

import re
import time
from collections.abc import Sequence
from typing import Any, Final

from tieline.core.pages import Page
from tieline.ports.recordsearch import Followed, RecordFilter
from tieline.ports.requests import RequestRecord
from tieline.storage.engine import Database
from tieline.storage.recordfilter import POSTGRESQL, Sql, both, times, where
from tieline.storage.recordrows import COLUMNS, record_of

ROWS_MOST: Final = 65_536
"""Rows that one page reads."""
SETTLED_SECONDS: Final = 1.0
"""So long after it ended a record is there, unless its worker could not save it."""
_MICROSECONDS: Final = 1_000_000
_PLACE: Final = re.compile(r"([0-9]{1,18})\.([A-Za-z0-9_]{0,64})")
_SELECTED: Final = ", ".join(COLUMNS)


class TableSearch:
    """Searches the table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: RecordFilter, limit: int, after: str | None) -> Page[RequestRecord]:
        before = _place(after) if after is not None else None
        bounds = times(wanted, _MICROSECONDS)
        if before is not None:
            bounds = both(Sql("(at, id) < (?, ?)", before), bounds)
        stretch = f"SELECT * FROM requests WHERE {bounds.text} ORDER BY at DESC, id DESC LIMIT {ROWS_MOST}"  # noqa: S608
        fits = where(wanted.conditions, POSTGRESQL)
        found = await self._rows(
            f"SELECT {_SELECTED} FROM ({stretch}) AS s WHERE {fits.text} ORDER BY at DESC, id DESC LIMIT {limit}",  # noqa: S608
            (*bounds.values, *fits.values),
        )
        if len(found) == limit:
            return Page([_record(row) for row in found], f"{found[-1]['at']}.{found[-1]['id']}")
        last = await self._rows(f"SELECT at, id FROM ({stretch}) AS s OFFSET {ROWS_MOST - 1}", bounds.values)  # noqa: S608
        return Page([_record(row) for row in found], f"{last[0]['at']}.{last[0]['id']}" if last else None)

    async def find(self, request_id: str) -> RequestRecord | None:
        found = await self._rows(f"SELECT {_SELECTED} FROM requests WHERE id = ?", (request_id,))  # noqa: S608
        return _record(found[0]) if found else None

    async def end(self) -> str:
        return f"{int((time.time() - SETTLED_SECONDS) * _MICROSECONDS)}."

    async def follow(self, wanted: RecordFilter, place: str, limit: int) -> Followed:
        settled = int((time.time() - SETTLED_SECONDS) * _MICROSECONDS)
        bounds = both(Sql("(at, id) > (?, ?) AND at < ?", (*_place(place), settled)), times(wanted, _MICROSECONDS))
        stretch = f"SELECT * FROM requests WHERE {bounds.text} ORDER BY at, id LIMIT {2 * limit}"  # noqa: S608
        read = await self._rows(stretch, bounds.values)
        fits = where(wanted.conditions, POSTGRESQL)
        found = await self._rows(
            f"SELECT {_SELECTED} FROM ({stretch}) AS s WHERE {fits.text} ORDER BY at, id",  # noqa: S608
            (*bounds.values, *fits.values),
        )
        end = f"{read[-1]['at']}.{read[-1]['id']}" if read else place
        return Followed([_record(row) for row in found], end)

    async def prepare(self) -> None:
        """The database keeps its index itself."""

    async def close(self) -> None:
        """The database is closed by whoever opened it."""

    async def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        numbered, slots = [], iter(range(1, len(values) + 1))
        numbered = [f"{part}${next(slots)}" for part in query.split("?")[:-1]]
        async with self._database.read() as connection:
            text = "".join(numbered) + query.rpartition("?")[2] if values else query
            return list((await connection.exec_driver_sql(text, tuple(values))).mappings())


def _place(text: str) -> tuple[int, str]:
    """The time and id that ``text`` names. Raises ValueError."""
    match = _PLACE.fullmatch(text)
    if match is None:
        msg = "no place between two records"
        raise ValueError(msg)
    return int(match[1]), match[2]


def _record(row: Any) -> RequestRecord:
    return record_of({**row, "at": row["at"] / _MICROSECONDS})
