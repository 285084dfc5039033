"""Envoy: a route that matches one header exactly and sets one header. The binary comes from the package registry."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.process import free_ports, running
from bench.systems.nginx import PROVIDER_KEY
from bench.systems.system import System, Upstreams, bearer
from bench.upstreams.certificates import NAME

_TYPES = "type.googleapis.com/envoy.extensions"
_MANY = 1_000_000


def binary() -> Path | None:
    """Envoy's program in this environment, None where the package is not installed."""
    spec = find_spec("envoy")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "_bin" / "envoy"
    return path if path.is_file() else None


@contextmanager
def proxying(program: Path, folder: Path, upstreams: Upstreams, key: str) -> Iterator[System]:
    """Run it with one worker thread in front of ``upstreams`` while the block lasts; clients show ``key``."""
    calls, streams, tls = ports = free_ports(3)
    config = {
        "static_resources": {
            "listeners": [
                _listener(calls, "calls", key),
                _listener(streams, "streams", key),
                _listener(tls, "tls", key),
            ],
            "clusters": [
                _cluster("calls", upstreams.calls),
                _cluster("streams", upstreams.streams),
                {**_cluster("tls", upstreams.tls), "transport_socket": _tls(upstreams.certificates.authority)},
            ],
        }
    }
    path = folder / "envoy.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
    with running("envoy", [str(program), "-c", str(path), *options], folder, ports=ports) as process:
        yield System(
            "Envoy",
            {
                "calls": f"http://127.0.0.1:{calls}/v1/chat/completions",
                "streams": f"http://127.0.0.1:{streams}/v1/chat/completions",
                "tls": f"http://127.0.0.1:{tls}/v1/chat/completions",
            },
            bearer(key),
            (process.pid,),
        )


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener(port: int, cluster: str, key: str) -> dict[str, Any]:
    shown = {"name": "authorization", "string_match": {"exact": f"Bearer {key}"}}
    added = {"key": "authorization", "value": f"Bearer {PROVIDER_KEY}"}
    route = {
        "match": {"prefix": "/", "headers": [shown]},
        "route": {"cluster": cluster, "timeout": "0s"},
        "request_headers_to_add": [{"header": added, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
    }
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": cluster,
        "codec_type": "HTTP1",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": cluster, "address": _address(port), "tcp_backlog_size": 4096, "filter_chains": [chain]}


def _cluster(name: str, port: int) -> dict[str, Any]:
    # Without these thresholds the 1,025th open stream would be refused.
    most = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), _MANY)
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": name,
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [most]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _tls(authority: Path) -> dict[str, Any]:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TYPES}.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": NAME,
            "common_tls_context": {
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
                "validation_context": {
                    "trusted_ca": {"filename": str(authority)},
                    "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": NAME}}],
                },
            },
        },
    }
