"""How much of what a node has settled was under way when a worker died."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("budget_leases", sa.Column("estimated", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
