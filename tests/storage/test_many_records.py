"""Ten million records: the first page of any filter is quick, and a day goes without stopping writers."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.storage.rows import record
from tests.storage.test_record_search import wanted
from tieline.ports.requests import RequestRecord, Used
from tieline.storage.recordfiles import DayFiles
from tieline.storage.records import fit
from tieline.storage.recordsearch import DaySearch

DAY = 86_400
BATCH = 20_000
REPEAT = """
INSERT INTO entries (kind, id, at, key_id, path, duration_ms, upstream_ms, bytes_in, bytes_out, admission_ms, details)
SELECT kind, printf('req_%014x00000000', :first + number), at + :seconds, key_id,
       '/things/' || ((:first + number) * 31 % 100000),
       duration_ms, upstream_ms, bytes_in, bytes_out, admission_ms, details
FROM entries WHERE number <= min(:batch, :left)
"""
MODELS = tuple(Used(f"model-{number}", None, {"input_tokens": 10}, 5) for number in range(40))

FILTERS: dict[str, Any] = {
    "nothing": {},
    "a frequent status": {"status": "200"},
    "a class of status": {"status": "4xx"},
    "a rare status": {"status": "418"},
    "no such status": {"status": "508"},
    "a key": {"key_id": "key_77"},
    "no such key": {"key_id": "key_none"},
    "a rare key": {"key_id": "key_rare"},
    "an app": {"app_id": "app_7"},
    "an API": {"api": "api_3"},
    "a call": {"call": "call_2"},
    "a code": {"code": "rate_limited"},
    "a model": {"model": "model-7"},
    "models": {"model": "model-1*"},
    "a path": {"path": "/things/12345"},
    "paths": {"path": "*/999*"},
    "a text": {"text": "THINGS/4711"},
    "no such text": {"text": "nowhere to be found"},
    "all but": {"not_status": "2xx", "not_app_id": "app_1", "not_model": "model-1*"},
    "an hour": {"since": DAY + 3_600.0, "until": DAY + 7_200.0},
    "two of them": {"status": "5xx", "api": "api_9", "key_id": "key_5"},
}


def rows(count: int, day: int) -> Iterator[RequestRecord]:
    """``count`` records of a day, of which every fifth was metered."""
    plain = record()
    for number in range(1, count + 1):
        yield plain._replace(
            id=f"req_{number:014x}00000000",
            at=day * DAY + number / 1_000,
            app_id=f"app_{number % 50}",
            key_id=f"key_{number * 7 % 5_000}",
            api=f"api_{number % 11}",
            path=f"/things/{number * 31 % 100_000}",
            status=(200, 200, 200, 200, 404, 429, 500)[number % 7],
            code="rate_limited" if number % 7 == 5 else None,
            call=f"call_{number % 5}" if number % 3 == 0 else None,
            used=MODELS[number // 5 % 40] if number % 5 == 0 else plain.used,
        )


async def fill(folder: Path, day: int, count: int) -> float:
    """Save a batch as workers do, and have SQLite repeat it with other ids, times and paths until there are ``count``.

    One in a million is of a rare key, and one of a rare status. Returns the microseconds that saving took, each.
    """
    files = DayFiles(folder, fit)
    batch = list(rows(BATCH, day))
    began = time.process_time()
    await files.add(batch)
    took = (time.process_time() - began) / BATCH * 1e6
    await files.close()
    with closing(sqlite3.connect(folder / f"1970-01-0{day + 1}.db")) as file:
        file.execute("INSERT INTO kinds (app_id, method, status, outcome) VALUES ('app_1', 'GET', 418, 'complete')")
        rare = file.execute("SELECT max(kind) FROM kinds").fetchone()[0]
        for first in range(BATCH, count, BATCH):
            file.execute(REPEAT, {"first": first, "seconds": first / 1_000, "batch": BATCH, "left": count - first})
            file.commit()
        file.execute("UPDATE entries SET key_id = 'key_rare' WHERE number % 1000000 = 50000")
        file.execute("UPDATE entries SET kind = ? WHERE number % 1000000 = 50007", (rare,))
        file.commit()
    return took


@pytest.mark.timeout(3_600)
async def test_ten_million_records_are_searched_quickly(tmp_path: Path, soak: bool) -> None:
    """Soak: 10,000,000 in three days; else 100,000. Each first page reads so many blocks at most, whatever is asked."""
    total = 10_000_000 if soak else 100_000
    folder = tmp_path / "kept"
    files, search = DayFiles(folder, fit), DaySearch(folder)
    parts = (total // 10, total * 8 // 10, total // 10)
    saving = [await fill(folder, day, count) for day, count in enumerate(parts)]
    took = {"saving a record, µs of CPU": min(saving)}
    began = time.perf_counter()
    await search.prepare()
    took["indexing, s"] = time.perf_counter() - began
    for title, what in FILTERS.items():
        times = []
        for _ in range(3):
            began = time.perf_counter()
            page = await search.page(wanted(**what), 50, None)
            times.append((time.perf_counter() - began) * 1_000)
        took[f"{title}: first page, ms ({len(page.items)} items{'' if page.next else ', the end'})"] = min(times)
    began = time.perf_counter()
    assert await search.find(f"req_{total // 2:014x}00000000") is not None
    took["one by its id, ms"] = (time.perf_counter() - began) * 1_000
    waits = await forget_while_writing(files)
    took["dropping a day, s"], took["the longest batch meanwhile, s"] = waits
    took["bytes a record"] = sum(path.stat().st_size for path in folder.iterdir()) / (total - parts[0])
    for title, figure in took.items():
        print(f"{figure:12.3f}  {title}")  # noqa: T201  what a soak is run for
    if soak:
        slow = {title: figure for title, figure in took.items() if "first page" in title and figure > 100}
        assert slow == {}
        assert took["dropping a day, s"] < 1
    await files.close()
    await search.close()


async def forget_while_writing(files: DayFiles) -> tuple[float, float]:
    """Seconds that dropping the oldest day took, and the longest that a batch of another worker took meanwhile."""
    other = DayFiles(files._folder, fit)
    waits: list[float] = []

    async def write() -> None:
        while True:
            began = time.perf_counter()
            await other.add([record(at=2 * DAY + 1.0) for _ in range(100)])
            waits.append(time.perf_counter() - began)
            await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    await files.forget(1 * DAY)
    took = time.perf_counter() - began
    await asyncio.sleep(0.1)
    writing.cancel()
    await asyncio.wait([writing])
    await other.close()
    return took, max(waits)
