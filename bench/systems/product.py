"""Tieline as anybody runs it: ``tieline serve`` with its defaults, set up through the admin API.

Nothing is turned off for the benchmark. Knows of the product only what the contract says; how its processes are told
apart is read from their command lines.
"""

import http.client
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.process import BenchError, Process, children, command_line, python, running
from bench.systems.nginx import PROVIDER_KEY
from bench.systems.system import Door, System, Upstreams, bearer

APP = "bench"
_READY = re.compile(r"^ready app=http://127\.0\.0\.1:(\d+) console=http://127\.0\.0\.1:(\d+)$", re.MULTILINE)
_READY_SECONDS = 60.0
_CATALOGUE = "openai"
_HEARD_SECONDS = 10.0
_OTHER_WORKERS_SECONDS = 0.3
_UNHEARD = {"unknown_api", "invalid_app_key", "missing_permission", "credential_missing"}
GRANTS = {"chat_completions": "request", "files": "write"}


@dataclass(frozen=True, slots=True)
class Serving:
    """A running ``tieline serve``: ports, processes by what they do, and how long it took until it was ready."""

    app_port: int
    console_port: int
    data_dir: Path
    supervisor: int
    control: int
    workers: tuple[int, ...]
    ready_seconds: float

    def url(self, api: str, path: str = "/chat/completions") -> str:
        """Where an app calls ``path`` of an API."""
        return f"http://127.0.0.1:{self.app_port}/relay/{api}{path}"

    def system(self, doors: Mapping[Door, str], key: str, name: str = "Tieline") -> System:
        """This Tieline as a system under test; ``doors`` names the API behind each."""
        urls: dict[Door, str] = {door: self.url(api) for door, api in doors.items()}
        return System(name, urls, bearer(key), self.workers, (self.supervisor, self.control))

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask the admin API as the local command line would. Raises BenchError when it refuses."""
        token = (self.data_dir / "admin.token").read_text(encoding="ascii").strip()
        connection = http.client.HTTPConnection("127.0.0.1", self.console_port, timeout=60)
        try:
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 300:
            raise BenchError(f"the admin API answered {answer.status} to {method} {path}: {text[:300]}")
        return json.loads(text) if text else None

    def add_api(self, name: str, base_url: str) -> None:
        """Add the catalogue's OpenAI under ``name`` at ``base_url``, with a provider's key."""
        self.send("POST", "/apis", {"name": name, "from_catalogue": _CATALOGUE, "base_url": base_url})
        self.send("PUT", f"/apis/{name}/credentials/live", {"fields": {"key": PROVIDER_KEY}})

    def add_app(self, apis: Sequence[str]) -> str:
        """Add the app that may use ``apis``; returns a key that may chat and use files, and nothing else."""
        self.send("POST", "/apps", {"name": APP, "apis": list(apis)})
        grants = dict.fromkeys(apis, GRANTS)
        permissions = {"mode": "restricted", "grants": grants}
        key = str(self.send("POST", f"/apps/{APP}/keys", {"name": "bench", "permissions": permissions})["secret"])
        self._settle(apis, key)
        return key

    def _settle(self, apis: Sequence[str], key: str) -> None:
        """Wait until the data plane has heard of everything: a call is no longer refused for want of it."""
        deadline = time.monotonic() + _HEARD_SECONDS
        for api in apis:
            while (error := self._refusal(self.url(api, "/files/1/content"), key)) in _UNHEARD:
                if time.monotonic() > deadline:
                    raise BenchError(f"the data plane refuses calls {_HEARD_SECONDS:g} s after the set-up: {error}")
                time.sleep(0.05)
        time.sleep(_OTHER_WORKERS_SECONDS)

    def _refusal(self, url: str, key: str) -> str | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.app_port, timeout=30)
        try:
            connection.request("GET", url, headers=bearer(key))
            answer = connection.getresponse()
            answer.read()
            return answer.headers["Tieline-Error"]
        finally:
            connection.close()


@contextmanager
def serving(
    folder: Path, *options: str, name: str = "tieline", workers: int = 1, added: dict[str, str] | None = None
) -> Iterator[Serving]:
    """Run ``tieline serve`` on a data directory in ``folder`` while the block lasts."""
    data_dir = folder / f"{name}-data"
    words = ("serve", "--data-dir", str(data_dir), "--workers", str(workers), "--allow-destination", "127.0.0.0/8")
    listen = ("--app-listen", "127.0.0.1:0", "--console-listen", "127.0.0.1:0")
    (folder / f"{name}.log").unlink(missing_ok=True)
    begun = time.monotonic()
    with running(name, python("tieline", *words, *listen, *options), folder, added=added) as process:
        app, console = _ready(process)
        seconds = time.monotonic() - begun
        planes = {pid: command_line(pid) for pid in children(process.pid)}
        data = tuple(pid for pid, line in planes.items() if "data" in line)
        control = [pid for pid, line in planes.items() if "control" in line]
        if len(data) != workers or len(control) != 1:
            raise BenchError(f"Tieline's processes are not those expected: {list(planes.values())}")
        yield Serving(app, console, data_dir, process.pid, control[0], data, seconds)


def _ready(process: Process) -> tuple[int, int]:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        found = _READY.search(process.said())
        if found is not None:
            return int(found[1]), int(found[2])
        process.check()
        if time.monotonic() > deadline:
            raise BenchError(f"Tieline is not ready after {_READY_SECONDS:g} s: {process.said()[-300:]}")
        time.sleep(0.005)


@contextmanager
def relaying(
    folder: Path, upstreams: Upstreams, *options: str, name: str = "tieline", source: Path | None = None
) -> Iterator[tuple[Serving, str]]:
    """Run it with an API in front of each of ``upstreams``, and give the key that may use them.

    ``source`` is the folder to import Tieline from instead of this checkout's.
    """
    trust = ("--ca-bundle", str(upstreams.certificates.authority))
    added = {"PYTHONPATH": str(source)} if source is not None else None
    with serving(folder, *trust, *options, name=name, added=added) as server:
        server.add_api("openai", f"http://127.0.0.1:{upstreams.calls}/v1")
        server.add_api("streams", f"http://127.0.0.1:{upstreams.streams}/v1")
        server.add_api("secure", f"https://127.0.0.1:{upstreams.tls}/v1")
        yield server, server.add_app(("openai", "streams", "secure"))


DOORS: Mapping[Door, str] = {"calls": "openai", "streams": "streams", "tls": "secure"}
