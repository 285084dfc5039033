"""A side that reads slowly slows the other side down; nothing piles up in memory."""

import asyncio
import resource
from pathlib import Path

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, answer

MEGABYTE = 1024 * 1024
KERNEL_MOST = 16 * MEGABYTE  # what the kernel's own buffers on four sockets may hold


def resident() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_a_slow_client_slows_the_upstream_down(start_stage: StartStage) -> None:
    """Of 64 MB the upstream gets rid of what fits the kernel's buffers, until the client reads."""
    total = 64 * MEGABYTE
    sent = 0

    async def script(upstream: Upstream, peer: Peer) -> None:
        nonlocal sent
        await upstream.read(peer)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        piece = b"x" * 65536
        while sent < total:
            await peer.send(piece)
            sent += len(piece)
        await peer.gone()

    stage = await start_stage(script)
    client = await stage.connect(buffer=4096)
    before = resident()
    await client.send(stage.request())
    await client.head()
    await asyncio.sleep(1)
    assert sent < KERNEL_MOST
    assert resident() - before < 8 * MEGABYTE
    got = 0
    while got < total:
        got += len(await client.reader.read(MEGABYTE))
    assert got == total


async def test_a_slow_upstream_slows_the_client_down(start_stage: StartStage) -> None:
    """Of 64 MB the client gets rid of what fits the kernel's buffers, until the upstream reads."""
    total = 64 * MEGABYTE
    go = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        await peer.head()
        await go.wait()
        left = total
        while left:
            left -= len(await peer.reader.read(MEGABYTE))
        await peer.send(answer(b"all of it"))

    stage = await start_stage(script)
    client = await stage.connect()
    before = resident()
    client.writer.transport.set_write_buffer_limits(high=65536)
    await client.send(stage.request(b"POST", b"/thing", b"Content-Length: %d" % total))
    sent = 0

    async def upload() -> None:
        nonlocal sent
        while sent < total:
            await client.send(b"x" * 65536)
            sent += 65536

    task = asyncio.create_task(upload())
    await asyncio.sleep(1)
    assert sent < KERNEL_MOST
    assert resident() - before < 8 * MEGABYTE
    go.set()
    await task
    assert (await client.message()).body == b"all of it"


async def test_a_body_that_waits_for_the_dial_is_held(start_stage: StartStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the upstream is dialled no more than a little of the body is taken."""
    stage = await start_stage()
    pool = stage.worker.service.pool
    resolve = pool._guard.resolve
    go = asyncio.Event()

    async def later(origin: object) -> object:
        await go.wait()
        return await resolve(origin)  # type: ignore[arg-type]

    monkeypatch.setattr(pool._guard, "resolve", later)
    client = await stage.connect()
    body = b"x" * (24 * MEGABYTE)
    task = asyncio.create_task(client.send(stage.request(b"POST", body=body)))
    await asyncio.sleep(0.5)
    assert not task.done()
    go.set()
    assert (await client.message()).body == b"hello"
    assert stage.upstream.seen[0].body == body
    await task


async def test_a_paused_connection_does_not_return_to_the_pool(start_stage: StartStage) -> None:
    """An answer whose end met a slow client leaves a connection that the next request can use, or none."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        while True:
            seen = await upstream.read(peer)
            await peer.send(answer(b"x" * (200_000 if b"large" in seen.target else 10)))

    stage = await start_stage(script)
    slow = [await stage.connect(buffer=4096) for _ in range(10)]
    for _ in range(15):
        for client in slow:
            client.writer.write(stage.request(b"GET", b"/large"))
        await asyncio.sleep(0.02)
    for _ in range(20):
        assert len((await stage.get(b"/small")).body) == 10


async def test_a_client_that_never_reads_is_cut(start_stage: StartStage) -> None:
    """Patience with a client that takes nothing of its answer ends, and frees the upstream."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 64000000\r\n\r\n")
        while True:
            await peer.send(b"x" * 65536)

    import dataclasses

    stage = await start_stage(script)
    listener = stage.worker.service.listener
    listener.patience = dataclasses.replace(listener.patience, stalled=0.5)
    client = await stage.connect(buffer=4096)
    await client.send(stage.request())
    await stage.upstream.until(lambda upstream: upstream.accepted == 1)
    await stage.upstream.until(lambda upstream: upstream.open == 0)
    await stage.settled()
    assert (await stage.worker.recorded(1))[0].outcome == "client_gone"


async def test_a_slow_client_is_not_taken_for_a_slow_upstream(start_stage: StartStage) -> None:
    """``idle`` counts while the upstream is waited for, not while the client is."""
    stage = await start_stage(limits={"timeout": {"idle": "1s"}})
    stage.upstream.script = lambda upstream, peer: pour(upstream, peer, 24 * MEGABYTE)
    client = await stage.connect(buffer=4096)
    await client.send(stage.request())
    await client.head()
    await asyncio.sleep(2)
    assert len(await client.some(24 * MEGABYTE)) == 24 * MEGABYTE


async def pour(upstream: Upstream, peer: Peer, size: int) -> None:
    """Answer with ``size`` bytes."""
    await upstream.read(peer)
    await peer.send(answer(b"x" * size))
    await peer.gone()
