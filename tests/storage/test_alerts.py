"""Thresholds of budgets and the outbox, on both engines: told once, whoever passes them; sent by one, whoever dies."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.storage.rows import NOW, OWNER
from tieline.access.budgets import NANO
from tieline.audit.events import BudgetChanged, BudgetCreated, WebhookCreated
from tieline.core.clock import rfc3339
from tieline.core.pages import PageRequest
from tieline.ports.budgets import BudgetRow, LeaseKey, Settled, WindowKey
from tieline.ports.webhooks import DeliveryRow, EventRow, Outcome, WebhookRow
from tieline.storage import outbox as outbox_module
from tieline.storage.engine import Database
from tieline.storage.ledger import SqlLedger
from tieline.storage.outbox import SqlOutbox
from tieline.storage.schema import webhook_deliveries
from tieline.storage.store import SqlStore

TERMS = {"applies_to": {"each": "key"}, "period": "total", "alerts": [50, 80, 85, 100]}
BUDGET = BudgetRow("bud_1", "ten", 10 * NANO, "usd", TERMS, NOW, "tests")
HOOK = WebhookRow("wh_1", "ops", "https://hooks.example.com", ("budget.threshold",), "active", NOW, "tests")


@pytest.fixture
async def ledger(store: SqlStore, database: Database) -> SqlLedger:
    """A ledger with one budget of ten dollars and four thresholds, each key's own."""
    async with store.write(OWNER) as tx:
        assert await tx.budgets.add(BUDGET)
        await tx.audit.add(BudgetCreated(target="bud_1", name="ten", amount={}, terms=TERMS))
    return SqlLedger(database)


@pytest.fixture
async def outbox(database: Database, store: SqlStore) -> SqlOutbox:
    """An outbox with one webhook."""
    async with store.write(OWNER) as tx:
        assert await tx.webhooks.add(HOOK)
        await tx.audit.add(WebhookCreated(target="wh_1", name="ops", origin="", events=()))
    return SqlOutbox(database)


async def spend(ledger: SqlLedger, cents: int, *, subject: str = "", node: str = "n1", days: int = 0) -> None:
    """A node of its own spends so much of a window."""
    window = WindowKey("bud_1", subject, NOW + timedelta(days=days), None)
    lease = await ledger.lease(Settled(LeaseKey(window, node, "b1", 0), 0, 0), 1)
    assert lease is not None
    await ledger.settle([Settled(LeaseKey(window, node, "b1", lease.number), cents * NANO // 100, 0)])


async def told(outbox: SqlOutbox) -> list[tuple[Any, int]]:
    """Whose window, and which threshold, of the events since."""
    return [(event.data["subject"], event.data["threshold"]) for event, _ in await outbox.take(100)]


async def change(store: SqlStore, row: BudgetRow) -> None:
    """An operator changes the budget."""
    async with store.write(OWNER) as tx:
        assert await tx.budgets.replace(row)
        await tx.audit.add(BudgetChanged(target="bud_1", name="ten", amount={}, terms={}))


async def test_a_threshold_is_told_when_it_is_reached_and_never_again(ledger: SqlLedger, outbox: SqlOutbox) -> None:
    """Not a cent before; not with each request afterwards; each of its own."""
    await spend(ledger, 499)
    assert await told(outbox) == []
    await spend(ledger, 1)
    assert await told(outbox) == [(None, 50)]
    for _ in range(10):
        await spend(ledger, 1)
    assert await told(outbox) == []
    await spend(ledger, 290)
    assert await told(outbox) == [(None, 80)]
    await spend(ledger, 50)
    assert await told(outbox) == [(None, 85)], "one that is close to the one before"
    await spend(ledger, 500)
    assert await told(outbox) == [(None, 100)]


async def test_what_is_passed_at_once_is_told_each_once(ledger: SqlLedger, outbox: SqlOutbox) -> None:
    """One dear call may pass several."""
    await spend(ledger, 900)
    assert await told(outbox) == [(None, 50), (None, 80), (None, 85)]


async def test_twenty_nodes_at_once_tell_a_threshold_once(ledger: SqlLedger, outbox: SqlOutbox) -> None:
    """Whichever of them passes it."""
    await asyncio.gather(*(spend(ledger, 50, node=f"n{each}") for each in range(20)))
    assert sorted(await told(outbox)) == [(None, 50), (None, 80), (None, 85), (None, 100)]


async def test_each_window_has_its_own_thresholds(ledger: SqlLedger, outbox: SqlOutbox) -> None:
    """Another key's, and the next period's."""
    await spend(ledger, 500, subject="key_1")
    await spend(ledger, 500, subject="key_2")
    await spend(ledger, 500, subject="key_1", days=1)
    assert await told(outbox) == [("key_1", 50), ("key_2", 50), ("key_1", 50)]


async def test_what_is_estimated_for_a_node_that_is_gone_is_told_too(
    ledger: SqlLedger, outbox: SqlOutbox, database: Database
) -> None:
    """It counts as spent."""
    short = SqlLedger(database, term=-1)
    window = WindowKey("bud_1", "", NOW, None)
    lease = await short.lease(Settled(LeaseKey(window, "n1", "b1", 0), 0, 0), 6 * NANO)
    assert lease is not None
    await short.settle([Settled(LeaseKey(window, "n1", "b1", lease.number), 0, 6 * NANO)])
    assert await told(outbox) == []
    await ledger.expire()
    assert await told(outbox) == [(None, 50)]


async def test_a_lowered_amount_and_a_new_threshold_are_told_at_once(
    ledger: SqlLedger, outbox: SqlOutbox, store: SqlStore
) -> None:
    """Where nothing is left, nobody spends and so tells any more. A raised amount tells nothing twice."""
    await spend(ledger, 300)
    assert await told(outbox) == []
    await change(store, replace(BUDGET, terms={**TERMS, "alerts": [25, 50, 80]}))
    assert await told(outbox) == [(None, 25)]
    await change(store, replace(BUDGET, amount=3 * NANO, terms={**TERMS, "alerts": [25, 50, 80]}))
    assert await told(outbox) == [(None, 50), (None, 80)]
    await change(store, replace(BUDGET, amount=9 * NANO))
    await spend(ledger, 150)
    assert await told(outbox) == []


async def test_an_event_says_what_a_person_needs_and_no_more(ledger: SqlLedger, outbox: SqlOutbox) -> None:
    """Sums are exact, as text."""
    await spend(ledger, 512)
    ((event, full),) = await outbox.take(10)
    assert (event.kind, full) == ("budget.threshold", 0)
    assert event.data == {
        "budget": {"id": "bud_1", "name": "ten"},
        "subject": None,
        "threshold": 50,
        "amount": {"usd": "10.00"},
        "spent": {"usd": "5.12"},
        "estimated": {"usd": "0.00"},
        "left": {"usd": "4.88"},
        "period": "total",
        "mode": "hard",
        "begins_at": rfc3339(NOW),
        "resets_at": None,
    }


async def test_one_event_is_taken_by_one_of_many_and_queued_once(ledger: SqlLedger, outbox: SqlOutbox) -> None:
    """Several control planes send from one outbox."""
    await spend(ledger, 900)
    taken = await asyncio.gather(*(outbox.take(10) for _ in range(6)))
    assert sum(len(each) for each in taken) == 3
    claimed: Sequence[Sequence[DeliveryRow]] = await asyncio.gather(*(outbox.claim("wh_1", 1, 60) for _ in range(6)))
    ids = [each.id for found in claimed for each in found]
    assert len(ids) == len(set(ids)) == 3
    assert await outbox.due() == []


async def test_what_a_process_claimed_and_never_ended_is_sent_by_the_next(
    ledger: SqlLedger, outbox: SqlOutbox, database: Database
) -> None:
    """As soon as its time is over; the message keeps its id, and the attempt is counted."""
    await spend(ledger, 500)
    await outbox.take(10)
    (first,) = await outbox.claim("wh_1", 1, -1)
    (second,) = await SqlOutbox(database).claim("wh_1", 1, 60)
    assert (first.attempts, second.attempts, first.event.id) == (1, 2, second.event.id)


async def test_a_delivery_ends_and_leaves_its_outcome(ledger: SqlLedger, outbox: SqlOutbox, store: SqlStore) -> None:
    """Tried again when it is due, then over; a receiver that is gone gets nothing more."""
    await spend(ledger, 900)
    await outbox.take(10)
    first, second, third = await outbox.claim("wh_1", 3, 60)
    await outbox.end(first, Outcome("pending", NOW, 500, "oops", NOW))
    await outbox.end(second, Outcome("delivered", NOW, 204, None))
    assert await outbox.due() == ["wh_1"]
    await outbox.end(third, Outcome("failed", NOW, 410, "gone", gone=True))
    assert (await outbox.due(), await outbox.claim("wh_1", 9, 60)) == ([], [])
    async with store.read() as rx:
        found = await rx.webhooks.deliveries("wh_1", PageRequest(2))
        rest = await rx.webhooks.deliveries("wh_1", PageRequest(2, found.next))
        hook = await rx.webhooks.get("ops")
    states = {(each.state, each.status, each.problem) for each in (*found.items, *rest.items)}
    assert states == {("failed", 410, "gone"), ("delivered", 204, None), ("pending", 500, "oops")}
    assert hook is not None
    assert (hook.state, hook.pending) == ("gone", 1)


async def test_a_full_queue_drops_and_counts(
    ledger: SqlLedger, outbox: SqlOutbox, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that is down for long costs a bounded number of rows."""
    monkeypatch.setattr(outbox_module, "WAITING_MOST", 2)
    await spend(ledger, 1000)
    assert [full for _, full in await outbox.take(10)] == [0, 0, 1, 1]
    async with store.read() as rx:
        hook = await rx.webhooks.get("wh_1")
    assert hook is not None
    assert (hook.pending, hook.dropped) == (2, 2)


async def test_paused_and_other_webhooks_get_nothing(ledger: SqlLedger, outbox: SqlOutbox, store: SqlStore) -> None:
    """What happens while a webhook is paused is not sent later."""
    async with store.write(OWNER) as tx:
        await tx.webhooks.replace(replace(HOOK, state="paused"))
        await tx.webhooks.add(replace(HOOK, id="wh_2", name="other", events=("something.else",)))
        await tx.audit.add(WebhookCreated(target="wh_2", name="other", origin="", events=()))
    await spend(ledger, 1000)
    assert len(await outbox.take(10)) == 4
    assert await outbox.due() == []


async def test_old_events_go_with_their_deliveries_and_what_waits_to_be_taken_stays(
    ledger: SqlLedger, outbox: SqlOutbox, database: Database
) -> None:
    """So do deliveries of a test."""
    await outbox.tested("wh_1", EventRow("evt_t", "webhook.test", NOW, {}), Outcome("delivered", NOW, 200, None))
    await spend(ledger, 500)
    await outbox.take(10)
    await spend(ledger, 300)
    await outbox.forget(NOW + timedelta(days=36_500))
    async with database.read() as connection:
        assert (await connection.execute(select(webhook_deliveries))).all() == []
    assert await told(outbox) == [(None, 80)]


async def test_deliveries_are_in_the_order_of_what_happened(
    ledger: SqlLedger, outbox: SqlOutbox, database: Database
) -> None:
    """Of those that are due."""
    await spend(ledger, 900)
    await outbox.take(10)
    async with database.write() as connection:
        await connection.execute(update(webhook_deliveries).values(next_at=NOW))
    found = await outbox.claim("wh_1", 10, 60)
    assert [each.event.data["threshold"] for each in found] == [50, 80, 85]
