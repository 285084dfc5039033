"""What a power cut or ``kill -9`` may take: nothing that was acknowledged."""

import asyncio
import random
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select, text

from tests.storage.rows import AUDIT_KEY
from tieline.storage.engine import open_database
from tieline.storage.migrate import migrate
from tieline.storage.schema import apps, audit
from tieline.storage.store import SqlStore

WRITER = [sys.executable, "-m", "tests.storage.writer"]
ROOT = Path(__file__).parents[2]


async def start(*arguments: str) -> asyncio.subprocess.Process:
    """A writer that is ready."""
    child = await asyncio.create_subprocess_exec(
        *WRITER, *arguments, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"ready\n"
    return child


async def killed_at_random(url: str, chance: random.Random) -> set[str]:
    """The ids that a writer acknowledged before it was killed at some point of its work."""
    child = await start(url)
    assert child.stdout is not None
    acknowledged = [await child.stdout.readline()]
    await asyncio.sleep(chance.random() ** 2 * 0.12)
    child.kill()
    acknowledged += (await child.stdout.read()).splitlines(keepends=True)
    await child.wait()
    return {line.decode().strip() for line in acknowledged if line.endswith(b"\n")}


async def check_whole(url: str, acknowledged: set[str]) -> None:
    """Every acknowledged write is there, with its audit event, and the chain holds."""
    database = await open_database(url)
    async with database.read() as connection:
        found = set((await connection.execute(select(apps.c.id))).scalars())
        told = set((await connection.execute(select(audit.c.target))).scalars())
        refs = set((await connection.execute(text("SELECT ref FROM changes"))).scalars())
    async with SqlStore(database, audit_key=AUDIT_KEY).read() as rx:
        assert (await rx.audit.verify()).breaks == []
    await database.close()
    assert acknowledged <= found
    assert found == told == refs


@pytest.mark.timeout(3_000)
async def test_sqlite_keeps_every_acknowledged_write(tmp_path: Path, sqlite_template: Path, soak: bool) -> None:
    """Killed again and again (300 times in soak), one file loses nothing, and its integrity check passes each time."""
    path = tmp_path / "tieline.db"
    shutil.copy(sqlite_template, path)
    url, chance, acknowledged = f"sqlite:///{path}", random.Random(7), set[str]()
    for _ in range(300 if soak else 8):
        acknowledged |= await killed_at_random(url, chance)
        plain = sqlite3.connect(path)
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert plain.execute("PRAGMA foreign_key_check").fetchall() == []
        plain.close()
        for day in (tmp_path / "tieline.requests").glob("*.db"):
            with closing(sqlite3.connect(day)) as records:
                assert records.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        await check_whole(url, acknowledged)
    assert len(acknowledged) >= 8


async def test_postgresql_keeps_every_acknowledged_write(postgres_url: str, soak: bool) -> None:
    """The same with PostgreSQL, whose own promise it is once we waited for its commit."""
    database = await open_database(postgres_url)
    await migrate(database)
    await database.close()
    chance, acknowledged = random.Random(8), set[str]()
    for _ in range(20 if soak else 2):
        acknowledged |= await killed_at_random(postgres_url, chance)
        await check_whole(postgres_url, acknowledged)
    assert acknowledged


async def test_a_full_disk_refuses_and_recovers(tmp_path: Path, sqlite_template: Path) -> None:
    """On a full disk no write is acknowledged that is not kept; with room again the same process goes on."""
    path = tmp_path / "tieline.db"
    shutil.copy(sqlite_template, path)
    url = f"sqlite:///{path}"
    child = await start(url, str(path.stat().st_size + 150_000))
    assert child.stdout is not None
    assert child.stdin is not None
    acknowledged: set[str] = set()
    while not (line := (await child.stdout.readline()).decode()).startswith("refused"):
        acknowledged.add(line.strip())
    assert "disk has room" in line
    assert acknowledged
    await check_whole(url, acknowledged)
    child.stdin.write(b"there is room again\n")
    for _ in range(5):
        line = (await child.stdout.readline()).decode().strip()
        assert line.startswith("app_")
        acknowledged.add(line)
    child.kill()
    await child.communicate()
    await check_whole(url, acknowledged)


async def test_a_kill_during_migration_leaves_nothing_or_all(tmp_path: Path, soak: bool) -> None:
    """Killed while it migrates, a process leaves a database that the next start brings up whole."""
    chance = random.Random(9)
    program = (
        "import asyncio, sys\n"
        "from alembic import command, config, script\n"
        "from tieline.storage.engine import open_database\n"
        "from tieline.storage.migrate import migrate\n"
        "async def main():\n"
        "    database = await open_database(sys.argv[1])\n"
        "    print('ready', flush=True)\n"
        "    await migrate(database)\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
    )
    for number in range(30 if soak else 3):
        url = f"sqlite:///{tmp_path}/{number}.db"
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, url, stdout=asyncio.subprocess.PIPE)
        assert child.stdout is not None
        await child.stdout.readline()
        await asyncio.sleep(chance.random() * 0.2)
        if child.returncode is None:
            child.kill()
        await child.communicate()
        database = await open_database(url)
        await migrate(database)
        await database.check_schema()
        await database.close()
