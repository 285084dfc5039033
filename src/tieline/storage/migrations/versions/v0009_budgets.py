"""Budgets, their windows, and what nodes have leased of them."""

import sqlalchemy as sa
from alembic import op

from tieline.storage.migrations import change_kinds

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables, and allow the kind of change."""
    op.create_table(
        "budgets",
        _text("id", 40),
        _text("name", 200),
        _whole("amount"),
        sa.Column("unit", sa.Text(), sa.CheckConstraint("unit IN ('usd', 'tokens')", name="unit_word"), nullable=False),
        _text("terms", 65_536),
        _whole("created_at"),
        _text("created_by", 200),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "budget_windows",
        *_window(),
        sa.Column("ends_at", sa.BigInteger(), nullable=True),
        *(_whole(name) for name in ("granted", "spent", "estimated")),
        sa.PrimaryKeyConstraint("budget_id", "subject", "starts_at"),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_budget_windows_ends_at", "budget_windows", ["ends_at"])
    op.create_table(
        "budget_leases",
        *_window(),
        _text("node", 40),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        _text("boot", 40),
        *(_whole(name) for name in ("granted", "settled", "reserved", "expires_at")),
        sa.PrimaryKeyConstraint("budget_id", "subject", "starts_at", "node", "number"),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_budget_leases_node", "budget_leases", ["node"])
    op.create_index("ix_budget_leases_expires_at", "budget_leases", ["expires_at"])
    change_kinds.allow("api", "credential", "app", "key", "connection", "token", "budget")


def _text(name: str, most: int) -> sa.Column[str]:
    bound = sa.CheckConstraint(f"length({name}) <= {most}", name=f"{name}_length")
    return sa.Column(name, sa.Text(), bound, nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _window() -> tuple[sa.Column[str], sa.Column[str], sa.Column[int]]:
    return sa.Column("budget_id", sa.Text(), nullable=False), _text("subject", 250), _whole("starts_at")
