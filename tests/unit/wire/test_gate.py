"""Places at an upstream: whose turn it is, and that nobody's leaving loses one."""

import asyncio

import pytest

from tieline.core.errors import Overloaded
from tieline.wire.gate import QUEUE_MOST, QUEUE_OF_KEY_MOST, Gate


async def line(gate: Gate, *whose: str) -> list[tuple[str, "asyncio.Task[None]"]]:
    """Requests of these keys that wait, in this order."""
    found = [(who, asyncio.ensure_future(gate.enter(who, 60.0))) for who in whose]
    await asyncio.sleep(0)
    return found


async def served(gate: Gate, waiting: list[tuple[str, "asyncio.Task[None]"]]) -> str:
    """In which order they get the only place, each leaving it for the next."""
    order = ""
    left = dict(enumerate(waiting))
    while left:
        await asyncio.sleep(0)
        for at, (who, task) in list(left.items()):
            if task.done():
                order += who
                del left[at]
                gate.leave(who)
    return order


async def test_keys_take_turns_and_each_is_served_in_its_order() -> None:
    """A key that asks for much does not go before one that asks for little."""
    gate = Gate("api.test", 1)
    await gate.enter("x", 1.0)
    waiting = await line(gate, *"aaaaaabbc")
    gate.leave("x")
    assert await served(gate, waiting) == "abcabaaaa"
    assert (gate.taken, gate.waiting) == (0, 0)


async def test_a_key_leaves_a_quarter_to_others() -> None:
    """Of four places it has three; its fourth request waits though one is free, and another key's does not."""
    gate = Gate("api.test", 4)
    for _ in range(3):
        await gate.enter("greedy", 1.0)
    waiting = await line(gate, "greedy")
    await gate.enter("modest", 1.0)
    assert (gate.taken, gate.waiting) == (4, 1)
    gate.leave("modest")
    assert gate.waiting == 1
    gate.leave("greedy")
    await waiting[0][1]
    assert (gate.taken, gate.waiting) == (3, 0)


async def test_a_queue_has_an_end_for_each_key_and_for_all() -> None:
    """Beyond it the answer comes at once."""
    gate = Gate("api.test", 1)
    await gate.enter("x", 1.0)
    waiting = await line(gate, *["greedy"] * QUEUE_OF_KEY_MOST)
    with pytest.raises(Overloaded):
        await gate.enter("greedy", 60.0)
    others = [f"k{number}" for number in range(QUEUE_MOST - QUEUE_OF_KEY_MOST)]
    waiting += await line(gate, *others)
    with pytest.raises(Overloaded):
        await gate.enter("one more", 60.0)
    for _, task in waiting:
        task.cancel()
    await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)
    assert (gate.taken, gate.waiting) == (1, 0)


async def test_who_waits_too_long_is_told() -> None:
    """And waits no more."""
    gate = Gate("api.test", 1)
    await gate.enter("x", 1.0)
    with pytest.raises(Overloaded) as refused:
        await gate.enter("a", 0.01)
    assert refused.value.retry_after is not None
    assert gate.waiting == 0


async def test_a_place_given_to_a_waiter_that_leaves_goes_to_the_next() -> None:
    """encode/httpcore issue 1093: requests that were cancelled under contention took their slots with them for ever."""
    gate = Gate("api.test", 1)
    await gate.enter("x", 1.0)
    (_, first), (_, second) = await line(gate, "a", "b")
    gate.leave("x")  # a has the place now, and does not know yet
    first.cancel()
    await asyncio.wait_for(second, 10.0)
    assert (gate.taken, gate.waiting) == (1, 0)


async def test_a_place_is_not_lost_to_a_waiter_that_has_left() -> None:
    """cap-js/cds-dbs issue 1721: what was handed to a waiter that had timed out was dropped."""
    gate = Gate("api.test", 1)
    await gate.enter("x", 1.0)
    (_, first), (_, second) = await line(gate, "a", "a")
    first.cancel()
    gate.leave("x")  # before the one that left could say so
    await asyncio.wait_for(second, 10.0)
    assert (gate.taken, gate.waiting) == (1, 0)
