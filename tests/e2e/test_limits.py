"""Limits on a real node of several workers: nothing in excess, and nothing stays taken, whoever dies or leaves."""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.stage import Line, Node, Reply, admin_of, is_gone, read_reply, serving, until
from tests.e2e.upstream import Upstream, upstream

SEED = 20261130
_LINES_MOST = 60
_marks = itertools.count()
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Held:
    """Requests that the upstream does not answer, each on a connection of its own."""

    node: Node
    provider: Upstream
    key: str
    streams: list[Streams] = field(default_factory=list)

    async def add(self) -> Reply | None:
        """Ask once more: None where it is under way now, else the refusal."""
        mark = f"held{next(_marks)}"
        reader, writer = await asyncio.open_connection(*self.node.app)
        writer.write(_request(self.node, self.key, "stall", mark))
        answered = asyncio.create_task(read_reply(reader))
        await until(lambda: answered.done() or mark in self.provider.by_mark)
        if answered.done():
            writer.close()
            return await answered
        answered.cancel()
        self.streams.append((reader, writer))
        return None

    async def fill(self) -> int:
        """Ask until one is refused for what is at once; how many are under way then."""
        while (refused := await self.add()) is None:
            assert len(self.streams) < 1000
        assert refused.code == "concurrency_limited", refused.raw
        return len(self.streams)

    def leave(self) -> None:
        """Close all connections."""
        for _, writer in self.streams:
            writer.close()
        self.streams.clear()

    def lost(self) -> int:
        """How many connections their worker took with it."""
        return sum(reader.at_eof() or reader.exception() is not None for reader, _ in self.streams)


def _request(node: Node, key: str, play: str = "", mark: str = "") -> bytes:
    fields = f"host: {node.app[0]}\r\nauthorization: Bearer {key}\r\nx-play: {play}\r\nx-mark: {mark}\r\n"
    return f"GET /relay/service/things HTTP/1.1\r\n{fields}\r\n".encode()


@asynccontextmanager
async def limited(home: Path, workers: int, **limits: Any) -> AsyncIterator[tuple[Node, Upstream, str]]:
    """A node of so many workers before an upstream, and a key with these limits."""
    async with upstream() as provider, serving(home, "--workers", str(workers)) as node:
        async with admin_of(node) as admin:
            await admin.api("service", provider.url, limits={"breaker": False})  # upstreams that cut belong to the play
            await admin.credential("service")
            app = await admin.app("app", "service")
            key = await admin.key(app["id"], limits=limits)
        yield node, provider, key["secret"]


async def _worker(line: Line, key: str) -> str:
    """Which worker this connection came to, by an answer that takes nothing of a limit."""
    return (await line.send("GET", "/relay/nothing/here", {"authorization": f"Bearer {key}"})).worker


async def _lines(node: Node, key: str, workers: int) -> dict[str, Line]:
    """A connection to each worker."""
    found: dict[str, Line] = {}
    for _ in range(_LINES_MOST):
        line = Line(node.app)
        worker = await _worker(line, key)
        spare = found.get(worker)
        found[worker] = line
        if spare is not None:
            await spare.close()
        if len(found) == workers:
            return found
    raise AssertionError(f"reached {len(found)} of {workers} workers")


async def test_four_workers_let_no_request_too_many_through(tmp_path: Path) -> None:
    """Of 400 at the same time through all of them, 40 of 40 a day are served, on whichever worker they come."""
    async with limited(tmp_path / "node", 4, rates=[{"requests": 40, "per": "day"}]) as (node, provider, key):
        lines = await _lines(node, key, 4)

        async def ask(line: Line) -> list[Reply]:
            return [await line.ask(_request(node, key)) for _ in range(100)]

        replies = [reply for found in await asyncio.gather(*map(ask, lines.values())) for reply in found]
        for line in lines.values():
            await line.close()
        served = [reply for reply in replies if reply.status == 200]
        assert (len(replies), len(served), len(provider.arrivals)) == (400, 40, 40)
        assert {reply.code for reply in replies if reply.status != 200} == {"rate_limited"}
        assert sorted(int(reply.header("x-ratelimit-remaining-requests")) for reply in served) == list(range(40))
        sys.stdout.write(f"served by worker: {dict(Counter(reply.worker for reply in served))}\n")


async def test_a_killed_worker_s_slots_are_free_within_a_second_and_no_others(tmp_path: Path) -> None:
    """As many as its connections held can be taken again; what the other worker holds stays taken."""
    async with limited(tmp_path / "node", 2, concurrent=8) as (node, provider, key):
        held = Held(node, provider, key)
        assert await held.fill() == 8
        worker = node.children("data")[0]
        os.kill(worker, signal.SIGKILL)
        killed = time.monotonic()
        assert await until(lambda: is_gone(worker) and held.lost() > 0, 1)
        await asyncio.sleep(0.02)  # its sockets are closed; here it takes a turn of the loop to see it of all
        lost = held.lost()
        again = Held(node, provider, key)
        while len(again.streams) < lost:
            with contextlib.suppress(OSError, EOFError):  # a connection that the dead one had not accepted yet
                await again.add()
            assert time.monotonic() < killed + 1, f"{len(again.streams)} of {lost} are free after a second"
            await asyncio.sleep(0.01)
        sys.stdout.write(f"{lost} slots free after {(time.monotonic() - killed) * 1000:.0f} ms\n")
        refused = await again.add()
        assert refused is not None
        assert refused.code == "concurrency_limited"
        held.leave()
        again.leave()


async def test_clients_that_hang_up_leave_no_slot_taken(tmp_path: Path, soak: bool) -> None:
    """At whatever moment they leave: before the upstream answers, in mid-answer, behind it."""
    hangups = 10_000 if soak else 300
    randomness = random.Random(SEED)
    plays = ("stall", "stall", "drip", "", "cut", "hang_up")
    async with limited(tmp_path / "node", 2, concurrent=50, streams=50) as (node, provider, key):

        async def hang_up(play: str, after: float) -> None:
            _, writer = await asyncio.open_connection(*node.app)
            writer.write(_request(node, key, play))
            await asyncio.sleep(after)
            writer.transport.abort()

        for _ in range(hangups // 30):
            await asyncio.gather(*(hang_up(randomness.choice(plays), randomness.uniform(0, 0.02)) for _ in range(30)))
        held, end = Held(node, provider, key), time.monotonic() + 10
        while await held.fill() < 50:
            held.leave()
            assert time.monotonic() < end, "slots stay taken"
            await asyncio.sleep(0.1)
        assert len(held.streams) == 50
        held.leave()


async def test_a_node_says_that_it_shares_no_limits(tmp_path: Path) -> None:
    """Who names a Redis expects limits to hold for all nodes together: the log says that they do not."""
    async with serving(tmp_path / "node", "--redis-url", "redis://127.0.0.1:9/0") as node:
        assert "limits are counted by each node for itself" in node.said()
