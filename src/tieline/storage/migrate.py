"""Bringing a database to this version's schema: made at once where there is none, by Alembic's steps where there is.

Owns the upgrade and its lock. The tables are ``schema``'s, the steps lie in ``migrations/versions``, and a test holds
that both make the same. The only module that imports Alembic, and it does so only for an older schema: no process
should carry it because of its first start.
"""

from importlib import resources

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, text

from tieline.core.errors import StorageError
from tieline.storage.engine import Database, newer_schema, revision_of
from tieline.storage.schema import REVISION, audit_head, metadata, records_metadata

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('tieline migration ' || current_schema()))")
# As Alembic makes it, which finds it there when a later version brings steps.
_noted = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


async def migrate(database: Database) -> None:
    """Bring the schema to this version's, all of it or nothing. Safe with any number of processes at once.

    Raises ``StorageError`` where the schema is of a newer version of Tieline, and changes nothing then.
    """
    async with database.read() as connection:
        if await connection.run_sync(revision_of) == REVISION:
            return
    async with database.write() as connection:
        if database.kind == "postgresql":
            await connection.execute(_LOCK)
        await connection.run_sync(_bring_up)


def _bring_up(connection: Connection) -> None:
    """Do what is missing in the transaction that ``connection`` is in; whoever came second finds nothing missing."""
    found = revision_of(connection)
    if found is None:
        _create(connection)
    elif found != REVISION:
        run_steps(connection, found)


def _create(connection: Connection) -> None:
    """Every table, the chain's empty head, and the note that Alembic would have left."""
    metadata.create_all(connection, checkfirst=False)
    if connection.dialect.name == "postgresql":
        records_metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(audit_head).values(one=True, seq=0, mac=bytes(32), signature=b""))
    _noted.create(connection)
    connection.execute(insert(_noted).values(version_num=REVISION))


def run_steps(connection: Connection, found: str | None) -> None:
    """Run Alembic's steps from the revision ``found`` (None: from the first) to the newest."""
    from alembic import command  # noqa: PLC0415 - see the module's docstring
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    folder = str(resources.files("tieline.storage") / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StorageError(newer_schema(found))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
