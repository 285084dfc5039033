"""What is slow to parse is parsed in turns, and is what it would be in one."""

import asyncio

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, answer, chunked
from tieline.wire.deadlines import Deadlines
from tieline.wire.turns import LARGE, TurnShare, at_once

SLOW = b"1\r\nx\r\n" * LARGE
MANY = [bytes([65 + each % 26]) for each in range(120_000)]
"""Chunks of one byte: several reads of a quarter of a MiB, each of which takes more than a connection's share."""
DENSE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(*MANY)


async def test_very_many_chunks_go_there_and_back(start_stage: StartStage) -> None:
    """In both directions, each request on the connections of the one before."""

    async def echo(upstream: Upstream, peer: Peer) -> None:
        while True:
            await upstream.read(peer)
            await peer.send(DENSE)

    stage = await start_stage(echo)
    client = await stage.connect()
    for _ in range(2):
        sending = asyncio.create_task(
            client.send(stage.request(b"POST", b"/thing", b"Transfer-Encoding: chunked") + chunked(*MANY))
        )
        assert (await client.message()).body == b"".join(MANY)
        await sending
    assert [seen.body for seen in stage.upstream.seen] == [b"".join(MANY)] * 2
    assert stage.upstream.accepted == 1


async def test_what_follows_a_body_of_many_chunks_is_a_request(start_stage: StartStage) -> None:
    """Sent at once with it, and answered after it."""
    stage = await start_stage()
    client = await stage.connect()
    first = stage.request(b"POST", b"/first", b"Transfer-Encoding: chunked") + chunked(*MANY)
    sending = asyncio.create_task(client.send(first + stage.request(b"GET", b"/second")))
    assert [(await client.message()).status for _ in range(2)] == [200, 200]
    await sending
    assert [seen.target for seen in stage.upstream.seen] == [b"/v1/first", b"/v1/second"]


async def test_what_follows_an_answer_of_many_chunks_is_no_answer(start_stage: StartStage) -> None:
    """It would be the answer to the next request, maybe somebody else's: the connection is not used again."""

    async def too_much(upstream: Upstream, peer: Peer) -> None:
        seen = await upstream.read(peer)
        await peer.send(DENSE + answer(b"a stray") * 5_000 if seen.target == b"/v1/first" else answer(b"its own"))
        await peer.gone()

    stage = await start_stage(too_much)
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/first"))
    assert (await client.message()).body == b"".join(MANY)
    await client.send(stage.request(b"GET", b"/second"))
    assert (await client.message()).body == b"its own"


async def test_a_client_that_leaves_in_between_leaves_nothing(start_stage: StartStage) -> None:
    """Neither connection is kept."""

    async def endless(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        while True:
            await peer.send(DENSE[:-5] if not upstream.ended else b"1\r\nx\r\n" * 50_000)

    stage = await start_stage(endless)
    client = await stage.connect()
    await client.send(stage.request())
    await client.head()
    client.reset()
    await stage.settled()
    assert stage.upstream.open <= 1


class _Transport:
    """What was parsed of a connection, and whether it is read from."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.pieces: list[bytes] = []
        self.reads = True
        self._seconds = seconds
        clock = Deadlines()
        clock.turn = lambda: 1.0
        self.share = TurnShare(clock, self._parse, self._pause, self._resume)

    def _parse(self, data: bytes) -> None:
        self.pieces.append(data)
        end = asyncio.get_running_loop().time() + self._seconds
        while asyncio.get_running_loop().time() < end:
            pass

    def _pause(self) -> None:
        self.reads = False

    def _resume(self) -> None:
        self.reads = True


@pytest.mark.parametrize(("data", "framed"), [(b"x" * 3 * LARGE, True), (b"\r\n" * 2 * LARGE, False)])
async def test_a_long_piece_is_parsed_at_once(data: bytes, framed: bool) -> None:
    """However it looks, where it is no framing."""
    connection = _Transport()
    connection.share.take(data, at_once(data, framed=framed))
    assert connection.pieces == [data]
    assert connection.reads


async def test_line_ends_are_parsed_in_slices() -> None:
    """All in one turn where that is quick."""
    connection = _Transport()
    connection.share.take(SLOW, at_once(SLOW, framed=True))
    assert [len(piece) for piece in connection.pieces] == [LARGE] * 6
    assert connection.reads


async def test_what_is_slow_waits_for_the_next_turn() -> None:
    """In its order; nothing is read meanwhile, and others run between two turns."""
    connection = _Transport(0.006)
    connection.share.take(SLOW, at_once(SLOW, framed=True))
    for parsed in range(1, 7):
        assert len(connection.pieces) == parsed
        assert not connection.reads
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert b"".join(connection.pieces) == SLOW
    assert connection.reads


async def test_what_is_not_wanted_is_dropped() -> None:
    """A connection that is gone has nothing left."""
    connection = _Transport(0.006)
    connection.share.take(SLOW, at_once(SLOW, framed=True))
    connection.share.left = b""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(connection.pieces) == 1
