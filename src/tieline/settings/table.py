"""Every setting as a row: its option, its environment name, its default and a title.

The command line's options and help, the reading and the documentation come from these rows. Reads nothing.
"""

from dataclasses import dataclass

PREFIX = "TIELINE_"
_DEFAULT_URL = "http://127.0.0.1:8601"
_DEFAULT_APP_URL = "http://127.0.0.1:8600"
DRAIN_DELAY = 2
OTLP_HEADERS = "TIELINE_OTLP_HEADERS"
PASSPHRASE = "TIELINE_ROOT_KEY_PASSPHRASE"  # noqa: S105  the name, not the value
FOR_TESTS = frozenset({"TIELINE_REQUIRE_SERVICES", "TIELINE_SOAK"})


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: ``name`` in code, ``option`` on the command line, ``variable`` in the environment."""

    name: str
    option: str
    variable: str
    default: str | None
    title: str
    metavar: str = "TEXT"
    repeats: bool = False


SERVE_SETTINGS: tuple[Setting, ...] = (
    Setting(
        "data_dir",
        "--data-dir",
        "TIELINE_DATA_DIR",
        None,
        "Where Tieline keeps its files; $XDG_DATA_HOME/tieline unless given.",
        "DIR",
    ),
    Setting("app_listen", "--app-listen", "TIELINE_APP_LISTEN", "127.0.0.1:8600", "Where apps call.", "HOST:PORT"),
    Setting(
        "console_listen",
        "--console-listen",
        "TIELINE_CONSOLE_LISTEN",
        "127.0.0.1:8601",
        "Where operators and the command line call.",
        "HOST:PORT",
    ),
    Setting(
        "console_hosts",
        "--console-host",
        "TIELINE_CONSOLE_HOSTS",
        None,
        "A host name that the console is opened by, beside its address; repeatable.",
        "NAME",
        repeats=True,
    ),
    Setting(
        "console_url",
        "--console-url",
        "TIELINE_CONSOLE_URL",
        None,
        "What browsers open the console by, where that is not its address: providers send people back there.",
        "URL",
    ),
    Setting(
        "return_origins",
        "--return-origin",
        "TIELINE_RETURN_ORIGINS",
        None,
        "An origin that a browser may be sent to after a sign-in, such as https://app.example.com; repeatable.",
        "ORIGIN",
        repeats=True,
    ),
    Setting("workers", "--workers", "TIELINE_WORKERS", "1", "How many data-plane processes.", "N"),
    Setting(
        "database_url",
        "--database-url",
        "TIELINE_DATABASE_URL",
        None,
        "The store: sqlite:////path or postgresql://…; a file in the data directory unless given.",
        "URL",
    ),
    Setting("redis_url", "--redis-url", "TIELINE_REDIS_URL", None, "Where several nodes share limits.", "URL"),
    Setting(
        "root_key",
        "--root-key",
        "TIELINE_ROOT_KEY",
        None,
        "Where the root key is: file:PATH, env:VARIABLE or passphrase; root.key in the data directory unless given.",
        "SOURCE",
    ),
    Setting(
        "allow_destinations",
        "--allow-destination",
        "TIELINE_ALLOW_DESTINATIONS",
        None,
        "An inner network or host that APIs may be at; repeatable.",
        "CIDR|HOST",
        repeats=True,
    ),
    Setting(
        "trusted_proxies",
        "--trusted-proxy",
        "TIELINE_TRUSTED_PROXIES",
        None,
        "A network or address of proxies in front of the app listener that are believed what they say of clients; "
        "repeatable.",
        "CIDR",
        repeats=True,
    ),
    Setting(
        "ca_bundle", "--ca-bundle", "TIELINE_CA_BUNDLE", None, "Authorities (PEM) to trust beside the system's.", "FILE"
    ),
    Setting(
        "otlp_endpoint",
        "--otlp-endpoint",
        "TIELINE_OTLP_ENDPOINT",
        None,
        "Where an OpenTelemetry collector takes OTLP over HTTP, such as http://127.0.0.1:4318; nothing is sent unless "
        "given.",
        "URL",
    ),
    Setting(
        "otlp_signals",
        "--otlp-signal",
        "TIELINE_OTLP_SIGNALS",
        None,
        "What is sent there: traces or metrics; repeatable, both unless given.",
        "SIGNAL",
        repeats=True,
    ),
    Setting(
        "trace_sample",
        "--trace-sample",
        "TIELINE_TRACE_SAMPLE",
        "0.1",
        "The share of requests that are traced, from 0 to 1, of those whose sender has not decided.",
        "SHARE",
    ),
    Setting("log_format", "--log-format", "TIELINE_LOG_FORMAT", "text", "How log lines look.", "text|json"),
    Setting(
        "log_level",
        "--log-level",
        "TIELINE_LOG_LEVEL",
        "info",
        "What is logged: debug, info, warning or error, and what is worse.",
        "LEVEL",
    ),
    Setting(
        "drain_delay",
        "--drain-delay",
        "TIELINE_DRAIN_DELAY",
        str(DRAIN_DELAY),
        "Seconds after SIGTERM in which readiness is off and requests are still taken.",
        "SECONDS",
    ),
    Setting("only", "--only", "TIELINE_ONLY", None, "Run one plane alone.", "data|control"),
)


CLIENT_SETTINGS: tuple[Setting, ...] = (
    Setting("url", "TIELINE_URL", "TIELINE_URL", _DEFAULT_URL, "The console's address.", "URL"),
    Setting(
        "token",
        "TIELINE_TOKEN",
        "TIELINE_TOKEN",
        None,
        "An admin token; the data directory's admin.token unless given.",
    ),
    Setting("app_url", "TIELINE_APP_URL", "TIELINE_APP_URL", _DEFAULT_APP_URL, "The app listener's address.", "URL"),
    Setting("app_key", "TIELINE_APP_KEY", "TIELINE_APP_KEY", None, "An app key, to run calls with."),
)


BY_NAME = {setting.name: setting for setting in (*SERVE_SETTINGS, *CLIENT_SETTINGS)}


def variable_names() -> frozenset[str]:
    """Every environment name that Tieline knows, with the ``_FILE`` twins."""
    plain = {setting.variable for setting in BY_NAME.values()} | {PASSPHRASE, OTLP_HEADERS}
    return frozenset(plain | {f"{name}_FILE" for name in plain} | FOR_TESTS)
