"""The ledger on both engines: an amount is never leased twice, and what nodes say twice counts once."""

import asyncio
import random
from dataclasses import replace

import pytest

from tests.storage.rows import NOW, OWNER
from tieline.audit.events import BudgetCreated, BudgetRemoved
from tieline.ports.budgets import BudgetRow, Lease, LeaseKey, Settled, WindowKey, WindowRow
from tieline.storage.engine import Database
from tieline.storage.ledger import SqlLedger, slice_of
from tieline.storage.store import SqlStore

TERMS = {"applies_to": {"each": "key"}, "period": "total"}
WINDOW = WindowKey("bud_1", "", NOW, None)


@pytest.fixture
async def ledger(store: SqlStore, database: Database) -> SqlLedger:
    """A ledger with one budget of 50."""
    async with store.write(OWNER) as tx:
        assert await tx.budgets.add(BudgetRow("bud_1", "fifty", 50, "usd", TERMS, NOW, "tests"))
        await tx.audit.add(BudgetCreated(target="bud_1", name="fifty", amount={}, terms=TERMS))
    return SqlLedger(database)


def counted(settled: int = 0, number: int = 0, *, node: str = "n1", boot: str = "b1", reserved: int = 0) -> Settled:
    """What a node says of its lease."""
    return Settled(LeaseKey(WINDOW, node, boot, number), settled, reserved)


async def leased(ledger: SqlLedger, said: Settled, need: int, keep: int | None = None) -> Lease:
    """A lease of a budget that is there."""
    found = await ledger.lease(said, need, keep)
    assert found is not None
    return found


async def window(store: SqlStore) -> WindowRow:
    """The budget's one window."""
    async with store.read() as rx:
        (found,) = await rx.budgets.windows("bud_1", NOW, 10)
        return found


async def test_nodes_at_once_lease_no_more_than_there_is(ledger: SqlLedger) -> None:
    """Twenty nodes want five of fifty each, at the same time."""
    leases = await asyncio.gather(*(leased(ledger, counted(node=f"n{each}"), 5) for each in range(20)))
    assert sum(lease.granted for lease in leases) == 50
    assert sorted(lease.granted for lease in leases) == [0] * 10 + [5] * 10


async def test_what_is_settled_twice_late_or_in_another_order_counts_once(ledger: SqlLedger, store: SqlStore) -> None:
    """The sum of all that a node has counted is what counts."""
    lease = await leased(ledger, counted(), 30)
    for settled in (10, 20, 10, 20, 5):
        await ledger.settle([counted(settled, lease.number, reserved=3)])
    found = await window(store)
    assert (found.spent, found.reserved, found.estimated) == (20, 3, 0)


async def test_what_was_under_way_where_a_worker_died_is_shown_as_estimated(ledger: SqlLedger, store: SqlStore) -> None:
    """As a part of what was spent; told twice, or in another order, it counts once."""
    lease = await leased(ledger, counted(), 30)
    said = counted(10, lease.number)
    for estimated in (0, 4, 4, 2):
        await ledger.settle([replace(said, estimated=estimated)])
    found = await window(store)
    assert (found.spent, found.estimated) == (10, 4)
    assert (await ledger.leases("n1", "b1"))[0].estimated == 4


async def test_what_is_known_of_windows_can_be_looked_at(ledger: SqlLedger) -> None:
    """With what is reserved; of one that nobody leased nothing is."""
    lease = await leased(ledger, counted(), 30)
    await ledger.settle([counted(10, lease.number, reserved=3)])
    unknown = replace(WINDOW, subject="key_9")
    assert await ledger.look([WINDOW, unknown]) == [WindowRow(WINDOW, 10, 0, 3)]
    assert await ledger.look([]) == []


async def test_what_a_node_gives_back_another_can_have(ledger: SqlLedger) -> None:
    """Also where it says so twice."""
    lease = await leased(ledger, counted(), 50)
    assert (await leased(ledger, counted(node="n2"), 1)).granted == 0
    for _ in range(2):
        assert (await leased(ledger, counted(20, lease.number), 0, keep=20)).granted == 20
    other = await leased(ledger, counted(node="n2"), 30)
    assert (other.granted, other.left) == (30, 0)


async def test_a_lease_that_was_lost_on_the_way_is_found_again(ledger: SqlLedger) -> None:
    """The node hears what it has been granted in all, not what was added."""
    lease = await leased(ledger, counted(), 10)
    again = await leased(ledger, counted(number=lease.number), 10)
    assert again.granted == 20


async def test_a_call_that_cost_more_than_was_reserved_is_counted_whole(ledger: SqlLedger, store: SqlStore) -> None:
    """And nobody leases what it took."""
    lease = await leased(ledger, counted(), 1)
    await ledger.settle([counted(60, lease.number)])
    assert (await window(store)).spent == 60
    assert (await leased(ledger, counted(node="n2"), 1)).granted == 0


async def test_the_lease_of_a_node_that_is_gone_ends(ledger: SqlLedger, store: SqlStore, database: Database) -> None:
    """What it had under way counts as spent and says that it is an estimate; the rest is there for others."""
    short = SqlLedger(database, term=-1)
    lease = await leased(short, counted(), 40)
    await short.settle([counted(10, lease.number, reserved=5)])
    await ledger.expire()
    found = await window(store)
    assert (found.spent, found.estimated, found.reserved) == (15, 5, 0)
    assert (await leased(ledger, counted(node="n2"), 35)).granted == 35
    await ledger.settle([counted(12, lease.number)])
    assert (await window(store)).spent == 15, "what came late was in the estimate"


async def test_what_another_run_of_the_machine_had_leased_counts_as_spent(ledger: SqlLedger, store: SqlStore) -> None:
    """Its counters are gone, and nobody knows how much of it was used."""
    lease = await leased(ledger, counted(), 40)
    await ledger.settle([counted(10, lease.number)])
    assert [each.settled for each in await ledger.leases("n1", "b1")] == [10]
    assert await ledger.leases("n1", "b2") == []
    found = await window(store)
    assert (found.spent, found.estimated) == (40, 30)


async def test_a_budget_that_is_removed_takes_its_leases_with_it(ledger: SqlLedger, store: SqlStore) -> None:
    """Whoever settles then is told nothing."""
    lease = await leased(ledger, counted(), 10)
    async with store.write(OWNER) as tx:
        await tx.budgets.remove("bud_1")
        await tx.audit.add(BudgetRemoved(target="bud_1", name="fifty"))
    await ledger.settle([counted(5, lease.number)])
    assert await ledger.lease(counted(5, lease.number), 1) is None
    assert await ledger.leases("n1", "b1") == []


def test_slices_shrink() -> None:
    """A sixteenth, near the end a quarter of the rest, and never less than is needed."""
    assert [slice_of(1600, left, 1) for left in (1600, 400, 100, 8, 4, 1)] == [100, 100, 25, 2, 1, 1]
    assert [slice_of(1600, 10, need) for need in (0, 10, 11)] == [0, 10, 0]


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_nodes_do_no_more_is_leased_than_there_is(ledger: SqlLedger, store: SqlStore, seed: int) -> None:
    """Leases, settlements, returns and lost nodes in any order: spent and what may be spent stay within 50."""
    randomness = random.Random(seed)
    held: dict[str, Settled] = {}
    granted: dict[str, int] = {}
    for step in range(60):
        node = f"n{randomness.randrange(4)}"
        said = held.setdefault(node, counted(node=node, boot=f"b{step}"))
        match randomness.randrange(4):
            case 0:
                lease = await leased(ledger, said, randomness.randint(1, 12))
                held[node] = replace(said, lease=replace(said.lease, number=lease.number))
                granted[node] = lease.granted
            case 1 if said.lease.number:
                more = min(granted[node], said.settled + randomness.randint(0, 9))
                held[node] = replace(said, settled=more)
                await ledger.settle([held[node]] * randomness.randint(1, 2))
            case 2 if said.lease.number:
                granted[node] = (await leased(ledger, said, 0, keep=said.settled)).granted
            case 3 if said.lease.number and randomness.random() < 0.3:
                del held[node], granted[node]
                assert await ledger.leases(node, f"b{step}") == []
        found = await window(store) if granted else None
        if found is not None:
            assert found.spent + sum(granted[each] - held[each].settled for each in granted) <= 50
    assert (await window(store)).spent <= 50
