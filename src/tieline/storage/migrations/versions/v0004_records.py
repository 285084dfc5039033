"""Request records leave the store's file: on SQLite each day has a file of its own.

Those of the time before are dropped with their table; nothing read them yet.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the table where files take its place."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_table("requests")
