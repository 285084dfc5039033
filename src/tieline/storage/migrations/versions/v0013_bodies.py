"""Request records tell of a query and of recorded bodies, which lie in a table of their own on PostgreSQL."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and table on PostgreSQL; elsewhere files have them."""
    if op.get_bind().dialect.name == "sqlite":
        return
    op.add_column("requests", sa.Column("has_query", sa.Boolean()))
    op.add_column("requests", sa.Column("bodies_until", sa.BigInteger()))
    op.create_table(
        "request_bodies",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        *(
            sa.Column(f"{side}{part}", kind)
            for side in ("request", "answer")
            for part, kind in (("_key", sa.Text()), ("_nonce", sa.LargeBinary()), ("", sa.LargeBinary()))
        ),
    )
    op.create_index("ix_request_bodies_expires", "request_bodies", ["expires"])
