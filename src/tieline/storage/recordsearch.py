"""``ports.recordsearch.RecordSearch`` for each engine.

On SQLite it reads day by day, newest first, block by block: which blocks need no reading is known from a sparse index
(``recordindex``), and a page reads ``BLOCKS_MOST`` blocks at most. Each statement reads one block, so that writers,
who wait for readers of a rollback journal, wait for some milliseconds. Days and the numbers in them are places: what is
deleted meanwhile is passed over.
"""

import asyncio
import logging
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from tieline.core.errors import NotReady
from tieline.core.pages import Page
from tieline.ports.recordsearch import Followed, RecordFilter
from tieline.ports.requests import RequestRecord
from tieline.storage.recordfiles import bring_up
from tieline.storage.recordfilter import SQLITE, both, kinds_where, times, where
from tieline.storage.recordindex import BLOCK, DayIndex, extend, open_day
from tieline.storage.recordrows import SELECTED, record_of

log = logging.getLogger("tieline.storage.recordsearch")

BLOCKS_MOST: Final = 10
"""Blocks that one page reads; a day that is looked into counts as one."""
WINDOW: Final = 512
"""Blocks about which the index is asked at once."""
KINDS_MOST: Final = 2_000
"""Kinds that are looked for by number; where more fit, nearly every block has one of them."""
KINDS_READ_MOST: Final = 50_000
"""Kinds of a day that are read for one page; where there are more, its entries are read instead."""
UNKNOWN_MOST: Final = 16
"""Whole blocks that a search may meet unindexed before the index is extended for the next one."""
_DAY_FILE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\.db")
_PLACE: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.([0-9]{1,18})")
_REQUEST_ID: Final = re.compile(r"req_([0-9a-f]{14})[0-9a-f]{8}")
_ROWS: Final = f"SELECT number, {SELECTED} FROM entries CROSS JOIN kinds USING (kind) WHERE number BETWEEN ? AND ?"  # noqa: S608

_BEHIND: Final = 10**17
"""A number behind all entries of a day."""

Result = TypeVar("Result")


class DayPlace(NamedTuple):
    """Before the entry ``number`` of the file of ``day``, None for behind its last."""

    day: str
    number: int | None

    @classmethod
    def read(cls, text: str) -> "DayPlace":
        """The place that ``text`` names. Raises ValueError."""
        match = _PLACE.fullmatch(text)
        if match is None:
            msg = "no place between two records"
            raise ValueError(msg)
        return cls(match[1], int(match[2]))


class DaySearch:
    """Searches the day files of ``folder``, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="record-search")
        self._builder = ThreadPoolExecutor(1, thread_name_prefix="record-index")
        self._building: asyncio.Future[None] | None = None

    async def page(self, wanted: RecordFilter, limit: int, after: str | None) -> Page[RequestRecord]:
        place = DayPlace.read(after) if after is not None else None
        search = _Search(self._folder, wanted, limit)
        found = await self._in_thread(search.run, place)
        if search.unknown > UNKNOWN_MOST:
            _ = self._build_soon()
        return found

    async def find(self, request_id: str) -> RequestRecord | None:
        match = _REQUEST_ID.fullmatch(request_id)
        if match is None:
            return None
        began = datetime.fromtimestamp(min(int(match[1], 16) / 1e6, 2**37), UTC).date().isoformat()
        return await self._in_thread(self._find, request_id, began)

    async def end(self) -> str:
        return await self._in_thread(self._end)

    async def follow(self, wanted: RecordFilter, place: str, limit: int) -> Followed:
        return await self._in_thread(self._follow, wanted, DayPlace.read(place), limit)

    async def prepare(self) -> None:
        """Extend the index of every day, today's too: its entries so far."""
        await asyncio.shield(self._build_soon())

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._builder.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except (sqlite3.DatabaseError, OSError) as error:
            msg = "Request records cannot be read: check the data directory, then try again."
            raise NotReady(msg, detail=str(error), retry_after=1.0) from error

    def _build_soon(self) -> asyncio.Future[None]:
        if self._building is None or self._building.done():
            self._building = asyncio.get_running_loop().run_in_executor(self._builder, self._build)
        return self._building

    # -- what follows runs in a thread

    def _build(self) -> None:
        for day in _days(self._folder):
            try:
                while extend(self._folder / f"{day}.db", 1):
                    pass
            except FileNotFoundError:
                continue  # deleted meanwhile
            except (sqlite3.DatabaseError, OSError) as error:
                log.warning("the index of the request records of %s could not be made: %s", day, error)

    def _find(self, request_id: str, began: str) -> RequestRecord | None:
        for day in reversed(_days(self._folder)):
            if day < began:
                continue
            with _opened(self._folder / f"{day}.db") as (entries, index):
                if entries is None:
                    continue
                last = _last(entries)
                known = index.with_id(request_id) if index.known else set()
                for block in sorted({*known, *range(index.known, _blocks(last))}):
                    bounds = (block * BLOCK + 1, (block + 1) * BLOCK)
                    row = entries.execute(f"{_ROWS} AND id = ?", (*bounds, request_id)).fetchone()
                    if row is not None:
                        return record_of(row)
        return None

    def _end(self) -> str:
        for day in _days(self._folder):
            with _opened(self._folder / f"{day}.db") as (entries, _):
                if entries is not None:
                    return f"{day}.{_last(entries)}"
        return f"{datetime.now(UTC).date() - timedelta(days=1)}.0"

    def _follow(self, wanted: RecordFilter, place: DayPlace, limit: int) -> Followed:
        fits = both(where(wanted.conditions, SQLITE), times(wanted, 1))
        at = f"{place.day}.{place.number or 0}"
        for day in reversed(_days(self._folder)):
            if day < place.day:
                continue
            first = (place.number or 0) + 1 if day == place.day else 1
            with _opened(self._folder / f"{day}.db") as (entries, _):
                if entries is None:
                    continue
                last = min(_last(entries), first + 2 * BLOCK - 1)
                if last < first:
                    continue
                query = f"{_ROWS} AND {fits.text} ORDER BY number LIMIT ?"
                rows = entries.execute(query, (first, last, *fits.values, limit)).fetchall()
                at = f"{day}.{rows[-1]['number'] if len(rows) == limit else last}"
                return Followed([record_of(row) for row in rows], at)
        return Followed([], at)


class _Search:
    """One page. ``unknown`` counts the whole blocks that were met without an index."""

    def __init__(self, folder: Path, wanted: RecordFilter, limit: int) -> None:
        self.unknown = 0
        self._folder = folder
        self._wanted = wanted
        self._limit = limit
        self._left = BLOCKS_MOST
        self._found: list[RequestRecord] = []
        self._lowest = 0
        self._fits = both(where(wanted.conditions, SQLITE), times(wanted, 1))
        self._kinds = kinds_where(wanted.conditions)
        keys = [each.values for each in wanted.conditions if each.field == "key_id" and not each.negated]
        self._keys = keys[0] if keys else None

    def run(self, place: DayPlace | None) -> Page[RequestRecord]:
        for day in _days(self._folder):
            if (place is not None and day > place.day) or not self._may_have(day):
                continue
            before = place.number if place is not None and place.day == day else None
            if not self._left:
                return Page(self._found, f"{day}.{before or _BEHIND}")
            stopped = self._read_day(day, before)
            if stopped is not None:
                return Page(self._found, f"{day}.{stopped}")
        return Page(self._found, None)

    def _may_have(self, day: str) -> bool:
        """A record lies in the file of the day when it was saved: its own, or the next one's around midnight."""
        wanted = self._wanted
        if wanted.since is not None and day < _date(wanted.since):
            return False
        return wanted.until is None or day <= _date(wanted.until + 86_400)

    def _read_day(self, day: str, before: int | None) -> int | None:
        """Read on in a day; the number before which a later page goes on, None where the day is read to its end."""
        with _opened(self._folder / f"{day}.db") as (entries, index):
            self._left -= 1
            if entries is None:
                return None
            last = _last(entries)
            if before is not None:
                last = min(last, before - 1)
            kinds = self._kinds_of(entries)
            for block in self._candidates(index, kinds, _blocks(last)):
                high = min(last, (block + 1) * BLOCK)
                if not self._left:
                    return high + 1
                self._left -= 1
                self._read_block(entries, kinds, block * BLOCK + 1, high)
                if len(self._found) >= self._limit:
                    return self._lowest
        return None

    def _read_block(self, entries: sqlite3.Connection, kinds: Sequence[int] | None, low: int, high: int) -> None:
        listed = "" if kinds is None else f" AND kind IN ({', '.join(map(str, kinds)) or 'NULL'})"
        query = f"{_ROWS}{listed} AND {self._fits.text} ORDER BY number DESC LIMIT ?"
        values = (low, high, *self._fits.values, self._limit - len(self._found))
        for row in entries.execute(query, values).fetchall():
            self._found.append(record_of(row))
            self._lowest = row["number"]

    def _kinds_of(self, entries: sqlite3.Connection) -> list[int] | None:
        """The kinds that may fit; None where any may, or they are too many to be looked for one by one."""
        if self._kinds is None or (entries.execute("SELECT max(kind) FROM kinds").fetchone()[0] or 0) > KINDS_READ_MOST:
            return None
        query = f"SELECT kind FROM kinds WHERE {self._kinds.text} LIMIT ?"  # noqa: S608  our own words
        found = [kind for (kind,) in entries.execute(query, (*self._kinds.values, KINDS_MOST + 1))]
        return found if len(found) <= KINDS_MOST else None

    def _candidates(self, index: DayIndex, kinds: Sequence[int] | None, blocks: int) -> Iterator[int]:
        """The blocks that are to be read, the last of ``blocks`` first."""
        for block in range(blocks - 1, index.known - 1, -1):
            self.unknown += 1
            yield block
        high = min(blocks, index.known) - 1
        while high >= 0:
            low = max(0, high - WINDOW + 1)
            yield from sorted(self._indexed(index, kinds, low, high), reverse=True)
            high = low - 1

    def _indexed(self, index: DayIndex, kinds: Sequence[int] | None, low: int, high: int) -> set[int]:
        wanted = self._wanted
        found = set(range(low, high + 1))
        if wanted.since is not None or wanted.until is not None:
            found &= index.with_times(wanted.since, wanted.until, low, high)
        if kinds is not None:
            found &= index.with_kinds(kinds, low, high)
        if self._keys is not None:
            found &= index.with_keys(self._keys, low, high)
        return found


@contextmanager
def _opened(path: Path) -> Iterator[tuple[sqlite3.Connection | None, DayIndex]]:
    """A day's file and its index; None for the file where it was deleted, or has no tables yet."""
    try:
        entries = open_day(path)
    except sqlite3.OperationalError:
        if path.exists():
            raise
        yield None, DayIndex(path, None)
        return
    with closing(entries):
        bring_up(entries)
        with closing(DayIndex(path, entries)) as index:
            yield entries, index


def _days(folder: Path) -> list[str]:
    """The days that have a file, newest first."""
    return sorted((path.stem for path in folder.glob("*.db") if _DAY_FILE.fullmatch(path.name)), reverse=True)


def _last(entries: sqlite3.Connection) -> int:
    return entries.execute("SELECT max(number) FROM entries").fetchone()[0] or 0


def _blocks(last: int) -> int:
    """How many blocks the entries up to ``last`` are in."""
    return -(-last // BLOCK)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
