"""Request records: batches in, each once, odd texts and all; on SQLite in files of their own."""

import asyncio
import resource
import sqlite3
import stat
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.storage.rows import NOW, add_api, read_file, record, stored_records
from tieline.core.errors import NotReady
from tieline.ports.requests import AT_ONCE, NONE_USED, UNNAMED, AppWords, RecordStore, Sendings, Used
from tieline.storage import recordfiles
from tieline.storage.engine import Database
from tieline.storage.recordfiles import DayFiles
from tieline.storage.records import fit, open_records
from tieline.storage.store import SqlStore

DAY = 86_400
EARLIER = """
CREATE TABLE kinds (kind INTEGER PRIMARY KEY, api, environment, method, area, level, status, code, outcome, call);
CREATE TABLE entries (
    number INTEGER PRIMARY KEY, kind INTEGER,
    id, at, app_id, key_id, path, duration_ms, upstream_ms, bytes_in, bytes_out
);
CREATE VIEW requests AS SELECT number, id, at, api FROM entries JOIN kinds USING (kind);
INSERT INTO kinds VALUES (1, 'openai', 'live', 'GET', NULL, NULL, 200, NULL, 'complete', NULL);
INSERT INTO entries VALUES (1, 1, 'req_old', 5.0, 'app_1', 'key_1', '/models', 1.5, NULL, 0, 9);
"""


@pytest.fixture
async def records(database: Database) -> AsyncIterator[RecordStore]:
    """The records of a database."""
    opened = open_records(database)
    yield opened
    await opened.close()


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[DayFiles]:
    """A store of day files."""
    opened = DayFiles(tmp_path / "kept", fit)
    yield opened
    await opened.close()


async def test_a_record_is_kept_whole(database: Database, records: RecordStore) -> None:
    """Each field stands in its column."""
    row = record(status=404, code="unknown_api", outcome="refused", upstream_ms=None)
    await records.add([row])
    (found,) = await stored_records(database)
    assert found == row._asdict() | {"at": pytest.approx(row.at, abs=2e-6)}


async def test_what_few_requests_have_is_kept_too(database: Database, records: RecordStore) -> None:
    """What was used, what it cost, how a connection was opened, in whose name; and a reason in any script."""
    row = record(
        reason="No «such» model: 模型\n.",
        admission_ms=0.5,
        worker=3,
        cache="miss",
        used=Used(
            "gpt-4.1",
            "flex",
            {"input_tokens": 7, "output_tokens": 2**40},
            12_345,
            frozenset({"searches", "images"}),
            estimated=True,
            unread=frozenset({"usage.total"}),
        ),
        sending=Sendings(0.25, 3.5, 9.25, 2),
        named=AppWords("Ünï 😀", "team-a"),
    )
    await records.add([record(), row])
    found = {each["id"]: each for each in await stored_records(database)}
    assert found[row.id] == row._asdict() | {"at": pytest.approx(row.at, abs=2e-6)}


async def test_a_file_of_an_earlier_version_gets_its_columns(tmp_path: Path, files: DayFiles) -> None:
    """On the day of the upgrade: what it holds is read as before, what comes is kept whole."""
    (tmp_path / "kept").mkdir()
    with closing(sqlite3.connect(tmp_path / "kept" / "1970-01-01.db")) as old:
        old.executescript(EARLIER)
    new = record(at=6.0, named=AppWords(tag="new"), reason="No.")
    await files.add([new])
    found = read_file(tmp_path / "kept" / "1970-01-01.db")
    assert [
        (each["id"], each["app_id"], each["path"], each["named"], each["sending"], each["used"]) for each in found
    ] == [
        ("req_old", "app_1", "/models", UNNAMED, AT_ONCE, NONE_USED),
        (new.id, new.app_id, new.path, AppWords(tag="new"), AT_ONCE, NONE_USED),
    ]


async def test_a_large_batch_is_stored_in_one_go(database: Database, records: RecordStore) -> None:
    """More records than fit in one statement still go in one transaction, each whole."""
    rows = [record(status=200 + number % 300, path=f"/{number}") for number in range(1_203)]
    await records.add(rows)
    found = {row["id"]: (row["status"], row["path"]) for row in await stored_records(database)}
    assert found == {row.id: (row.status, row.path) for row in rows}


async def test_no_records_are_no_transaction(database: Database, records: RecordStore) -> None:
    """An idle worker's empty batch costs nothing."""
    await records.add([])
    assert await stored_records(database) == []


async def test_odd_texts_do_not_lose_the_batch(database: Database, records: RecordStore) -> None:
    """NUL, lone surrogates and endless paths are mended; the records beside them are kept."""
    odd = record(path="/a\0b\udcff" + "x" * 20_000, method="M" * 500, api="a" * 500)
    await records.add([record(), odd, record()])
    found = {row["id"]: row for row in await stored_records(database)}
    assert len(found) == 3
    path = str(found[odd.id]["path"])
    assert path.startswith("/a�b")
    assert len(path) == 8_192


async def test_old_records_are_forgotten(database: Database, records: RecordStore) -> None:
    """Records before the time given go, those of the day itself may stay for a day more, younger ones stay."""
    now = NOW.timestamp()
    old, young = [record(at=now - 3 * DAY) for _ in range(5)], record(at=now)
    await records.add(old)
    await records.add([young])
    await records.forget(now - DAY)
    assert [row["id"] for row in await stored_records(database)] == [young.id]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_a_batch_sent_twice_is_stored_once(database: Database, records: RecordStore) -> None:
    """A connection cut during the commit leaves open whether the batch arrived; it may be sent again."""
    rows = [record() for _ in range(3)]
    await records.add(rows)
    await records.add([*rows, record()])
    assert len(await stored_records(database)) == 4


async def test_each_day_has_a_private_file(tmp_path: Path, files: DayFiles) -> None:
    """AppWords by its day in UTC, readable by its owner only, in a folder that only the owner enters."""
    await files.add([record(at=0.0)])
    await files.add([record(at=DAY - 0.5)])
    await files.add([record(at=DAY + 0.5)])
    found = {path.name: len(read_file(path)) for path in (tmp_path / "kept").glob("*.db")}
    assert found == {"1970-01-01.db": 2, "1970-01-02.db": 1}
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "kept" / "1970-01-01.db").stat().st_mode) == 0o600


async def test_workers_share_a_days_file(tmp_path: Path, files: DayFiles) -> None:
    """What several stores append at once is all there."""
    others = [DayFiles(tmp_path / "kept", fit) for _ in range(3)]
    await asyncio.gather(*(each.add([record(at=1.0)] * 600) for each in [files, *others] for _ in range(3)))
    for each in others:
        await each.close()
    assert len(read_file(tmp_path / "kept" / "1970-01-01.db")) == 4 * 3 * 600


async def test_a_batch_that_cannot_be_saved_is_not_half_saved(tmp_path: Path, files: DayFiles) -> None:
    """It is refused with ``NotReady``, nothing of it is kept, and it can be sent again."""
    batch = [record(at=1.0) for _ in range(520)]
    await files.add([record(at=1.0)])
    with closing(sqlite3.connect(tmp_path / "kept" / "1970-01-01.db")) as other:
        refuse = "BEFORE INSERT ON kinds WHEN new.status = 599 BEGIN SELECT RAISE(ABORT, 'no'); END"
        other.execute(f"CREATE TRIGGER refuse {refuse}")
        other.commit()
    with pytest.raises(NotReady):
        await files.add([*batch, record(at=1.0, status=599)])
    await files.add(batch)
    assert len(read_file(tmp_path / "kept" / "1970-01-01.db")) == 521


async def test_a_broken_file_is_set_aside(tmp_path: Path, files: DayFiles) -> None:
    """The batch is refused once, then a new file takes it; the broken one stays to be looked at."""
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "1970-01-01.db").write_bytes(b"no database" * 1000)
    with pytest.raises(NotReady, match="could not be saved"):
        await files.add([record(at=1.0)])
    await files.add([record(at=1.0)])
    assert len(read_file(folder / "1970-01-01.db")) == 1
    assert (folder / "1970-01-01.broken").exists()


async def test_a_file_that_somebody_deleted_is_made_again(tmp_path: Path, files: DayFiles) -> None:
    """Records do not go on into a file that has no name any more."""
    await files.add([record(at=1.0)])
    (tmp_path / "kept" / "1970-01-01.db").unlink()
    await files.add([record(at=1.0)])
    assert len(read_file(tmp_path / "kept" / "1970-01-01.db")) == 1


async def test_kinds_beyond_what_is_remembered_are_written_again(
    tmp_path: Path, files: DayFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many kinds of requests there are, memory is bounded and each record reads as it was."""
    monkeypatch.setattr(recordfiles, "_KINDS_MOST", 3)
    rows = [record(at=1.0, call=f"call_{number % 5}") for number in range(40)]
    await files.add(rows)
    assert len(files._kinds) <= 3
    assert [row["call"] for row in read_file(tmp_path / "kept" / "1970-01-01.db")] == [row.call for row in rows]


async def test_a_file_without_its_tables_gets_them(tmp_path: Path, files: DayFiles) -> None:
    """The disk was full when the day began: the file was made and nothing in it. Then there is room."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit[1]))
    try:
        with pytest.raises(NotReady, match="disk has room"):
            await files.add([record(at=1.0)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    await files.add([record(at=1.0)])
    assert len(read_file(tmp_path / "kept" / "1970-01-01.db")) == 1


async def test_a_file_that_another_program_locks_holds_up_nothing_else(
    database: Database, store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever copies a day's file meanwhile: the batch is refused and can be sent again; operators write as before."""
    monkeypatch.setattr(recordfiles, "BUSY_SECONDS", 0.05)
    records = DayFiles(tmp_path / "kept", fit)
    await records.add([record(at=1.0)])
    path = tmp_path / "kept" / "1970-01-01.db"
    batch = [record(at=1.0) for _ in range(3)]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(2):
            with pytest.raises(NotReady):
                await records.add(batch)
        await add_api(store)
    await records.add(batch)
    await records.close()
    assert len(read_file(path)) == 4


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Australia/Sydney", "America/Los_Angeles"])
async def test_days_are_those_of_utc_wherever_the_machine_is(
    tmp_path: Path, files: DayFiles, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    """No change of a clock for summer moves a record, and what is deleted is no day too much."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for day in range(3):
            await files.add([record(at=day * DAY + 1.0)])
            await files.add([record(at=(day + 1) * DAY - 1.0)])
        await files.forget(1 * DAY)
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    found = {path.name: len(read_file(path)) for path in (tmp_path / "kept").glob("*.db")}
    assert found == {"1970-01-02.db": 2, "1970-01-03.db": 2}


async def test_what_is_not_ours_is_not_deleted(tmp_path: Path, files: DayFiles) -> None:
    """An operator's copies may lie beside the files; a broken file goes with its day."""
    folder = tmp_path / "kept"
    folder.mkdir()
    theirs = {"1970-01-01.db.gz", "1970-01-01.tar", "notes.db", "1970-01-0a.db"}
    for name in (*theirs, "1970-01-01.db", "1970-01-01.db-journal", "1970-01-01.broken"):
        (folder / name).touch()
    await files.forget(400 * DAY)
    assert {path.name for path in folder.iterdir()} == theirs
