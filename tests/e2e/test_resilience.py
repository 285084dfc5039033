"""A node of four workers whose upstream dies, comes back, and browns out: what it gets, and how soon it is known."""

import asyncio
import contextlib
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
_BAD = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


@dataclass
class Mortal:
    """An upstream that can die and live again at the same port; each ``fails``-th answer is 503, 0 for none."""

    port: int = 0
    fails: int = 0
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
        for writer in self.writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        self.gone.clear()
        with contextlib.suppress(OSError, EOFError):
            while await reader.readuntil(b"\r\n\r\n"):
                self.asked += 1
                writer.write(_BAD if self.fails and self.asked % self.fails == 0 else _GOOD)
        writer.close()
        self.writers.discard(writer)
        if not self.writers:
            self.gone.set()


@asynccontextmanager
async def standing(home: Path) -> AsyncIterator[tuple[Node, Mortal, str]]:
    """A node before such an upstream, and a key."""
    mortal = Mortal()
    await mortal.live()
    try:
        async with serving(home, "--workers", str(WORKERS)) as node:
            async with admin_of(node) as admin:
                url = f"http://127.0.0.1:{mortal.port}"
                await admin.api("service", url, calls={"it": {"path": "/it", "retry": {"attempts": 3}}})
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


async def test_four_workers_leave_a_dead_upstream_alone_and_use_it_again(tmp_path: Path) -> None:
    """All of them refuse at once within two seconds of its death, but for probes, and send within ten of its return."""
    async with standing(tmp_path / "node") as (node, mortal, key):
        crowd = Crowd(node, key)
        await crowd.seconds_until_only(200, "")
        assert len({reply.worker for _, reply in crowd.heard}) > 1
        mortal.die()
        dead = time.monotonic()
        crowd.heard.clear()
        await asyncio.sleep(4.0)
        late = Counter(reply.code for at, reply in crowd.heard if at > dead + 2.0)
        assert late["overloaded"] > 10 * (late.total() - late["overloaded"]), late
        assert set(late) <= {"overloaded", "upstream_unreachable"}
        await mortal.live()
        assert await crowd.seconds_until_only(200, "") < 10.0
        await crowd.leave()


async def test_a_brown_out_gets_a_fifth_more_at_most(tmp_path: Path) -> None:
    """Calls that may be tried three times, of which one in five fails: retries of four workers have four budgets."""
    async with standing(tmp_path / "node") as (node, mortal, key):
        mortal.fails = 5
        lines = [Line(node.app) for _ in range(LINES)]

        async def ask(line: Line) -> Counter[int]:
            replies = Counter[int]()
            for _ in range(60):
                replies[(await line.send("GET", "/call/service/it", {"authorization": f"Bearer {key}"})).status] += 1
            return replies

        counted = await asyncio.gather(*(ask(line) for line in lines))
        await asyncio.gather(*(line.close() for line in lines))
        statuses = sum(counted, Counter[int]())
        assert mortal.asked <= 1.2 * statuses.total()
        assert statuses[200] >= 0.8 * statuses.total()
