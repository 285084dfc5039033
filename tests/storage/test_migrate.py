"""Bringing a database to this version's schema."""

import asyncio
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection, text

from tests.storage.rows import AUDIT_KEY, add_api
from tieline.core.errors import StorageError
from tieline.storage import migrate as migrate_module
from tieline.storage.engine import Database
from tieline.storage.migrate import migrate, run_steps
from tieline.storage.schema import REVISION, metadata, records_metadata
from tieline.storage.store import SqlStore

CHILD = """
import asyncio, sys
from tieline.storage.engine import open_database
from tieline.storage.migrate import migrate

async def main():
    database = await open_database(sys.argv[1])
    print("open", flush=True)
    sys.stdin.readline()
    await migrate(database)
    await database.check_schema()
    await database.close()
    print("done", flush=True)

asyncio.run(main())
"""


async def test_the_steps_make_the_tables_of_the_schema(empty: Database) -> None:
    """What the migrations make and what the queries expect are the same on both engines."""
    await by_steps(empty)

    def differences(connection: Connection) -> object:
        expected = [metadata] if empty.kind == "sqlite" else [metadata, records_metadata]
        return compare_metadata(MigrationContext.configure(connection), cast("Any", expected))  # it takes several

    async with empty.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_checks_are_the_same_too(empty: Database) -> None:
    """Every bound of the schema is in the migrated database, which Alembic's comparison does not look at."""
    await by_steps(empty)
    query = {
        "sqlite": "SELECT group_concat(sql, ' ') FROM sqlite_master",
        "postgresql": "SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ' ') FROM pg_constraint",
    }[empty.kind]
    async with empty.read() as connection:
        found = (await connection.execute(text(query))).scalar_one()
    expected = {
        str(bound.name): str(bound.sqltext)
        for table in metadata.tables.values()
        for column in table.columns
        for bound in column.constraints
        if isinstance(bound, CheckConstraint)
    }
    assert len(expected) > 40
    for name, bound in expected.items():
        assert name in found
        if empty.kind == "sqlite":
            assert f"CONSTRAINT {name} CHECK ({bound})" in found


async def test_a_schema_made_by_steps_serves_as_one_made_at_once(empty: Database) -> None:
    """A write with its audit event and its change works, and there is nothing left to bring up."""
    await by_steps(empty)
    await migrate(empty)
    store = SqlStore(empty, audit_key=AUDIT_KEY)
    row = await add_api(store)
    async with store.read() as rx:
        assert await rx.apis.get(row.name) == row
        assert (await rx.audit.verify()).breaks == []


async def by_steps(database: Database) -> None:
    """The schema as an installation has it that was there from the first version on."""
    async with database.write() as connection:
        await connection.run_sync(run_steps, None)


def up_to(connection: Connection, revision: str) -> None:
    """The schema as it was at ``revision``."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(migrate_module.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, revision)


async def test_changes_are_counted_on_after_their_kinds_have_become_more(empty: Database) -> None:
    """Workers ask for what came after the version they know: none comes twice, also where the last were removed."""
    insert = "INSERT INTO changes (kind, ref, at) VALUES (:kind, 'one', 1)"
    async with empty.write() as connection:
        await connection.run_sync(up_to, "0004")
        for _ in range(7):
            await connection.execute(text(insert), {"kind": "api"})
        await connection.execute(text("DELETE FROM changes WHERE version > 5"))
    await migrate(empty)
    async with empty.write() as connection:
        for kind in ("token", "budget"):
            await connection.execute(text(insert), {"kind": kind})
        found = await connection.execute(text("SELECT version, kind FROM changes ORDER BY version"))
        assert [tuple(row) for row in found] == [(n, "api") for n in range(1, 6)] + [(8, "token"), (9, "budget")]


async def test_tokens_are_found_after_their_column_was_renamed(empty: Database) -> None:
    """What a database of the time before held as ``basis`` is the fingerprint, and what hangs on its row is there."""
    rows = {
        "apis": "id, name, definition, revision, created_at, updated_at",
        "data_keys": "id, root_key_id, wrapped, created_at",
        "connections": "id, api_id, environment, position, app_id, end_user, state, basis, generation, scopes, "
        "failures, created_at, created_by, updated_at",
        "connection_secrets": "connection_id, generation, field, data_key_id, nonce, ciphertext",
        "sign_ins": "id, api_id, environment, position, app_id, end_user, basis, created_at, created_by, expires_at",
    }
    values: dict[str, Any] = {
        "id": "one", "name": "one", "definition": "{}", "wrapped": bytes(40), "root_key_id": "one", "api_id": "one",
        "environment": "live", "app_id": "", "end_user": "", "state": "active", "basis": b"f" * 32, "scopes": "[]",
        "created_by": "me", "connection_id": "one", "field": "access", "data_key_id": "one", "nonce": bytes(12),
        "ciphertext": bytes(16),
    }  # fmt: skip
    async with empty.write() as connection:
        await connection.run_sync(up_to, "0004")
        for table, columns in rows.items():
            named = {name: values.get(name, 1) for name in columns.split(", ")}
            slots = ", ".join(f":{name}" for name in named)
            await connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({slots})"), named)  # noqa: S608  the names above
    await migrate(empty)
    async with empty.read() as connection:
        for table in ("connections", "sign_ins"):
            found = await connection.execute(text(f"SELECT fingerprint FROM {table}"))  # noqa: S608  as above
            assert bytes(found.scalar_one()) == b"f" * 32
        assert (await connection.execute(text("SELECT count(*) FROM connection_secrets"))).scalar_one() == 1


async def test_the_revision_is_the_newest_step() -> None:
    """The constant that workers compare with is the head of the steps."""
    config = Config()
    folder = Path(migrate_module.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


async def test_migrating_twice_changes_nothing(empty: Database) -> None:
    """A second start finds nothing to do."""
    await migrate(empty)
    await migrate(empty)
    await empty.check_schema()


async def test_a_newer_schema_is_refused_and_left_alone(empty: Database) -> None:
    """An older Tieline says so, and neither migrates nor serves from it."""
    await migrate(empty)
    async with empty.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="newer than this version"):
        await migrate(empty)
    with pytest.raises(StorageError, match="9999"):
        await empty.check_schema()
    async with empty.read() as connection:
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar() == "9999"


async def test_a_database_without_a_schema_says_what_to_do(empty: Database) -> None:
    """A worker that is started on an empty database names the command that prepares it."""
    with pytest.raises(StorageError, match="tieline serve"):
        await empty.check_schema()


async def test_a_step_that_fails_leaves_nothing(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration is all or nothing on both engines: a failure on its last table leaves no first one."""
    from alembic import op

    create = op.create_table

    def fail_at_changes(name: str, *columns: Any, **options: Any) -> object:
        if name == "changes":
            raise ZeroDivisionError
        return create(name, *columns, **options)

    with monkeypatch.context() as patch:
        patch.setattr(op, "create_table", fail_at_changes)
        with pytest.raises(ZeroDivisionError):
            await by_steps(empty)
    with pytest.raises(StorageError, match="no Tieline schema"):
        await empty.check_schema()
    await migrate(empty)
    await empty.check_schema()


async def test_two_processes_may_migrate_at_once(empty_url: str) -> None:
    """Started together on an empty database, one migrates and the other waits for it; both go on."""
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, empty_url, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        assert await child.stdout.readline() == b"open\n"
    answers = await asyncio.gather(*(child.communicate(b"go\n") for child in children))
    assert [out for out, _ in answers] == [b"done\n", b"done\n"]
