"""Whoever hangs up, and whenever: nothing is left behind."""

import asyncio
import contextlib
import random
from pathlib import Path

from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, answer, chunked, until
from tests.wire.stage import Stage

BODY = b"x" * 20_000
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WEBSOCKET = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


async def moody(upstream: Upstream, peer: Peer) -> None:
    """An upstream that may answer, stream, switch, stall, or leave at any byte."""
    while True:
        request = await peer.head()
        if b"upgrade" in request.names:
            await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            await peer.send(b"frame" * random.randrange(50))
        else:
            await peer._read_body(request, b"POST")
            events = [b"data: %d\n\n" % number for number in range(random.randrange(1, 30))]
            whole = random.choice((answer(BODY), STREAM + chunked(*events)))
            cut = random.choice((len(whole), len(whole), random.randrange(len(whole))))
            for start in range(0, cut, 4096):
                await peer.send(whole[start : min(cut, start + 4096)])
                await asyncio.sleep(random.random() * 0.002)
            if cut == len(whole):
                continue
        end = random.random()
        if end < 0.3:
            peer.reset()
            return
        if end < 0.7:
            return
        await peer.gone()
        return


async def hang_up_once(stage: Stage) -> None:
    """A client that sends some of a request, reads some of an answer, and leaves in one of several ways."""
    kind = random.random()
    if kind < 0.2:
        raw = stage.request(b"GET", b"/realtime", *WEBSOCKET)
    elif kind < 0.6:
        raw = stage.request(b"POST", b"/thing", body=BODY)
    else:
        raw = stage.request(b"GET")
    client = await Peer.connect(stage.worker.port)
    with contextlib.suppress(ConnectionError, TimeoutError):
        await client.send(raw[: random.choice((len(raw), len(raw), random.randrange(1, len(raw))))])
        if random.random() < 0.7:
            async with asyncio.timeout(random.random() * 0.05):
                await client.reader.read(random.randrange(1, 30_000))
        if random.random() < 0.2:
            client.end()
            await asyncio.sleep(random.random() * 0.05)
    if random.random() < 0.5:
        client.reset()
    else:
        client.close()


def sockets() -> int:
    """How many sockets this process holds."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += str(entry.readlink()).startswith("socket:")
    return count


async def test_random_hang_ups_leave_nothing_behind(start_stage: StartStage, soak: bool) -> None:
    """Clients and upstreams that leave at random: no socket, task, connection or pool slot stays."""
    stage = await start_stage(moody, limits={"timeout": {"first_byte": "2s", "idle": "2s", "total": "4s"}})
    await stage.settled()
    before, tasks = sockets(), len(asyncio.all_tasks())
    total = 1_000 if soak else 150
    for start in range(0, total, 25):
        await asyncio.gather(*(hang_up_once(stage) for _ in range(start, min(total, start + 25))))
    service = stage.worker.service
    # what an upstream stalls is given up after its own limits, everything else at once
    await until(lambda: service.listener.open_connections == 0 and service.pool.busy_connections == 0, 8.0)
    service.pool.close()
    await stage.upstream.until(lambda upstream: upstream.open == 0)
    await until(lambda: sockets() <= before and len(asyncio.all_tasks()) <= tasks, 5.0)
    assert service.pool.open_connections == 0


async def test_a_client_that_leaves_cancels_the_upstream_within_a_second(start_stage: StartStage) -> None:
    """A stream that nobody reads any more is ended at its source, even one that is silent just then."""
    left = asyncio.Event()

    async def stream(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(STREAM + chunked(b"data: 1\n\n")[:-5])
        await peer.gone()
        left.set()

    stage = await start_stage(stream)
    client = await stage.connect()
    await client.send(stage.request())
    await client.head()
    client.close()
    async with asyncio.timeout(1.0):
        await left.wait()
