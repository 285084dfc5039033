"""Clients and upstreams that leave at random: nothing of them stays (contract of issue 2, item 8)."""

import asyncio
import contextlib
import random
from pathlib import Path

from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, answer, chunked, greet, until
from tests.wire.stage import Stage
from tests.wire.test_websocket import AGREE, ASK

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(link.readlink()).startswith("socket:")
    return count


class Chaos:
    """One seed's way of misbehaving, for both sides."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def leave(self, peer: Peer) -> None:
        """Leave in one way or another."""
        if self.random.random() < 0.5:
            peer.reset()
        else:
            peer.writer.transport.abort()

    async def pause(self) -> None:
        """Wait a random moment, mostly none."""
        if self.random.random() < 0.3:
            await asyncio.sleep(self.random.random() * 0.01)

    async def send_partly(self, peer: Peer, data: bytes) -> None:
        """Send a random part of ``data``, in random pieces."""
        end = self.random.randrange(len(data) + 1)
        while data and end > 0:
            step = self.random.randrange(1, 1 + max(1, end))
            await peer.send(data[: min(step, end)])
            data, end = data[step:], end - step
            await self.pause()

    async def upstream(self, upstream: Upstream, peer: Peer) -> None:
        """Serve a few requests, then leave at some point of one."""
        await self.pause()
        for _ in range(self.random.randrange(4)):
            seen = await upstream.read(peer)
            await peer.send(
                AGREE if b"upgrade" in seen.names else answer(b"x" * self.random.choice([1, 1000, 200_000]))
            )
        if self.random.random() < 0.8:
            await peer.head()
            body = chunked(*[b"data: x\n\n"] * 50)
            await self.send_partly(
                peer, self.random.choice([answer(b"y" * 100_000), EVENTS + body, AGREE, b"nonsense" * 9])
            )
        await self.pause()
        if self.random.random() < 0.7:
            self.leave(peer)

    def request(self, stage: Stage) -> bytes:
        """Some request."""
        kind = self.random.randrange(6)
        if kind == 0:
            return stage.request(b"GET", b"/realtime", *ASK) + b"frames" * 100
        if kind == 1:
            return stage.request(b"POST", body=b"z" * self.random.choice([10, 70_000, 2_000_000]))
        if kind == 2:
            return stage.request(b"PUT", b"/thing", b"Transfer-Encoding: chunked") + chunked(
                b"a" * 1000, b"b" * 100_000
            )
        if kind == 3:
            return stage.request() * self.random.randrange(1, 8)
        if kind == 4:
            return stage.request(b"POST", b"/thing", b"Expect: 100-continue", body=b"c" * 1000)
        return stage.request(self.random.choice([b"GET", b"HEAD", b"DELETE"]))

    async def client(self, stage: Stage) -> None:
        """Ask something, read some of the answer, leave."""
        peer = await Peer.connect(stage.worker.port)
        try:
            await self.send_partly(peer, self.request(stage))
            await self.pause()
            for _ in range(self.random.randrange(4)):
                async with asyncio.timeout(self.random.choice([0.005, 0.05])):
                    await peer.reader.read(self.random.choice([1, 100, 100_000]))
        except (ConnectionError, TimeoutError):
            pass
        finally:
            self.leave(peer)


async def test_random_hangups_leave_nothing_behind(start_stage: StartStage, soak: bool) -> None:
    """Sockets, tasks, pool slots and connections are as many as before; the worker serves on."""
    chaos = Chaos(0)

    async def script(upstream: Upstream, peer: Peer) -> None:
        await chaos.upstream(upstream, peer)

    stage = await start_stage(script, limits={"timeout": {"idle": "5s"}})
    service = stage.worker.service
    tasks, fds = len(asyncio.all_tasks()), sockets()
    count = 1000 if soak else 150
    for seed in range(0, count, 10):
        chaos = Chaos(seed)
        await asyncio.gather(*(chaos.client(stage) for _ in range(10)))
    await stage.settled()
    service.pool.keep_only(set())
    await stage.upstream.stop()
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    await until(lambda: sockets() <= fds - 1)
    assert service.listener.open_connections == 0
    assert service.pool.open_connections == 0
    assert len(service.deadlines) == 1  # what sheds load looks at each sweep


async def test_a_worker_serves_on_after_hangups(start_stage: StartStage, soak: bool) -> None:
    """The next ordinary request is answered as if nothing had happened."""
    chaos = Chaos(0)

    async def script(upstream: Upstream, peer: Peer) -> None:
        await chaos.upstream(upstream, peer)

    stage = await start_stage(script)
    for seed in range(300 if soak else 30):
        chaos = Chaos(seed)
        await asyncio.gather(*(chaos.client(stage) for _ in range(3)))
    stage.upstream.script = greet
    await stage.settled()
    stage.worker.source.put_credential("api", {"key": "sk-sandbox-" + "another-not-real"})
    await stage.worker.caught_up()
    for _ in range(10):
        assert (await stage.get()).body == b"hello"
