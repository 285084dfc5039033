"""The real programs as processes of their own: ``tieline serve``, ``tieline sandbox`` and the command line.

``server`` and ``sandbox`` are shared by the tests of a module; ``start_server`` makes another with options of its own;
``cli`` runs a command against ``server``. All listen on free ports of 127.0.0.1 and keep their files in a temporary
directory. They know nothing of what is tested.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

COMMAND = (sys.executable, "-P", "-m", "tieline")
START_SECONDS = 60.0
PROVIDER_KEY = "sk-sandbox-" + "e2e-not-a-real-key"


class Program:
    """A running ``tieline …`` whose standard error is read as it comes."""

    def __init__(self, words: tuple[str, ...], env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TIELINE_DRAIN_DELAY": "0", **(env or {})},
        )
        self.lines: list[str] = []
        self._said = threading.Condition()
        self._over = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                with self._said:
                    self.lines.append(line.rstrip("\n"))
                    self._said.notify_all()
        with self._said:
            self._over = True
            self._said.notify_all()

    def line(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """The first line, said already or soon, in which ``pattern`` is found; AssertionError when none comes."""
        with self._said:
            self._said.wait_for(lambda: self._over or self._find(pattern) is not None, seconds)
            found = self._find(pattern)
        assert found is not None, f"no line like {pattern!r} in: {self.lines}"
        return found

    def _find(self, pattern: str) -> re.Match[str] | None:
        return next((found for line in self.lines if (found := re.search(pattern, line))), None)

    def wait(self, seconds: float = START_SECONDS) -> int:
        """The exit status, once it has ended by itself and all it said was read."""
        status = self.process.wait(seconds)
        self._reader.join(seconds)
        return status

    def stop(self) -> int:
        """End it as an operator would; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.wait()


@dataclass
class Server:
    """A ready ``tieline serve``: the addresses of its listeners, its files, its admin token."""

    program: Program
    app: str
    console: str
    data_dir: Path

    @property
    def token(self) -> str:
        """The local command line's admin token."""
        return (self.data_dir / "admin.token").read_text().strip()

    @property
    def environment(self) -> dict[str, str]:
        """What a client command needs to find it."""
        return {"TIELINE_URL": self.console, "TIELINE_DATA_DIR": str(self.data_dir)}

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON answer of the admin API to one request below ``/api/v1``, sent with the admin token."""
        connection = http.client.HTTPConnection(self.console.removeprefix("http://"), timeout=30)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        try:
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status < 300, f"{method} {path}: {answer.status} {text!r}"
        return json.loads(text) if text else None

    def open_line(self, sandbox: str, permissions: Any = None) -> str:
        """Add the sandbox as the API ``openai`` with an app ``website``; returns the secret of a new app key for it."""
        self.admin("POST", "/apis", {"name": "openai", "from_catalogue": "openai", "base_url": sandbox})
        self.admin("PUT", "/apis/openai/credentials/live", {"fields": {"key": PROVIDER_KEY}})
        self.admin("POST", "/apps", {"name": "website", "apis": ["openai"]})
        made = self.admin("POST", "/apps/website/keys", {"permissions": permissions or {"mode": "all"}})
        self._await_line(made["secret"])
        return str(made["secret"])

    def _await_line(self, secret: str) -> None:
        """Wait until the data plane has heard of it all: it promises that within a second, not at once."""
        end = time.monotonic() + 20
        code: str | None = "unknown_api"
        while code in ("unknown_api", "credential_missing") and time.monotonic() < end:
            connection = http.client.HTTPConnection(self.app.removeprefix("http://"), timeout=30)
            connection.request("HEAD", "/relay/openai/models", headers={"Authorization": f"Bearer {secret}"})
            code = connection.getresponse().getheader("Tieline-Error")
            connection.close()
            time.sleep(0.05)

    def children(self) -> list[int]:
        """The process ids of its planes."""
        pid = self.program.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass
class Result:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


@dataclass
class Starter:
    """Starts servers and ends them all with the test or module."""

    folder: Path
    programs: list[Program] = field(default_factory=list)

    def __call__(
        self, *options: str, data_dir: Path | None = None, env: Mapping[str, str] | None = None, ready: bool = True
    ) -> Server:
        """Start a server; with ``ready`` False it is returned before it is, with no addresses."""
        where = data_dir or self.folder / f"data{len(self.programs)}"
        words = ["serve", "--data-dir", str(where)]
        for option in ("--app-listen", "--console-listen"):
            if option not in options:
                words += [option, "127.0.0.1:0"]
        program = Program((*words, *options), env)
        self.programs.append(program)
        if not ready:
            return Server(program, "", "", where)
        addresses = dict(re.findall(r"(\w+)=(\S+)", program.line("^ready .*")[0]))
        return Server(program, addresses.get("app", ""), addresses.get("console", ""), where)

    def stop(self) -> None:
        """End every server that still runs."""
        for program in self.programs:
            program.stop()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Starter]:
    """``start_server("--workers", "2")`` is a ready server of this test's own."""
    starter = Starter(tmp_path)
    yield starter
    starter.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ready server shared by the tests of a module; it may call this machine."""
    starter = Starter(tmp_path_factory.mktemp("server"))
    yield starter("--allow-destination", "127.0.0.1")
    starter.stop()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    """The base URL of a running sandbox, such as ``http://127.0.0.1:40123/v1``."""
    program = Program(("sandbox", "--listen", "127.0.0.1:0"))
    yield program.line(r"ready sandbox=(\S+)")[1] + "/v1"
    program.stop()


@pytest.fixture(scope="module")
def app_key(server: Server, sandbox: str) -> str:
    """The secret of an app key that may do everything on the API ``openai`` of ``server``, which is the sandbox."""
    return server.open_line(sandbox)


def run_command(*words: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Result:
    """Run one ``tieline`` command to its end."""
    done = subprocess.run(
        [*COMMAND, *words],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        timeout=START_SECONDS,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def cli(server: Server) -> Callable[..., Result]:
    """``cli("api", "list", "--json")`` runs a command against ``server``; ``stdin`` and ``env`` are keywords."""

    def run(*words: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Result:
        return run_command(*words, stdin=stdin, env={**server.environment, **(env or {})})

    return run


@pytest.fixture(scope="session")
def command() -> Callable[..., Result]:
    """``command("version")`` runs a command by itself, with nothing to talk to."""
    return run_command
