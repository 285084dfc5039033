"""nginx and HAProxy in front of a worker, as lenient as they can be told to be: what they let through arrives.

Each marks every request that it passes on. A request without its mark, or with another's, is one that the worker saw
and the proxy did not: they read the same bytes differently.
"""

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.wire.raw import until

MARK = b"x-front"
STOP_SECONDS = 10
START_SECONDS = 20.0

NGINX = """daemon off; master_process off; pid {folder}/pid; error_log {folder}/error warn;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_max_body_size 0; keepalive_requests 100000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  underscores_in_headers on; ignore_invalid_headers off; merge_slashes off;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  upstream worker {{ server 127.0.0.1:{worker}; keepalive 16; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{listen};
    location / {{
      proxy_pass http://worker; proxy_http_version 1.1; proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
      proxy_set_header {mark} $request_id; proxy_next_upstream off;
      proxy_buffering off; proxy_request_buffering off;
    }}
  }}
}}
"""

HAPROXY = """defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  retries 0
  option accept-invalid-http-request
  option accept-invalid-http-response
frontend front
  bind 127.0.0.1:{listen}
  http-request set-header {mark} %[uuid]
  default_backend workers
backend workers
  http-reuse always
  server worker 127.0.0.1:{worker}
"""


def command(kind: str, program: str, folder: Path, listen: int, worker: int) -> list[str]:
    """The command that runs the proxy ``kind`` on ``listen`` in front of ``worker``; its files are in ``folder``."""
    text = {"nginx": NGINX, "haproxy": HAPROXY}[kind]
    path = folder / f"{kind}.conf"
    path.write_text(text.format(folder=folder, listen=listen, worker=worker, mark=MARK.decode()))
    if kind == "nginx":
        return [program, "-p", str(folder), "-e", str(folder / "error"), "-c", str(path)]
    return [program, "-db", "-q", "-f", str(path)]


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def in_front(kind: str, find: Callable[[str], str], folder: Path, ports: tuple[int, int]) -> AsyncIterator[int]:
    """Run ``kind`` while the block lasts; ``ports`` are its own and the worker's. Gives its own."""
    with (folder / f"{kind}.said").open("wb") as said:
        process = subprocess.Popen(command(kind, find(kind), folder, *ports), stdout=said, stderr=said)
    try:
        await until(lambda: listens(ports[0]) or process.poll() is not None, START_SECONDS)
        assert process.poll() is None, (folder / f"{kind}.said").read_text()
        yield ports[0]
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, STOP_SECONDS)
