"""Alerts on real nodes: each threshold once, whatever runs or dies, and a receiver that checks each message."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from tests.e2e.stage import Admin, admin_of, start, until
from tests.e2e.test_budgets import SlowUpstream, Tally, furnish, slow_upstream
from tests.e2e.test_revocation import database

ALERTS = [10, 50, 80, 100]


@dataclass
class Receiver:
    """Answers ``status`` to each message, and notes it once the library of Standard Webhooks has taken it."""

    status: int = 204
    secret: str = ""
    port: int = 0
    taken: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def thresholds(self) -> list[int]:
        """Which were told, in the order of their messages."""
        return [told["data"]["threshold"] for _, told in self.taken]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One message."""
        with contextlib.suppress(OSError, EOFError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head)}
            body = await reader.readexactly(int(fields["content-length"]))
            told = Webhook(self.secret).verify(body, fields)
            self.taken.append((fields["webhook-id"], told))
            writer.write(f"HTTP/1.1 {self.status} x\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """One on loopback."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()


async def alerted(admin: Admin, upstream: SlowUpstream, receiver: Receiver) -> str:
    """A budget of fifty dollars with thresholds, and a webhook; a key's secret."""
    hook = {"name": "ops", "url": f"http://127.0.0.1:{receiver.port}/in"}
    receiver.secret = (await admin.made("POST", "/webhooks", hook))["secret"]
    return await furnish(admin, upstream, alerts=ALERTS)


async def test_each_threshold_is_told_once_over_all_workers(tmp_path: Path) -> None:
    """Calls through four workers until nothing is left: as many messages and warnings as thresholds, then none."""
    async with slow_upstream() as upstream, receiving() as receiver:
        upstream.seconds = 0.01
        node = await start(tmp_path / "node", "--workers", "4")
        try:
            async with admin_of(node) as admin:
                key = await alerted(admin, upstream, receiver)
            tally = Tally()
            while 429 not in tally.statuses:
                await asyncio.gather(*(tally.call(node, key) for _ in range(40)))
            assert await until(lambda: len(receiver.taken) >= len(ALERTS), 30)
            await asyncio.sleep(2.5)
            assert await node.stop() == 0
            node = await start(tmp_path / "node", "--workers", "4")
            await tally.call(node, key)
            await asyncio.sleep(2.5)
            assert sorted(receiver.thresholds) == ALERTS
            said = "".join(each.read_text() for each in sorted(node.home.glob("output.*")))
            assert [said.count(f'fifty\\" has passed {each} %') for each in ALERTS] == [1] * len(ALERTS), said
            assert receiver.secret not in said
        finally:
            await node.stop()


async def test_what_could_not_be_delivered_is_sent_after_a_kill(tmp_path: Path) -> None:
    """The receiver fails, the whole server is killed, and the next one sends the same messages again."""
    async with slow_upstream() as upstream, receiving() as receiver:
        receiver.status = 500
        node = await start(tmp_path / "node")
        try:
            async with admin_of(node) as admin:
                key = await alerted(admin, upstream, receiver)
            tally = Tally()
            await asyncio.gather(*(tally.call(node, key) for _ in range(6)))
            assert await until(lambda: len(receiver.taken) >= 1, 30)
            node.kill()
            receiver.status = 204
            before = len(receiver.taken)
            node = await start(tmp_path / "node")
            assert await until(lambda: len(receiver.taken) > before, 90)
            assert len({message for message, _ in receiver.taken}) == 1
            async with admin_of(node) as admin:
                assert await _delivered(admin)
        finally:
            await node.stop()


async def _delivered(admin: Admin, seconds: float = 10.0) -> bool:
    """Whether the one delivery is over within so long, after more than one attempt."""
    async with asyncio.timeout(seconds):
        while True:
            (found,) = (await admin.made("GET", "/webhooks/ops/deliveries"))["items"]
            if found["state"] == "delivered":
                return bool(found["attempts"] > 1)
            await asyncio.sleep(0.1)


async def test_two_nodes_on_one_store_share_a_cap_and_its_thresholds_exactly(tmp_path: Path, postgres: str) -> None:
    """300 calls at once through both on a cap of 50: 50 are paid, and each threshold is told once."""
    async with slow_upstream() as upstream, receiving() as receiver, database(postgres) as url:
        upstream.seconds = 0.05
        nodes = [await start(tmp_path / "one", "--workers", "2", "--database-url", url)]
        try:
            async with admin_of(nodes[0]) as admin:
                key = await alerted(admin, upstream, receiver)
                root = (nodes[0].data_dir / "root.key").read_bytes()
                (tmp_path / "two" / "data").mkdir(parents=True, mode=0o700)
                (tmp_path / "two" / "data" / "root.key").write_bytes(root)
                (tmp_path / "two" / "data" / "root.key").chmod(0o600)
                nodes.append(await start(tmp_path / "two", "--workers", "2", "--database-url", url))
                tally = Tally()
                await asyncio.gather(*(tally.call(nodes[turn % 2], key) for turn in range(300)))
                end = asyncio.get_running_loop().time() + 60
                while asyncio.get_running_loop().time() < end:  # a node holds a slice until it lies idle
                    budget = await admin.made("GET", "/budgets/fifty")
                    if budget["spent"] == {"usd": "50.00"}:
                        break
                    await asyncio.gather(*(tally.call(each, key) for each in nodes))
                    await asyncio.sleep(0.2)
            assert budget["spent"] == {"usd": "50.00"}, (budget, tally.statuses)
            assert tally.statuses[200] == upstream.answered == 50
            assert await until(lambda: len(receiver.taken) >= len(ALERTS), 30)
            await asyncio.sleep(2.5)
            assert sorted(receiver.thresholds) == ALERTS
        finally:
            for node in nodes:
                await node.stop()
