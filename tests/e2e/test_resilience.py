"""A node of four workers whose upstream dies, comes back, and browns out: what it gets, and how soon it is known."""

import asyncio
import contextlib
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.stage import Line, Node, Reply, admin_of, serving

WORKERS = 4
LINES = 16
_GOOD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_BUSY = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"
_BAD = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


@dataclass
class Mortal:
    """An upstream that can die and live again at the same port; each ``fails``-th answer is ``bad``, 0 for none.

    An answer takes it so many ``seconds``; ``together`` are being made now, ``most`` were at once.
    """

    port: int = 0
    fails: int = 0
    bad: bytes = _BAD
    seconds: float = 0.0
    together: int = 0
    most: int = 0
    asked: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    server: asyncio.Server | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def live(self) -> None:
        """Listen."""
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    def die(self) -> None:
        """Refuse connections, and cut those there are."""
        if self.server is not None:
            self.server.close()
            self.server = None
        for writer in self.writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.server is None:  # accepted, and dead before it was served
            writer.transport.abort()
            return
        self.writers.add(writer)
        self.gone.clear()
        with contextlib.suppress(OSError, EOFError):
            while await reader.readuntil(b"\r\n\r\n"):
                self.asked += 1
                fails = self.fails and self.asked % self.fails == 0
                self.together += 1
                self.most = max(self.most, self.together)
                await asyncio.sleep(self.seconds)
                self.together -= 1
                writer.write(self.bad if fails else _GOOD)
        writer.close()
        self.writers.discard(writer)
        if not self.writers:
            self.gone.set()


@asynccontextmanager
async def standing(home: Path, **more: object) -> AsyncIterator[tuple[Node, Mortal, str]]:
    """A node before such an upstream, and a key; ``more`` are members of the definition."""
    mortal = Mortal()
    await mortal.live()
    try:
        async with serving(home, "--workers", str(WORKERS)) as node:
            async with admin_of(node) as admin:
                url = f"http://127.0.0.1:{mortal.port}"
                await admin.api("service", url, calls={"it": {"path": "/it", "retry": {"attempts": 3}}}, **more)
                await admin.credential("service")
                app = await admin.app("app", "service")
                key = (await admin.key(app["id"]))["secret"]
            yield node, mortal, key
    finally:
        mortal.die()
        await asyncio.wait_for(mortal.gone.wait(), 30.0)


class Crowd:
    """Clients that ask without a pause, through all workers; what they were answered since they were last asked."""

    def __init__(self, node: Node, key: str) -> None:
        self.heard: list[tuple[float, Reply]] = []
        self._lines = [Line(node.app) for _ in range(LINES)]
        self._tasks = [asyncio.create_task(self._ask(line, key)) for line in self._lines]

    async def _ask(self, line: Line, key: str) -> None:
        while True:
            began = time.monotonic()
            reply = await line.send("GET", "/relay/service/x", {"authorization": f"Bearer {key}"})
            self.heard.append((began, reply))
            await asyncio.sleep(0.02)

    async def seconds_until_only(self, status: int, code: str) -> float:
        """Seconds after which a request began that was the last one to be answered otherwise; half a second in all."""
        self.heard.clear()
        began = last = time.monotonic()
        while time.monotonic() < last + 0.5 or not self.heard:
            others = [at for at, reply in self.heard if (reply.status, reply.code) != (status, code)]
            last = max([last, *others])
            assert last < began + 30.0
            await asyncio.sleep(0.05)
        return last - began

    async def leave(self) -> None:
        """End them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(line.close() for line in self._lines))


async def test_four_workers_leave_a_dead_upstream_alone_and_use_it_again(tmp_path: Path, soak: bool) -> None:
    """All of them refuse at once within two seconds of its death, but for probes, and send within ten of its return."""
    opened, closed = [], []
    async with standing(tmp_path / "node") as (node, mortal, key):
        crowd = Crowd(node, key)
        for _ in range(20 if soak else 1):
            await crowd.seconds_until_only(200, "")
            assert len({reply.worker for _, reply in crowd.heard}) > 1
            mortal.die()
            dead = time.monotonic()
            crowd.heard.clear()
            await asyncio.sleep(4.0)
            late = Counter(reply.code for at, reply in crowd.heard if at > dead + 2.0)
            assert late["overloaded"] > 10 * (late.total() - late["overloaded"]), late
            assert set(late) <= {"overloaded", "upstream_unreachable"}
            opened.append(_first_of_each_worker(crowd, dead))
            await mortal.live()
            closed.append(await crowd.seconds_until_only(200, ""))
            assert closed[-1] < 10.0
        await crowd.leave()
        metrics = await _metrics(node)
    assert len(re.findall(r'tieline_breaker_opened_total\{api="service"\} [1-9]', metrics)) == 1
    sys.stdout.write(f"opened after {max(opened):.2f} s at most, closed {max(closed):.2f} s after its return\n")


def _first_of_each_worker(crowd: Crowd, dead: float) -> float:
    """Seconds after its death by which every worker that was asked had refused at once."""
    first: dict[str, float] = {}
    for at, reply in crowd.heard:
        if reply.code == "overloaded":
            first.setdefault(reply.worker, at - dead)
    return max(first.values())


async def _metrics(node: Node) -> str:
    await asyncio.sleep(1.5)  # breakers are looked at once a second
    line = Line(node.console)
    text = (await line.send("GET", "/metrics")).body.decode()
    await line.close()
    return text


async def _called(node: Node, key: str, times: int) -> Counter[int]:
    """What so many runs of a call that may be tried three times gave, on each of sixteen lines."""
    lines = [Line(node.app) for _ in range(LINES)]

    async def ask(line: Line) -> Counter[int]:
        replies = Counter[int]()
        for _ in range(times):
            replies[(await line.send("GET", "/call/service/it", {"authorization": f"Bearer {key}"})).status] += 1
        return replies

    counted = await asyncio.gather(*(ask(line) for line in lines))
    await asyncio.gather(*(line.close() for line in lines))
    return sum(counted, Counter[int]())


async def test_a_brown_out_gets_a_fifth_more_at_most(tmp_path: Path, soak: bool) -> None:
    """Calls that may be tried three times, of which one in five fails: retries of four workers have four budgets.

    Five failures in a row open a breaker, and come by chance here: it is off, so that all is left to the budgets.
    """
    async with standing(tmp_path / "node", limits={"breaker": False}) as (node, mortal, key):
        mortal.fails = 5
        statuses = await _called(node, key, 1_000 if soak else 60)
        assert mortal.asked <= 1.2 * statuses.total()
        assert statuses[200] >= 0.8 * statuses.total()
        sys.stdout.write(f"brown-out: {mortal.asked / statuses.total():.3f} times what was asked\n")


async def test_an_upstream_that_answers_429_gets_a_fifth_more_at_most_and_stays_in_use(
    tmp_path: Path, soak: bool
) -> None:
    """It is there and says so: no breaker opens, and what may not be sent again is answered with its 429."""
    async with standing(tmp_path / "node") as (node, mortal, key):
        mortal.fails, mortal.bad = 1, _BUSY
        statuses = await _called(node, key, 1_000 if soak else 60)
        assert set(statuses) <= {429, 502}, statuses
        assert mortal.asked <= 1.2 * statuses.total()
        mortal.fails = 0
        assert set(await _called(node, key, 2)) == {200}
        assert "tieline_breaker_opened_total{" not in await _metrics(node)
        sys.stdout.write(f"429: {mortal.asked / statuses.total():.3f} times what was asked\n")


async def test_one_greedy_key_of_four_workers_leaves_the_others_success(tmp_path: Path, soak: bool) -> None:
    """Forty places at a slow API, sixty-four clients of one key that never pause: others get theirs, 999 of 1,000."""
    async with standing(tmp_path / "node", limits={"connections": 40}) as (node, mortal, key):
        mortal.seconds = 0.02
        async with admin_of(node) as admin:
            app = await admin.app("modest", "service")
            modest = [(await admin.key(app["id"]))["secret"] for _ in range(4)]
        stop = asyncio.Event()
        greedy = Counter[int]()

        async def take() -> None:
            line = Line(node.app)
            while not stop.is_set():
                greedy[(await line.send("GET", "/relay/service/x", {"authorization": f"Bearer {key}"})).status] += 1
            await line.close()

        async def ask(secret: str) -> Counter[int]:
            line, replies = Line(node.app), Counter[int]()
            for _ in range(1_000 if soak else 60):
                replies[(await line.send("GET", "/relay/service/x", {"authorization": f"Bearer {secret}"})).status] += 1
            await line.close()
            return replies

        crowd = [asyncio.create_task(take()) for _ in range(64)]
        counted = sum(await asyncio.gather(*(ask(secret) for secret in modest * 2)), Counter[int]())
        stop.set()
        await asyncio.gather(*crowd)
        assert counted[200] >= 0.999 * counted.total(), counted
        assert mortal.most <= 40
        share = counted[200] / counted.total()
        sys.stdout.write(f"greedy: {dict(greedy)}; others {counted.total()}, {100 * share:.2f} % good\n")
