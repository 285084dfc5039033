"""Bringing a database to this version's schema, by Alembic, from inside the package.

Owns the upgrade and its lock. Knows no table: the steps are in ``migrations/versions``. The only module that imports
Alembic, and it does so only when there is something to do, because a data-plane worker should not carry it.
"""

from importlib import resources

from sqlalchemy import Connection, text

from tieline.core.errors import StorageError
from tieline.storage.engine import Database, revision_of
from tieline.storage.schema import REVISION

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('tieline migration ' || current_schema()))")


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
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    """Run the missing steps in the transaction that ``connection`` is in; whoever came second finds none missing."""
    found = revision_of(connection)
    if found == REVISION:
        return
    from alembic import command  # noqa: PLC0415 - see the module's docstring
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    folder = str(resources.files("tieline.storage") / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        public = f"The database has schema {found}, which is newer than this version's {REVISION}: use a newer Tieline."
        raise StorageError(public)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
