"""Drift: how often answers of calls no longer fit what is known of them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _text(name: str, most: int) -> sa.Column[str]:
    bound = sa.CheckConstraint(f"length({name}) <= {most}", name=f"{name}_length")
    return sa.Column(name, sa.Text(), bound, nullable=False)


def _word(name: str, *words: str) -> sa.Column[str]:
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.Column(name, sa.Text(), sa.CheckConstraint(f"{name} IN ({listed})", name=f"{name}_word"), nullable=False)


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "drift",
        sa.Column("api_id", sa.Text(), nullable=False),
        _text("call", 200),
        _word("environment", "live", "development"),
        _text("path", 500),
        _word("kind", "type", "missing", "new"),
        _text("expected", 200),
        _text("found", 200),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("api_id", "call", "environment", "path", "kind"),
        sa.ForeignKeyConstraint(["api_id"], ["apis.id"], ondelete="CASCADE"),
    )
