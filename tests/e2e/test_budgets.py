"""A budget under everything at once: many clients, four workers, workers killed in mid-call, the whole server killed.

The upstream takes its time, so that calls are under way when a worker dies. What the store says was spent is compared
with what the upstream answered and what the clients got.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.stage import Admin, Line, Node, admin_of, start
from tests.e2e.test_revocation import database

CAP, CALLS, WORKERS = 50, 500, 4
SEED = 20261130
PRICES = {
    "*": {"date": "2026-11-30", "source": "https://example.com/prices", "rates": {"requests": {"usd": "1", "per": "1"}}}
}


@dataclass
class SlowUpstream:
    """Answers after ``seconds``; counts what it was asked and answered."""

    seconds: float = 0.15
    port: int = 0
    answered: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The requests of one connection."""
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(self.seconds)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
                self.answered += 1
        writer.close()


@asynccontextmanager
async def slow_upstream() -> AsyncIterator[SlowUpstream]:
    """One on loopback."""
    upstream = SlowUpstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    yield upstream
    server.close()


@dataclass
class Tally:
    """How calls ended: by status, 0 where the answer never came."""

    statuses: dict[int, int] = field(default_factory=dict)

    async def call(self, node: Node, key: str) -> int:
        """One call on a connection of its own."""
        line = Line(node.app)
        try:
            reply = await line.send("GET", "/relay/priced/x", {"authorization": f"Bearer {key}"})
            status = reply.status if reply.whole else 0
        except (OSError, EOFError):
            status = 0
        finally:
            await line.close()
        self.statuses[status] = self.statuses.get(status, 0) + 1
        return status


async def furnish(admin: Admin, upstream: SlowUpstream, **terms: Any) -> str:
    """An API whose every request costs a dollar, a key, and a budget of fifty for it; the key's secret."""
    await admin.api("priced", f"http://127.0.0.1:{upstream.port}", prices=PRICES)
    await admin.credential("priced")
    app = await admin.app("app", "priced")
    key = await admin.key(app["id"])
    body = {"name": "fifty", "amount": {"usd": str(CAP)}, "period": "total", "applies_to": {"keys": [key["id"]]}}
    await admin.made("POST", "/budgets", body | terms)
    return str(key["secret"])


async def settled(admin: Admin, seconds: float = 40.0) -> dict[str, Any]:
    """The budget, once nothing is reserved any more and no more is settled for a second."""
    end = time.monotonic() + seconds
    found: dict[str, Any] = {}
    since = time.monotonic()
    while time.monotonic() < end:
        now = await admin.made("GET", "/budgets/fifty")
        if now != found:
            found, since = now, time.monotonic()
        if found["reserved"]["usd"] == "0.00" and time.monotonic() - since > 1.5:
            return found
        await asyncio.sleep(0.1)
    return found


async def spent_exactly(home: Path, *options: str) -> None:
    """500 calls at once on a cap of 50, with workers killed while calls are under way; the others go on to the end."""
    randomness = random.Random(SEED)
    async with slow_upstream() as upstream:
        node = await start(home, "--workers", str(WORKERS), *options)
        try:
            async with admin_of(node) as admin:
                key = await furnish(admin, upstream)
                tally = Tally()
                calls = [asyncio.create_task(tally.call(node, key)) for _ in range(CALLS)]
                for _ in range(3):
                    await asyncio.sleep(randomness.uniform(0.05, 0.2))
                    workers = node.children("data")
                    if workers:
                        os.kill(randomness.choice(workers), signal.SIGKILL)
                await asyncio.gather(*calls)
                end = time.monotonic() + 150  # nothing is proved by it but that it ends
                while time.monotonic() < end:  # whoever was cut off, or refused for a dead worker's sake, asks again
                    statuses = await asyncio.gather(*(tally.call(node, key) for _ in range(5)))
                    if set(statuses) == {429}:
                        budget = await settled(admin)
                        if budget["spent"]["usd"] == f"{CAP}.00":
                            break
                budget = await settled(admin)
        finally:
            await node.stop()
    sys.stdout.write(f"{tally.statuses}, upstream answered {upstream.answered}, spent {budget['spent']}\n")
    assert budget["spent"] == {"usd": f"{CAP}.00"}
    assert (budget["reserved"], budget["left"]) == ({"usd": "0.00"}, {"usd": "0.00"})
    estimated = int(float(budget["estimated"]["usd"]))
    assert tally.statuses[200] <= upstream.answered <= CAP, "nothing over, by what the upstream would charge"
    assert tally.statuses[200] + estimated >= CAP, "what dead workers had sent counts, and nothing else"
    assert estimated <= tally.statuses.get(0, 0)


async def test_exactly_fifty_are_paid(tmp_path: Path) -> None:
    """On SQLite: 50 of 500, none over, nothing stays reserved, whatever died."""
    await spent_exactly(tmp_path / "node")


async def test_exactly_fifty_are_paid_on_postgresql(tmp_path: Path, postgres: str) -> None:
    """The same where the store is a server of its own."""
    async with database(postgres) as url:
        await spent_exactly(tmp_path / "node", "--database-url", url)


async def test_what_was_spent_outlives_the_whole_server(tmp_path: Path) -> None:
    """kill -9 of everything in the midst of it: what was answered is spent, and the next server goes on from there."""
    async with slow_upstream() as upstream:
        upstream.seconds = 0.01
        node = await start(tmp_path / "node", "--workers", "2")
        try:
            async with admin_of(node) as admin:
                key = await furnish(admin, upstream)
            tally = Tally()
            for _ in range(20):
                assert await tally.call(node, key) == 200
            node.kill()
            node = await start(tmp_path / "node", "--workers", "2")
            async with admin_of(node) as admin:
                found = await settled(admin)
                assert found["spent"] == {"usd": "20.00"}
                more = await asyncio.gather(*(tally.call(node, key) for _ in range(60)))
                assert (more.count(200), more.count(429)) == (30, 30), more
                found = await settled(admin)
                assert (found["spent"], found["estimated"]) == ({"usd": "50.00"}, {"usd": "0.00"})
        finally:
            await node.stop()
