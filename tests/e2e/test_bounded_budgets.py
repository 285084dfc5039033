"""A cap over calls whose cost is known afterwards only: what is spent never goes beyond it, whatever dies or leaves.

The upstream keeps a ledger of its own: what it would charge for each request that reached it. Clients hang up, streams
are cut, a fifth of the calls lose their worker.
"""

import asyncio
import contextlib
import json
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

from tests.e2e.stage import Admin, Line, Node, admin_of, start
from tests.e2e.test_budgets import settled
from tests.e2e.test_revocation import database

CAP = 30_000
SEED = 20261130
MODEL = {
    "m": {
        "date": "2026-11-30",
        "source": "https://example.com/prices",
        "window": 1_000,
        "most_output": 20,
        "rates": {"input_tokens": {"usd": "1", "per": "1"}, "output_tokens": {"usd": "10", "per": "1"}},
    }
}
PLAYS = ("whole", "whole", "slow", "stream", "cut", "silent", "leave")


@dataclass
class ModelUpstream:
    """Answers as ``play`` in a request's metadata says; ``charged`` is what it would charge, in dollars."""

    randomness: random.Random = field(default_factory=lambda: random.Random(SEED))
    port: int = 0
    charged: int = 0
    answered: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The requests of one connection."""
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                asked = json.loads(await reader.readexactly(length))
                if not await self._answer(asked, writer):
                    break
        writer.close()

    async def _answer(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        play = asked["user"]
        usage = {
            "prompt_tokens": self.randomness.randint(1, 60),
            "completion_tokens": self.randomness.randint(0, asked["max_tokens"]),
        }
        self.answered += 1
        self.charged += usage["prompt_tokens"] + 10 * usage["completion_tokens"]
        await asyncio.sleep(0.4 if play in {"slow", "leave"} else 0.02)
        if asked.get("stream"):
            return await self._stream(play, usage, writer)
        told = {} if play == "silent" else {"model": "m", "usage": usage}
        body = json.dumps(told).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        return True

    async def _stream(self, play: str, usage: dict[str, int], writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for turn in range(3):
            chunk = {"model": "m", "choices": [{"index": 0, "delta": {"content": f"word{turn} "}}], "usage": None}
            writer.write(b"data: %b\n\n" % json.dumps(chunk).encode())
            await writer.drain()
            await asyncio.sleep(0.02)
        if play != "cut":
            last = {"model": "m", "choices": [], "usage": usage}
            writer.write(b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(last).encode())
        else:
            writer.transport.abort()
        return False


@asynccontextmanager
async def model_upstream() -> AsyncIterator[ModelUpstream]:
    """One on loopback."""
    upstream = ModelUpstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    yield upstream
    server.close()


async def furnish(admin: Admin, upstream: ModelUpstream) -> str:
    """An API with prices by model, a key, and a budget; the key's secret."""
    base = f"http://127.0.0.1:{upstream.port}"
    await admin.api("priced", base, prices=MODEL, usage={"kind": "openai"})
    await admin.credential("priced")
    app = await admin.app("app", "priced")
    key = await admin.key(app["id"])
    amount = {"name": "fifty", "amount": {"usd": str(CAP)}, "period": "total", "applies_to": {"keys": [key["id"]]}}
    await admin.made("POST", "/budgets", amount)
    return str(key["secret"])


async def call(node: Node, key: str, play: str, statuses: Counter[int]) -> None:
    """One call, whose body comes in a part of its own."""
    line = Line(node.app)
    asked: dict[str, Any] = {"model": "m", "max_tokens": 20, "user": play, "messages": []}
    asked |= {"stream": True} if play in {"stream", "cut"} else {}
    body = json.dumps(asked).encode()
    fields = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    try:
        async with asyncio.timeout(0.2 if play == "leave" else 60):
            reply = await line.send("POST", "/relay/priced/chat/completions", fields, body)
            statuses[reply.status] += 1
    except (OSError, EOFError, TimeoutError):
        statuses[0] += 1
    finally:
        await line.close()


async def never_beyond(home: Path, *options: str) -> None:
    """600 calls of all kinds through four workers, which are killed on the way; what is spent is watched all along."""
    randomness = random.Random(SEED)
    statuses: Counter[int] = Counter()
    highest = 0.0
    async with model_upstream() as upstream:
        node = await start(home, "--workers", "4", *options)
        try:
            async with admin_of(node) as admin:
                key = await furnish(admin, upstream)
                for turn in range(10):
                    calls = [
                        asyncio.create_task(call(node, key, randomness.choice(PLAYS), statuses)) for _ in range(60)
                    ]
                    await asyncio.sleep(randomness.uniform(0.05, 0.3))
                    workers = node.children("data")
                    if turn % 2 and workers:
                        os.kill(randomness.choice(workers), signal.SIGKILL)
                    await asyncio.gather(*calls)
                    now = await admin.made("GET", "/budgets/fifty")
                    highest = max(highest, float(now["spent"]["usd"]))
                end = time.monotonic() + 60
                before = -1
                while time.monotonic() < end and before != statuses[200]:  # until nothing fits any more
                    before = statuses[200]
                    await asyncio.gather(*(call(node, key, "whole", statuses) for _ in range(40)))
                budget = await settled(admin)
        finally:
            await node.stop()
    spent, estimated = (float(budget[name]["usd"]) for name in ("spent", "estimated"))
    sys.stdout.write(
        f"{dict(statuses)}, upstream answered {upstream.answered} and charges {upstream.charged}, spent {spent} "
        f"(estimated {estimated}) of {CAP}\n"
    )
    assert max(highest, spent) <= CAP
    assert upstream.charged <= CAP
    assert budget["reserved"] == {"usd": "0.00"}
    assert statuses[200] > 50
    assert statuses[429] > 0


async def test_what_is_spent_never_goes_beyond_the_cap(tmp_path: Path) -> None:
    """On SQLite."""
    await never_beyond(tmp_path / "node")


async def test_what_is_spent_never_goes_beyond_the_cap_on_postgresql(tmp_path: Path, postgres: str) -> None:
    """The same where the store is a server of its own."""
    async with database(postgres) as url:
        await never_beyond(tmp_path / "node", "--database-url", url)
