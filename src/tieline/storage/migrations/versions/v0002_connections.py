"""Connections: tokens that issuers gave, sign-ins on their way, and the call that a request ran."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KINDS = "kind IN ('api', 'credential', 'app', 'key', 'connection')"


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


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _ref(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null)


def _owned(name: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([name], [target], ondelete="CASCADE")


def upgrade() -> None:
    """Add the tables, the column, and the kind of change."""
    op.add_column("requests", sa.Column("call", sa.Text(), nullable=True))
    _connections()
    _sign_ins()
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("kind_word", "changes", type_="check")
        op.create_check_constraint("kind_word", "changes", KINDS)
    else:
        _changes_anew()


def _connections() -> None:
    op.create_table(
        "connections",
        _text("id", 40),
        _ref("api_id"),
        _word("environment", "live", "development"),
        _number("position"),
        _text("app_id", 40),
        _text("end_user", 200),
        _word("state", "pending", "active", "reauthorization_required"),
        _blob("basis", 0, 32),
        _number("generation"),
        _text("scopes", 65_536),
        _text("account", 200, null=True),
        _moment("expires_at", null=True),
        _moment("refreshed_at", null=True),
        _text("last_error", 8_192, null=True),
        _number("failures"),
        _moment("retry_at", null=True),
        _text("lease_holder", 40, null=True),
        _moment("lease_until", null=True),
        _moment("created_at"),
        _text("created_by", 200),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("api_id", "environment", "position", "app_id", "end_user"),
        _owned("api_id", "apis.id"),
    )
    op.create_index("ix_connections_app_id", "connections", ["app_id"])
    op.create_table(
        "connection_secrets",
        _ref("connection_id"),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        _text("field", 200),
        _ref("data_key_id"),
        _blob("nonce", 12, 12),
        _blob("ciphertext", 16, 65_552),
        sa.PrimaryKeyConstraint("connection_id", "generation", "field"),
        _owned("connection_id", "connections.id"),
        sa.ForeignKeyConstraint(["data_key_id"], ["data_keys.id"]),
    )
    op.create_index("ix_connection_secrets_data_key_id", "connection_secrets", ["data_key_id"])


def _sign_ins() -> None:
    op.create_table(
        "sign_ins",
        _text("id", 40),
        _ref("api_id"),
        _word("environment", "live", "development"),
        _number("position"),
        _text("app_id", 40),
        _text("end_user", 200),
        _blob("link_hash", 32, 32, null=True),
        _blob("state_hash", 32, 32, null=True),
        _blob("browser_hash", 32, 32, null=True),
        _blob("basis", 0, 32),
        _ref("data_key_id", null=True),
        _blob("nonce", 12, 12, null=True),
        _blob("ciphertext", 16, 65_552, null=True),
        _text("return_to", 8_192, null=True),
        _moment("next_poll_at", null=True),
        _moment("created_at"),
        _text("created_by", 200),
        _moment("expires_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("link_hash"),
        sa.UniqueConstraint("state_hash"),
        _owned("api_id", "apis.id"),
        sa.ForeignKeyConstraint(["data_key_id"], ["data_keys.id"]),
    )
    op.create_index("ix_sign_ins_data_key_id", "sign_ins", ["data_key_id"])


def _changes_anew() -> None:
    """SQLite cannot change a check: the table is made anew with its rows, so that versions go on where they were."""
    names = sa.MetaData(naming_convention={"ck": "ck_%(table_name)s_%(constraint_name)s", "pk": "pk_%(table_name)s"})
    changes = sa.Table(
        "changes",
        names,
        sa.Column("version", COUNTER, nullable=False),
        sa.Column("kind", sa.Text(), sa.CheckConstraint(KINDS, name="kind_word"), nullable=False),
        _text("ref", 40),
        _moment("at"),
        sa.PrimaryKeyConstraint("version"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("changes", copy_from=changes, recreate="always"):
        pass
