"""Price lists of providers."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _text(name: str, most: int) -> sa.Column[str]:
    bound = sa.CheckConstraint(f"length({name}) <= {most}", name=f"{name}_length")
    return sa.Column(name, sa.Text(), bound, nullable=False)


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "price_lists",
        _text("provider", 200),
        sa.Column("place", sa.Integer(), nullable=False),
        _text("version", 200),
        _text("pattern", 8192),
        _text("content", 16 * 1024 * 1024),
        sa.PrimaryKeyConstraint("provider"),
    )
