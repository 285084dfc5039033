"""Drift: counted up by any number of workers, bounded, gone with its API."""

import asyncio
from dataclasses import replace

import pytest

from tests.storage.rows import NOW, OWNER, add_api, api, later
from tieline.audit.events import ApiRemoved
from tieline.ports.apis import ApiRow
from tieline.ports.drift import DriftRecord, DriftRow
from tieline.storage.drift import PLACES_MOST, SETTLING, add_drifts
from tieline.storage.engine import Database
from tieline.storage.store import SqlStore

THEN = later(60)
SEEN = DriftRecord("openai", "live", "ask", "choices[].message", "type", 2, "object", "text")


@pytest.fixture
async def openai(store: SqlStore) -> ApiRow:
    """An API that is there."""
    return await add_api(store, api())


async def told(store: SqlStore, api_id: str, call: str = "ask") -> list[DriftRow]:
    """What the control plane reads of a call."""
    async with store.read() as rx:
        return list(await rx.drift.of_call(api_id, call))


async def test_counts_add_up(store: SqlStore, database: Database, openai: ApiRow) -> None:
    """One row for each place; first and last time, and what was found last."""
    await add_drifts(database, [SEEN, replace(SEEN, kind="missing", count=1)], THEN)
    await add_drifts(database, [replace(SEEN, count=3, found="integer")], later(120))
    first, second = await told(store, openai.id)
    assert first == DriftRow("live", SEEN.path, "type", "object", "integer", 5, THEN, later(120))
    assert (second.kind, second.count) == ("missing", 1)


async def test_workers_at_once_lose_no_count(store: SqlStore, database: Database, openai: ApiRow) -> None:
    """Whoever is first makes the row, all add to it."""
    seen = [SEEN, replace(SEEN, path="a"), replace(SEEN, path="b", environment="development")]
    await asyncio.gather(*(add_drifts(database, seen[::order], THEN) for order in (1, -1, 1, -1, 1)))
    assert [row.count for row in await told(store, openai.id)] == [10, 10, 10]


async def test_places_are_bounded(store: SqlStore, database: Database, openai: ApiRow) -> None:
    """However many an upstream invents: what is known counts on, and another call has room of its own."""
    seen = [replace(SEEN, path=f"p{number:03}", kind="new", count=1) for number in range(PLACES_MOST + 50)]
    await add_drifts(database, seen, THEN)
    await add_drifts(database, [*seen[:1], replace(SEEN, call="other")], THEN)
    found = await told(store, openai.id)
    assert (len(found), found[0].path, found[0].count) == (PLACES_MOST, "p000", 2)
    assert len(await told(store, openai.id, "other")) == 1


async def test_what_was_counted_by_older_knowledge_is_dropped(
    store: SqlStore, database: Database, openai: ApiRow
) -> None:
    """A worker hears of a change a moment later than the store: what it tells meanwhile is of before."""
    await add_drifts(database, [SEEN], NOW + SETTLING / 2)
    assert await told(store, openai.id) == []
    await add_drifts(database, [SEEN], NOW + SETTLING)
    await add_drifts(database, [SEEN], NOW + SETTLING / 2)
    assert [row.count for row in await told(store, openai.id)] == [2]


async def test_odd_texts_do_not_lose_the_batch(store: SqlStore, database: Database, openai: ApiRow) -> None:
    """An event's name may hold what a database refuses, and be as long as it likes."""
    await add_drifts(database, [replace(SEEN, path="é\0" * 4_000), SEEN], THEN)
    assert sorted(len(row.path) for row in await told(store, openai.id)) == [17, 500]


async def test_drift_goes_with_its_api(store: SqlStore, database: Database, openai: ApiRow) -> None:
    """What a worker still counts of an API that is gone is passed over, and a later one of its name has none of it."""
    await add_drifts(database, [SEEN], THEN)
    async with store.write(OWNER) as tx:
        await tx.apis.remove(openai.id)
        await tx.audit.add(ApiRemoved(target=openai.id, name=openai.name))
    await add_drifts(database, [SEEN], THEN)
    again = await add_api(store, api())
    assert await told(store, openai.id) == await told(store, again.id) == []
