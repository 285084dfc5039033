"""Thresholds that were told, events, the webhooks that they are sent to, and their deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "budget_alerts",
        sa.Column("budget_id", sa.Text(), nullable=False),
        _text("subject", 250),
        _whole("starts_at"),
        sa.Column("percent", sa.Integer(), nullable=False, autoincrement=False),
        _whole("at"),
        sa.PrimaryKeyConstraint("budget_id", "subject", "starts_at", "percent"),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], ondelete="CASCADE"),
    )
    op.create_table(
        "events",
        _text("id", 40),
        _text("kind", 200),
        _text("data", 65_536),
        _whole("at"),
        sa.Column("taken_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_events_taken_at", "events", ["taken_at"])
    _webhooks()
    op.create_table(
        "webhook_deliveries",
        _text("id", 40),
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        _choice("state", "pending", "delivered", "failed"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        _whole("created_at"),
        sa.Column("last_at", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        _text("problem", 8_192, null=True),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], ondelete="CASCADE"),
    )
    for name in ("webhook_id", "event_id", "next_at"):
        op.create_index(f"ix_webhook_deliveries_{name}", "webhook_deliveries", [name])


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        _text("id", 40),
        _text("name", 200),
        _text("origin", 500),
        _text("events", 65_536),
        _choice("state", "active", "paused", "gone"),
        _whole("dropped"),
        _whole("created_at"),
        _text("created_by", 200),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "webhook_secrets",
        sa.Column("webhook_id", sa.Text(), nullable=False),
        _choice("field", "url", "secret"),
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("data_key_id", sa.Text(), nullable=False),
        _blob("nonce", 12, 12),
        _blob("ciphertext", 16, 65_552),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("webhook_id", "field", "version"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["data_key_id"], ["data_keys.id"]),
    )
    op.create_index("ix_webhook_secrets_data_key_id", "webhook_secrets", ["data_key_id"])


def _text(name: str, most: int, *, null: bool = False) -> sa.Column[str]:
    bound = sa.CheckConstraint(f"length({name}) <= {most}", name=f"{name}_length")
    return sa.Column(name, sa.Text(), bound, nullable=null)


def _blob(name: str, least: int, most: int) -> sa.Column[bytes]:
    bound = sa.CheckConstraint(f"length({name}) BETWEEN {least} AND {most}", name=f"{name}_length")
    return sa.Column(name, sa.LargeBinary(), bound, nullable=False)


def _choice(name: str, *words: str) -> sa.Column[str]:
    listed = ", ".join(f"'{word}'" for word in words)
    bound = sa.CheckConstraint(f"{name} IN ({listed})", name=f"{name}_word")
    return sa.Column(name, sa.Text(), bound, nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)
