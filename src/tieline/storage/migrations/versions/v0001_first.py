"""The first schema: APIs, credentials, the vault, apps and keys, admin tokens, the audit chain, records, changes."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str, most: int, *, null: bool = False) -> sa.Column[str]:
    bound = sa.CheckConstraint(f"length({name}) <= {most}", name=f"{name}_length")
    return sa.Column(name, sa.Text(), bound, nullable=null)


def _word(name: str, *words: str) -> sa.Column[str]:
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.Column(name, sa.Text(), sa.CheckConstraint(f"{name} IN ({listed})", name=f"{name}_word"), nullable=False)


def _blob(name: str, least: int, most: int, *, null: bool = False) -> sa.Column[bytes]:
    bound = sa.CheckConstraint(f"length({name}) BETWEEN {least} AND {most}", name=f"{name}_length")
    return sa.Column(name, sa.LargeBinary(), bound, nullable=null)


def _moment(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=null)


def _ref(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _owned(name: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([name], [target], ondelete="CASCADE")


def _one_row() -> sa.Column[bool]:
    return sa.Column("one", sa.Boolean(), sa.CheckConstraint("one", name="one_row"), nullable=False)


def upgrade() -> None:
    """Create every table."""
    _apis_and_vault()
    _apps_and_keys()
    _tokens_and_audit()
    _records_and_changes()


def _apis_and_vault() -> None:
    op.create_table(
        "apis",
        _text("id", 40),
        _text("name", 200),
        _text("definition", 16_777_216),
        sa.Column("revision", sa.Integer(), nullable=False),
        _text("source_entry", 200, null=True),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "credentials",
        _text("id", 40),
        _ref("api_id"),
        _word("environment", "live", "development"),
        sa.Column("version", sa.Integer(), nullable=False),
        _word("state", "pending", "active", "retired"),
        _text("hosts", 65_536),
        _text("shown", 65_536),
        _moment("created_at"),
        _text("created_by", 200),
        _moment("activated_at", null=True),
        _moment("retired_at", null=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("api_id", "version"),
        _owned("api_id", "apis.id"),
    )
    where: dict[str, Any] = {f"{op.get_bind().dialect.name}_where": sa.text("state = 'active'")}
    op.create_index("ix_credentials_one_active", "credentials", ["api_id", "environment"], unique=True, **where)
    op.create_table(
        "data_keys",
        _text("id", 40),
        _text("root_key_id", 40),
        _blob("wrapped", 32, 256),
        _moment("created_at"),
        _moment("retired_at", null=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "secrets",
        _ref("credential_id"),
        _text("field", 200),
        _ref("data_key_id"),
        _blob("nonce", 12, 12),
        _blob("ciphertext", 16, 65_552),
        sa.PrimaryKeyConstraint("credential_id", "field"),
        _owned("credential_id", "credentials.id"),
        sa.ForeignKeyConstraint(["data_key_id"], ["data_keys.id"]),
    )
    op.create_index("ix_secrets_data_key_id", "secrets", ["data_key_id"])
    op.create_table(
        "vault_root",
        _one_row(),
        _text("key_id", 40),
        _text("kind", 200),
        _blob("salt", 0, 64, null=True),
        _moment("created_at"),
        sa.PrimaryKeyConstraint("one"),
    )


def _apps_and_keys() -> None:
    op.create_table(
        "apps",
        _text("id", 40),
        _text("name", 200),
        _moment("created_at"),
        _text("created_by", 200),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "app_apis",
        _ref("app_id"),
        _ref("api_id"),
        sa.PrimaryKeyConstraint("app_id", "api_id"),
        _owned("app_id", "apps.id"),
        _owned("api_id", "apis.id"),
    )
    op.create_index("ix_app_apis_api_id", "app_apis", ["api_id"])
    op.create_table(
        "app_keys",
        _text("id", 40),
        _ref("app_id"),
        _text("name", 200),
        _word("environment", "live", "development"),
        _text("permissions", 65_536),
        _moment("expires_at", null=True),
        _text("from_ip", 65_536),
        _moment("created_at"),
        _text("created_by", 200),
        _moment("revoked_at", null=True),
        _moment("last_used_at", null=True),
        sa.PrimaryKeyConstraint("id"),
        _owned("app_id", "apps.id"),
    )
    op.create_index("ix_app_keys_app_id", "app_keys", ["app_id"])
    op.create_table(
        "key_secrets",
        _text("id", 40),
        _ref("key_id"),
        _blob("hash", 32, 32),
        _text("redacted", 200),
        _moment("created_at"),
        _moment("expires_at", null=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
        _owned("key_id", "app_keys.id"),
    )
    op.create_index("ix_key_secrets_key_id", "key_secrets", ["key_id"])


def _tokens_and_audit() -> None:
    op.create_table(
        "admin_tokens",
        _text("id", 40),
        _text("name", 200),
        _blob("hash", 32, 64),
        _word("role", "owner", "editor", "viewer"),
        _moment("created_at"),
        _text("created_by", 200),
        _moment("expires_at", null=True),
        _moment("revoked_at", null=True),
        _moment("last_used_at", null=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "audit",
        sa.Column("seq", COUNTER, autoincrement=False, nullable=False),
        _text("id", 40),
        _moment("at"),
        _text("actor", 200),
        _text("kind", 200),
        _text("target", 200),
        _text("data", 131_072),
        _blob("mac", 32, 32),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    head = op.create_table(
        "audit_head",
        _one_row(),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        _blob("mac", 32, 32),
        _blob("signature", 0, 32),
        sa.PrimaryKeyConstraint("one"),
    )
    op.bulk_insert(head, [{"one": True, "seq": 0, "mac": bytes(32), "signature": b""}])


def _records_and_changes() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in ("app_id", "key_id", "api", "environment")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("method", "path")),
        *(sa.Column(name, sa.Text()) for name in ("area", "level")),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text()),
        sa.Column("duration_ms", sa.Float(), nullable=False),
        sa.Column("upstream_ms", sa.Float()),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_requests_at", "requests", ["at"])
    op.create_table(
        "changes",
        sa.Column("version", COUNTER, nullable=False),
        _word("kind", "api", "credential", "app", "key"),
        _text("ref", 40),
        _moment("at"),
        sa.PrimaryKeyConstraint("version"),
        sqlite_autoincrement=True,
    )
