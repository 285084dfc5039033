"""Settings as values: where to listen, where the root key is, what to serve with, whom to ask. Reads nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tieline.core.secret import Secret
from tieline.settings.table import DRAIN_DELAY
from tieline.vault.rootkeys.choice import RootKeySource

Plane = Literal["data", "control"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0 asks the system for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as the base of a URL."""
        return f"http://{self}"


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """Where telemetry is sent and which. ``headers`` are lines for each request, with their ends, and may be secret.

    ``sample`` is the share of requests that are traced.
    """

    endpoint: str
    signals: frozenset[str]
    sample: float
    headers: Secret | None = None


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What ``tieline serve`` and the commands that work on its data directory run with."""

    data_dir: Path
    app_listen: Address
    console_listen: Address
    workers: int
    database_url: str
    redis_url: str | None
    root_key: RootKeySource
    console_hosts: tuple[str, ...] = ()
    console_url: str | None = None
    return_origins: tuple[str, ...] = ()
    allow_destinations: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    ca_bundle: Path | None = None
    otlp: OtlpSettings | None = None
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"
    only: Plane | None = None
    drain_delay: int = DRAIN_DELAY

    @property
    def opened_at(self) -> str:
        """What browsers open the console by, without a slash at its end."""
        return self.console_url or self.console_listen.url


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Where the admin API is and the token to show it, None where neither a value nor a file is there.

    ``app_url`` is where calls are run, ``app_key`` what to run them with, None where it is not given. ``ca_bundle``
    holds authorities to trust beside the system's.
    """

    url: str
    token: Secret | None
    token_file: Path
    app_url: str
    app_key: Secret | None
    ca_bundle: Path | None = None
