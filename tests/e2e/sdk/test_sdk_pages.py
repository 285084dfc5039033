"""docs/sdks.md: every program on the page, run with its SDK against a provider that answers as the real one does.

An SDK that is not installed is skipped. The provider's answers are its documents' own examples, cut to what SDKs read.
"""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.sdk.conftest import Stage, WholeAnswers, answering

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "sdks.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECRET = "provider-" + "not-a-real-key"
FIELDS = {"s3": {"access_key_id": "AKIA" + "NOTREAL", "secret_access_key": SECRET},
          "supabase": {"api_key.key": SECRET, "bearer.key": SECRET}}  # fmt: skip
ANSWERS: dict[str, Any] = {
    "/v1/messages": {"id": "msg_1", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
                     "stop_sequence": None, "content": [{"type": "text", "text": "Hi"}],
                     "usage": {"input_tokens": 1, "output_tokens": 1}},
    "/v1/models/gemini-2.5-flash:generateContent": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]
    },
    "/reports/2026//summary.txt": None,
    "/v1/customers": {"id": "cus_1", "object": "customer", "email": "ann@example.com"},
    "/rest/v1/countries": [{"name": "Iceland"}],
    "/search/repositories": {"total_count": 2, "items": [{"id": 1, "name": "one"}]},
    "/traces/ingest": {},
}  # fmt: skip


@dataclass
class Provider:
    """An upstream that stands for every provider: what it was asked, heads and bodies."""

    base: str = ""
    paths: list[str] = field(default_factory=list)
    everything: list[str] = field(default_factory=list)


def sections() -> Iterator[tuple[str, str]]:
    """Each heading of the page with its text."""
    for part in PAGE.split("\n## ")[1:]:
        title, _, text = part.partition("\n")
        yield title, text


def programs() -> Iterator[Any]:
    """Each Python program of the page, under the name of its section and its first import."""
    for title, text in sections():
        for language, code in FENCE.findall(text):
            if language == "python":
                modules = [name for node in ast.walk(ast.parse(code)) for name in imported(node)]
                yield pytest.param(code, modules, id=f"{title} {modules[0]}")


def imported(node: ast.AST) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    if not isinstance(node, ast.ImportFrom) or not node.module:
        return []
    shared = node.module == "google"  # many packages have a part of it: its being there says nothing
    return [f"{node.module}.{each.name}" for each in node.names] if shared else [node.module]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """The upstream, on a free port."""
    seen = Provider()

    class Answering(WholeAnswers):
        def answer(self, body: bytes) -> tuple[bytes, dict[str, str]]:
            path = self.path.partition("?")[0]
            seen.paths.append(path)
            seen.everything.append(f"{self.path}\n{self.headers}\n{body!r}")
            found = ANSWERS.get(path, {})
            leads_on = path == "/search/repositories" and "page=2" not in self.path
            fields = {"Link": f'<{seen.base}{path}?page=2>; rel="next"'} if leads_on else {}
            return b"" if found is None else json.dumps(found).encode(), fields

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Answering)) as seen.base:
        yield seen


@pytest.fixture(scope="module")
def apis(stage: Stage, provider: Provider) -> None:
    """The page's definitions, each with the provider here as its base URL."""
    for _, text in sections():
        for language, definition in FENCE.findall(text):
            if language == "yaml":
                api = re.findall(r"^api: (\w+)$", definition, re.MULTILINE)[0]
                here = re.sub(r"^base_url: .*$", f"base_url: {provider.base}", definition, flags=re.MULTILINE)
                here = here.replace(f"api: {api}\n", f"api: page-{api}\n")
                stage.add(f"page-{api}", FIELDS.get(api, {"key": SECRET}), definition=here)


@pytest.mark.parametrize(("code", "modules"), list(programs()))
def test_a_program_of_the_page_works(
    stage: Stage, provider: Provider, apis: None, code: str, modules: list[str], tmp_path: Path
) -> None:
    """As it stands but for address and key; the provider sees its own key and never the app's."""
    missing = [name for name in modules if not is_installed(name)]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    here = re.sub(r"127\.0\.0\.1:8600/relay/(?!openai)", f"{stage.server.app[7:]}/relay/page-", code)
    here = here.replace("127.0.0.1:8600", stage.server.app[7:]).replace("tl_live_…", stage.key)
    program = tmp_path / "program.py"
    program.write_text(here, encoding="utf-8")
    provider.everything.clear()
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LITELLM_LOCAL_MODEL_COST_MAP": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "401" not in done.stderr, done.stderr[-2000:]
    assert stage.key not in "".join(provider.everything)
    if "relay/openai" not in code:
        assert provider.everything
        assert all(SECRET in each or "AWS4-HMAC-SHA256" in each for each in provider.everything)


def is_installed(name: str) -> bool:
    """Whether a module can be imported, without importing it."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_the_next_page_is_asked_for_through_the_relay(provider: Provider) -> None:
    """The Link field of the first names the provider; the SDK asks Tieline all the same."""
    if is_installed("github"):
        assert provider.paths.count("/search/repositories") == 2


def test_names_of_objects_arrive_as_they_are(provider: Provider) -> None:
    """The S3 program's key has an empty segment, which is still there."""
    if is_installed("boto3"):
        assert "/reports/2026//summary.txt" in provider.paths


def test_a_page_that_asks_from_a_browser_is_refused(stage: Stage) -> None:
    """As docs/relay.md says: its preflight has no key, and no answer lets another origin in."""
    from tests.e2e.sdk.test_sdk_other_apis import call

    asks = {"origin": "https://page.example", "access-control-request-method": "POST"}
    assert call(stage, "/relay/openai/chat/completions", asks) == 401
