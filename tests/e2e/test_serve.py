"""``tieline serve`` as a process: what it creates, says, restarts and leaves behind."""

import http.client
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.stage import is_gone

PASSPHRASE = "correct horse battery staple " + "not a real one"


def get(url: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body of one GET on a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def answers(url: str, path: str = "/readyz") -> bool:
    """Whether ``path`` is answered with 200 now."""
    try:
        return get(url, path)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether ``condition`` comes true within ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def plane(pid: int) -> str:
    """Which plane the child process with this id is: ``data`` or ``control``."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return words[words.index(b"serve-worker") + 1].decode()


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_both_listeners_answer_when_it_says_ready(server: Any) -> None:
    """The one line names the real ports of both listeners, and both are alive and ready by then."""
    ready = [line for line in server.program.lines if line.startswith("ready ")]
    assert ready == [f"ready app={server.app} console={server.console}"]
    assert not server.app.endswith(":0")
    for url in (server.app, server.console):
        assert answers(url, "/healthz")
        assert answers(url, "/readyz")


def test_the_first_start_creates_what_is_needed_for_its_owner_only(server: Any) -> None:
    """Data directory 0700; store, root key and admin token 0600; the operator is told where they are."""
    assert mode(server.data_dir) == 0o700
    assert {path.name for path in server.data_dir.iterdir()} >= {"tieline.db", "root.key", "admin.token"}
    assert all(mode(path) == 0o600 for path in server.data_dir.iterdir())
    server.program.line(f"files in {server.data_dir}$")
    server.program.line("root.key: back it up")
    server.program.line("admin.token$")


def test_the_admin_token_opens_the_admin_api(server: Any) -> None:
    """The token in the file is an owner's: it may list tokens."""
    assert get(server.console, "/api/v1/tokens", {"Authorization": f"Bearer {server.token}"})[0] == 200
    assert get(server.console, "/api/v1/tokens")[0] == 401


def test_a_second_start_keeps_everything(start_server: Any) -> None:
    """Root key and token stay the same and still work; nothing is announced again."""
    first = start_server()
    before = {path.name: path.read_bytes() for path in first.data_dir.glob("*.*") if path.suffix in (".key", ".token")}
    assert first.program.stop() == 0
    second = start_server(data_dir=first.data_dir)
    assert before == {name: (second.data_dir / name).read_bytes() for name in before}
    assert get(second.console, "/api/v1/tokens", {"Authorization": f"Bearer {second.token}"})[0] == 200
    assert not any("root.key" in line for line in second.program.lines)


def test_workers_share_one_port(start_server: Any) -> None:
    """Two data-plane processes and one control plane, and one address for apps."""
    server = start_server("--workers", "2")
    assert sorted(plane(pid) for pid in server.children()) == ["control", "data", "data"]
    assert all(answers(server.app) for _ in range(20))


def test_both_planes_run_on_postgresql(start_server: Any, postgres_url: str, sandbox: str) -> None:
    """With a PostgreSQL URL nothing is kept in a file but keys; a relayed call works, its password shows nowhere."""
    server = start_server("--allow-destination", "127.0.0.1", env={"TIELINE_DATABASE_URL": postgres_url})
    secret = server.open_line(sandbox)
    assert get(server.app, "/relay/openai/models", {"Authorization": f"Bearer {secret}"})[0] == 200
    assert not (server.data_dir / "tieline.db").exists()
    for pid in server.children():
        assert postgres_url.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


def test_each_plane_runs_alone(start_server: Any, tmp_path: Path) -> None:
    """The control plane prepares the store, the data plane serves from it, each in a server of its own."""
    control = start_server("--only", "control", data_dir=tmp_path / "shared")
    assert (control.app, [plane(pid) for pid in control.children()]) == ("", ["control"])
    data = start_server("--only", "data", data_dir=tmp_path / "shared")
    assert (data.console, [plane(pid) for pid in data.children()]) == ("", ["data"])
    assert answers(data.app)
    assert answers(control.console)


def test_a_data_plane_alone_says_what_is_missing(command: Any, tmp_path: Path) -> None:
    """Without a store there is nothing to serve: one line, exit 1."""
    tmp_path.chmod(0o700)
    result = command("serve", "--only", "data", "--data-dir", str(tmp_path), "--app-listen", "127.0.0.1:0")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "start `tieline serve` of this version once" in result.err


@pytest.mark.parametrize(
    ("words", "env", "told"),
    [
        (["--work", "2"], {}, "--work is no option of tieline serve (did you mean --workers?)"),
        (["--workers"], {}, "--workers needs a value (N)"),
        (["--workers", "none"], {}, '--workers is "none": give a whole number'),
        (["extra"], {}, "extra is too much"),
        ([], {"TIELINE_WORKRES": "2"}, "TIELINE_WORKRES is not a setting of Tieline (did you mean TIELINE_WORKERS?)"),
        ([], {"TIELINE_LOG_LEVEL": "loud"}, 'TIELINE_LOG_LEVEL is "loud"'),
    ],
)
def test_wrong_usage_stops_the_start(command: Any, words: list[str], env: dict[str, str], told: str) -> None:
    """Unknown options, unknown names and unusable values end in one clear line and exit 2, before anything is made."""
    result = command("serve", *words, env=env)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert result.err.startswith(f"tieline: {told}")


def test_a_busy_port_is_told_in_one_line(server: Any, command: Any, tmp_path: Path) -> None:
    """A port that another server has, even another Tieline, is refused before anything starts."""
    for option, url in (("--app-listen", server.app), ("--console-listen", server.console)):
        result = command("serve", "--data-dir", str(tmp_path / "other"), option, urlsplit(url).netloc)
        assert (result.code, result.err.count("\n")) == (1, 1)
        assert f"{urlsplit(url).netloc} is already in use" in result.err
        assert option in result.err
    assert not (tmp_path / "other").exists()


def test_a_wrong_root_key_serves_nothing(start_server: Any, command: Any) -> None:
    """The line names the key id that was expected and the one that was given; a missing key is not made anew."""
    server = start_server()
    server.program.stop()
    words = ("--data-dir", str(server.data_dir), "--app-listen", "127.0.0.1:0", "--console-listen", "127.0.0.1:0")
    (server.data_dir / "root.key").write_text("A" * 43)
    result = command("serve", *words)
    assert (result.code, result.err.count("\n"), result.err.count("rk_")) == (1, 1, 2)
    assert "not the vault's root key: expected rk_" in result.err
    (server.data_dir / "root.key").unlink()
    result = command("serve", *words)
    assert (result.code, result.err.count("\n"), result.err.count("rk_")) == (1, 1, 1)
    assert not (server.data_dir / "root.key").exists()


def test_a_passphrase_shows_in_no_process(start_server: Any) -> None:
    """Neither the arguments nor the environment of a child hold the passphrase: it comes over the leash."""
    env = {"TIELINE_ROOT_KEY": "passphrase", "TIELINE_ROOT_KEY_PASSPHRASE": PASSPHRASE}
    server = start_server(env=env)
    for pid in server.children():
        for place in ("cmdline", "environ"):
            assert PASSPHRASE.encode() not in Path(f"/proc/{pid}/{place}").read_bytes()
    assert answers(server.app)
    assert not (server.data_dir / "root.key").exists()


def test_a_killed_supervisor_leaves_no_orphan(start_server: Any) -> None:
    """kill -9 of the supervisor ends its children too, and the ports are free again."""
    server = start_server("--workers", "2")
    children = server.children()
    server.program.process.kill()
    assert eventually(lambda: all(is_gone(pid) for pid in children))
    for url in (server.app, server.console):
        with pytest.raises(ConnectionRefusedError):
            get(url, "/healthz")


def test_a_supervisor_killed_during_its_start_leaves_no_orphan(start_server: Any) -> None:
    """Children that are still loading notice as well."""
    server = start_server(ready=False)
    assert eventually(lambda: len(server.children()) == 2)
    children = server.children()
    server.program.process.kill()
    assert eventually(lambda: all(is_gone(pid) for pid in children))


def test_a_killed_plane_is_started_again(start_server: Any) -> None:
    """A plane that dies is back at the same address; the other one never stops; it is not announced anew."""
    server = start_server()
    for which, mine, other in (("data", server.app, server.console), ("control", server.console, server.app)):
        victim = next(pid for pid in server.children() if plane(pid) == which)
        os.kill(victim, signal.SIGKILL)
        server.program.line(f"worker.ended .*{which}")
        assert answers(other)
        assert eventually(partial(answers, mine))
        assert victim not in server.children()
    assert len([line for line in server.program.lines if line.startswith("ready ")]) == 1


def test_ctrl_c_ends_an_idle_server_at_once(start_server: Any) -> None:
    """Nothing is under way, so nothing is waited for; the exit status is 0 and no process stays."""
    server = start_server()
    children = server.children()
    server.program.process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    assert server.program.wait() == 0
    assert time.monotonic() - begun < 25, "it waited for its 30 s"
    assert all(is_gone(pid) for pid in children)


@contextmanager
def stream(server: Any, secret: str, events: int, pause_ms: int) -> Iterator[http.client.HTTPResponse]:
    """A chat completion that streams ``events`` tokens through the relay, its head read."""
    connection = http.client.HTTPConnection(urlsplit(server.app).netloc, timeout=30)
    model = f"sandbox-stream-{events}x{pause_ms}"
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "go"}]}
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/relay/openai/chat/completions", json.dumps(body), headers)
        yield connection.getresponse()
    finally:
        connection.close()


def test_a_drain_lets_a_stream_finish(start_server: Any, sandbox: str) -> None:
    """A stream under way when the signal comes arrives whole; new connections are refused meanwhile."""
    server = start_server("--allow-destination", "127.0.0.1")
    with stream(server, server.open_line(sandbox), events=60, pause_ms=50) as answer:
        assert answer.status == 200
        server.program.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: not answers(server.app, "/healthz"))
        assert answer.read().endswith(b"data: [DONE]\n\n")
    assert server.program.wait() == 0


def test_a_signal_to_one_worker_restarts_it_in_peace(start_server: Any, sandbox: str) -> None:
    """SIGTERM to a data-plane process alone: its stream ends whole, and a new process takes its place."""
    server = start_server("--allow-destination", "127.0.0.1")
    with stream(server, server.open_line(sandbox), events=20, pause_ms=50) as answer:
        worker = next(pid for pid in server.children() if plane(pid) == "data")
        os.kill(worker, signal.SIGTERM)
        assert answer.read().endswith(b"data: [DONE]\n\n")
    assert eventually(lambda: is_gone(worker))
    assert eventually(lambda: answers(server.app))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_the_admin_api_confirmed_holds_for_the_next_request(start_server: Any, sandbox: str, workers: str) -> None:
    """A key that is revoked is refused, one that is widened is let through: by every worker, at once, each time."""
    server = start_server("--allow-destination", "127.0.0.1", "--workers", workers)
    server.open_line(sandbox)
    wide, narrow = {"mode": "all"}, {"mode": "restricted", "grants": {}}
    for number in range(10):
        key = server.admin("POST", "/apps/website/keys", {"name": f"key {number}", "permissions": narrow})
        fields = {"Authorization": f"Bearer {key['secret']}"}
        asked = []
        for method, body in ((None, None), ("PATCH", {"permissions": wide}), ("DELETE", None)):
            if method is not None:
                server.admin(method, f"/keys/{key['id']}", body)
            asked.append({get(server.app, "/relay/openai/models", fields)[0] for _ in range(3)})
        assert asked == [{403}, {200}, {401}], number


@contextmanager
def held_request(server: Any) -> Iterator[socket.socket]:
    """A request to the console listener that has begun and is not whole yet."""
    parts = urlsplit(server.console)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as connection:
        head = f"POST /api/v1/apps HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.token}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 20\r\n\r\n".encode())
        time.sleep(0.3)
        yield connection


def test_a_drain_lets_a_request_finish(start_server: Any) -> None:
    """A request under way when the signal comes is answered; new connections are refused meanwhile."""
    server = start_server()
    with held_request(server) as connection:
        server.program.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: not answers(server.console, "/healthz"))
        connection.sendall(b'{"name": "lastminute"}'[:20])
        assert connection.recv(4096).startswith(b"HTTP/1.1 4")
    assert server.program.wait() == 0


def test_a_second_signal_ends_at_once(start_server: Any) -> None:
    """Whoever asks twice does not wait for what is under way."""
    server = start_server()
    with held_request(server):
        server.program.process.send_signal(signal.SIGTERM)
        server.program.line("draining")
        server.program.process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        assert server.program.wait() == 1
        assert time.monotonic() - begun < 25, "it waited for its 30 s"


def test_log_lines_are_json_where_asked(start_server: Any) -> None:
    """With --log-format json every line is an object, from the first on, but the one that scripts wait for."""
    server = start_server("--log-format", "json")
    server.program.stop()
    events = [json.loads(line)["event"] for line in server.program.lines if not line.startswith("ready app=")]
    assert [each for each in events if each != "audit.anchor"] == ["started", "started", "started", "draining"]


def test_a_failed_start_is_json_where_asked(start_server: Any, tmp_path: Path) -> None:
    """Whether the supervisor itself or a plane says why."""
    (tmp_path / "root.key").write_text("no key")
    server = start_server(data_dir=tmp_path / "one")
    for words in (("--app-listen", server.app[7:]), ("--root-key", f"file:{tmp_path / 'root.key'}")):
        program = start_server("--log-format", "json", *words, ready=False).program
        assert program.wait() == 1
        (line,) = program.lines
        assert (json.loads(line)["event"], bool(json.loads(line)["problem"])) == ("start.failed", True)


def is_unready(url: str) -> bool:
    """Whether it answers that it is not ready."""
    return bool(get(url, "/readyz")[0] == 503)


def test_after_sigterm_readiness_goes_first(start_server: Any) -> None:
    """For the drain delay both listeners take requests and say that they are not ready; then they are closed."""
    server = start_server("--drain-delay", "3")
    server.program.process.send_signal(signal.SIGTERM)
    server.program.line("unready")
    for url in (server.app, server.console):
        assert eventually(partial(is_unready, url))
        assert answers(url, "/healthz")
    server.program.line("draining")
    assert server.program.wait() == 0


def test_the_limit_of_open_files_is_raised(start_server: Any) -> None:
    """A shell's soft limit does not bind a server that may have more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        server = start_server()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for pid in (server.program.process.pid, *server.children()):
        (line,) = [line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "open files" in line]
        assert int(line.split()[3]) > 256


def test_a_second_server_is_refused_the_data_directory(start_server: Any, tmp_path: Path) -> None:
    """It says which process has it and what to do; once that has ended, however it did, the directory is free."""
    first = start_server(data_dir=tmp_path / "shared")
    second = start_server(data_dir=tmp_path / "shared", ready=False).program
    assert second.wait() == 1
    (line,) = second.lines
    assert f"process {first.program.process.pid}" in line
    assert "--data-dir" in line
    first.program.process.kill()
    first.program.wait()
    assert answers(start_server(data_dir=tmp_path / "shared").app)


def test_the_supervisor_stays_light() -> None:
    """The process that lives longest carries no framework, database library, terminal library or event loop."""
    heavy = ["sqlalchemy", "fastapi", "starlette", "uvicorn", "typer", "rich", "asyncio", "uvloop", "yaml"]
    code = f"import sys, tieline.cli.serving; print([name for name in {heavy!r} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_many_starts_at_once_agree(start_server: Any, tmp_path: Path) -> None:
    """Two control planes that start on one new store use one vault; both serve."""
    shared = ("--database-url", f"sqlite:///{tmp_path}/shared.db", "--root-key", f"file:{tmp_path}/shared.key")
    servers: list[Any] = []
    threads = [
        threading.Thread(target=lambda number=number: servers.append(start_server(*shared, data_dir=tmp_path / number)))
        for number in ("one", "two")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers(server.app) for server in servers] == [True, True]
