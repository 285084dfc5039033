"""Request records: batches in, each once, odd texts and all."""

from sqlalchemy import select

from tests.storage.rows import NOW, record
from tieline.storage.engine import Database
from tieline.storage.records import add_records, forget_records
from tieline.storage.schema import requests


async def stored(database: Database) -> list[dict[str, object]]:
    """Every record in the table."""
    async with database.read() as connection:
        return [dict(row) for row in (await connection.execute(select(requests))).mappings()]


async def test_a_record_is_kept_whole(database: Database) -> None:
    """Each field stands in its column; the time in whole microseconds."""
    row = record(status=404, code="unknown_api", outcome="refused", upstream_ms=None)
    await add_records(database, [row])
    (found,) = await stored(database)
    assert found == row._asdict() | {"at": int(row.at * 1_000_000)}


async def test_a_batch_sent_twice_is_stored_once(database: Database) -> None:
    """A worker that does not know whether its batch arrived may send it again."""
    rows = [record() for _ in range(3)]
    await add_records(database, rows)
    await add_records(database, [*rows, record()])
    assert len(await stored(database)) == 4


async def test_a_large_batch_is_stored_in_one_go(database: Database) -> None:
    """More records than fit in one statement still go in one transaction, each whole."""
    rows = [record(status=200 + number % 300, path=f"/{number}") for number in range(1_203)]
    await add_records(database, rows)
    found = {str(row["id"]): (row["status"], row["path"]) for row in await stored(database)}
    assert found == {row.id: (row.status, row.path) for row in rows}


async def test_no_records_are_no_transaction(database: Database) -> None:
    """An idle worker's empty batch costs nothing."""
    await add_records(database, [])
    assert await stored(database) == []


async def test_odd_texts_do_not_lose_the_batch(database: Database) -> None:
    """NUL, lone surrogates and endless paths are mended; the records beside them are kept."""
    odd = record(path="/a\0b\udcff" + "x" * 20_000, method="M" * 500, api="a" * 500)
    await add_records(database, [record(), odd, record()])
    found = {str(row["id"]): row for row in await stored(database)}
    assert len(found) == 3
    path = str(found[odd.id]["path"])
    assert path.startswith("/a�b")
    assert len(path) == 8_192


async def test_old_records_are_forgotten_a_bounded_number_at_a_time(database: Database) -> None:
    """Only records before the time given go, and at most as many as asked for."""
    now = NOW.timestamp()
    await add_records(database, [record(at=now - 10 - number) for number in range(5)] + [record(at=now)])
    assert await forget_records(database, now, most=3) == 3
    assert await forget_records(database, now) == 2
    assert await forget_records(database, now) == 0
    assert len(await stored(database)) == 1
