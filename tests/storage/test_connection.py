"""What a process loads of the libraries behind the store, and what a transaction does with its connection."""

import asyncio
import subprocess
import sys

import pytest
from sqlalchemy import text

from tieline.storage.engine import POOL, Database

LOADED = """
import sys
from tieline.app import control, data
from tieline.web import app
needless = {"alembic", "argon2", "joserfc", "asyncpg", "sqlalchemy.dialects.postgresql", "sqlalchemy.orm"}
loaded = needless & sys.modules.keys()
assert not loaded, loaded
"""


def test_a_plane_loads_no_more_than_it_needs() -> None:
    """Neither Alembic nor PostgreSQL's side nor the ORM on SQLite, nor Argon2 and joserfc before a use."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


async def test_cancelled_transactions_give_their_connections_back(database: Database) -> None:
    """However often whoever reads is cancelled, wherever he is, the pool has its connections afterwards."""

    async def reading() -> None:
        async with database.read() as connection:
            for _ in range(5):
                await connection.execute(text("SELECT 1"))

    for steps in range(4 * POOL):
        task = asyncio.create_task(reading())
        for _ in range(steps * 3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await asyncio.gather(*(reading() for _ in range(POOL)))


async def test_a_failed_block_is_rolled_back(database: Database) -> None:
    """And the connection is good for the next."""
    with pytest.raises(ZeroDivisionError):
        async with database.write() as connection:
            await connection.execute(text("DELETE FROM audit_head"))
            raise ZeroDivisionError
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM audit_head"))).scalar_one() == 1
