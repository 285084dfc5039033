"""The official Node SDK through the relay: its tests are written with Node's own runner, one file each.

Node gets what the Python tests have: addresses and keys, the table of wrong requests, and a TLS front, without which
the Node SDK opens no realtime connection.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import PROVIDER_KEY
from tests.e2e.sdk.cases import FAILURES, MODEL, OTHER_KEY, REFUSALS
from tests.e2e.sdk.conftest import Stage

FOLDER = Path(__file__).resolve().parent.parent / "node"
FILES = sorted(path.name for path in FOLDER.glob("*.test.mjs"))


@pytest.fixture(scope="session")
def node(program: Callable[[str], str]) -> tuple[str, ...]:
    """The command that runs a test file; skips where Node or its packages are missing."""
    path = program("node")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    major = int(version.strip().removeprefix("v").partition(".")[0])
    if major < 20 or not (FOLDER / "node_modules" / "openai").is_dir():
        pytest.skip(f"Node {version.strip()} without `npm ci` in tests/e2e/node: `make test` installs both")
    # A browser's WebSocket is built in from Node 22 on.
    return (path, *(("--experimental-websocket", "--no-warnings") if major < 22 else ()), "--test")


@pytest.fixture(scope="session")
def environment(
    stage: Stage, keys: dict[str, str], secure: str, authority_file: Path, request: pytest.FixtureRequest
) -> dict[str, str]:
    """What a Node program finds: the SDK's own names, and the stage as JSON."""
    names = {case.api for case in (*REFUSALS, *FAILURES)} - {"opnai", "openai"}
    for name in names:
        request.getfixturevalue(name)
    shown = {
        "relay": stage.server.app + "/relay/",
        "secure": secure,
        "sandbox": stage.sandbox,
        "providerKey": PROVIDER_KEY,
        "keys": keys,
        "otherKey": OTHER_KEY,
        "model": MODEL,
        "refusals": [case.shown() for case in REFUSALS],
        "failures": [case.shown() for case in FAILURES],
    }
    given = {"OPENAI_BASE_URL": stage.base(), "OPENAI_API_KEY": stage.key, "STAGE": json.dumps(shown)}
    return {**given, "NODE_EXTRA_CA_CERTS": str(authority_file), "NO_COLOR": "1"}


@pytest.mark.parametrize("file", FILES)
def test_the_node_sdk(file: str, node: tuple[str, ...], environment: dict[str, str]) -> None:
    """Every test in the file passes, and there are some."""
    done = subprocess.run(
        [*node, "--test-reporter=tap", file],
        cwd=FOLDER,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout
    assert passed, done.stdout
    assert int(passed[1]) > 1, done.stdout
