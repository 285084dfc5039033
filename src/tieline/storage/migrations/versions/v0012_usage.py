"""Usage, added up."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_WORDS = ("environment", "app_id", "app", "key_id", "api", "call", "model", "end_user", "tag")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "usage_series",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _WORDS),
        sa.Column("other", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_usage_series_seen_at", "usage_series", ["seen_at"])
    op.create_table(
        "usage",
        sa.Column("width", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("series", sa.LargeBinary(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("width", "starts_at", "series", "measure"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_writers",
        sa.Column("id", sa.Text(), sa.CheckConstraint("length(id) <= 40", name="id_length"), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
