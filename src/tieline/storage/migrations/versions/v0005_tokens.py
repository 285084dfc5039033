"""Tokens: the column ``basis`` is called ``fingerprint``, and a connection's next token is a change of its own kind.

SQLite renames a column and leaves the name of its check as it was, so there the column is made anew. The default that a
column added later must have stays; every insert gives a value.
"""

from alembic import op

from tieline.storage.migrations import change_kinds

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("connections", "sign_ins")


def upgrade() -> None:
    """Rename the columns and their checks, and allow the kind."""
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    rename = _rename_on_postgresql if is_postgresql else _rename_on_sqlite
    for table in TABLES:
        rename(table)
    change_kinds.allow("api", "credential", "app", "key", "connection", "token")


def _rename_on_postgresql(table: str) -> None:
    op.execute(f"ALTER TABLE {table} RENAME COLUMN basis TO fingerprint")
    check = f"ck_{table}_basis_length TO ck_{table}_fingerprint_length"
    op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {check}")


def _rename_on_sqlite(table: str) -> None:
    check = f"CONSTRAINT ck_{table}_fingerprint_length CHECK (length(fingerprint) BETWEEN 0 AND 32)"
    op.execute(f"ALTER TABLE {table} ADD COLUMN fingerprint BLOB DEFAULT x'' NOT NULL {check}")
    op.execute(f"UPDATE {table} SET fingerprint = basis")  # noqa: S608  names of this file
    op.execute(f"ALTER TABLE {table} DROP COLUMN basis")
