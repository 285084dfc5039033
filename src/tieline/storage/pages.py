"""Lists in pages: one more row than asked for says whether anything follows.

Owns how a page is cut. Knows no table; the caller gives the column that orders the list.
"""

from typing import Any

from sqlalchemy import Row, Select
from sqlalchemy.sql.elements import ColumnElement

from tieline.core.pages import LIMIT_MOST, Page, PageRequest
from tieline.storage.connection import AsyncConnection


async def page_of(
    connection: AsyncConnection, query: Select[Any], by: ColumnElement[str], page: PageRequest
) -> Page[Row[Any]]:
    """The rows of ``query`` that follow ``page.after``, ordered by the id in ``by``, oldest first."""
    if page.after is not None:
        query = query.where(by > page.after)
    limit = max(1, min(page.limit, LIMIT_MOST))
    rows = (await connection.execute(query.order_by(by).limit(limit + 1))).all()
    return cut(rows, limit, by.key)


def cut(rows: Any, limit: int, name: str | None) -> Page[Row[Any]]:
    """A page of the first ``limit`` rows; ``next`` is the last one's value in the column ``name`` if more follow."""
    kept = rows[:limit]
    following = kept[-1]._mapping[name] if len(rows) > limit else None  # noqa: SLF001 - a Row's public dictionary view
    return Page(kept, following)
