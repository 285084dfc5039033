"""Budgets, their windows, and what nodes have leased of them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KINDS = "kind IN ('api', 'credential', 'app', 'key', 'connection', 'token', 'budget')"


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
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("kind_word", "changes", type_="check")
        op.create_check_constraint("kind_word", "changes", KINDS)
    else:
        _changes_anew()


def _text(name: str, most: int) -> sa.Column[str]:
    bound = sa.CheckConstraint(f"length({name}) <= {most}", name=f"{name}_length")
    return sa.Column(name, sa.Text(), bound, nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _window() -> tuple[sa.Column[str], sa.Column[str], sa.Column[int]]:
    return sa.Column("budget_id", sa.Text(), nullable=False), _text("subject", 250), _whole("starts_at")


def _changes_anew() -> None:
    """SQLite cannot change a check: the table is made anew with its rows, so that versions go on where they were."""
    names = sa.MetaData(naming_convention={"ck": "ck_%(table_name)s_%(constraint_name)s", "pk": "pk_%(table_name)s"})
    changes = sa.Table(
        "changes",
        names,
        sa.Column("version", COUNTER, nullable=False),
        sa.Column("kind", sa.Text(), sa.CheckConstraint(KINDS, name="kind_word"), nullable=False),
        sa.Column("ref", sa.Text(), sa.CheckConstraint("length(ref) <= 40", name="ref_length"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("changes", copy_from=changes, recreate="always"):
        pass
