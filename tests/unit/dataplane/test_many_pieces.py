"""Bodies that come in very many very small pieces cost what their bytes cost, not the square of it."""

import asyncio
from typing import cast

from tests.unit.dataplane.test_exchange import scene
from tieline.testing.requests import FakeClient
from tieline.testing.upstreams import FakeConnection
from tieline.wire.conversation import Conversation, Waits
from tieline.wire.egress import EgressConnection

COUNT = 2_000


class Counted(bytes):
    """A byte that counts how often it is measured."""

    measured = 0

    def __len__(self) -> int:
        Counted.measured += 1
        return 1


def conversed(count: int) -> int:
    """How often the pieces of an upstream's answer are measured that nobody reads yet."""
    connection = FakeConnection()
    conversation = Conversation(cast("EgressConnection", connection), Waits(9, 9, 9))
    connection.begin(conversation)
    connection.answers(200, done=False)
    Counted.measured = 0
    for _ in range(count):
        connection.pieces.append(Counted(b"x"))
        conversation.answer_arrived(cast("EgressConnection", connection))
    return Counted.measured


async def test_an_answer_that_nobody_reads_yet() -> None:
    """Piece after piece waits; each is measured once."""
    assert conversed(2 * COUNT) <= 2 * conversed(COUNT)


async def test_a_request_that_waits_for_its_connection() -> None:
    """It is no longer read once a thousand pieces wait, however small they are."""
    request = FakeClient().request(b"POST", b"/", pieces=[Counted(b"x")] * 5_000)
    Counted.measured = 0
    assert request.is_over(64 * 1024)
    assert Counted.measured == 0


async def test_an_answer_that_is_judged_before_it_goes_on() -> None:
    """Each piece is measured once, though it is looked at again with each that comes."""
    found = await scene()
    exchange, _ = found.open()

    async def peeked(count: int) -> int:
        connection = FakeConnection()
        looking = asyncio.create_task(exchange.peek(cast("EgressConnection", connection), 64 * 1024))
        await asyncio.sleep(0)
        Counted.measured = 0
        for _ in range(count):
            connection.pieces.append(Counted(b"x"))
            exchange.body_arrived()  # wakes it, as whatever arrives does
            await asyncio.sleep(0)
        connection.complete = True
        exchange.body_arrived()
        await looking
        return Counted.measured

    few = await peeked(COUNT)
    assert await peeked(2 * COUNT) <= 2 * few + 2
    exchange.client_gone()
