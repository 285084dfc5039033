"""``tieline call`` against a running server: described, learned and run as people do, and what it says when refused."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import COMMAND

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
SPEAK = """\
method: POST
path: /audio/speech
parameters: {text: {type: text}}
body: {type: json, template: {model: tts-1, voice: alloy, response_format: wav, input: <text>}}
response: {type: file}
"""
HEAR = """\
method: POST
path: /audio/transcriptions
parameters: {sound: {type: file}, language: {type: text, optional: true}}
body:
  type: multipart
  fields:
    - {name: model, value: whisper-1}
    - {name: language, value: <language>}
    - {name: file, value: <sound>}
"""
STREAM = ASK.replace("<stream>", "true") + "response: {type: stream, stream: {preset: openai_chat}}\n"
ANSWER = {"id": "chatcmpl-1", "created": 1741569952, "choices": [{"message": {"content": "Hi", "refusal": None}}]}


@pytest.fixture(scope="module")
def ask(cli: Cli, server: Any, app_key: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A call of the sandbox, added from a file."""
    file = tmp_path_factory.mktemp("calls") / "tell.yaml"
    file.write_text(ASK)
    added = cli("call", "add", "openai.tell", "--file", str(file))
    assert (added.code, added.out) == (0, ""), added.err
    return "openai.tell"


@pytest.fixture
def own(cli: Cli, ask: str, tmp_path: Path) -> Iterator[str]:
    """The same call under another name, for a test that changes what is known of its answers."""
    (tmp_path / "own.yaml").write_text(ASK)
    assert cli("call", "add", "openai.own", "--file", str(tmp_path / "own.yaml")).code == 0
    yield "openai.own"
    assert cli("call", "remove", "openai.own").code == 0


@pytest.fixture(scope="module")
def more(cli: Cli, ask: str, server: Any, app_key: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Calls with a stream and with files, known to the data plane; what a command needs to run them."""
    folder = tmp_path_factory.mktemp("more")
    for name, text in (("stream", STREAM.replace("stream: {type: boolean, default: false}", "")), ("speak", SPEAK),
                       ("hear", HEAR)):  # fmt: skip
        (folder / name).write_text(text)
        added = cli("call", "add", f"openai.{name}", "--file", str(folder / name))
        assert added.code == 0, added.err
    env = {"TIELINE_APP_URL": server.app, "TIELINE_APP_KEY": app_key}
    end = time.monotonic() + 20
    while cli("call", "run", "openai.hear", env=env).err.count("no call named") and time.monotonic() < end:
        time.sleep(0.05)
    return env


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["call", "show", "openai"], "Name the call as API.CALL"),
        (["call", "run", "openai.tell", "--stream"], "TIELINE_APP_KEY"),
        (["call", "run", "openai.tell", "--all"], "TIELINE_APP_KEY"),
        (["call", "run", "openai.tell", "-p", "prompt"], "-p is NAME=VALUE"),
        (["call", "run", "openai.tell", "-p", "file=@/no/such/file"], "names no file"),
        (["call", "run", "openai.tell", "--key-env", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set"),
        (["call", "add", "openai.tell", "--file", "/no/such/file"], "/no/such/file cannot be read"),
        (["call", "initialize", "openai.tell", "--sample", "/no/such/file"], "/no/such/file cannot be read"),
        (["call", "initialize", "openai.tell", "--keep-samples", "all"], "'all' is not one of"),
        (["call", "initialize", "openai.tell", "--sample", "-", "-p", "a=b"], "--sample sends nothing"),
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


def test_initialize_by_samples_shows_a_table_and_saves_when_told(cli: Cli, own: str, tmp_path: Path) -> None:
    """Fields on standard output, the rest beside it; then the difference of another answer."""
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    first.write_text(json.dumps(ANSWER))
    second.write_text(json.dumps({**ANSWER, "created": "today", "usage": {"total": 5}}))
    looked = cli("call", "initialize", own, "--sample", str(first))
    assert looked.code == 0
    assert looked.out.splitlines()[0].split() == ["FIELD", "TYPE", "SAMPLE"]
    assert "choices[].message.content" in looked.out
    assert "Nothing is saved" in looked.err
    saved = cli("call", "initialize", own, "--sample", "-", "--save", stdin=first.read_text())
    assert "It is saved" in saved.err
    again = cli("call", "initialize", own, "--sample", str(second))
    assert "~ created: unix_time → json" in again.err
    assert "+ usage.total (integer)" in again.err
    learned = cli("call", "initialize", own, "--sample", str(first), "--json").json
    assert learned["diff"] == []
    assert cli("call", "schema", own).json["output"]["properties"]["created"]["title"] == "Unix time"


def test_a_sample_that_cannot_be_read_is_one_line(cli: Cli, own: str) -> None:
    """And exit 1: the call is known to answer JSON, and this is none."""
    assert cli("call", "initialize", own, "--sample", "-", "--save", stdin='{"a": 1}').code == 0
    refused = cli("call", "initialize", own, "--sample", "-", stdin="{")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "no JSON" in refused.err


def test_a_call_is_run_and_its_answer_printed(cli: Cli, more: dict[str, str]) -> None:
    """JSON to be read; the key from a variable, an option's variable or a file."""
    words = ("call", "run", "openai.tell", "-p", "prompt=Say hello")
    ran = cli(*words, env=more)
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["choices"][0]["message"]["content"]
    key = more["TIELINE_APP_KEY"]
    again = cli(*words, "--key-env", "MINE", env={"TIELINE_APP_URL": more["TIELINE_APP_URL"], "MINE": key})
    assert again.json.keys() == ran.json.keys()


def test_a_streamed_call_prints_its_text_as_it_comes(cli: Cli, more: dict[str, str]) -> None:
    """Or, without --stream, its end, which holds the whole text."""
    words = ("call", "run", "openai.stream", "-p", "prompt=Tell me a story")
    live = cli(*words, "--stream", env=more)
    assert live.code == 0
    ended = cli(*words, env=more).json
    assert ended["text"] == live.out.rstrip("\n")
    events = [json.loads(line) for line in cli(*words, "--stream", "--json", env=more).out.splitlines()]
    assert "".join(each["text"] for each in events if each["event"] == "delta") == ended["text"]
    assert events[-1]["event"] == "done"


def test_files_go_out_and_come_back(cli: Cli, more: dict[str, str], tmp_path: Path) -> None:
    """A file of an answer into -o, and up again as a parameter."""
    sound = tmp_path / "said.wav"
    spoken = cli("call", "run", "openai.speak", "-p", "text=Hello", "-o", str(sound), env=more)
    assert (spoken.code, spoken.out) == (0, "")
    assert sound.read_bytes()[:4] == b"RIFF"
    assert f"{sound.stat().st_size:,} bytes" in spoken.err
    heard = cli("call", "run", "openai.hear", "-p", f"sound=@{sound}", "-p", "language=en", env=more)
    assert "text" in heard.json


def test_a_refusal_of_a_call_is_one_line(cli: Cli, more: dict[str, str]) -> None:
    """A missing parameter, a key that is none, a call that is not there."""
    for words, env in (
        (("openai.tell",), more),
        (("openai.tell", "-p", "prompt=x"), {**more, "TIELINE_APP_KEY": "tl_live_" + "not-a-key"}),
        (("openai.nothing",), more),
    ):
        refused = cli("call", "run", *words, env=env)
        assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
        assert refused.err.startswith("tieline: ")


def test_ctrl_c_cancels_a_call(server: Any, more: dict[str, str], tmp_path: Path) -> None:
    """The command ends at once, as a shell expects of a program that was interrupted."""
    words = ["call", "run", "openai.stream", "-p", "prompt=" + "a long story " * 400, "--stream"]
    env = {**os.environ, **server.environment, **more}
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    assert process.stdout is not None
    process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode in {0, 130}


def test_without_a_key_a_call_is_tried_by_the_admin(cli: Cli, more: dict[str, str]) -> None:
    """The upstream's own answer is printed, nothing is saved, and a refusal of the upstream exits 1."""
    tried = cli("call", "run", "openai.tell", "-p", "prompt=Say hello")
    assert tried.code == 0
    assert tried.json["object"] == "chat.completion"
    assert "answered 200" in tried.err
    refused = cli("call", "run", "openai.tell", "-p", "prompt:=5")
    assert (refused.code, refused.err.count("\n")) == (1, 1)


def test_a_real_answer_is_learned_from_and_saved(cli: Cli, more: dict[str, str], own: str) -> None:
    """One request; the fields of the sandbox's answer, then the call answers in their shape."""
    learned = cli("call", "initialize", own, "-p", "prompt=Say hello", "--save")
    assert learned.code == 0, learned.err
    assert "The upstream answered 200" in learned.err
    assert "choices[].message.content" in learned.out
    streamed = cli("call", "initialize", "openai.stream", "-p", "prompt=Say hello", "--anew", "--json").json
    assert streamed["response"]["stream"] == {"preset": "openai_chat"}
    assert streamed["text"]
    spoken = cli("call", "initialize", "openai.speak", "-p", "text=Hello", "--anew", "--json").json
    assert (spoken["type"], spoken["raw"]) == ("file", None)


def test_drift_is_told_with_its_counts(cli: Cli, more: dict[str, str], own: str, server: Any) -> None:
    """A call whose answers are known otherwise than they come."""
    definition = cli("call", "show", own, "--json").json["definition"]
    fields = [{"path": "id", "type": "integer"}, {"path": "gone", "type": "text"}]
    server.admin("PUT", "/apis/openai/calls/own", {**definition, "response": {"type": "json", "fields": fields}})
    end = time.monotonic() + 20
    while not (found := cli("call", "drift", own, "--json").json["items"]) and time.monotonic() < end:
        cli("call", "run", own, "-p", "prompt=x", env=more)
        time.sleep(0.5)
    assert {("id", "type", "text"), ("gone", "missing", "")} <= {(e["path"], e["kind"], e["found"]) for e in found}
    shown = cli("call", "drift", own)
    assert "text, not integer" in shown.out
