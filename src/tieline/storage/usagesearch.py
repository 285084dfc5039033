"""Usage, to read: ``ports.usage.UsageQueries`` on both engines.

Buckets are given by their edges, so that a day of any time zone is one; they stand in the query as numbers of ours. A
page is two queries: which rows it has, in their order, and all measures of these. Sums are taken in two halves, since
64 bits are the engines' bound and an outsider's figures may add up to more.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import text

from tieline.ports.usage import (
    REQUESTS,
    SAID,
    UsageCondition,
    UsagePage,
    UsageRow,
    UsageWanted,
    columns_of,
)
from tieline.storage.connection import AsyncConnection
from tieline.storage.engine import Database
from tieline.storage.recordfilter import POSTGRESQL, SQLITE, Dialect

_HALF: Final = 10**9
_LIKE: Final[Mapping[str, Dialect]] = {"sqlite": SQLITE, "postgresql": POSTGRESQL}


class UsageCounts:
    """Usage, to read."""

    def __init__(self, connection: AsyncConnection, database: Database) -> None:
        self._connection = connection
        self._dialect = _LIKE[database.kind]

    async def page(self, wanted: UsageWanted) -> UsagePage:
        if len(wanted.edges) < 2:
            return UsagePage((), more=False, collapsed=0)
        query = _Query(wanted, self._dialect)
        keys = await self._rows(query.keys(), query.values)
        shown, more = keys[: wanted.limit], len(keys) > wanted.limit
        rows: list[UsageRow] = []
        if shown:
            values = query.values | query.between(shown[0], shown[-1])
            for *key, measure, high, low in await self._rows(query.measures(), values):
                row = UsageRow(int(key[0]), tuple(key[1:-1]), bool(key[-1]), {})
                if not rows or rows[-1].place != row.place:
                    rows.append(row)
                rows[-1].measures[measure] = int(high) * _HALF + int(low)
        collapsed = await self._rows(query.collapsed(), {})
        return UsagePage(rows, more, int(collapsed[0][0] or 0))

    async def _rows(self, query: str, values: Mapping[str, Any]) -> Sequence[Any]:
        return (await self._connection.execute(text(query), dict(values))).all()


class _Query:
    """The SQL of one question, with names for the values that come from outside."""

    def __init__(self, wanted: UsageWanted, dialect: Dialect) -> None:
        self._wanted = wanted
        self.values: dict[str, Any] = {}
        columns = columns_of(wanted.by)
        least = 1 if SAID & set(wanted.by) else 2
        flag = f"CASE WHEN s.other >= {least} THEN 1 ELSE 0 END" if wanted.by else "0"
        self._key = ["b.n", *(f"s.{name}" for name in columns), flag]
        pairs = pairwise(wanted.edges)
        buckets = ", ".join(f"({n}, {start}, {end})" for n, (start, end) in enumerate(pairs))
        self._with = f"WITH b (n, s, e) AS (VALUES {buckets})"
        self._fits = [self._condition(place, each, dialect) for place, each in enumerate(wanted.conditions)]
        if wanted.after is not None:
            self._fits.append(self._beyond(wanted.after))

    def keys(self) -> str:
        """The rows of the page, one more where more follow."""
        named = ", ".join(f"{each} AS k{place}" for place, each in enumerate(self._key))
        order = ", ".join(f"k{place}" for place in range(len(self._key)))
        return (
            f"{self._with} SELECT {named} {self._from()} AND u.measure = '{REQUESTS}'"
            f" GROUP BY {order} ORDER BY {order} LIMIT {self._wanted.limit + 1}"
        )

    def measures(self) -> str:
        """All measures of the rows between two keys (``between``)."""
        named = ", ".join(f"{each} AS k{place}" for place, each in enumerate(self._key))
        order = ", ".join(f"k{place}" for place in range(len(self._key)))
        sums = f"SUM(u.amount / {_HALF}), SUM(u.amount % {_HALF})"
        row = f"({', '.join(self._key)})"
        first, last = (f"({', '.join(f':{side}{place}' for place in range(len(self._key)))})" for side in "fl")
        return (
            f"{self._with} SELECT {named}, u.measure, {sums} {self._from()} AND {row} >= {first} AND {row} <= {last}"
            f" GROUP BY {order}, u.measure ORDER BY {order}"
        )

    def collapsed(self) -> str:
        """How many requests of these times are counted with words left out."""
        return (
            "SELECT SUM(u.amount) FROM usage u JOIN usage_series s ON s.id = u.series "  # noqa: S608
            f"WHERE s.other > 0 AND u.measure = '{REQUESTS}' AND u.width = {self._wanted.slot} "
            f"AND u.starts_at >= {self._wanted.edges[0]} AND u.starts_at < {self._wanted.edges[-1]}"
        )

    def between(self, first: Sequence[Any], last: Sequence[Any]) -> dict[str, Any]:
        """The values of ``measures``."""
        ends = (("f", first), ("l", last))
        return {f"{side}{place}": value for side, key in ends for place, value in enumerate(key)}

    def _from(self) -> str:
        joined = (
            f"FROM b JOIN usage u ON u.width = {self._wanted.slot} AND u.starts_at >= b.s AND u.starts_at < b.e "
            "JOIN usage_series s ON s.id = u.series"
        )
        return f"{joined} WHERE {' AND '.join(self._fits) or '1=1'}"

    def _condition(self, place: int, condition: UsageCondition, dialect: Dialect) -> str:
        parts = []
        for number, value in enumerate(condition.values):
            name = f"c{place}_{number}"
            if condition.dimension == "model" and "*" in value:
                parts.append(f"s.model {dialect.like.replace('?', f':{name}')}")
                self.values[name] = dialect.pattern(value)
            else:
                parts += [f"s.{column} = :{name}" for column in columns_of((condition.dimension,))]
                self.values[name] = value
        return f"({' OR '.join(parts)})"

    def _beyond(self, place: Sequence[str | int]) -> str:
        names = [f"a{number}" for number in range(len(self._key))]
        if len(place) != len(names) or not isinstance(place[0], int) or not isinstance(place[-1], int):
            msg = "no place of a row"
            raise ValueError(msg)
        if not all(isinstance(each, str) for each in place[1:-1]):
            msg = "no place of a row"
            raise ValueError(msg)
        self.values |= dict(zip(names, place, strict=True))
        return f"({', '.join(self._key)}) > ({', '.join(f':{name}' for name in names)})"
