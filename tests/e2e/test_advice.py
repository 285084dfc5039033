"""Every command that Tieline advises works as it is printed, in the state that made it advise that.

The commands are found in the texts of the source, so that one added later has to have its situation here.
"""

import ast
import json
import os
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

import tieline
from tests.e2e.conftest import COMMAND, Result, Server, run_command

SOURCE = Path(tieline.__file__).parent
NOUNS = "api|app|key|call|credential|connection|token|audit|vault|serve|doctor|check|… [a-z]+"
ADVICE = re.compile(rf"tieline (?:{NOUNS})(?![a-z])[^`;:)\n]*")
SIGN_IN = {
    "scheme": "oauth2",
    "grant": "authorization_code",
    "authorize_url": "https://issuer.example/authorize",
    "token_url": "https://issuer.example/token",
}


def advised() -> set[str]:
    """Every command in a text of the source, with ``…`` for what is filled in; docstrings and the demo's left out."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        if path.name != "demo.py":
            for text in texts(ast.parse(path.read_text(encoding="utf-8"))):
                found |= {command.strip(" .,") for command in ADVICE.findall(text)}
    return found


def texts(module: ast.Module) -> Iterator[str]:
    """The texts of a module that are no docstrings; where values are put in stands ``…``."""
    inner: set[ast.AST] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Expr):
            inner.add(node.value)
        if isinstance(node, ast.JoinedStr) and node not in inner:
            inner |= set(node.values)
            yield "".join(str(each.value) if isinstance(each, ast.Constant) else "…" for each in node.values)
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inner:
            yield node.value


@dataclass
class Place:
    """Where advice is given: a server, what commands are run with, and a sandbox to call."""

    server: Server
    sandbox: str
    folder: Path
    count: int = 0

    def __call__(self, *words: str, stdin: str = "", **env: str) -> Result:
        """Run a command."""
        return run_command(*words, stdin=stdin, env={**self.server.environment, **env})

    def told(self, *words: str, stdin: str = "", **env: str) -> str:
        """All that a command says."""
        done = self(*words, stdin=stdin, **env)
        return done.out + done.err

    def api(self, *, auth: dict[str, Any] | None = None, credential: dict[str, str] | None = None) -> str:
        """The name of another API at the sandbox, its credential set where one is given."""
        self.count += 1
        name = f"api{self.count}"
        verify = {"method": "GET", "path": "/models"}
        definition = {"tieline": "v1", "api": name, "base_url": self.sandbox, "verify": verify,
                      "auth": auth or {"scheme": "bearer"}, "calls": {"models": {"path": "/models"}}}  # fmt: skip
        self.server.admin("POST", "/apis", {"name": name, "definition": definition})
        if credential is not None:
            self.server.admin("PUT", f"/apis/{name}/credentials/live", {"fields": credential})
        return name

    def relayed(self, api: str) -> str:
        """What an app is told that sends a request to the API."""
        self.server.admin("POST", "/apps", {"name": f"app of {api}", "apis": [api]})
        key = self.server.admin("POST", f"/apps/app%20of%20{api}/keys", {})["secret"]
        headers = {"Authorization": f"Bearer {key}"}
        request = Request(f"{self.server.app}/relay/{api}/models", headers=headers)  # noqa: S310
        with pytest.raises(HTTPError) as refused, urlopen(request, timeout=30):  # noqa: S310
            pass
        with refused.value as answer:
            return str(json.load(answer)["error"]["message"])


@pytest.fixture(scope="module")
def place(server: Server, sandbox: str, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The module's server, the sandbox, and a folder."""
    return Place(server, sandbox, tmp_path_factory.mktemp("advice"))


@pytest.fixture
def fresh(start_server: Any, sandbox: str, tmp_path: Path) -> Place:
    """A server on which nothing was done yet."""
    return Place(start_server("--allow-destination", "127.0.0.1"), sandbox, tmp_path)


def call_file(place: Place) -> str:
    """A file with a call that has a parameter."""
    file = place.folder / "CALL.YAML"
    file.write_text("path: /models/<model>\nparameters: {model: {type: text, choices: [gpt-4.1]}}\n")
    return str(file)


def retired(place: Place, *, waiting: bool) -> str:
    """What is said where the active credential is retired, with another one waiting or none."""
    name = place.api(credential={"key": "sk-sandbox-one"})
    if waiting:
        place.server.admin("PUT", f"/apis/{name}/credentials/live", {"fields": {"key": "sk-sandbox-two"}})
    return place.told("credential", "retire", name, "1")


def second_credential(place: Place) -> str:
    """What is said where a second credential is set."""
    name = place.api(credential={"key": "sk-sandbox-one"})
    return place.told("credential", "set", name, "--stdin", stdin="sk-sandbox-two")


def refused_token(place: Place) -> str:
    """What is said to a token that was revoked."""
    made = place("token", "create", "short lived", "--json").json
    place("token", "revoke", made["id"])
    return place.told("api", "list", TIELINE_TOKEN=made["secret"])


def unset(place: Place) -> str:
    """What an app is told whose API has no credential."""
    return place.relayed(place.api())


@pytest.fixture
def refused_client(place: Place) -> Iterator[str]:
    """What an app is told whose API's issuer refuses the client."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer = b'{"error": "invalid_client"}'
            self.send_response(401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        grant = {"scheme": "oauth2", "grant": "client_credentials",
                 "token_url": f"http://127.0.0.1:{server.server_port}/token"}  # fmt: skip
        yield place.relayed(place.api(auth=grant, credential={"client_id": "a", "client_secret": "b"}))
        server.shutdown()
        thread.join()


def unsigned(place: Place) -> str:
    """What an app is told whose API nobody has signed in to."""
    return place.relayed(place.api(auth=SIGN_IN, credential={"client_id": "a", "client_secret": "b"}))


def new_api(place: Place, credential: str) -> str:
    """What is said where an API is added."""
    place.count += 1
    words = ("api", "add", f"new{place.count}", "--from-catalogue", "openai", "--base-url", place.sandbox)
    return place.told(*words, "--credential-stdin", stdin=credential) if credential else place.told(*words)


SITUATIONS: dict[str, Callable[[Place], str]] = {
    "tieline credential set … --stdin": lambda place: new_api(place, ""),
    "tieline app create my-app --api …": lambda place: place.told(
        "api", "add", f"{place.api()}b", "--base-url", place.sandbox, "--credential-stdin", stdin="sk-sandbox-one"
    ),
    "tieline api verify …": lambda place: new_api(place, "sk-sandbox-one"),
    "tieline credential set … --environment … --stdin --activate": unset,
    "tieline credential activate … …": second_credential,
    "tieline token create NAME": refused_token,
    "tieline call list …": lambda place: place.told("call", "run", f"{place.api()}.nothing"),
    "tieline call add ….NAME --file CALL.YAML": lambda place: place.told("call", "list", new_api_name(place)),
    "tieline call initialize … …--save": lambda place: place.told(
        "call", "add", f"{place.api(credential={'key': 'sk-sandbox-one'})}.one", "--file", call_file(place)
    ),
    "tieline app update … --api API": lambda place: place.told("app", "create", f"an app {place.api()}"),
    "tieline key create --app …": lambda place: place.told("app", "create", f"some app {place.api()}"),
    "tieline … list": lambda place: place.told("key", "show", "nobody's"),
    "tieline api list": lambda place: place.told("api", "show", "nothing"),
    "tieline api show NAME": lambda place: place.told("key", "create", "-h"),
    "tieline app list": lambda place: place.told("app", "show", "nothing"),
    "tieline key list": lambda place: place.told("key", "show", "key_0"),
    "tieline call list API": lambda place: place.told("call", "show", f"{place.api()}.nothing"),
    "tieline credential list API": lambda place: place.told("credential", "activate", place.api(), "9"),
    "tieline token list": lambda place: place.told("token", "show", "tok_0"),
    "tieline connection list": lambda place: place.told("connection", "show", "conn_0"),
}
OTHERS = {
    "tieline serve": "the first line of every test of this folder",
    "tieline serve --help": "tests/e2e/test_cli.py",
    "tieline serve…. See tieline serve --help": "tests/unit/settings",
    "tieline doctor": "test_the_doctor_is_advised_where_a_server_does_not_answer",
    "tieline credential set …… --stdin --activate": "test_a_refused_client_is_set_again",
    "tieline connection sign-in ……": "test_an_operator_signs_in_by_the_advice",
    "tieline connection sign-in API": "test_an_empty_list_says_how_to_begin",
    "tieline api add openai --from-catalogue openai --credential-stdin": "test_an_empty_list_says_how_to_begin",
    "tieline app create my-app": "test_an_empty_list_says_how_to_begin",
}


def new_api_name(place: Place) -> str:
    """An API without calls."""
    place.count += 1
    name = f"bare{place.count}"
    place.server.admin("POST", "/apis", {"name": name, "base_url": place.sandbox})
    return name


def commands_in(text: str) -> list[list[str]]:
    """The commands that a text advises, as words."""
    return [shlex.split(command.strip(' .,"')) for command in ADVICE.findall(text.replace('\\"', '"'))]


def test_every_advised_command_has_its_situation() -> None:
    """One that is added to a text of the source is added here, and runs."""
    assert advised() == SITUATIONS.keys() | OTHERS.keys()


@pytest.mark.parametrize("advice", SITUATIONS)
def test_an_advised_command_works_as_printed(place: Place, advice: str) -> None:
    """It ends with 0; a secret that it asks for is given on standard input, and nothing else is changed in it."""
    fixed = advice.split("…", maxsplit=1)[0].strip()
    found = [words for words in commands_in(SITUATIONS[advice](place)) if " ".join(words).startswith(fixed)]
    assert found, advice
    fill = {"CALL.YAML": call_file(place), "API": place.api(), "NAME": place.api()}
    words = [fill.get(word, word.replace(".NAME", ".name")) for word in found[-1][1:]]
    done = place(*words, stdin="sk-sandbox-new\n")
    assert done.code == 0, (words, done.err)


@pytest.mark.parametrize("waiting", [True, False])
def test_the_way_on_after_retiring_works(place: Place, waiting: bool) -> None:
    """Where the active credential goes, the command that gives the API another one makes it work again."""
    command = commands_in(retired(place, waiting=waiting))[-1]
    assert place(*command[1:], stdin="sk-sandbox-new").code == 0
    assert place("api", "verify", next(word for word in command if word.startswith("api") and word != "api")).code == 0


def test_a_refused_client_is_set_again(place: Place, refused_client: str) -> None:
    """Its credential has two fields, so that standard input holds JSON."""
    command = commands_in(refused_client)[-1]
    assert "credential" in command
    assert place(*command[1:], stdin='{"client_id": "a", "client_secret": "c"}').code == 0


def test_an_operator_signs_in_by_the_advice(place: Place) -> None:
    """The command shows the link at once, and waits for the sign-in until it is interrupted."""
    command = commands_in(unsigned(place))[-1]
    assert command[1:3] == ["connection", "sign-in"]
    running = subprocess.Popen(
        [*COMMAND, *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **place.server.environment},
    )
    assert running.stdout is not None
    assert running.stdout.readline().startswith(f"{place.server.console}/api/v1/oauth/start?")
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=30)
    assert running.returncode == 130


def test_an_empty_list_says_how_to_begin(fresh: Place) -> None:
    """Its commands, one after the other, make an API, an app and a key."""
    for noun in ("api", "app", "key"):
        command = commands_in(fresh.told(noun, "list"))[-1]
        done = fresh(*[{"NAME": "my-app"}.get(word, word) for word in command[1:]], stdin="sk-sandbox-one")
        assert done.code == 0, done.err
    assert commands_in(fresh.told("connection", "list")) == [["tieline", "connection", "sign-in", "API"]]


def test_the_doctor_is_advised_where_a_server_does_not_answer(place: Place) -> None:
    """It finds nothing wrong with a healthy node."""
    listeners = ("--app-listen", place.server.app[7:], "--console-listen", place.server.console[7:])
    assert place("doctor", *listeners).code == 0
