"""What to serve with and whom to ask, read from the command line and the environment as one.

Owns what settings must be together. Each by itself is of ``values``.
"""

from collections.abc import Mapping

from tieline.core.errors import SettingsError
from tieline.core.secret import Secret
from tieline.settings import telemetry, values
from tieline.settings.model import ClientSettings, ServeSettings
from tieline.settings.source import Given, refuse_unknown, source_of

WORKERS_MOST = 256
DRAIN_DELAY_MOST = 600


def serve_settings(options: Given, environ: Mapping[str, str] | None = None) -> ServeSettings:
    """What to serve with, from command-line ``options`` by setting name (None or absent: not given) and ``environ``.

    Raises SettingsError for a value that cannot be used, and for an unknown ``TIELINE_…`` name.
    """
    source = source_of(options, environ)
    data_dir = values.data_dir(source)
    settings = ServeSettings(
        data_dir=data_dir,
        app_listen=values.address(source, "app_listen"),
        console_listen=values.address(source, "console_listen"),
        workers=values.whole_number(source, "workers", 1, WORKERS_MOST),
        database_url=values.database_url(source, data_dir),
        redis_url=values.redis_url(source),
        root_key=values.root_key(source, data_dir),
        console_hosts=values.console_hosts(source),
        console_url=values.console_url(source),
        return_origins=values.return_origins(source),
        allow_destinations=values.destinations(source),
        trusted_proxies=values.trusted_proxies(source),
        ca_bundle=values.ca_bundle(source),
        otlp=telemetry.otlp(source),
        log_format=values.choice(source, "log_format", ("text", "json")),
        log_level=values.choice(source, "log_level", ("debug", "info", "warning", "error")),
        only=values.only(source),
        drain_delay=values.whole_number(source, "drain_delay", 0, DRAIN_DELAY_MOST),
    )
    refuse_unknown(source)
    same = settings.app_listen == settings.console_listen and settings.app_listen.port != 0
    if same and settings.only is None:
        raise SettingsError(
            f"--app-listen and --console-listen are both {settings.app_listen}: give each a port of its own.",
            param="console_listen",
        )
    return settings


def client_settings(options: Given, environ: Mapping[str, str] | None = None) -> ClientSettings:
    """Where the admin API is and the token to show it: ``TIELINE_TOKEN``, else the data directory's ``admin.token``.

    Raises SettingsError for a value that cannot be used, and for an unknown ``TIELINE_…`` name.
    """
    source = source_of(options, environ)
    url = values.client_url(source, "url", "the console's address")
    app_url = values.client_url(source, "app_url", "the app listener's address")
    app_key = source.variable("TIELINE_APP_KEY")
    token_file = values.data_dir(source) / "admin.token"
    given = source.variable("TIELINE_TOKEN")
    source.known.add(source.environ.get("TIELINE_ROOT_KEY", "").removeprefix("env:"))
    refuse_unknown(source)
    return ClientSettings(
        url,
        Secret.from_text(given[0]) if given else values.token(token_file),
        token_file,
        app_url,
        Secret.from_text(app_key[0]) if app_key else None,
        values.ca_bundle(source),
    )
