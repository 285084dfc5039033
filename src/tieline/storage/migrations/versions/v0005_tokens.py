"""Tokens: the column ``basis`` is called ``fingerprint``, and a connection's next token is a change of its own kind.

SQLite renames a column and leaves the name of its check as it was, so there the column is made anew. The default that a
column added later must have stays; every insert gives a value.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KINDS = "kind IN ('api', 'credential', 'app', 'key', 'connection', 'token')"
TABLES = ("connections", "sign_ins")


def upgrade() -> None:
    """Rename the columns and their checks, and allow the kind."""
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    rename = _rename_on_postgresql if is_postgresql else _rename_on_sqlite
    for table in TABLES:
        rename(table)
    if is_postgresql:
        op.drop_constraint("kind_word", "changes", type_="check")
        op.create_check_constraint("kind_word", "changes", KINDS)
    else:
        _changes_anew()


def _rename_on_postgresql(table: str) -> None:
    op.execute(f"ALTER TABLE {table} RENAME COLUMN basis TO fingerprint")
    check = f"ck_{table}_basis_length TO ck_{table}_fingerprint_length"
    op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {check}")


def _rename_on_sqlite(table: str) -> None:
    check = f"CONSTRAINT ck_{table}_fingerprint_length CHECK (length(fingerprint) BETWEEN 0 AND 32)"
    op.execute(f"ALTER TABLE {table} ADD COLUMN fingerprint BLOB DEFAULT x'' NOT NULL {check}")
    op.execute(f"UPDATE {table} SET fingerprint = basis")  # noqa: S608  names of this file
    op.execute(f"ALTER TABLE {table} DROP COLUMN basis")


def _changes_anew() -> None:
    """SQLite cannot change a check: the table is made anew with its rows, so that versions go on where they were."""
    names = sa.MetaData(naming_convention={"ck": "ck_%(table_name)s_%(constraint_name)s", "pk": "pk_%(table_name)s"})
    changes = sa.Table(
        "changes",
        names,
        sa.Column("version", COUNTER, nullable=False),
        sa.Column("kind", sa.Text(), sa.CheckConstraint(KINDS, name="kind_word"), nullable=False),
        sa.Column("ref", sa.Text(), sa.CheckConstraint("length(ref) <= 40", name="ref_length"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("changes", copy_from=changes, recreate="always"):
        pass
