"""The ledger of a node: whatever requests cost and whoever dies, no more is spent than there is; nothing is lost."""

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tieline.core.errors import BudgetExceeded
from tieline.dataplane.ledger.budgets import BudgetIndex, Spender, Windows
from tieline.dataplane.ledger.ledger import CostBound, Ledger, Reservation
from tieline.dataplane.limits.table import NodeTable, open_file
from tieline.ports.budgets import BudgetRow, LeaseKey, Settled, WindowKey
from tieline.testing.ledger import MemoryLedger

ANN = Spender("key_1", "app_1", "api_1")
WORKERS = 3


def row(amount: int, **terms: object) -> BudgetRow:
    """A budget for every key."""
    members = {"applies_to": {"each": "key"}, "period": "total", **terms}
    return BudgetRow("bud_1", "budget", amount, "usd", members, datetime.now(UTC), "tests")


@pytest.fixture
def file() -> Iterator[int]:
    """The file of a node table."""
    opened = open_file(None)
    yield opened
    os.close(opened)


class Node:
    """A node whose workers are in one process; each may be killed, and another takes its place."""

    def __init__(self, file: int, store: MemoryLedger) -> None:
        self.tables = [NodeTable(file, worker, WORKERS) for worker in range(WORKERS)]
        self.store = store
        self.ledgers = [self._ledger(worker) for worker in range(WORKERS)]
        self.held: list[list[tuple[Reservation, int]]] = [[] for _ in range(WORKERS)]
        self.sent: dict[Reservation, int] = {}
        self.estimated = 0

    def _ledger(self, worker: int) -> Ledger:
        ledger = Ledger(self.tables[worker], self.store)
        ledger.change(list(self.store.rows.values()))
        return ledger

    def take(self, worker: int, reservation: Reservation, cost: int, sent: int | None) -> None:
        """A worker holds a reservation; ``sent``: its request is on its way, which may cost so much."""
        self.held[worker].append((reservation, cost))
        if sent is not None:
            self.sent[reservation] = sent
            reservation.sent()
            reservation.sent()

    async def kill(self, worker: int) -> None:
        """As the supervisor and the next worker do; what had been sent counts by its bound."""
        self.tables[worker].release_all(worker)
        self.estimated += sum(self.sent.get(reservation, 0) for reservation, _ in self.held[worker])
        self.held[worker] = []
        self.ledgers[worker] = self._ledger(worker)
        await self.ledgers[worker].leasing.adopt()


@pytest.mark.parametrize("seed", range(20))
async def test_no_more_is_spent_than_there_is_whatever_dies(file: int, seed: int) -> None:
    """Random bounds, costs up to them, kills and flushes in any order.

    Spent is what was settled and the bounds of what dead workers had sent, to the unit; what they had not is free.
    """
    randomness = random.Random(seed)
    amount = randomness.choice([50, 1_000, 100_000])
    store = MemoryLedger({"bud_1": row(amount)})
    node = Node(file, store)
    settled = refused = 0
    for _ in range(300):
        worker = randomness.randrange(WORKERS)
        match randomness.choices(["reserve", "settle", "kill", "flush"], [6, 5, 1, 1])[0]:
            case "reserve":
                most = randomness.randint(1, max(1, amount // 10))
                cost = randomness.randint(0, most)
                found = await node.ledgers[worker].obtain(ANN, CostBound(nano=most, each=cost))
                if isinstance(found, Reservation):
                    node.take(worker, found, cost, most if randomness.random() < 0.5 else None)
                else:
                    assert isinstance(found, BudgetExceeded)
                    refused += 1
            case "settle" if node.held[worker]:
                reservation, cost = node.held[worker].pop(randomness.randrange(len(node.held[worker])))
                for _ in range(2):
                    reservation.settle(1, None)
                settled += cost
            case "kill":
                await node.kill(worker)
            case "flush":
                await node.ledgers[worker].leasing.flush()
    for worker in range(WORKERS):
        await node.kill(worker)
    for ledger in node.ledgers:
        await ledger.leasing.flush()
    (spent,) = store.spent.values()
    assert spent == settled + node.estimated <= amount
    assert sum(each.estimated for each in store.told.values()) == node.estimated
    assert refused or settled < amount
    last = await node.ledgers[0].obtain(ANN, CostBound(nano=amount - spent, each=0))
    assert isinstance(last, Reservation) or spent == amount, "what the dead had reserved is there again"


async def test_a_lease_that_a_killed_worker_never_heard_of_is_closed(file: int) -> None:
    """The store granted it, the table has none: whoever comes next gives it back."""
    store = MemoryLedger({"bud_1": row(100)})
    node = Node(file, store)
    lost = node.ledgers[0]
    account = lost.index.of(ANN)[0]
    window = account.at(0.0)
    table = node.tables[0]

    await store.lease(Settled(LeaseKey(window.key, table.node, table.boot, 0), 0, 0), 90)
    assert isinstance(await node.ledgers[1].obtain(ANN, CostBound(nano=50, each=50)), BudgetExceeded)
    await node.kill(0)
    node.ledgers[1] = Ledger(node.tables[1], store)
    node.ledgers[1].change(list(store.rows.values()))
    assert isinstance(await node.ledgers[1].obtain(ANN, CostBound(nano=50, each=50)), Reservation)


def test_a_window_that_is_over_is_another() -> None:
    """At midnight nothing is spent, whatever was refused a moment before; the old one is settled where it was."""
    index = BudgetIndex([row(5, period="day")], Windows())
    (account,) = index.of(ANN)
    before = account.at(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC).timestamp())
    after = account.at(datetime(2026, 12, 1, tzinfo=UTC).timestamp())
    assert before.identity != after.identity
    assert before.key == WindowKey(
        "bud_1", "key_1", datetime(2026, 11, 30, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    )
    assert after.key.starts_at == before.key.ends_at
