"""kill -9 at random moments: what was acknowledged is there, nothing is half there, and the rest goes on serving."""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import sqlite3
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.load import Caller, accepted
from tests.e2e.stage import Line, Node, admin_of, is_gone, spawn, start, until
from tests.e2e.test_revocation import database
from tests.e2e.upstream import upstream
from tests.e2e.writers import Writer

SEED = 20261123
WRITERS = 3
ENOUGH = 10  # writes are acknowledged before each kill, on the whole, however slow the machine
EARLY = 0.2  # of the kills come while the server is still starting
TABLES = {"apis": "api", "credentials": "cred", "apps": "app", "app_keys": "key"}


async def killed_again_and_again(home: Path, loops: int, *options: str) -> int:
    """Writers write, the server is killed, started again and checked, ``loops`` times; how much was acknowledged."""
    randomness = random.Random(SEED)
    async with upstream(keeps=False) as provider:
        writers = [Writer(f"writer{n}", provider, random.Random(f"{SEED} {n}")) for n in range(WRITERS)]
        node = await start(home, *options)
        try:
            for loop in range(loops):
                writing = [asyncio.create_task(writer.write_until_cut(node)) for writer in writers]
                await asyncio.sleep(randomness.uniform(0.1, 1.5))
                await _written(writers, ENOUGH * (loop + 1))
                node.kill()
                await asyncio.gather(*writing)
                if randomness.random() < EARLY:
                    node = spawn(home, *options)
                    await asyncio.sleep(randomness.uniform(0.0, 1.5))
                    node.kill()
                node = await start(home, *options)
                await _checked(node, writers, everything=False)
            await _checked(node, writers, everything=True)
        finally:
            await node.stop()
    return sum(writer.acknowledged for writer in writers)


async def _written(writers: list[Writer], enough: int) -> None:
    await until(lambda: sum(each.acknowledged for each in writers) > enough)


async def _checked(node: Node, writers: list[Writer], *, everything: bool) -> None:
    for writer in writers:
        await writer.check(node, everything=everything)
    async with admin_of(node) as admin:
        chain = await admin.made("POST", "/audit/verify")
    assert (chain["ok"], chain["breaks"]) == (True, [])


async def test_kill_9_loses_nothing_acknowledged(tmp_path: Path, soak: bool) -> None:
    """On SQLite: every acknowledged write works afterwards; every row has its audit event, every event its row."""
    loops = 300 if soak else 4
    acknowledged = await killed_again_and_again(tmp_path / "node", loops)
    sys.stdout.write(f"{loops} kills, {acknowledged} acknowledged writes, 0 lost\n")
    assert acknowledged > ENOUGH * loops
    with contextlib.closing(sqlite3.connect(tmp_path / "node" / "data" / "tieline.db")) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("PRAGMA foreign_key_check").fetchall() == []
        for table, prefix in TABLES.items():
            rows = {row[0] for row in file.execute(f"SELECT id FROM {table}")}  # noqa: S608
            targets = {row[0] for row in file.execute("SELECT DISTINCT target FROM audit")}
            assert rows == {target for target in targets if target.startswith(f"{prefix}_")}, table
        bare = "SELECT id FROM credentials WHERE id NOT IN (SELECT credential_id FROM secrets)"
        assert file.execute(bare).fetchall() == []
        assert file.execute("SELECT id FROM app_keys WHERE id NOT IN (SELECT key_id FROM key_secrets)").fetchall() == []


async def test_kill_9_loses_nothing_on_postgresql(tmp_path: Path, soak: bool, postgres: str) -> None:
    """The same where the database is a server of its own, which survives."""
    loops = 30 if soak else 1
    async with database(postgres) as url:
        assert await killed_again_and_again(tmp_path / "node", loops, "--database-url", url) > ENOUGH * loops


async def test_a_killed_process_is_missed_by_nobody_else(tmp_path: Path) -> None:
    """Of two busy workers one is killed: the other's connections notice nothing, and it comes back.

    Then the supervisor is killed: nothing outlives it, and both ports are free again.
    """
    async with upstream(keeps=False) as provider:
        node = await start(tmp_path / "node", "--workers", "2")
        async with admin_of(node) as admin:
            await admin.api("service", provider.url)
            await admin.credential("service")
            key = (await admin.key((await admin.app("app", "service"))["id"]))["secret"]
        caller = Caller(node, key, ("GET", "/relay/service/things"), [provider])
        await caller.begin()
        await asyncio.sleep(0.5)
        first = {use.worker for use in caller.uses}
        os.kill(node.children("data")[0], signal.SIGKILL)
        seen, failed = await _until_back(caller, first)
        assert len(seen - first) == 1, "it did not come back"
        assert failed <= 1, "a connection that it had not accepted yet may be lost, no other"
        assert caller.failures <= 1, "of the two connections in use, one was the killed worker's"
        assert [use for use in caller.uses if use.status != 200 or not accepted(use)] == []
        children = node.children()
        node.process.kill()
        node.process.wait()
        assert await until(lambda: all(is_gone(pid) for pid in children)), "an orphan stays"
        await caller.end()
        assert len(children) == 3
        for address in (node.app, node.console):
            with pytest.raises(OSError, match="Connect call failed"):
                await asyncio.open_connection(*address)


async def _until_back(caller: Caller, known: set[str]) -> tuple[set[str], int]:
    """Connect anew until a worker answers that is not ``known``: the workers seen, and how often nobody answered."""
    seen, failed, end = set(known), 0, time.monotonic() + 30
    while seen == known and time.monotonic() < end:
        line = Line(caller.node.app)
        try:
            seen.add((await caller.use(line)).worker)
        except (OSError, EOFError):
            failed += 1
        await line.close()
        await asyncio.sleep(0.02)
    return seen, failed


@dataclass
class Client:
    """Asks one after another until it is cut, and writes down the ids of the answers that it got whole."""

    node: Node
    key: str
    paths: tuple[tuple[str, str], ...]
    whole: set[str] = field(default_factory=set)

    async def ask_until_cut(self) -> None:
        """Take turns between ``paths``, methods and targets."""
        line = Line(self.node.app)
        with contextlib.suppress(OSError, EOFError, ValueError):
            for method, path in itertools.cycle(self.paths):
                body = b"{}" if method == "POST" else None
                reply = await line.send(method, path, {"authorization": f"Bearer {self.key}"}, body)
                if reply.whole:
                    assert reply.status in {200, 403}, reply.raw
                    self.whole.add(reply.header("tieline-request-id"))
        await line.close()


async def test_kill_9_loses_no_record_that_an_answer_waited_for(tmp_path: Path, soak: bool) -> None:
    """``audit: strict``: each answer that a client has whole, relayed, refused or of a call, has its one record."""
    whole: set[str] = set()
    home, randomness = tmp_path / "node", random.Random(SEED)
    calls = {"it": {"path": "/things", "use_as": "data"}}
    paths = (
        ("GET", "/relay/service/things"),
        ("GET", "/relay/service/~drip"),
        ("POST", "/call/service/it"),
        ("DELETE", "/relay/service/things"),
    )
    areas = [{"area": "things", "levels": ["read"], "match": ["GET /things", "GET /~drip"]}]
    async with upstream() as provider:
        node = await start(home, "--workers", "2")
        async with admin_of(node) as admin:
            await admin.api("service", provider.url, audit="strict", calls=calls, areas=areas)
            await admin.credential("service")
            app = (await admin.app("app", "service"))["id"]
            grants = {"service": {"things": "read"}}
            key = (await admin.key(app, permissions={"mode": "restricted", "grants": grants}))["secret"]
        for _ in range(100 if soak else 2):
            clients = [Client(node, key, paths) for _ in range(8)]
            asking = [asyncio.create_task(client.ask_until_cut()) for client in clients]
            await asyncio.sleep(randomness.uniform(0.2, 1.0))
            node.kill()
            await asyncio.gather(*asking)
            whole |= {each for client in clients for each in client.whole}
            node = await start(home, "--workers", "2")
        await node.stop()
    stored: list[str] = []
    for path in (home / "data" / "tieline.requests").glob("*.db"):
        with contextlib.closing(sqlite3.connect(path)) as file:
            stored += [row[0] for row in file.execute("SELECT id FROM entries")]
    assert len(stored) == len(set(stored))
    assert len(whole) > 20
    assert whole <= set(stored), f"{len(whole - set(stored))} of {len(whole)} answers have no record"
    sys.stdout.write(f"{len(whole)} whole answers, each with its record\n")
