"""A store on each engine: every storage test that asks for ``database`` or ``url`` runs on SQLite and on PostgreSQL."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.conftest import run_sql
from tests.storage.rows import AUDIT_KEY
from tieline.storage.engine import Database, open_database
from tieline.storage.migrate import migrate
from tieline.storage.schema import metadata, records_metadata
from tieline.storage.store import SqlStore


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy, because the migration of each test's own would be most of its time."""
    path = tmp_path_factory.mktemp("template") / "tieline.db"

    asyncio.run(make(f"sqlite:///{path}"))
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


@pytest.fixture(scope="session")
def postgres_ready(postgres: str) -> Iterator[str]:
    """The URL of a migrated PostgreSQL database, for one test after the other."""
    name = f"tieline_storage_{secrets.token_hex(6)}"
    ready = urlsplit(postgres)._replace(path=f"/{name}").geturl()
    run_sql(f'CREATE DATABASE "{name}"')
    try:
        asyncio.run(make(ready))
        yield ready
    finally:
        run_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the schema and nothing in it."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "tieline.db")
        return f"sqlite:///{tmp_path}/tieline.db"
    ready: str = request.getfixturevalue("postgres_ready")
    asyncio.run(empty_out(ready))
    return ready


async def make(url: str) -> None:
    """Bring a database to the schema."""
    database = await open_database(url)
    await migrate(database)
    await database.close()


async def empty_out(url: str) -> None:
    """Take everything out of a migrated PostgreSQL database, so that it is as the migration left it."""
    connection = await asyncpg.connect(url)
    await connection.execute(f"TRUNCATE {', '.join([*metadata.tables, *records_metadata.tables])} RESTART IDENTITY")
    await connection.execute("INSERT INTO audit_head VALUES (true, 0, $1, $2)", bytes(32), b"")
    await connection.close()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """An open database with the schema."""
    opened = await open_database(url)
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> SqlStore:
    """The control plane's store on it."""
    return SqlStore(database, audit_key=AUDIT_KEY)
