"""Request records are found by every filter, page by page, by id, and as they come; reading for a page is bounded."""

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.storage.rows import NOW, record
from tests.storage.test_records import EARLIER
from tieline.core.errors import NotReady
from tieline.ports.recordsearch import Condition, RecordFilter, RecordSearch
from tieline.ports.requests import AppWords, RecordStore, Used
from tieline.storage import recordindex, recordsearch
from tieline.storage.engine import Database
from tieline.storage.recordfiles import DayFiles
from tieline.storage.records import fit, open_records, open_search
from tieline.storage.recordsearch import DaySearch

DAY = 86_400
AT = NOW.timestamp()


@pytest.fixture
async def records(database: Database) -> AsyncIterator[RecordStore]:
    """The records of a database."""
    opened = open_records(database)
    yield opened
    await opened.close()


@pytest.fixture
async def search(database: Database) -> AsyncIterator[RecordSearch]:
    """The search in them."""
    opened = open_search(database)
    yield opened
    await opened.close()


class Days:
    """Day files in a folder, their search, and how many blocks were read of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = DayFiles(folder, fit)
        self.search = DaySearch(folder)


@pytest.fixture
async def days(tmp_path: Path) -> AsyncIterator[Days]:
    """No day yet."""
    made = Days(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    yield made
    await made.files.close()
    await made.search.close()


@pytest.fixture
def read_blocks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The first and last number of each block that is read."""
    found: list[tuple[int, int]] = []
    read = recordsearch._Search._read_block

    def counting(self: Any, entries: Any, kinds: Any, low: int, high: int) -> None:
        found.append((low, high))
        read(self, entries, kinds, low, high)

    monkeypatch.setattr(recordsearch._Search, "_read_block", counting)
    return found


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of four entries."""
    for module in (recordsearch, recordindex):
        monkeypatch.setattr(module, "BLOCK", 4)


def wanted(since: float | None = None, until: float | None = None, **values: Any) -> RecordFilter:
    """A filter; ``not_`` before a field negates it, several values are a tuple."""
    conditions = []
    for name, value in values.items():
        listed = value if isinstance(value, tuple) else (value,)
        conditions.append(Condition(name.removeprefix("not_"), listed, name.startswith("not_")))  # type: ignore[arg-type]
    return RecordFilter(tuple(conditions), since, until)


async def walk(search: RecordSearch, what: RecordFilter, limit: int = 3) -> list[str]:
    """The ids on all pages."""
    found: list[str] = []
    after: str | None = None
    for _ in range(1_000):
        page = await search.page(what, limit, after)
        assert len(page.items) <= limit
        found += [each.id for each in page.items]
        after = page.next
        if after is None:
            return found
    raise AssertionError


ODD = [
    record(at=AT, path="/a%20b", reason="50% off_now\\"),
    record(at=AT + 1, path="/a20b", status=404, code="unknown_api", api=None, app_id="app_2", key_id="key_2"),
    record(at=AT + 2, path="/Größe/[x]"),
    record(
        at=AT + 3,
        call="ask",
        status=429,
        code="rate_limited",
        used=Used("gpt-4.1-mini"),
        named=AppWords("Ann"),
        path="/z",
    ),
    record(at=AT + 4, status=599, used=Used("gpt-4*"), named=AppWords(None, "job:x"), path="/x/y"),
]


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ({}, [4, 3, 2, 1, 0]),
        ({"app_id": "app_2"}, [1]),
        ({"not_app_id": "app_2"}, [4, 3, 2, 0]),
        ({"key_id": ("key_1", "key_2")}, [4, 3, 2, 1, 0]),
        ({"not_key_id": "key_1"}, [1]),
        ({"api": "openai"}, [4, 3, 2, 0]),
        ({"not_api": "openai"}, [1]),
        ({"call": "ask"}, [3]),
        ({"not_call": "ask"}, [4, 2, 1, 0]),
        ({"status": "404"}, [1]),
        ({"status": ("4xx", "599")}, [4, 3, 1]),
        ({"not_status": "2xx"}, [4, 3, 1]),
        ({"code": "rate_limited", "api": "openai"}, [3]),
        ({"code": "rate_limited", "api": "other"}, []),
        ({"model": "gpt-4.1-mini"}, [3]),
        ({"model": "gpt-4*"}, [4, 3]),
        ({"model": "*mini"}, [3]),
        ({"not_model": "gpt*"}, [2, 1, 0]),
        ({"path": "/a%20b"}, [0]),
        ({"path": "/a*b"}, [1, 0]),
        ({"path": "*[x]"}, [2]),
        ({"path": "/G*ße*"}, [2]),
        ({"path": "/A*"}, []),
        ({"path": "/a_0b*"}, []),
        ({"not_path": "/*/*"}, [3, 1, 0]),
        ({"text": "50% OFF_now\\"}, [0]),
        ({"text": "%"}, [0]),
        ({"text": "_"}, [4, 3, 2, 1, 0]),  # every id has one
        ({"text": "größe"}, [2]),
        ({"text": "ann"}, [3]),
        ({"text": "JOB:"}, [4]),
        ({"not_text": ("/a", "ann")}, [4, 2]),
        ({"text": "'; DROP TABLE requests; --"}, []),
        ({"since": AT + 1, "until": AT + 3}, [2, 1]),
        ({"since": AT + 9}, []),
        ({"until": AT}, []),
    ],
)
async def test_a_filter_finds_what_fits(
    records: RecordStore, search: RecordSearch, what: dict[str, Any], found: Any
) -> None:
    """Exact values, classes, wildcards, texts with any character, and what is left out; newest first."""
    await records.add(ODD)
    assert await walk(search, wanted(**what)) == [ODD[place].id for place in found]


async def test_pages_show_each_record_once(records: RecordStore, search: RecordSearch) -> None:
    """Whatever the page's size, and where several ended at the same moment; what comes meanwhile is not among them."""
    rows = sorted((record(at=AT + number // 3) for number in range(20)), key=lambda row: (row.at, row.id))
    await records.add(rows)
    for limit in (1, 7, 200):
        first = await search.page(wanted(), limit, None)
        await records.add([record(at=AT + 100)])
        rest = await walk(search, wanted(until=AT + 50), limit)
        assert rest == [row.id for row in reversed(rows)]
        assert first.items


async def test_a_place_serves_every_filter(records: RecordStore, search: RecordSearch) -> None:
    """It lies between two records, whatever was filtered when it was given."""
    rows = [record(at=AT + number, status=200 + number % 2) for number in range(8)]
    await records.add(rows)
    page = await search.page(wanted(status="200"), 2, None)
    assert [each.id for each in page.items] == [rows[6].id, rows[4].id]
    after = await search.page(wanted(status="201"), 200, page.next)
    assert [each.id for each in after.items] == [rows[3].id, rows[1].id]


@pytest.mark.parametrize("place", ["", "x", "2026-11-30", "1.2.3", "2026-11-30.x", "-1.", "9" * 40, "'.1"])
async def test_what_is_no_place_is_refused(search: RecordSearch, place: str) -> None:
    """It is never put into a query or a path."""
    with pytest.raises(ValueError, match="no place"):
        await search.page(wanted(), 5, place)


async def test_a_record_is_found_whole_by_its_id(records: RecordStore, search: RecordSearch) -> None:
    """With everything that is known; no other text finds anything."""
    row = ODD[3]._replace(id=f"req_{int(AT * 1e6):014x}0123abcd")
    await records.add([*ODD, row])
    found = await search.find(row.id)
    assert found is not None
    assert found._replace(at=row.at) == row
    for other in (row.id[:-1] + "e", "req_", "", "x' OR 1=1", f"req_{2**56 - 1:014x}00000000"):
        assert await search.find(other) is None


async def test_who_follows_gets_what_comes_once(
    records: RecordStore, search: RecordSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, what fits, from all writers; nothing from before."""
    monkeypatch.setattr(time, "time", lambda: AT + 10)
    await records.add([record(at=AT)])
    place = await search.end()
    seen: list[str] = []
    rows = [record(at=AT + 20 + number, status=200 + number % 2) for number in range(9)]
    monkeypatch.setattr(time, "time", lambda: AT + 100)
    for batch in (rows[:5], rows[5:]):
        await records.add(batch)
        for _ in range(6):
            found, place = await search.follow(wanted(status="200"), place, 2)
            seen += [each.id for each in found]
    assert seen == [row.id for row in rows if row.status == 200]


# -- day files


async def test_days_are_read_newest_first(days: Days) -> None:
    """A record lies in the day in which its batch ended; one that is around midnight is found by its own time too."""
    for number in range(4):
        await days.files.add([record(at=number * DAY + 5.0, path=f"/{number}")])
    late = record(at=2 * DAY - 0.1, path="/late")
    await days.files.add([late, record(at=2 * DAY + 0.1, path="/next")])
    page = await days.search.page(wanted(), 200, None)
    assert [each.path for each in page.items] == ["/3", "/next", "/late", "/2", "/1", "/0"]
    page = await days.search.page(wanted(since=1 * DAY, until=2 * DAY), 200, None)
    assert [each.path for each in page.items] == ["/late", "/1"]


@pytest.mark.usefixtures("small_blocks")
async def test_the_index_leaves_out_what_cannot_fit(days: Days, read_blocks: list[tuple[int, int]]) -> None:
    """Of two hundred entries one fits each filter: one block of four is read."""
    rows = [record(at=1.0 + number, path=f"/{number}") for number in range(200)]
    rows[77] = rows[77]._replace(status=418, key_id="key_rare", app_id="app_rare", used=Used("rare"), call="rare")
    await days.files.add(rows)
    await days.search.prepare()
    for what in (
        wanted(status="418"),
        wanted(key_id="key_rare"),
        wanted(app_id="app_rare"),
        wanted(model="ra*"),
        wanted(call="rare"),
        wanted(since=78.0, until=78.5),
        wanted(not_call="x", key_id="key_rare", status="4xx"),
    ):
        read_blocks.clear()
        page = await days.search.page(what, 50, None)
        assert ([each.path for each in page.items], page.next) == (["/77"], None)
        assert read_blocks == [(77, 80)]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("indexed", [True, False])
async def test_a_page_reads_so_many_blocks_and_no_more(
    days: Days, read_blocks: list[tuple[int, int]], *, indexed: bool
) -> None:
    """However many entries there are, and however rare a text is: the page is short and the next one goes on."""
    sought = record(at=2.0, path="/sought")
    await days.files.add([sought, *[record(at=2.0 + number) for number in range(400)]])
    if indexed:
        await days.search.prepare()
    after, pages = None, 0
    while True:
        read_blocks.clear()
        page = await days.search.page(wanted(text="sought"), 50, after)
        assert len(read_blocks) < recordsearch.BLOCKS_MOST
        pages, after = pages + 1, page.next
        if page.items or after is None:
            break
    assert [each.id for each in page.items] == [sought.id]
    assert pages == -(-101 // (recordsearch.BLOCKS_MOST - 1))


@pytest.mark.usefixtures("small_blocks")
async def test_what_came_after_the_index_is_found(days: Days) -> None:
    """Blocks that it does not know are read, also the last one that was not whole."""
    await days.files.add([record(at=1.0) for _ in range(10)])
    await days.search.prepare()
    late = record(at=2.0, status=418)
    await days.files.add([late])
    assert [each.id for each in (await days.search.page(wanted(status="418"), 5, None)).items] == [late.id]
    await days.files.add([record(at=3.0) for _ in range(10)])
    await days.search.prepare()
    assert [each.id for each in (await days.search.page(wanted(status="418"), 5, None)).items] == [late.id]


@pytest.mark.usefixtures("small_blocks")
async def test_an_index_of_another_file_is_made_again(days: Days) -> None:
    """Somebody deleted the day, and it began anew under the same name; or the index is broken."""
    await days.files.add([record(at=1.0) for _ in range(12)])
    await days.search.prepare()
    (days.folder / "1970-01-01.db").unlink()
    rows = [record(at=1.0, status=418 if number == 5 else 200) for number in range(12)]
    await days.files.add(rows)
    for _ in range(2):
        page = await days.search.page(wanted(status="418"), 5, None)
        assert [each.id for each in page.items] == [rows[5].id]
        (days.folder / "1970-01-01.index").write_bytes(b"no database" * 1_000)
        await days.search.prepare()


async def test_the_index_goes_with_its_day(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a day that is forgotten stays; a page that goes on in it leads to the days that are left."""
    monkeypatch.setattr(recordsearch, "BLOCKS_MOST", 2)
    for day in range(3):
        await days.files.add([record(at=day * DAY + 1.0) for _ in range(4_100)])
    await days.search.prepare()
    page = await days.search.page(wanted(path="/none"), 5, None)
    assert page.next is not None
    assert page.next.startswith("1970-01-03")
    (days.folder / "1970-01-03.db").unlink()
    page = await days.search.page(wanted(), 5, page.next)
    assert [each.at for each in page.items[:1]] == [DAY + 1.0]
    await days.files.forget(2 * DAY)
    assert {path.name[:10] for path in days.folder.iterdir()} == {"1970-01-03"}
    await days.files.forget(9 * DAY)
    assert list(days.folder.iterdir()) == []


async def test_an_id_is_looked_for_where_it_can_be(days: Days) -> None:
    """A long stream ended a day after its id was made; without an index it is found too."""
    long = record(at=DAY + 5.0, id="req_000000000f424000000000")
    await days.files.add([record(at=DAY - 5.0) for _ in range(3)])
    await days.files.add([long, record(at=DAY + 6.0)])
    for _ in range(2):
        found = await days.search.find(long.id)
        assert found is not None
        assert found.id == long.id
        await days.search.prepare()


async def test_a_file_of_an_earlier_version_is_searched(days: Days) -> None:
    """Its columns are added, and the app of its entries counts."""
    with closing(sqlite3.connect(days.folder / "1970-01-01.db")) as old:
        old.executescript(EARLIER)
    for what in (wanted(), wanted(app_id="app_1"), wanted(api="openai", not_app_id="app_2")):
        assert [each.id for each in (await days.search.page(what, 5, None)).items] == ["req_old"]
    assert (await days.search.page(wanted(app_id="app_2"), 5, None)).items == []


async def test_a_writer_does_not_wait_for_a_search(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is being read holds no lock between two blocks, and another process may write."""
    await days.files.add([record(at=1.0) for _ in range(9_000)])
    written: list[bool] = []
    read = recordsearch._Search._read_block

    def writing(self: Any, *arguments: Any) -> None:
        with closing(sqlite3.connect(days.folder / "1970-01-01.db", timeout=0)) as other:
            other.execute("INSERT INTO entries (kind, id, at, path) VALUES (1, 'x', 1.0, '/')")
            other.commit()
        written.append(True)
        read(self, *arguments)

    monkeypatch.setattr(recordsearch._Search, "_read_block", writing)
    await days.search.page(wanted(path="/none"), 5, None)
    assert len(written) == 3


async def test_a_file_that_is_locked_for_long_is_not_ready(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks is told so, in words without a path."""
    monkeypatch.setattr(recordindex, "BUSY_SECONDS", 0.05)
    await days.files.add([record(at=1.0)])
    with closing(sqlite3.connect(days.folder / "1970-01-01.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(NotReady, match="cannot be read") as refused:
            await days.search.page(wanted(), 5, None)
    assert str(days.folder) not in refused.value.public


async def test_no_folder_is_no_records(tmp_path: Path) -> None:
    """Before the first request."""
    search = DaySearch(tmp_path / "none")
    page = await search.page(wanted(), 5, None)
    assert (list(page.items), page.next) == ([], None)
    assert await search.find("req_" + "0" * 22) is None
    found, place = await search.follow(wanted(), await search.end(), 5)
    assert found == []
    assert place
    await search.prepare()
    await search.close()
