"""How commands end: errors as JSON, output that cannot be written, readers that go, an authority of one's own."""

import json
import os
import shlex
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.e2e.conftest import COMMAND
from tests.e2e.sdk.conftest import Tap

Cli = Callable[..., Any]
BROKEN = """\
tieline: v1
api: broken
base_url: https://api.example.com
areaz: []
calls:
  one: {pth: /x}
"""


@pytest.mark.parametrize(
    ("words", "status", "code", "kind"),
    [
        (("api", "show", "nothing"), 1, "not_found", "admin_error"),
        (("api", "add", "Bad Name", "--base-url", "https://x.example"), 1, "invalid_input", "admin_error"),
        (("nonsense",), 2, "wrong_usage", "command_error"),
        (("key", "create"), 2, "wrong_usage", "command_error"),
        (("key", "create", "--app", "x", "--grant", "openai"), 2, "wrong_usage", "command_error"),
        (("api", "add", "x", "--file", "/no/such/file"), 2, "wrong_usage", "command_error"),
        (("key", "show", "nobody's"), 1, "not_found", "command_error"),
    ],
)
def test_an_error_is_one_line_of_json(cli: Cli, words: tuple[str, ...], status: int, code: str, kind: str) -> None:
    """On standard error, in the shape of the admin API's errors; standard output stays empty."""
    result = cli(*words, "--json")
    assert (result.code, result.out, result.err.count("\n")) == (status, "", 1)
    error = json.loads(result.err)["error"]
    assert (error["code"], error["type"]) == (code, kind)
    assert error["message"]
    assert error.keys() == {"message", "type", "code", "param", "request_id"}


def test_an_error_without_a_server_is_json_too(command: Cli, free_port: Callable[[], int], tmp_path: Path) -> None:
    """Its code says that nobody answered."""
    env = {"TIELINE_URL": f"http://127.0.0.1:{free_port()}", "TIELINE_DATA_DIR": str(tmp_path)}
    assert json.loads(command("api", "list", "--json", env=env).err)["error"]["code"] == "command_failed"


def test_a_refusal_of_the_app_listener_is_json_too(cli: Cli, server: Any) -> None:
    """With the code and the request id that the app listener gave."""
    env = {"TIELINE_APP_URL": server.app, "TIELINE_APP_KEY": "tl_live_" + "not-a-real-key"}
    error = json.loads(cli("call", "run", "openai.ask", "--json", env=env).err)["error"]
    assert (error["code"], error["type"]) == ("invalid_app_key", "tieline_error")
    assert error["request_id"].startswith("req_")


UNUSABLE = "/tmp/" + "a" * 300  # as no system takes it, whoever the user is


@pytest.mark.parametrize(
    "words",
    [
        ("api", "add", "x", "--file", UNUSABLE),
        ("credential", "set", "x", "--file", UNUSABLE),
        ("call", "run", "a.b", "-p", f"x=@{UNUSABLE}"),
        ("call", "initialize", "a.b", "--sample", UNUSABLE),
        ("check", UNUSABLE),
        ("doctor", "--root-key", f"file:{UNUSABLE}"),
        ("doctor", "--data-dir", UNUSABLE),
        ("doctor", "--database-url", f"sqlite:///{UNUSABLE}"),
        ("vault", "status", "--data-dir", UNUSABLE),
        ("serve", "--data-dir", UNUSABLE),
        ("serve", "--ca-bundle", UNUSABLE),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_file_that_cannot_be_looked_at_is_named(cli: Cli, words: tuple[str, ...]) -> None:
    """Wherever one is given, with what the system says of it; never as a fault of Tieline."""
    result = cli(*words)
    told = result.out + result.err
    assert result.code in {1, 2}
    assert "File name too long" in told
    assert "inside Tieline" not in told


def test_several_mistakes_are_a_line_each(cli: Cli, tmp_path: Path) -> None:
    """Each with its place in the file, the line itself below it."""
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN)
    told = cli("api", "add", "broken", "--file", str(file)).err
    assert [f"{file}:{line}:" in told for line in (4, 6)] == [True, True]
    assert "areaz: []\n" in told


@pytest.mark.parametrize("words", [("version",), ("api", "list"), ("audit", "list", "--json"), ("-h",)])
def test_a_full_device_is_told(server: Any, cli: Cli, words: tuple[str, ...]) -> None:
    """What could not be written is an error, in one line."""
    cli("api", "add", "full", "--base-url", "https://full.example")
    env = {**os.environ, **server.environment}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, env=env, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot be written: No space left on device" in done.stderr


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        ("version >&-", 1, "cannot be written: Bad file descriptor"),
        ("api list --json >&-", 1, "cannot be written: Bad file descriptor"),
        ("api show nothing 2>&-", 1, ""),
        ("check - <&-", 1, ""),
        ("credential set full --stdin <&-", 2, "holds no secret"),
    ],
)
def test_a_stream_that_is_closed_is_told(server: Any, line: str, status: int, told: str) -> None:
    """As output that cannot be written, and as nothing to read; never as a fault of Tieline."""
    shell = f"{shlex.join(COMMAND)} {line}"
    done = subprocess.run(
        ["sh", "-c", shell], capture_output=True, text=True, check=False, env={**os.environ, **server.environment}
    )  # fmt: skip
    assert (done.returncode, told in done.stderr, "inside Tieline" in done.stderr) == (status, True, False)


def test_each_listener_says_which_it_is(cli: Cli, server: Any, sandbox: str) -> None:
    """Where the settings name the other one, or a server that is not Tieline's."""
    assert "is the app listener: set TIELINE_URL" in cli("api", "list", env={"TIELINE_URL": server.app}).err
    env = {"TIELINE_APP_URL": server.environment["TIELINE_URL"], "TIELINE_APP_KEY": "tl_live_x"}
    assert "is the console listener: set TIELINE_APP_URL" in cli("call", "run", "openai.ask", env=env).err
    assert "not as Tieline does" in cli("api", "list", env={"TIELINE_URL": sandbox}).err


@pytest.mark.parametrize("words", [("version",), ("audit", "list", "--json"), ("-h",)])
def test_a_reader_that_goes_ends_the_command_in_silence(server: Any, words: tuple[str, ...]) -> None:
    """As `tieline audit list | head -1` does: with the status of a program that SIGPIPE ended."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, *words], stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
        env={**os.environ, **server.environment},
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_a_refused_sample_request_shows_the_words_of_the_upstream(cli: Cli, server: Any, sandbox: str) -> None:
    """As running the call does: the answer on standard output, why nothing was learned on standard error."""
    definition = {"tieline": "v1", "api": "strict", "base_url": sandbox, "auth": {"scheme": "bearer"},
                  "calls": {"nowhere": {"path": "/no/such/path"}}}  # fmt: skip
    server.admin("POST", "/apis", {"name": "strict", "definition": definition})
    server.admin("PUT", "/apis/strict/credentials/live", {"fields": {"key": "sk-sandbox-one"}})
    result = cli("call", "initialize", "strict.nowhere")
    assert result.code == 1
    assert "error" in json.loads(result.out)
    assert "the upstream answered 404" in result.err
    assert json.loads(result.out) == json.loads(cli("call", "run", "strict.nowhere").out)


def test_version_and_completion_are_where_people_look(command: Cli) -> None:
    """`--version` is the command `version`; the shell completes commands and options."""
    assert command("--version").out == command("version").out
    assert command("help", "key", "rotate").out == command("key", "rotate", "-h").out
    assert command("api", "delete", "x").err.endswith("See `tieline api -h`.\n")
    env = {"_TIELINE_COMPLETE": "complete_bash", "COMP_WORDS": "tieline key up", "COMP_CWORD": "2"}
    assert command(env=env).out.split() == ["update"]
    assert "_TIELINE_COMPLETE" in command("--show-completion", "bash").out


@pytest.fixture
def secure(server: Any) -> Iterator[tuple[str, bytes]]:
    """The console behind TLS of an authority that nobody knows, and that authority's certificate."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    host, _, port = server.console.removeprefix("http://").rpartition(":")
    tap = Tap((host, int(port)), context)
    yield f"https://127.0.0.1:{tap.port}", authority.cert_pem.bytes()
    tap.stop()


def test_an_own_authority_is_trusted_where_it_is_named(cli: Cli, secure: tuple[str, bytes], tmp_path: Path) -> None:
    """TIELINE_CA_BUNDLE holds for the command line too; without it the error names that variable."""
    url, certificate = secure
    bundle = tmp_path / "authority.pem"
    bundle.write_bytes(certificate)
    refused = cli("api", "list", env={"TIELINE_URL": url})
    assert refused.code == 1
    assert "TIELINE_CA_BUNDLE" in refused.err
    assert cli("api", "list", env={"TIELINE_URL": url, "TIELINE_CA_BUNDLE": str(bundle)}).code == 0
    bundle.write_text("nothing")
    assert cli("api", "list", env={"TIELINE_URL": url, "TIELINE_CA_BUNDLE": str(bundle)}).code == 2
