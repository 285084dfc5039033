"""Request records say how long each part took, what was used and what it cost; files of days bring themselves up."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns on PostgreSQL, and let the index on the time order what ended at the same moment."""
    if op.get_bind().dialect.name == "sqlite":
        return
    texts = ("reason", "cache", "model", "service_tier", "quantities", "unpriced", "unread", "end_user", "tag")
    for name in texts:
        op.add_column("requests", sa.Column(name, sa.Text()))
    for name in ("admission_ms", "queue_ms", "connect_ms", "tls_ms"):
        op.add_column("requests", sa.Column(name, sa.Float()))
    op.add_column("requests", sa.Column("worker", sa.Integer()))
    op.add_column("requests", sa.Column("cost_nano", sa.BigInteger()))
    op.add_column("requests", sa.Column("retries", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("requests", sa.Column("estimated", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.drop_index("ix_requests_at", "requests")
    op.create_index("ix_requests_at_id", "requests", ["at", "id"])
