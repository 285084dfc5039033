"""The guides as a newcomer follows them: every command of every page, in order, against the sandbox.

The pages are run as they stand but for the ports, which are those of this test's own servers.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.conftest import Server

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"
PAGES = sorted(GUIDES.glob("[0-9]*.md"))
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROVIDER_KEY = "sk-sandbox-" + "guide-not-a-real-key"
SECONDS = 120


@pytest.fixture(scope="module")
def said(server: Server, sandbox: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What the commands of each page printed, by the page's name; the first that fails ends it all."""
    here = tmp_path_factory.mktemp("reader")
    ports = {"127.0.0.1:8700": sandbox.split("/")[2], "127.0.0.1:8600": server.app.split("/")[2]}
    bash = shutil.which("bash")
    assert bash is not None
    environment = {
        **os.environ,
        **server.environment,
        "TIELINE_APP_URL": server.app,
        "OPENAI_API_KEY": PROVIDER_KEY,
        "HOME": str(here),
    }
    printed = {}
    for page in PAGES:
        # What a page exports counts on the pages after it, as in the reader's own terminal.
        script = "set -eu\n[ ! -f exported ] || . ./exported\n" + "\n".join(BLOCK.findall(page.read_text()))
        for told, real in ports.items():
            script = script.replace(told, real)
        script += "\nexport -p | grep TIELINE_APP_KEY >exported || true\n"
        done = subprocess.run(
            [bash, "-c", script],
            cwd=here,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{page.name}: {done.stdout}\n{done.stderr}"
        assert PROVIDER_KEY not in done.stdout + done.stderr
        printed[page.stem] = done.stdout + done.stderr
    printed["files"] = str(here)
    return printed


def test_the_key_is_good_and_the_app_has_its_own(said: Mapping[str, str]) -> None:
    """Page 2."""
    assert "200" in said["2-authentication"]
    assert (Path(said["files"]) / "notes.key").read_text().startswith("tl_test_")


def test_the_first_call_is_learned_and_run(said: Mapping[str, str]) -> None:
    """Page 3: a table of fields, an answer with the topic whole, and a missing parameter named."""
    page = said["3-first-call"]
    assert "choices[].message.content" in page
    assert 'the \\"Dark Ages\\"' in page
    assert "volcanoes" in page
    assert re.search(r'"code": ?"missing_parameter", ?"param": ?"topic"', page)


def test_a_stream_comes_as_text_and_as_events(said: Mapping[str, str]) -> None:
    """Page 4: the text alone on the command line, deltas and one end over HTTP."""
    page = said["4-streaming"]
    assert "lighthouse" in page.split("event: ")[0]
    assert page.count("event: delta") > 1
    assert page.count("event: done") == 1
    assert '"usage":{"input":' in page


def test_a_conversation_is_a_list(said: Mapping[str, str]) -> None:
    """Page 5: each turn gives the reply alone."""
    replies = re.findall(r'"reply": ?"(.*?)"', said["5-chat-with-history"])
    assert [("Ada" in replies[0]), ("What is my name?" in replies[1])] == [True, True]


def test_files_come_out_and_go_in(said: Mapping[str, str]) -> None:
    """Page 6: sound that is heard again, and a picture."""
    files = Path(said["files"])
    assert (files / "tide.wav").read_bytes()[:4] == b"RIFF"
    assert "The tide is coming in." in said["6-files"]
    assert json.loads((files / "picture.json").read_text())["picture"].startswith("iVBOR")


def test_structured_answers_have_types(said: Mapping[str, str]) -> None:
    """Page 7: a number inside JSON inside a text is a number."""
    page = said["7-structured-answers"]
    assert re.search(r'"inhabitants": \d+', page)
    assert '"$schema"' in page
