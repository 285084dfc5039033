"""What a token and a sign-in were begun with is called a fingerprint in the tables too; it was ``basis``.

SQLite renames a column and leaves the name of its check as it was, so there the column is made anew. The default that a
column added later must have stays; every insert gives a value.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("connections", "sign_ins")


def upgrade() -> None:
    """Rename the columns and their checks."""
    for table in TABLES:
        check = f"ck_{table}_fingerprint_length"
        if op.get_bind().dialect.name == "postgresql":
            op.execute(f"ALTER TABLE {table} RENAME COLUMN basis TO fingerprint")
            op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT ck_{table}_basis_length TO {check}")
            continue
        bound = f"CONSTRAINT {check} CHECK (length(fingerprint) BETWEEN 0 AND 32)"
        op.execute(f"ALTER TABLE {table} ADD COLUMN fingerprint BLOB DEFAULT x'' NOT NULL {bound}")
        op.execute(f"UPDATE {table} SET fingerprint = basis")  # noqa: S608  names of this file
        op.execute(f"ALTER TABLE {table} DROP COLUMN basis")
