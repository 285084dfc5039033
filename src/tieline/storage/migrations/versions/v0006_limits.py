"""Limits of keys and apps, and the models that a key may name."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _add(table: str, name: str, empty: str) -> None:
    bound = sa.CheckConstraint(f"length({name}) <= 65536", name=f"{name}_length")
    with op.batch_alter_table(table) as batch:
        batch.add_column(sa.Column(name, sa.Text(), bound, nullable=False, server_default=empty))


def upgrade() -> None:
    """Add the columns; what is there has no limits."""
    _add("apps", "limits", "{}")
    _add("app_keys", "limits", "{}")
    _add("app_keys", "models", "[]")
