"""Usage on both engines: sums are whole whatever is sent twice or is too much, and what was counted stays as it was."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tieline.ports.usage import (
    DAY,
    KEPT_SECONDS,
    MINUTE,
    QUARTER,
    SERIES_MOST,
    Dimension,
    Series,
    SeriesCount,
    UsageBatch,
    UsageCondition,
    UsagePage,
    UsageWanted,
)
from tieline.storage.engine import Database
from tieline.storage.store import SqlStore
from tieline.storage.usage import SqlUsage

NOON = 1_795_000_000 // DAY * DAY + 12 * 3_600
SERIES = Series("live", "app_1", "blog", "key_1", "openai", "", "gpt-4.1", "", "nightly")


def batch(number: int, *counted: SeriesCount, writer: str = "use_1") -> UsageBatch:
    """A batch."""
    return UsageBatch(writer, number, counted)


def counted(
    requests: int = 1, measures: Mapping[str, int] = {}, *, minute: int = NOON, series: Series = SERIES
) -> SeriesCount:
    """So many requests of a series."""
    return SeriesCount(minute, series, {"requests": requests, **measures})


async def ask(store: SqlStore, *by: Dimension, slot: int = DAY, limit: int = 200, **more: Any) -> UsagePage:
    """All of the day, by something."""
    begins = NOON - NOON % DAY
    wanted = UsageWanted(slot, (begins, begins + DAY), by, (), limit)
    async with store.read() as rx:
        return await rx.usage.page(replace(wanted, **more))


def told(page: UsagePage) -> Sequence[tuple[tuple[str, ...], int]]:
    """What rows are of, and their requests."""
    return [(row.values, row.measures["requests"]) for row in page.rows]


async def test_what_is_added_is_in_each_length_of_slot(store: SqlStore, database: Database) -> None:
    """So a question reads slots of one length only."""
    usage = SqlUsage(database)
    await usage.add(batch(1, counted(2, {"q.input_tokens": 7}), counted(1, {"cost_nano": 5}, minute=NOON + 60)))
    await usage.add(batch(2, counted(4)))
    for slot in (MINUTE, QUARTER, DAY):
        (row,) = (await ask(store, slot=slot)).rows
        assert row.measures == {"requests": 7, "q.input_tokens": 7, "cost_nano": 5}


async def test_a_batch_that_comes_twice_counts_once(store: SqlStore, database: Database) -> None:
    """Whoever sent it may not know that it arrived; a later one and another writer's are others."""
    usage = SqlUsage(database)
    for each in (batch(1, counted()), batch(1, counted()), batch(2, counted()), batch(1, counted(), writer="use_2")):
        await usage.add(each)
    assert told(await ask(store)) == [((), 3)]


async def test_rows_are_added_up_by_what_is_asked(store: SqlStore, database: Database) -> None:
    """An app is its id and what it was called then: a new name is a row of its own."""
    usage = SqlUsage(database)
    other = SERIES._replace(app="journal", tag="")
    await usage.add(batch(1, counted(1), counted(2, series=other), counted(4, series=SERIES._replace(model="o3"))))
    assert told(await ask(store, "model")) == [(("gpt-4.1",), 3), (("o3",), 4)]
    assert told(await ask(store, "app")) == [(("app_1", "blog"), 5), (("app_1", "journal"), 2)]
    assert told(await ask(store, "tag")) == [(("",), 2), (("nightly",), 5)]
    condition = UsageCondition("model", ("gpt*",))
    assert told(await ask(store, "app", conditions=(condition,))) == [
        (("app_1", "blog"), 1),
        (("app_1", "journal"), 2),
    ]
    assert told(await ask(store, conditions=(UsageCondition("app", ("journal",)),))) == [((), 2)]


async def test_pages_go_on_where_they_ended(store: SqlStore, database: Database) -> None:
    """Each row once, in order, with all its measures."""
    series = [SERIES._replace(model=f"m{n % 3}", tag=f"t{n:02}") for n in range(20)]
    counts = [counted(1, {"errors": 1}, series=each, minute=NOON + n % 4 * 60) for n, each in enumerate(series)]
    await SqlUsage(database).add(batch(1, *counts))
    found: list[Any] = []
    after = None
    while True:
        edges = tuple(range(NOON, NOON + 300, 60))
        page = await ask(store, "model", "tag", slot=MINUTE, limit=3, edges=edges, after=after)
        found += [(row.place, row.measures) for row in page.rows]
        if not page.more:
            break
        after = page.rows[-1].place
    assert len({place for place, _ in found}) == len(found) == 20
    assert found == sorted(found, key=lambda each: each[0])
    assert all(measures == {"requests": 1, "errors": 1} for _, measures in found)


@pytest.mark.parametrize("after", [(), (0,), (0, 1, 0), (0, "x"), ("0", "x", 0)])
async def test_a_place_that_is_none_is_refused(store: SqlStore, after: tuple[Any, ...]) -> None:
    """It came from outside."""
    with pytest.raises(ValueError, match="no place"):
        await ask(store, "model", after=after)


async def test_too_many_series_lose_their_words_and_no_count(
    store: SqlStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First those of outsiders, and one key takes no more than half; then all. Named as such, and said."""
    for slot in SERIES_MOST:
        monkeypatch.setitem(SERIES_MOST, slot, 10)
    usage = SqlUsage(database)
    flood = [counted(1, series=SERIES._replace(tag=f"t{n}")) for n in range(40)]
    await usage.add(batch(1, *flood[:20]))
    await usage.add(batch(2, *flood[20:], counted(3, series=SERIES._replace(key_id="key_2", tag="mine"))))
    page = await ask(store, "key", "tag")
    assert sum(row.measures["requests"] for row in page.rows) == 43
    assert [(row.values, row.measures["requests"]) for row in page.rows if row.other] == [(("key_1", ""), 35)]
    assert (("key_2", "mine"), 3) in told(page)
    assert page.collapsed == 35
    assert [row.other for row in (await ask(store, "key")).rows] == [False, False]

    keys = [counted(1, series=SERIES._replace(key_id=f"key_{n}", tag="x")) for n in range(100, 140)]
    await SqlUsage(database).add(batch(1, *keys, writer="use_2"))
    page = await ask(store, "key")
    assert sum(row.measures["requests"] for row in page.rows) == 83
    assert [row.values for row in page.rows if row.other] == [("",)]
    assert len(page.rows) <= 21


async def test_what_was_named_differently_then_is_not_touched(store: SqlStore, database: Database) -> None:
    """Rows refer to nothing, so nothing that is removed takes them along."""
    await SqlUsage(database).add(batch(1, counted()))
    before = await ask(store, "app", "key", "api")
    async with database.write() as connection:
        for table in ("app_keys", "apps", "apis"):
            await connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608
    assert await ask(store, "app", "key", "api") == before


async def test_slots_go_when_their_term_is_over(store: SqlStore, database: Database) -> None:
    """Minutes first; a day stays for four hundred."""
    usage = SqlUsage(database)
    await usage.add(batch(1, counted(1), counted(1, minute=NOON - 3_600)))
    await usage.forget(NOON + KEPT_SECONDS[MINUTE])
    assert [told(await ask(store, slot=slot)) for slot in (MINUTE, QUARTER, DAY)] == [[((), 1)], [((), 2)], [((), 2)]]
    await usage.forget(NOON + KEPT_SECONDS[QUARTER] + 60)
    assert [told(await ask(store, slot=slot)) for slot in (MINUTE, QUARTER, DAY)] == [[], [], [((), 2)]]
    await usage.forget(NOON + KEPT_SECONDS[DAY] + 3 * DAY)
    async with database.read() as connection:
        for table in ("usage", "usage_series"):
            assert (await connection.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar() == 0  # noqa: S608


async def test_figures_beyond_all_sense_break_nothing(store: SqlStore, database: Database) -> None:
    """A hostile upstream says 10¹⁵ tokens again and again: sums stay exact up to their bound, and then stand still."""
    usage = SqlUsage(database)
    other = SERIES._replace(model="o3")
    for number in range(1, 8):
        tokens = {"q.input_tokens": 10**18}
        await usage.add(batch(number, counted(1, tokens), counted(1, tokens, series=other)))
    (row,) = (await ask(store)).rows
    assert row.measures == {"requests": 14, "q.input_tokens": 10 * 10**18}


async def test_words_that_a_database_refuses_are_mended(store: SqlStore, database: Database) -> None:
    """One odd word loses no batch."""
    odd = SERIES._replace(tag="a\0b\ud800", end_user="x" * 500)
    await SqlUsage(database).add(batch(1, counted(1, series=odd)))
    ((values, requests),) = told(await ask(store, "tag", "end_user"))
    assert (requests, values[0][0], len(values[1])) == (1, "a", 200)
