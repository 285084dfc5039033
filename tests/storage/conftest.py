"""A store on each engine: every storage test that asks for ``database`` or ``url`` runs on SQLite and on PostgreSQL."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.storage.rows import AUDIT_KEY
from tieline.storage.engine import Database, open_database
from tieline.storage.migrate import migrate
from tieline.storage.store import SqlStore


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy, because the migration of each test's own would be most of its time."""
    path = tmp_path_factory.mktemp("template") / "tieline.db"

    async def make() -> None:
        database = await open_database(f"sqlite:///{path}")
        await migrate(database)
        await database.close()

    asyncio.run(make())
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without a schema."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/tieline.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[Database]:
    """An open database without a schema."""
    opened = await open_database(empty_url)
    yield opened
    await opened.close()


@pytest.fixture
def url(empty_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database; on SQLite it already has the schema."""
    if empty_url.startswith("sqlite"):
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "tieline.db")
    return empty_url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """An open database with the schema."""
    opened = await open_database(url)
    await migrate(opened)
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> SqlStore:
    """The control plane's store on it."""
    return SqlStore(database, audit_key=AUDIT_KEY)
