"""Opening a database, its transactions, and what a lost one is called."""

import asyncio
import sqlite3
import stat
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tieline.core.errors import NotReady, StorageError
from tieline.storage.engine import Database, open_database, wal_is_safe


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 49, 9), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
        ((4, 0, 0), True),
    ],
)
def test_wal_only_with_the_reset_fix(version: tuple[int, ...], safe: bool) -> None:
    """Write-ahead logging is used on exactly the versions that have the fix of its reset bug."""
    assert wal_is_safe(version) is safe


@pytest.mark.parametrize(
    "url",
    [
        "mysql://localhost/tieline",
        "tieline.db",
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file.db?mode=ro",
        "sqlite://host/file.db",
        "sqlite:///no/such/directory/tieline.db",
    ],
)
async def test_unusable_urls_are_refused(url: str) -> None:
    """A URL that names no database of ours is refused with one line that says what to write."""
    with pytest.raises(StorageError) as refused:
        await open_database(url)
    assert "\n" not in refused.value.public


async def test_an_unreachable_server_is_named_without_its_password(free_port: Callable[[], int]) -> None:
    """Where nothing listens, the error names host and database, and never the password."""
    with pytest.raises(StorageError) as refused:
        await open_database(f"postgresql://tieline:hunter2-hunter2@127.0.0.1:{free_port()}/tieline")
    assert "127.0.0.1/tieline" in refused.value.public
    assert "hunter2" not in refused.value.public + refused.value.detail


async def test_a_missing_postgresql_database_is_refused(postgres: str) -> None:
    """A server that has no such database is a refused start, not a crash."""
    with pytest.raises(StorageError, match="does not exist"):
        await open_database(postgres.rsplit("/", 1)[0] + "/tieline_no_such_database")


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Another program's file is named and left as it is."""
    path = tmp_path / "letter.txt"
    path.write_bytes(b"Dear Sir or Madam, " * 100)
    with pytest.raises(StorageError, match=r"letter\.txt"):
        await open_database(f"sqlite:///{path}")
    assert path.read_bytes().startswith(b"Dear Sir")


async def test_the_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    """A new database file can be read and written by nobody else."""
    database = await open_database(f"sqlite:///{tmp_path}/tieline.db")
    await database.close()
    assert stat.S_IMODE((tmp_path / "tieline.db").stat().st_mode) == 0o600


async def test_every_sqlite_connection_is_set_up(tmp_path: Path) -> None:
    """Full sync, foreign keys and the journal of this library's version hold on each pooled connection."""
    database = await open_database(f"sqlite:///{tmp_path}/tieline.db")
    journal = "wal" if wal_is_safe(sqlite3.sqlite_version_info) else "truncate"
    async with database.read() as first, database.read() as second:
        for connection in (first, second):
            found = [
                (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
                for name in ("synchronous", "foreign_keys", "journal_mode", "secure_delete")
            ]
            assert found == [2, 1, journal, 1]
    await database.close()


async def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    """What a block has written is gone when the block raises."""
    with pytest.raises(ZeroDivisionError):
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO changes (kind, ref, at) VALUES ('api', 'api_1', 0)"))
            raise ZeroDivisionError
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM changes"))).scalar() == 0


async def test_a_read_sees_one_state(database: Database) -> None:
    """A read does not see a write that comes meanwhile; without a write-ahead log the write waits for its end."""

    async def write() -> None:
        async with database.write() as writer:
            await writer.execute(text("INSERT INTO changes (kind, ref, at) VALUES ('api', 'api_1', 0)"))

    waits = database.kind == "sqlite" and not wal_is_safe(sqlite3.sqlite_version_info)
    count = text("SELECT count(*) FROM changes")
    async with database.read() as reader:
        assert (await reader.execute(count)).scalar() == 0
        writing = asyncio.create_task(write())
        await asyncio.wait([writing], timeout=0.3 if waits else None)
        assert writing.done() is not waits
        assert (await reader.execute(count)).scalar() == 0
    await writing
    async with database.read() as reader:
        assert (await reader.execute(count)).scalar() == 1


async def test_bounds_are_checked_by_the_database(database: Database) -> None:
    """A text longer than its column's bound is refused by the engine itself."""
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(
                text("INSERT INTO changes (kind, ref, at) VALUES ('api', :ref, 0)"), {"ref": "x" * 41}
            )


async def test_two_stores_that_read_then_write_never_deadlock(url: str, database: Database) -> None:
    """Writers that read before they write take turns, in one process and across two open databases."""
    other = await open_database(url)
    rounds = 15

    async def writer(store: Database) -> None:
        for _ in range(rounds):
            async with store.write() as connection:
                head = await connection.execute(
                    text("SELECT seq FROM audit_head FOR UPDATE" if pg else "SELECT seq FROM audit_head")
                )
                seen = head.scalar_one()
                await asyncio.sleep(0)
                await connection.execute(text("UPDATE audit_head SET seq = :next"), {"next": seen + 1})

    pg = database.kind == "postgresql"
    await asyncio.gather(*(writer(store) for store in (database, database, other, other)))
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT seq FROM audit_head"))).scalar() == 4 * rounds
    await other.close()


async def test_a_cancelled_writer_frees_its_place(database: Database) -> None:
    """Wherever in its block a writer is cut short, nothing of it is left and the next one can write."""
    insert = text("INSERT INTO changes (kind, ref, at) VALUES ('api', 'api_1', 0)")
    reached: asyncio.Queue[int] = asyncio.Queue()

    async def write() -> None:
        async with database.write() as connection:
            for number in range(50):
                reached.put_nowait(number)
                await connection.execute(insert)
            await asyncio.Event().wait()

    for last in (0, 1, 25, 49):
        task = asyncio.create_task(write())
        while await reached.get() < last:
            pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(30):
        async with database.write() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM changes"))).scalar() == 0


async def test_a_writer_that_is_cancelled_while_it_commits_leaves_all_or_nothing(database: Database) -> None:
    """A commit that nobody waited for may have taken place, but whole, and the next writer can write."""
    insert = text("INSERT INTO changes (kind, ref, at) VALUES ('api', 'api_1', 0)")
    leaves = asyncio.Event()

    async def write() -> None:
        async with database.write() as connection:
            for _ in range(50):
                await connection.execute(insert)
            leaves.set()

    task = asyncio.create_task(write())
    await leaves.wait()
    task.cancel()
    await asyncio.wait([task])
    async with asyncio.timeout(30):
        async with database.write() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM changes"))).scalar() in {0, 50}


async def test_another_process_holding_the_file_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite file that stays locked longer than the patience answers 'busy, try again'."""
    monkeypatch.setattr("tieline.storage.engine.BUSY_SECONDS", 0.05)
    database = await open_database(f"sqlite:///{tmp_path}/tieline.db")
    holder = sqlite3.connect(tmp_path / "tieline.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(NotReady, match="busy"):
        async with database.write():
            pass
    holder.execute("ROLLBACK")
    holder.close()
    async with database.write():
        pass
    await database.close()


async def test_waiting_writers_leave_connections_to_readers(tmp_path: Path) -> None:
    """However many writers wait for a locked SQLite file, a reader still finds a connection."""
    database = await open_database(f"sqlite:///{tmp_path}/tieline.db")
    holder = sqlite3.connect(tmp_path / "tieline.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    async def write() -> None:
        async with database.write():
            pass

    writers = [asyncio.create_task(write()) for _ in range(12)]
    await asyncio.sleep(0.05)
    async with asyncio.timeout(3):
        assert await database.reachable()
    holder.execute("ROLLBACK")
    holder.close()
    await asyncio.gather(*writers)
    await database.close()


async def test_connections_cut_by_postgresql_are_not_ready_then_well_again(postgres_url: str) -> None:
    """A connection cut in mid-transaction is 'not ready', and the next transaction works."""
    database = await open_database(postgres_url)
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(NotReady):
        async with database.read() as connection:
            killer = await asyncpg.connect(postgres_url)
            await killer.execute(cut)
            await killer.close()
            await connection.execute(text("SELECT 1"))
    assert await database.reachable()
    await database.close()


async def test_a_malformed_statement_stays_a_bug(database: Database) -> None:
    """Only what passes is called 'not ready': a statement that can never work is not."""
    with pytest.raises(Exception, match=r"no_such_table") as broken:
        async with database.read() as connection:
            await connection.execute(text("SELECT * FROM no_such_table"))
    assert not isinstance(broken.value, NotReady)


async def test_the_pool_has_an_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every connection is in use, one more reader waits its turn rather than opening another."""
    release, all_hold = asyncio.Event(), asyncio.Barrier(6)

    async def hold() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))
            await all_hold.wait()
            await release.wait()

    holders = [asyncio.create_task(hold()) for _ in range(5)]
    await all_hold.wait()
    waiting = asyncio.create_task(database.reachable())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    release.set()
    assert await waiting
    await asyncio.gather(*holders)


async def test_a_reader_who_finds_no_free_connection_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every connection stays in use beyond the patience, the answer is 'busy, try again'."""
    monkeypatch.setattr("tieline.storage.engine.BUSY_SECONDS", 0.05)
    database = await open_database(f"sqlite:///{tmp_path}/tieline.db")
    async with AsyncExitStack() as held:
        assert len([await held.enter_async_context(database.read()) for _ in range(5)]) == 5
        with pytest.raises(NotReady, match="busy"):
            async with database.read():
                pass
    await database.close()
