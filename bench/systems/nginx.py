"""nginx as a proxy: it compares one header with one value and sets one header. Also how each nginx is configured."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.machine import needed
from bench.process import BenchError, Process, children, free_ports, running
from bench.systems.system import System, Upstreams, bearer
from bench.upstreams.certificates import NAME

CONNECTIONS = 16_384
PROVIDER_KEY = "sk-sandbox-for-the-bench"
_FORK_SECONDS = 5.0


def configuration(folder: Path, servers: str) -> str:
    """A whole configuration around ``servers``: one worker, no access log, nothing written outside ``folder``."""
    temporary = "".join(f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", *_modules()))
    return (
        "daemon off; worker_processes 1; worker_rlimit_nofile 65536;\n"
        f"events {{ worker_connections {CONNECTIONS}; }}\n"
        f"http {{\n{temporary}access_log off; keepalive_requests 100000000; keepalive_timeout 300;\n{servers}}}\n"
    )


def command(folder: Path, name: str, text: str) -> list[str]:
    """The command that runs nginx with the configuration ``text``, which is written to ``folder``."""
    path = folder / f"{name}.conf"
    path.write_text(f"pid {folder}/{name}.pid; error_log {folder}/{name}.error warn;\n{text}", encoding="utf-8")
    return [needed("nginx"), "-p", str(folder), "-e", f"{folder}/{name}.error", "-c", str(path)]


def worker(process: Process) -> int:
    """The process that does the work of a running nginx, which listens a moment before it has one."""
    deadline = time.monotonic() + _FORK_SECONDS
    while len(found := children(process.pid)) != 1:
        if time.monotonic() > deadline:
            raise BenchError(f"{process.name} has {len(found)} worker processes instead of one")
        time.sleep(0.01)
    return found[0]


@contextmanager
def proxying(folder: Path, upstreams: Upstreams, key: str) -> Iterator[System]:
    """Run it in front of ``upstreams`` while the block lasts; clients show ``key``."""
    calls, streams, tls = free_ports(3)
    secure = (
        f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {upstreams.certificates.authority}; "
        f"proxy_ssl_name {NAME}; proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3;"
    )
    # Unbuffered is what nginx's documentation advises for event streams.
    text = configuration(
        folder,
        _server(calls, upstreams.calls, "http", key, "")
        + _server(streams, upstreams.streams, "http", key, "proxy_buffering off;")
        + _server(tls, upstreams.tls, "https", key, secure),
    )
    with running("nginx", command(folder, "nginx", text), folder, ports=(calls, streams, tls)) as process:
        yield System(
            "nginx",
            {
                "calls": f"http://127.0.0.1:{calls}/v1/chat/completions",
                "streams": f"http://127.0.0.1:{streams}/v1/chat/completions",
                "tls": f"http://127.0.0.1:{tls}/v1/chat/completions",
            },
            bearer(key),
            (worker(process),),
            (process.pid,),
        )


def _server(listen: int, to: int, scheme: str, key: str, more: str) -> str:
    return (
        f"upstream u{listen} {{ server 127.0.0.1:{to}; keepalive 64; keepalive_requests 100000000; }}\n"
        f"server {{ listen 127.0.0.1:{listen} backlog=4096; location / {{\n"
        f'if ($http_authorization != "Bearer {key}") {{ return 401; }}\n'
        f'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 300s; {more}\n'
        f'proxy_set_header Authorization "Bearer {PROVIDER_KEY}"; proxy_pass {scheme}://u{listen}; }} }}\n'
    )


def _modules() -> list[str]:
    """The modules of this nginx that want a directory of their own even where nothing uses them."""
    done = subprocess.run([needed("nginx"), "-V"], capture_output=True, text=True, timeout=10, check=False)
    return [name for name in ("fastcgi", "uwsgi", "scgi") if f"--without-http_{name}_module" not in done.stderr]
