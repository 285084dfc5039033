"""What one child process is to be, and how that travels over the control socket as JSON.

Imports little, as the supervisor loads it for as long as the server runs. What a child does with it is ``worker``'s.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tieline.core.secret import Secret
from tieline.settings.model import Address, OtlpSettings, Plane, ServeSettings
from tieline.vault.rootkeys.choice import RootKeySource

DRAIN_SECONDS = 30.0  # what finite streams get to finish


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one child is to be: its plane, its number among the workers of that plane, and the settings.

    The listen addresses in ``settings`` hold real ports, never 0. ``tables`` are the descriptors of the node table and
    of that of client addresses, which the child inherits; none for the control plane. ``metrics`` is that of the
    metrics file, in which each data worker has the slot of its number and the control plane the one behind them.
    """

    plane: Plane
    index: int
    settings: ServeSettings
    tables: tuple[int, ...] = ()
    metrics: int = -1

    @property
    def name(self) -> str:
        """What logs and metrics call it, such as ``data worker 2``."""
        return process_name(self.plane, self.index)

    @property
    def slot(self) -> int:
        """The number of its slot in the metrics file."""
        return self.settings.workers if self.plane == "control" else self.index


def process_name(plane: Plane, index: int) -> str:
    """What logs and metrics call the process number ``index`` of a plane."""
    return "control plane" if plane == "control" else f"data worker {index + 1}"


def encode(assignment: Assignment) -> dict[str, Any]:
    """``assignment`` as JSON values. Holds the root key's text where there is one: for the control socket only."""
    settings = assignment.settings
    root = settings.root_key
    secret = None if root.secret is None else base64.b64encode(root.secret.reveal_bytes()).decode()
    return {
        "plane": assignment.plane,
        "index": assignment.index,
        "tables": assignment.tables,
        "metrics": assignment.metrics,
        "data_dir": str(settings.data_dir),
        "app_listen": [settings.app_listen.host, settings.app_listen.port],
        "console_listen": [settings.console_listen.host, settings.console_listen.port],
        "workers": settings.workers,
        "database_url": settings.database_url,
        "redis_url": settings.redis_url,
        "root_key": {"kind": root.kind, "path": root.path and str(root.path), "variable": root.variable},
        "root_secret": secret,
        "console_hosts": settings.console_hosts,
        "console_url": settings.console_url,
        "return_origins": settings.return_origins,
        "allow_destinations": settings.allow_destinations,
        "trusted_proxies": settings.trusted_proxies,
        "ca_bundle": settings.ca_bundle and str(settings.ca_bundle),
        "otlp": settings.otlp and _encode_otlp(settings.otlp),
        "log_format": settings.log_format,
        "log_level": settings.log_level,
        "only": settings.only,
    }


def _encode_otlp(otlp: OtlpSettings) -> dict[str, Any]:
    headers = None if otlp.headers is None else otlp.headers.reveal_bytes().decode()
    return {"endpoint": otlp.endpoint, "signals": sorted(otlp.signals), "sample": otlp.sample, "headers": headers}


def _decode_otlp(message: Mapping[str, Any]) -> OtlpSettings:
    headers = None if message["headers"] is None else Secret.from_text(message["headers"])
    return OtlpSettings(message["endpoint"], frozenset(message["signals"]), message["sample"], headers)


def decode(message: Mapping[str, Any]) -> Assignment:
    """The assignment that :func:`encode` made ``message`` of."""
    root, secret = message["root_key"], message["root_secret"]
    source = RootKeySource(
        kind=root["kind"],
        path=Path(root["path"]) if root["path"] else None,
        variable=root["variable"],
        secret=None if secret is None else Secret(base64.b64decode(secret)),
    )
    settings = ServeSettings(
        data_dir=Path(message["data_dir"]),
        app_listen=Address(*message["app_listen"]),
        console_listen=Address(*message["console_listen"]),
        workers=message["workers"],
        database_url=message["database_url"],
        redis_url=message["redis_url"],
        root_key=source,
        console_hosts=tuple(message["console_hosts"]),
        console_url=message["console_url"],
        return_origins=tuple(message["return_origins"]),
        allow_destinations=tuple(message["allow_destinations"]),
        trusted_proxies=tuple(message["trusted_proxies"]),
        ca_bundle=Path(message["ca_bundle"]) if message["ca_bundle"] else None,
        otlp=message["otlp"] and _decode_otlp(message["otlp"]),
        log_format=message["log_format"],
        log_level=message["log_level"],
        only=message["only"],
    )
    return Assignment(message["plane"], message["index"], settings, tuple(message["tables"]), message["metrics"])
