"""What workers count of requests: ``ports.usage.UsageStore`` on a database.

Owns the tables ``usage``, ``usage_series`` and ``usage_writers``, and these rules. Each count is added to a minute, a
quarter of an hour and a day at once, so that a question reads slots of one length only, and what comes late is in all
of them. A slot holds a bounded number of series; what is beyond keeps the words that operators chose (app, key, API,
call) and loses those of outsiders, and where that is still too much, all of them: sums are whole whatever comes. Rows
name things by what they were called then, and refer to nothing, so nothing that is renamed or removed changes them.
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import orjson
from sqlalchemy import delete, func, select

from tieline.ports.usage import KEPT_SECONDS, OTHERS, REQUESTS, SERIES_MOST, SLOTS, Series, SeriesCount, UsageBatch
from tieline.storage.columns import storable
from tieline.storage.connection import AsyncConnection
from tieline.storage.engine import Database
from tieline.storage.schema import NAME, usage, usage_series, usage_writers

AMOUNT_MOST: Final = 10**18
"""More than one batch adds to a count."""
WRITERS_KEPT_SECONDS: Final = 7 * 86_400
SERIES_KEPT_SECONDS: Final = max(KEPT_SECONDS.values()) + 2 * 86_400
_SLOTS_KNOWN: Final = 12
"""Slots whose series a process remembers: this one and the one before of each length, and some that came late."""
_PAUSE: Final = 0.05
_SLOTS_AT_ONCE: Final = 30
_KEY: Final = [column.name for column in usage.primary_key]
_COLUMNS: Final = (*_KEY, "amount")
_ROWS_AT_ONCE: Final = 1_000
_Slot = tuple[int, int]


class _SeriesOfSlot:
    """Which series a slot has, and how many of them are of each key."""

    def __init__(self, width: int) -> None:
        self._most = SERIES_MOST[width]
        self._ids: set[bytes] = set()
        self._of_keys: Counter[str] = Counter()

    def __contains__(self, series_id: bytes) -> bool:
        return series_id in self._ids

    def add(self, series_id: bytes, key_id: str) -> None:
        """Take a series in."""
        self._ids.add(series_id)
        self._of_keys[key_id] += 1

    def has_room(self, series: Series) -> bool:
        """Whether it takes ``series``: whole words up to its bound and half of it for one key, fewer words twice that.

        There is always room for what has no words.
        """
        if series.other == OTHERS.other:
            return True
        if series.other:
            return len(self._ids) < 2 * self._most
        return len(self._ids) < self._most and self._of_keys[series.key_id] < self._most // 2


_Work = tuple[AsyncConnection, dict[_Slot, _SeriesOfSlot], list[dict[str, Any]]]
"""A transaction, the slots that were looked up in it, and the series that are new in one of them."""


class SqlUsage:
    """Counts on a database. Remembers which series the latest slots have, so that most batches only add."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[_Slot, _SeriesOfSlot] = {}

    async def add(self, batch: UsageBatch) -> None:
        """As ``UsageStore`` says. Whoever adds in several processes at once may exceed a bound by a batch each."""
        at = int(time.time())
        looked_up: dict[_Slot, _SeriesOfSlot] = {}
        async with self._database.write() as connection:
            mark = self._database.insert_or_advance(usage_writers, "id", "number")
            values = {"id": batch.writer, "number": batch.number, "at": at}
            if not (await connection.execute(mark.values(values))).rowcount:
                return  # it was stored, and the answer never came
            amounts: Counter[tuple[int, int, bytes, str]] = Counter()
            new: list[dict[str, Any]] = []
            for counted in sorted(batch.counted, key=_order):  # in one order, so that none wait for each other
                series = _fit(counted.series)
                for width in SLOTS:
                    slot = width, counted.minute - counted.minute % width
                    home = await self._home((connection, looked_up, new), slot, series)
                    for measure, amount in counted.measures.items():
                        amounts[*slot, home, measure] += amount
            if new:
                await connection.execute(self._database.insert_or_advance(usage_series, "id", "seen_at"), new)
            ordered = sorted(amounts.items())
            add = self._database.insert_or_add(usage, _KEY, ["amount"])
            for start in range(0, len(ordered), _ROWS_AT_ONCE):
                rows = [
                    dict(zip(_COLUMNS, (*key, min(amount, AMOUNT_MOST)), strict=True))
                    for key, amount in ordered[start : start + _ROWS_AT_ONCE]
                ]
                await connection.execute(add, rows)
        self._remember(looked_up)

    async def forget(self, now: float) -> None:
        """A few slots at a time, each time in a transaction of its own, so that nobody waits long."""
        for width, kept in KEPT_SECONDS.items():
            end = int(now) - kept
            while (oldest := await self._oldest(width)) is not None and oldest < end:
                until = min(end, oldest + _SLOTS_AT_ONCE * width)
                async with self._database.write() as connection:
                    await connection.execute(delete(usage).where(usage.c.width == width, usage.c.starts_at < until))
                await asyncio.sleep(_PAUSE)
        async with self._database.write() as connection:
            long_ago = int(now) - SERIES_KEPT_SECONDS
            await connection.execute(delete(usage_series).where(usage_series.c.seen_at < long_ago))
            ended = int(now) - WRITERS_KEPT_SECONDS
            await connection.execute(delete(usage_writers).where(usage_writers.c.at < ended))

    async def _oldest(self, width: int) -> int | None:
        async with self._database.read() as connection:
            found: int | None = (
                await connection.execute(select(func.min(usage.c.starts_at)).where(usage.c.width == width))
            ).scalar()
        return found

    def _remember(self, looked_up: Mapping[_Slot, _SeriesOfSlot]) -> None:
        """Once it is stored; what was rolled back is looked up again."""
        self._known.update(looked_up)
        while len(self._known) > _SLOTS_KNOWN:
            del self._known[min(self._known, key=lambda slot: slot[1] + slot[0])]

    async def _home(self, work: _Work, slot: _Slot, series: Series) -> bytes:
        """The id of the series that ``series`` is counted as in ``slot``: its own where there is room."""
        connection, looked_up, new = work
        series_id = id_of(series)
        if slot not in looked_up:
            if series_id in self._known.get(slot, ()):
                return series_id
            looked_up[slot] = await _series_of(connection, slot)
        members = looked_up[slot]
        for each in (series, series.without_words(), OTHERS):
            series_id = id_of(each)
            if series_id not in members and not members.has_room(each):
                continue
            if series_id not in members:
                members.add(series_id, each.key_id)
                new.append({"id": series_id, "seen_at": slot[1], **each._asdict()})
            break
        return series_id


def id_of(series: Series) -> bytes:
    """What names a series: a digest that nobody makes to order."""
    return hashlib.blake2b(orjson.dumps(tuple(series)), digest_size=16).digest()


def _order(counted: SeriesCount) -> tuple[Series, int]:
    return counted.series, counted.minute


async def _series_of(connection: AsyncConnection, slot: _Slot) -> _SeriesOfSlot:
    query = (
        select(usage_series.c.id, usage_series.c.key_id)
        .join(usage, usage.c.series == usage_series.c.id)
        .where(usage.c.width == slot[0], usage.c.starts_at == slot[1], usage.c.measure == REQUESTS)
    )
    found = _SeriesOfSlot(slot[0])
    for row in await connection.execute(query):
        found.add(bytes(row.id), row.key_id)
    return found


def _fit(series: Series) -> Series:
    """``series`` with texts that every database takes."""
    words: Any = {name: storable(value, NAME) for name, value in series._asdict().items() if isinstance(value, str)}
    return series._replace(**words)
