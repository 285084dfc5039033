"""The tables, once for both engines, and the revision of the schema that this version of Tieline works with.

Owns names, types, bounds and indexes. Knows no query. A change here needs a migration in ``migrations/versions`` and
the new revision below; a test compares what the migrations make with these tables on both engines.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy import (
    text as sql,
)

from tieline.storage.columns import Counter, blob, choice, json_text, moment, owned_by, text

REVISION = "0013"

ID = 40
NAME = 200
LIST = 65_536
SUBJECT = 250
FACTS = 2 * LIST
DEFINITION = 16 * 1024 * 1024
CIPHERTEXT = 65_536 + 16
PATH = 8_192
PLACE = 500  # of four bytes each it is what an index of PostgreSQL can hold

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

apis = Table(
    "apis",
    metadata,
    text("id", ID, key=True),
    text("name", NAME, unique=True),
    text("definition", DEFINITION),
    Column("revision", Integer, nullable=False),
    text("source_entry", NAME, null=True),
    moment("created_at"),
    moment("updated_at"),
)

credentials = Table(
    "credentials",
    metadata,
    text("id", ID, key=True),
    owned_by("api_id", "apis.id"),
    choice("environment", "live", "development"),
    Column("version", Integer, nullable=False),
    choice("state", "pending", "active", "retired"),
    json_text("hosts", LIST),
    json_text("shown", LIST),
    moment("created_at"),
    text("created_by", NAME),
    moment("activated_at", null=True),
    moment("retired_at", null=True),
    UniqueConstraint("api_id", "version"),
)
# PostgreSQL's condition is added in ``postgresql``: an option of its own here would load its dialect everywhere.
one_active = Index(
    "ix_credentials_one_active",
    credentials.c.api_id,
    credentials.c.environment,
    unique=True,
    sqlite_where=sql("state = 'active'"),
)

data_keys = Table(
    "data_keys",
    metadata,
    text("id", ID, key=True),
    text("root_key_id", ID),
    blob("wrapped", 32, 256),
    moment("created_at"),
    moment("retired_at", null=True),
)

secrets = Table(
    "secrets",
    metadata,
    owned_by("credential_id", "credentials.id", key=True),
    text("field", NAME, key=True),
    Column("data_key_id", Text, ForeignKey("data_keys.id"), nullable=False, index=True),
    blob("nonce", 12, 12),
    blob("ciphertext", 16, CIPHERTEXT),
)

apps = Table(
    "apps",
    metadata,
    text("id", ID, key=True),
    text("name", NAME, unique=True),
    moment("created_at"),
    text("created_by", NAME),
    json_text("limits", LIST, empty="{}"),
)

app_apis = Table(
    "app_apis",
    metadata,
    owned_by("app_id", "apps.id", key=True),
    owned_by("api_id", "apis.id", key=True, index=True),
)

app_keys = Table(
    "app_keys",
    metadata,
    text("id", ID, key=True),
    owned_by("app_id", "apps.id", index=True),
    text("name", NAME),
    choice("environment", "live", "development"),
    json_text("permissions", LIST),
    moment("expires_at", null=True),
    json_text("from_ip", LIST),
    moment("created_at"),
    text("created_by", NAME),
    moment("revoked_at", null=True),
    moment("last_used_at", null=True),
    json_text("limits", LIST, empty="{}"),
    json_text("models", LIST, empty="[]"),
)

key_secrets = Table(
    "key_secrets",
    metadata,
    text("id", ID, key=True),
    owned_by("key_id", "app_keys.id", index=True),
    blob("hash", 32, 32, unique=True),
    text("redacted", NAME),
    moment("created_at"),
    moment("expires_at", null=True),
)

admin_tokens = Table(
    "admin_tokens",
    metadata,
    text("id", ID, key=True),
    text("name", NAME),
    blob("hash", 32, 64, unique=True),
    choice("role", "owner", "editor", "viewer"),
    moment("created_at"),
    text("created_by", NAME),
    moment("expires_at", null=True),
    moment("revoked_at", null=True),
    moment("last_used_at", null=True),
)

vault_root = Table(
    "vault_root",
    metadata,
    Column("one", Boolean, CheckConstraint("one", name="one_row"), primary_key=True),
    text("key_id", ID),
    text("kind", NAME),
    blob("salt", 0, 64, null=True),
    moment("created_at"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Counter, primary_key=True, autoincrement=False),
    text("id", ID, unique=True),
    moment("at"),
    text("actor", NAME),
    text("kind", NAME),
    text("target", NAME),
    text("data", FACTS),
    blob("mac", 32, 32),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("one", Boolean, CheckConstraint("one", name="one_row"), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    blob("mac", 32, 32),
    blob("signature", 0, 32),
)

# On PostgreSQL only; on SQLite records have files of their own (``recordfiles``). A row for every request, written by
# the process that serves it: no bounds are checked here (they took two thirds of an insert's time).
records_metadata = MetaData(naming_convention=metadata.naming_convention)
requests = Table(
    "requests",
    records_metadata,
    Column("id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    *(Column(name, Text) for name in ("app_id", "key_id", "api", "environment")),
    *(Column(name, Text, nullable=False) for name in ("method", "path")),
    *(Column(name, Text) for name in ("area", "level")),
    Column("status", Integer, nullable=False),
    Column("code", Text),
    Column("duration_ms", Float, nullable=False),
    Column("upstream_ms", Float),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("call", Text),
    Column("reason", Text),
    Column("admission_ms", Float),
    Column("worker", Integer),
    *(Column(name, Text) for name in ("cache", "model", "service_tier", "quantities")),
    Column("cost_nano", BigInteger),
    *(Column(name, Text) for name in ("unpriced", "unread")),
    Column("estimated", Boolean, nullable=False, server_default=sql("false")),
    *(Column(name, Float) for name in ("queue_ms", "connect_ms", "tls_ms")),
    Column("retries", Integer, nullable=False, server_default=sql("0")),
    *(Column(name, Text) for name in ("end_user", "tag")),
    Column("has_query", Boolean),
    Column("bodies_until", BigInteger),
    Index("ix_requests_at_id", "at", "id"),
)

# On SQLite they lie in files (``storage.bodies``).
request_bodies = Table(
    "request_bodies",
    records_metadata,
    Column("id", Text, primary_key=True),
    Column("expires", BigInteger, nullable=False, index=True),
    Column("environment", Text, nullable=False),
    *(
        Column(f"{side}{part}", kind)
        for side in ("request", "answer")
        for part, kind in (("_key", Text), ("_nonce", LargeBinary), ("", LargeBinary))
    ),
)

# ``app_id`` and ``end_user`` are empty for the API's shared connection, as NULLs would not be unique. So ``app_id`` is
# no foreign key, and ``storage.apps`` takes an app's connections with it.
connections = Table(
    "connections",
    metadata,
    text("id", ID, key=True),
    owned_by("api_id", "apis.id"),
    choice("environment", "live", "development"),
    Column("position", Integer, nullable=False),
    text("app_id", ID),
    text("end_user", NAME),
    choice("state", "pending", "active", "reauthorization_required"),
    blob("fingerprint", 0, 32),
    Column("generation", Integer, nullable=False),
    json_text("scopes", LIST),
    text("account", NAME, null=True),
    moment("expires_at", null=True),
    moment("refreshed_at", null=True),
    text("last_error", PATH, null=True),
    Column("failures", Integer, nullable=False),
    moment("retry_at", null=True),
    text("lease_holder", ID, null=True),
    moment("lease_until", null=True),
    moment("created_at"),
    text("created_by", NAME),
    moment("updated_at"),
    UniqueConstraint("api_id", "environment", "position", "app_id", "end_user"),
)
Index("ix_connections_app_id", connections.c.app_id)

connection_secrets = Table(
    "connection_secrets",
    metadata,
    owned_by("connection_id", "connections.id", key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    text("field", NAME, key=True),
    Column("data_key_id", Text, ForeignKey("data_keys.id"), nullable=False, index=True),
    blob("nonce", 12, 12),
    blob("ciphertext", 16, CIPHERTEXT),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    text("id", ID, key=True),
    owned_by("api_id", "apis.id"),
    choice("environment", "live", "development"),
    Column("position", Integer, nullable=False),
    text("app_id", ID),
    text("end_user", NAME),
    blob("link_hash", 32, 32, null=True, unique=True),
    blob("state_hash", 32, 32, null=True, unique=True),
    blob("browser_hash", 32, 32, null=True),
    blob("fingerprint", 0, 32),
    Column("data_key_id", Text, ForeignKey("data_keys.id"), nullable=True, index=True),
    blob("nonce", 12, 12, null=True),
    blob("ciphertext", 16, CIPHERTEXT, null=True),
    text("return_to", PATH, null=True),
    moment("next_poll_at", null=True),
    moment("created_at"),
    text("created_by", NAME),
    moment("expires_at"),
)

drift = Table(
    "drift",
    metadata,
    owned_by("api_id", "apis.id", key=True),
    text("call", NAME, key=True),
    choice("environment", "live", "development", key=True),
    text("path", PLACE, key=True),
    choice("kind", "type", "missing", "new", key=True),
    text("expected", NAME),
    text("found", NAME),
    Column("count", BigInteger, nullable=False),
    moment("first_at"),
    moment("last_at"),
)

price_lists = Table(
    "price_lists",
    metadata,
    text("provider", NAME, key=True),
    Column("place", Integer, nullable=False),
    text("version", NAME),
    text("pattern", PATH),
    text("content", DEFINITION),
)

budgets = Table(
    "budgets",
    metadata,
    text("id", ID, key=True),
    text("name", NAME, unique=True),
    Column("amount", BigInteger, nullable=False),
    choice("unit", "usd", "tokens"),
    json_text("terms", LIST),
    moment("created_at"),
    text("created_by", NAME),
)

# ``granted`` is what was spent and what nodes may still spend of their leases; ``estimated`` is a part of ``spent``.
budget_windows = Table(
    "budget_windows",
    metadata,
    owned_by("budget_id", "budgets.id", key=True),
    text("subject", SUBJECT, key=True),
    moment("starts_at", key=True),
    moment("ends_at", null=True),
    Column("granted", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("estimated", BigInteger, nullable=False),
)
Index("ix_budget_windows_ends_at", budget_windows.c.ends_at)

# ``granted`` and ``settled`` only grow while their node serves, but for what it gives back; ``reserved`` is under way.
# ``estimated`` is a part of ``settled``: what was under way when a worker died.
budget_leases = Table(
    "budget_leases",
    metadata,
    owned_by("budget_id", "budgets.id", key=True),
    text("subject", SUBJECT, key=True),
    moment("starts_at", key=True),
    text("node", ID, key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    text("boot", ID),
    Column("granted", BigInteger, nullable=False),
    Column("settled", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    moment("expires_at"),
    Column("estimated", BigInteger, nullable=False, server_default=sql("0")),
)
Index("ix_budget_leases_node", budget_leases.c.node)
Index("ix_budget_leases_expires_at", budget_leases.c.expires_at)

# A row for each threshold that was told of a window: whoever adds it, tells it.
budget_alerts = Table(
    "budget_alerts",
    metadata,
    owned_by("budget_id", "budgets.id", key=True),
    text("subject", SUBJECT, key=True),
    moment("starts_at", key=True),
    Column("percent", Integer, primary_key=True, autoincrement=False),
    moment("at"),
)

events = Table(
    "events",
    metadata,
    text("id", ID, key=True),
    text("kind", NAME),
    json_text("data", LIST),
    moment("at"),
    moment("taken_at", null=True),
)
Index("ix_events_taken_at", events.c.taken_at)

webhooks = Table(
    "webhooks",
    metadata,
    text("id", ID, key=True),
    text("name", NAME, unique=True),
    text("origin", PLACE),
    json_text("events", LIST),
    choice("state", "active", "paused", "gone"),
    Column("dropped", BigInteger, nullable=False),
    moment("created_at"),
    text("created_by", NAME),
)

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    owned_by("webhook_id", "webhooks.id", key=True),
    choice("field", "url", "secret", key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("data_key_id", Text, ForeignKey("data_keys.id"), nullable=False, index=True),
    blob("nonce", 12, 12),
    blob("ciphertext", 16, CIPHERTEXT),
    moment("expires_at", null=True),
)

# ``next_at`` is when a delivery is tried again, or how long whoever tries it has it for itself; NULL once it is over.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    text("id", ID, key=True),
    owned_by("webhook_id", "webhooks.id", index=True),
    owned_by("event_id", "events.id", index=True),
    choice("state", "pending", "delivered", "failed"),
    Column("attempts", Integer, nullable=False),
    moment("next_at", null=True),
    moment("created_at"),
    moment("last_at", null=True),
    Column("status", Integer),
    text("problem", PATH, null=True),
)
Index("ix_webhook_deliveries_next_at", webhook_deliveries.c.next_at)

# Counts of requests: a row for each measure of a series in a slot of ``width`` seconds. No bounds are checked here, as
# what is added up each second was made by ourselves; texts are cut by ``storage.usage``.
usage_series = Table(
    "usage_series",
    metadata,
    Column("id", LargeBinary, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("environment", "app_id", "app", "key_id", "api", "call")),
    *(Column(name, Text, nullable=False) for name in ("model", "end_user", "tag")),
    Column("other", Integer, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)
Index("ix_usage_series_seen_at", usage_series.c.seen_at)

usage = Table(
    "usage",
    metadata,
    Column("width", Integer, primary_key=True, autoincrement=False),
    Column("starts_at", BigInteger, primary_key=True, autoincrement=False),
    Column("series", LargeBinary, primary_key=True),
    Column("measure", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The last batch of each process that counts, so that one which comes twice counts once.
usage_writers = Table(
    "usage_writers",
    metadata,
    text("id", ID, key=True),
    Column("number", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("version", Counter, primary_key=True),
    choice("kind", "api", "credential", "app", "key", "connection", "token", "budget"),
    text("ref", ID),
    moment("at"),
    sqlite_autoincrement=True,
)
