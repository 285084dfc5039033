"""``tieline call`` against a running server: described, learned and run as people do, and what it says when refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
ASK = """\
title: Ask
use_as: action
method: POST
path: /chat/completions
parameters:
  prompt: {type: text}
  stream: {type: boolean, default: false}
body:
  type: json
  template: {model: gpt-4.1, stream: <stream>, messages: [{role: user, content: <prompt>}]}
"""
ANSWER = {"id": "chatcmpl-1", "created": 1741569952, "choices": [{"message": {"content": "Hi", "refusal": None}}]}


@pytest.fixture(scope="module")
def ask(cli: Cli, server: Any, app_key: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A call of the sandbox, added from a file."""
    file = tmp_path_factory.mktemp("calls") / "tell.yaml"
    file.write_text(ASK)
    added = cli("call", "add", "openai.tell", "--file", str(file))
    assert (added.code, added.out) == (0, ""), added.err
    return "openai.tell"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["call", "show", "openai"], "Name the call as API.CALL"),
        (["call", "run", "openai.tell"], "TIELINE_APP_KEY"),
        (["call", "run", "openai.tell", "-p", "prompt"], "-p is NAME=VALUE"),
        (["call", "run", "openai.tell", "-p", "file=@/no/such/file"], "names no file"),
        (["call", "run", "openai.tell", "--key-env", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set"),
        (["call", "add", "openai.tell", "--file", "/no/such/file"], "/no/such/file cannot be read"),
        (["call", "initialize", "openai.tell", "--sample", "/no/such/file"], "/no/such/file cannot be read"),
        (["call", "initialize", "openai.tell", "--keep-samples", "all"], "'all' is not one of"),
    ],
)
def test_wrong_usage_of_calls_is_one_line_and_exit_2(command: Cli, words: list[str], told: str) -> None:
    """What cannot be meant is refused before any server is asked."""
    result = command(*words)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert told in result.err


def test_a_call_is_listed_shown_changed_and_removed(cli: Cli, ask: str, tmp_path: Path) -> None:
    """From a file and back; what is wrong in the file is told with its place."""
    file = tmp_path / "call.yaml"
    file.write_text("method: GET\npath: /models\n")
    assert cli("call", "add", "openai.short", "--file", str(file)).code == 0
    listed = cli("call", "list", "openai")
    assert "GET /models" in listed.out
    assert {"short", "tell"} <= {each["name"] for each in cli("call", "list", "openai", "--json").json["items"]}
    file.write_text("method: GET\npath: /models/<id>\n")
    refused = cli("call", "update", "openai.short", "--file", str(file))
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "calls.short.path" in refused.err
    file.write_text("method: GET\npath: /files\n")
    assert cli("call", "update", "openai.short", "--file", str(file)).code == 0
    assert "GET /files" in cli("call", "show", "openai.short").out
    assert cli("call", "remove", "openai.short").code == 0
    assert cli("call", "show", "openai.short").code == 1


def test_initialize_by_samples_shows_a_table_and_saves_when_told(cli: Cli, ask: str, tmp_path: Path) -> None:
    """Fields on standard output, the rest beside it; then the difference of another answer."""
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    first.write_text(json.dumps(ANSWER))
    second.write_text(json.dumps({**ANSWER, "created": "today", "usage": {"total": 5}}))
    looked = cli("call", "initialize", ask, "--sample", str(first))
    assert looked.code == 0
    assert looked.out.splitlines()[0].split() == ["FIELD", "TYPE", "SAMPLE"]
    assert "choices[].message.content" in looked.out
    assert "Nothing is saved" in looked.err
    saved = cli("call", "initialize", ask, "--sample", "-", "--save", stdin=first.read_text())
    assert "It is saved" in saved.err
    again = cli("call", "initialize", ask, "--sample", str(second))
    assert "~ created: unix_time → json" in again.err
    assert "+ usage.total (integer)" in again.err
    learned = cli("call", "initialize", ask, "--sample", str(first), "--json").json
    assert learned["diff"] == []
    assert cli("call", "schema", ask).json["output"]["properties"]["created"]["title"] == "Unix time"


def test_a_sample_that_cannot_be_read_is_one_line(cli: Cli, ask: str) -> None:
    """And exit 1: the call is known to answer JSON, and this is none."""
    assert cli("call", "initialize", ask, "--sample", "-", "--save", stdin='{"a": 1}').code == 0
    refused = cli("call", "initialize", ask, "--sample", "-", stdin="{")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "no JSON" in refused.err
