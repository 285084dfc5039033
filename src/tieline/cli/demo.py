"""``tieline demo``: the whole product once, for somebody who has never seen it.

Starts Tieline and the sandbox in a directory of their own, does what an operator and an app would do, and shows each
step as it happens. Everything it says happened: the same admin API, relay and SDK that anybody uses.
"""

import http.client
import importlib.util
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

from tieline.app.listeners import is_free
from tieline.cli.client import AdminClient
from tieline.cli.programs import Program, running, until_one_ends
from tieline.core.errors import StartError
from tieline.settings.model import Address
from tieline.settings.reading import client_settings

PROVIDER_KEY = "sk-sandbox-for-the-demo"  # the sandbox's: it opens nothing else
PROMPT = "In one sentence: what is a tie line?"
MODEL = "gpt-4.1-mini"
CHANGE_SECONDS = 10.0
NOT_YET = ("unknown_api", "credential_missing")
_PLAIN_WIDTH = 100


def run(*, once: bool) -> int:
    """Run the demo; with ``once`` it ends after the call. Returns the exit code.

    Raises StartError when a program it needs does not start or is not installed.
    """
    if importlib.util.find_spec("openai") is None:
        raise StartError("the demo calls Tieline with the official SDK, which is missing here: pip install openai")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="tieline-demo-") as folder:
        data_dir = Path(folder) / "data"
        serve = ("serve", "--data-dir", str(data_dir), "--allow-destination", "127.0.0.1")
        listen = ("--app-listen", _address(8600), "--console-listen", _address(8601))
        with running(("sandbox", "--listen", _address(8700)), (*serve, *listen)) as (sandbox, server):
            stage = Stage()
            stage.title("Tieline demo")
            stage.note("Starting Tieline, and a simulated OpenAI that needs no account …")
            import openai  # noqa: F401  one second of work, done while the programs start

            found = {**sandbox.ready(), **server.ready(), "data_dir": str(data_dir)}
            stage.note(f"Both are up: apps call {found['app']}, operators {found['console']}.")
            secret = _operate(stage, found)
            _call(stage, found, secret)
            _be_refused(stage, found, secret)
            _hand_over(stage, found, secret, once=once)
            if not once:
                _serve_until_interrupted((sandbox, server))
    return 0


def _serve_until_interrupted(programs: Sequence[Program]) -> None:
    """Wait for Ctrl-C. Raises StartError when a program ends before."""
    with suppress(KeyboardInterrupt):
        until_one_ends(programs)
        raise StartError("one of the programs of the demo ended by itself: see what else uses its ports or memory")


class Stage:
    """Where the demo speaks: standard output, in colour where that can be seen."""

    def __init__(self) -> None:
        probe = Console()
        width = min(probe.width, _PLAIN_WIDTH) if probe.is_terminal else _PLAIN_WIDTH
        self._console = Console(width=width, highlight=False, markup=False, emoji=False)
        self._steps = 0

    def title(self, text: str) -> None:
        """What this is."""
        self._console.print()
        self._console.print(Text(text, style="bold"))

    def step(self, text: str, command: str = "") -> None:
        """The next thing that happens, and the command that does it by hand."""
        self._steps += 1
        self._console.print()
        self._console.print(Text.assemble((f"{self._steps} ", "bold cyan"), (text, "bold")))
        if command:
            self._console.print(Text.assemble(("  $ ", "dim"), (command, "cyan")), soft_wrap=True)

    def note(self, text: str) -> None:
        """What came of it."""
        self._console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))

    def piece(self, text: str) -> None:
        """A piece of a stream, as it arrives."""
        self._console.print(Text(text, style="green"), end="", soft_wrap=True)

    def line(self) -> None:
        """End a line of pieces."""
        self._console.print()

    def bad(self, text: str) -> None:
        """A refusal."""
        self._console.print(Padding(Text(text, style="yellow"), (0, 0, 0, 2), expand=False))

    def code(self, text: str, language: str) -> None:
        """Something to paste, without a margin that would be copied with it."""
        plain = not self._console.is_terminal
        shown = Text(text) if plain else Syntax(text, language, theme="ansi_dark", background_color="default")
        self._console.print()
        self._console.print(shown, soft_wrap=True)


def _address(port: int) -> str:
    """The usual port if it is free, and any free one otherwise."""
    usual = Address("127.0.0.1", port)
    return str(usual if is_free(usual) else Address("127.0.0.1", 0))


def _operate(stage: Stage, found: dict[str, str]) -> str:
    """What an operator does; returns the app key's secret."""
    environ = {"TIELINE_URL": found["console"], "TIELINE_DATA_DIR": found["data_dir"]}
    admin = AdminClient(client_settings({}, environ))
    base_url = f"{found['sandbox']}/v1"
    stage.step(
        "Add OpenAI from the catalogue, and put its key into the vault",
        "tieline api add openai --from-catalogue openai --credential-env OPENAI_API_KEY",
    )
    api = admin.post("apis", body={"name": "openai", "from_catalogue": "openai", "base_url": base_url})
    place = ("apis", "openai", "credentials", "live")
    stored = admin.send("PUT", place, body={"fields": {"key": PROVIDER_KEY}}).body
    stage.note(
        f"{len(api['areas'])} areas of permission; the base URL is the sandbox's here, {base_url}. "
        f"The key is sealed: from now on everybody sees {stored['fields']['key']}."
    )
    stage.step("Try the provider's key", "tieline api verify openai")
    verdict = admin.post("apis", "openai", "verify", body={"environment": "live"})
    if not verdict["ok"]:
        raise StartError(f"the sandbox refused its own key: {verdict['problem']}")
    stage.note(f"It works: GET /models answered {verdict['status']}.")
    stage.step(
        "Create an app, and a key that may chat and nothing else",
        "tieline app create website --api openai\n"
        "  $ tieline key create --app website --permissions restricted --grant openai:chat_completions=request",
    )
    admin.post("apps", body={"name": "website", "apis": ["openai"]})
    permissions = {"mode": "restricted", "grants": {"openai": {"chat_completions": "request"}}}
    key = admin.post("apps", "website", "keys", body={"name": "demo", "permissions": permissions})
    stage.note(f"{key['secret']}  (shown this once; kept as a hash)")
    stage.note(key["summary"])
    _await_line(found["app"], key["secret"])
    return str(key["secret"])


def _await_line(app: str, secret: str) -> None:
    """Wait until the data plane knows API, credential and key: it hears of changes within a second, not at once."""
    address = urlsplit(app).netloc
    headers = {"Authorization": f"Bearer {secret}"}
    end = time.monotonic() + CHANGE_SECONDS
    code: str | None = NOT_YET[0]
    while code in NOT_YET and time.monotonic() < end:
        connection = http.client.HTTPConnection(address, timeout=CHANGE_SECONDS)
        try:
            connection.request("GET", "/relay/openai/chat/completions", headers=headers)
            code = connection.getresponse().getheader("Tieline-Error")
        finally:
            connection.close()
        time.sleep(0.02)


def _client(found: dict[str, str], secret: str) -> Any:
    import openai

    # No proxy from the environment may come between: both ends are on this machine.
    http_client = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(
        base_url=f"{found['app']}/relay/openai", api_key=secret, http_client=http_client, max_retries=0
    )


def _call(stage: Stage, found: dict[str, str], secret: str) -> None:
    """What the app does: the official SDK, with two values changed."""
    stage.step("The app calls it with the official openai package: base URL and key changed, nothing else")
    stage.note(f"“{PROMPT}”")
    begun = time.monotonic()
    first, pieces = 0.0, 0
    stage.piece("  ")
    with _client(found, secret) as client:
        messages = [{"role": "user", "content": PROMPT}]
        raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=messages, stream=True)
        for chunk in raw.parse():
            text = chunk.choices[0].delta.content if chunk.choices else None
            if text:
                first = first or time.monotonic() - begun
                pieces += 1
                stage.piece(text)
    stage.line()
    stage.note("(The sandbox's models say what they are told. With a real key this is OpenAI's answer.)")
    stage.note(
        f"Streamed in {pieces} pieces, the first after {first * 1000:.0f} ms. "
        f"Request {raw.headers['tieline-request-id']}."
    )


def _be_refused(stage: Stage, found: dict[str, str], secret: str) -> None:
    """What the key may not do, and how that is said."""
    import openai

    stage.step("The same key asks for something it was not given: client.files.list()")
    with _client(found, secret) as client:
        try:
            client.files.list()
        except openai.PermissionDeniedError as error:
            stage.bad(f"openai.PermissionDeniedError: {error.status_code} {error.code}")
            stage.bad(str(error.body["message"] if isinstance(error.body, dict) else error.message))
            return
    raise StartError("the restricted key was let through, which it must not be: please report it")


def _hand_over(stage: Stage, found: dict[str, str], secret: str, *, once: bool) -> None:
    """Where things are and what to paste."""
    base = f"{found['app']}/relay/openai"
    stage.title("Your turn")
    if once:
        stage.note("This ends now. Without --once (ONCE=1) it keeps running, and you can paste these:")
    else:
        stage.note("In another terminal, paste what you like:")
    stage.code(
        f"curl {base}/chat/completions \\\n"
        f"  -H 'Authorization: Bearer {secret}' -H 'Content-Type: application/json' \\\n"
        f'  -d \'{{"model": "{MODEL}", "stream": true, "messages": [{{"role": "user", "content": "Hello"}}]}}\'',
        "bash",
    )
    stage.code(
        f"export TIELINE_URL={found['console']} TIELINE_DATA_DIR={found['data_dir']}\n"
        f"{_way_to_command()}tieline key list; tieline audit list; tieline doctor",
        "bash",
    )
    stage.code(
        "from openai import OpenAI\n"
        f'client = OpenAI(base_url="{base}", api_key="{secret}")\n'
        f'answer = client.chat.completions.create(model="{MODEL}", messages=[{{"role": "user", "content": "Hello"}}])\n'
        "print(answer.choices[0].message.content)",
        "python",
    )
    stage.line()
    stage.note(f"Console and admin API: {found['console']}  (documentation at /api/docs)")
    stage.note("With your own OpenAI key: start `tieline serve`, then type the commands of steps 1 to 3.")
    if not once:
        stage.note("Serving until Ctrl-C.")


def _way_to_command() -> str:
    """What has to be typed before ``tieline`` (and the Python that has the SDK) is found; empty where it is found."""
    if shutil.which("tieline") is not None:
        return ""
    return f'export PATH="{Path(sys.executable).parent}:$PATH"\n'
