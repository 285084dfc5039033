"""One request and its answer, held by a coroutine: order, back-pressure both ways, and nothing left open."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.wire.conftest import StartUpstream
from tests.wire.raw import Peer, Upstream, answer, chunked, saying, saying_once, until
from tieline.core.errors import (
    BodyTooLarge,
    UpstreamProtocolError,
    UpstreamResponseTooLarge,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from tieline.core.urls import Origin
from tieline.wire.conversation import Conversation, Waits
from tieline.wire.deadlines import Deadlines
from tieline.wire.guard import Guard
from tieline.wire.pool import Lane, Pool
from tieline.wire.tls import Trust

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """An exit that may dial loopback."""
    deadlines = Deadlines()
    deadlines.start()
    pool = Pool(Guard(["127.0.0.1"]), deadlines, Trust())
    yield pool
    pool.close()
    deadlines.stop()


async def begin(lane: Lane, *, idle: float = 10, first_byte: float = 10, total: float = 10) -> Conversation:
    """A conversation over an idle connection, or a new one."""
    connection = lane.take() or await lane.dial(5)
    return Conversation(connection, Waits(first_byte, idle, asyncio.get_running_loop().time() + total))


def lane_to(pool: Pool, upstream: Upstream) -> Lane:
    """The connections to an upstream."""
    return pool.lane(Origin("http", "127.0.0.1", upstream.port), "test", None)


async def pieces(count: int, size: int = 65_536) -> AsyncIterator[bytes]:
    """So many pieces of a body."""
    for _ in range(count):
        yield b"x" * size


@pytest.mark.parametrize(
    "raw", [answer(b"hello"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"hel", b"lo")]
)
async def test_an_answer_is_read_and_its_connection_used_again(
    pool: Pool, start_upstream: StartUpstream, raw: bytes
) -> None:
    """As soon as it is whole, though nobody has read it yet."""
    upstream = await start_upstream(saying(raw))
    lane = lane_to(pool, upstream)
    for _ in range(2):
        talk = await begin(lane)
        assert (await talk.ask(GET)).status == 200
        assert await talk.read_all(100) == b"hello"
        assert await talk.read() == b""
        talk.close()
    assert (upstream.accepted, lane.busy_connections, lane.open_connections) == (1, 0, 1)


async def test_what_was_read_can_be_put_back(pool: Pool, start_upstream: StartUpstream) -> None:
    """To be read again."""
    talk = await begin(lane_to(pool, await start_upstream(saying(answer(b"hello")))))
    await talk.ask(GET)
    talk.put_back(await talk.read())
    assert await talk.read_all(100) == b"hello"


async def test_an_answer_to_head_has_no_body(pool: Pool, start_upstream: StartUpstream) -> None:
    """Whatever its length says."""
    talk = await begin(lane_to(pool, await start_upstream(saying(answer(b"", length=9)))))
    await talk.ask(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n", head_only=True)
    assert await talk.read() == b""


async def test_an_answer_over_the_most_is_refused(pool: Pool, start_upstream: StartUpstream) -> None:
    """And its connection let go."""
    lane = lane_to(pool, await start_upstream(saying(answer(b"x" * 200_000))))
    talk = await begin(lane)
    await talk.ask(GET)
    with pytest.raises(UpstreamResponseTooLarge):
        await talk.read_all(100_000)
    talk.close()
    await until(lambda: lane.busy_connections == 0)


async def test_nobody_reads_so_nothing_is_gathered(pool: Pool, start_upstream: StartUpstream) -> None:
    """The upstream has to wait."""
    sent = 0

    async def flood(upstream: Upstream, peer: Peer) -> None:
        nonlocal sent
        await upstream.read(peer)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while sent < 100_000_000:
            peer.writer.write(b"x" * 100_000)
            await peer.writer.drain()
            sent += 100_000

    talk = await begin(lane_to(pool, await start_upstream(flood)), total=60)
    await talk.ask(GET)
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.3)
    assert sent < 30_000_000
    got = 0
    while got < 40_000_000:
        got += len(await talk.read())
    talk.close()


async def test_a_body_waits_for_a_slow_upstream(pool: Pool, start_upstream: StartUpstream) -> None:
    """It is asked for no faster than it goes out."""
    go = asyncio.Event()
    made = 0

    async def slow(upstream: Upstream, peer: Peer) -> None:
        await go.wait()
        await upstream.read(peer)
        await peer.send(answer(b"thanks"))

    async def body() -> AsyncIterator[bytes]:
        nonlocal made
        async for piece in pieces(400):
            made += 1
            yield piece

    upstream = await start_upstream(slow)
    talk = await begin(lane_to(pool, upstream))
    asking = asyncio.get_running_loop().create_task(talk.ask(POST, body(), chunked=True))
    before = -1
    while before != made:
        before = made
        await asyncio.sleep(0.3)
    assert 0 < made < 200
    go.set()
    assert (await asking).status == 200
    assert (await talk.read_all(10), len(upstream.seen[0].body)) == (b"thanks", 400 * 65_536)


async def test_an_upstream_that_has_seen_enough_is_heard(pool: Pool, start_upstream: StartUpstream) -> None:
    """What is left of the body is not sent; the connection is not used again."""

    async def refuse(upstream: Upstream, peer: Peer) -> None:
        await peer.head()
        await peer.send(answer(b"no", status=b"413 Too Large"))
        await peer.gone()

    lane = lane_to(pool, await start_upstream(refuse))
    talk = await begin(lane)
    assert (await talk.ask(POST, pieces(10_000), chunked=True)).status == 413
    assert await talk.read_all(10) == b"no"
    assert lane.open_connections == 0


async def test_a_body_that_fails_cuts_the_request(pool: Pool, start_upstream: StartUpstream) -> None:
    """What went wrong is what is told."""

    async def failing() -> AsyncIterator[bytes]:
        yield b"some"
        raise BodyTooLarge("Too much.")

    upstream = await start_upstream()
    talk = await begin(lane_to(pool, upstream))
    with pytest.raises(BodyTooLarge):
        await talk.ask(POST, failing(), chunked=True)
    await upstream.until(lambda each: each.open == 0)
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        (saying_once(), UpstreamUnreachable),
        (saying_once(b"HTTP/1.1 200 OK\r\nContent-"), UpstreamProtocolError),
        (saying_once(b"nonsense\r\n\r\n"), UpstreamProtocolError),
    ],
    ids=["silent", "cut", "nonsense"],
)
async def test_no_answer_is_an_error(
    pool: Pool, start_upstream: StartUpstream, script: object, failure: type[Exception]
) -> None:
    """Of the kind that the relay has."""
    talk = await begin(lane_to(pool, await start_upstream(script)))
    with pytest.raises(failure):
        await talk.ask(GET)


async def test_what_came_before_a_break_is_read_first(pool: Pool, start_upstream: StartUpstream) -> None:
    """Then the error."""
    talk = await begin(lane_to(pool, await start_upstream(saying_once(answer(b"half", length=10)))))
    await talk.ask(GET)
    await until(lambda: talk._failure is not None)
    assert await talk.read() == b"half"
    with pytest.raises(UpstreamProtocolError):
        await talk.read()


@pytest.mark.parametrize("waits", [{"first_byte": 0.2}, {"total": 0.2}, {"idle": 0.2}])
async def test_an_upstream_that_stalls_runs_into_a_deadline(
    pool: Pool, start_upstream: StartUpstream, waits: dict[str, float]
) -> None:
    """Before its answer, or in the middle of it."""
    said = b"" if "idle" not in waits else answer(b"half", length=10)

    async def stall(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        if said:
            await peer.send(said)
        await peer.gone()

    talk = await begin(lane_to(pool, await start_upstream(stall)), **waits)
    with pytest.raises(UpstreamTimeout):
        await talk.ask(GET)
        await talk.read_all(100)


async def test_a_conversation_that_is_cancelled_leaves_nothing(pool: Pool, start_upstream: StartUpstream) -> None:
    """Once it is closed."""
    upstream = await start_upstream(saying_once())

    async def silent(upstream: Upstream, peer: Peer) -> None:
        await peer.gone()

    upstream.script = silent
    lane = lane_to(pool, upstream)
    talk = await begin(lane)
    asking = asyncio.get_running_loop().create_task(talk.ask(POST, pieces(10_000), chunked=True))
    await upstream.until(lambda each: each.accepted == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    talk.close()
    await until(lambda: lane.open_connections == 0)
    await upstream.until(lambda each: each.open == 0)
