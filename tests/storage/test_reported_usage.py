"""Sums that gateways were reported to lose, double or rewrite, and what becomes of them here, on both engines."""

from itertools import pairwise
from typing import Any

import pytest

from tests.storage.rows import OWNER, api, app
from tests.storage.test_usage import NOON, SERIES, ask, batch, counted, told
from tests.unit.dataplane.test_usage_tally import ended
from tieline.audit.events import AppCreated
from tieline.core.errors import NotReady
from tieline.dataplane.records.usage import UsageTally
from tieline.ports.usage import DAY, QUARTER, UsageBatch
from tieline.storage.engine import Database
from tieline.storage.store import SqlStore
from tieline.storage.usage import SqlUsage


class Breaking:
    """A store's side whose answers get lost when they are told to, before or after the work was done."""

    def __init__(self, database: Database) -> None:
        self.usage = SqlUsage(database)
        self.before = self.after = False

    async def add_usage(self, sent: UsageBatch) -> None:
        if self.before:
            raise NotReady("The store is away.", retry_after=1)
        await self.usage.add(sent)
        if self.after:
            raise NotReady("The answer is lost.", retry_after=1)


async def counts(store: SqlStore) -> list[int]:
    """Requests of the day of 1970 that ``ended`` is of."""
    return [row.measures["requests"] for row in (await ask(store, edges=(0, DAY))).rows]


async def test_what_the_store_did_not_take_is_not_lost(store: SqlStore, database: Database) -> None:
    """BerriAI/litellm#35531 and #33872: queues were emptied before the commit, and what failed was gone."""
    source: Any = Breaking(database)
    tally = UsageTally(source)
    source.before = True
    for _ in range(3):
        tally.listener(ended())
        await tally.flush()
    source.before = False
    await tally.flush()
    await tally.flush()
    assert await counts(store) == [3]


async def test_what_arrived_unheard_is_not_counted_twice(store: SqlStore, database: Database) -> None:
    """aws-samples/sample-agentic-ai-acceleration-kr#79: a batch that was read again doubled the spend."""
    source: Any = Breaking(database)
    tally = UsageTally(source)
    source.after = True
    for _ in range(3):
        tally.listener(ended())
        await tally.flush()
    source.after = False
    await tally.flush()
    await tally.flush()
    assert await counts(store) == [3]


async def test_the_owner_of_a_removed_key_is_still_told(store: SqlStore, database: Database) -> None:
    """BerriAI/litellm#25710: with the key its team's name was gone from all that had been spent."""
    openai = api()
    blog = app("blog", openai)
    async with store.write(OWNER) as tx:
        await tx.apis.add(openai)
        await tx.apps.add(blog)
        await tx.audit.add(AppCreated(target=blog.id, name="blog", apis=("openai",)))
    await SqlUsage(database).add(batch(1, counted(5, series=SERIES._replace(app_id=blog.id))))
    async with store.write(OWNER) as tx:
        await tx.apps.remove(blog.id)
        await tx.audit.add(AppCreated(target=blog.id, name="blog", apis=()))
    assert told(await ask(store, "app", "key")) == [((blog.id, "blog", "key_1"), 5)]


@pytest.mark.parametrize("offset", [0, 5.5, -8])
async def test_days_one_by_one_are_as_much_as_all_together(store: SqlStore, database: Database, offset: float) -> None:
    """BerriAI/litellm#29568: days of a zone were widened, and their sum was half as much again as the whole."""
    hours = [counted(1, minute=NOON + 3_600 * hour) for hour in range(-80, 80)]
    await SqlUsage(database).add(batch(1, *hours))
    begins = NOON - NOON % DAY - int(offset * 3_600)
    days = tuple(begins + DAY * day for day in range(-2, 3))
    together = await ask(store, slot=QUARTER, edges=(days[0], days[-1]))
    one_by_one = [await ask(store, slot=QUARTER, edges=edges) for edges in pairwise(days)]
    assert sum(row.measures["requests"] for page in one_by_one for row in page.rows) == 96
    assert [row.measures["requests"] for row in together.rows] == [96]
