"""What a process loads of the libraries behind the store."""

import subprocess
import sys

LOADED = """
import sys
from tieline.storage import engine, snapshots, store
loaded = {name for name in sys.modules if name in {"asyncpg", "sqlalchemy.dialects.postgresql", "sqlalchemy.orm"}}
assert not loaded, loaded
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.ext import asyncio
assert AsyncConnection is engine.AsyncConnection and asyncio.AsyncSession is AsyncSession
"""


def test_the_store_loads_no_more_than_it_needs() -> None:
    """Neither PostgreSQL's side nor the ORM on SQLite; and who wants the ORM in the same process still gets it."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
