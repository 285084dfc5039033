"""Changing, editing and removing from the command line: what stays, what is asked, what will stop working."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.terminal import on_terminal

Cli = Callable[..., Any]
WEATHER = """\
tieline: v1
api: weather
title: Weather
base_url: {url}
auth: {{scheme: bearer}}
areas:
  - {{area: models, title: Models, levels: [read], match: ["* /models"]}}
calls:
  now: {{path: /models}}
"""


@pytest.fixture
def weather(server: Any, sandbox: str, tmp_path: Path) -> str:
    """The file of an API that is added with a credential, an app that uses it, and a key: weather, bot, "bot's key"."""
    text = WEATHER.format(url=sandbox)
    for noun, name in (("apis", "weather"), ("apps", "bot")):
        if name in [each["name"] for each in server.admin("GET", f"/{noun}")["items"]]:
            server.admin("DELETE", f"/{noun}/{name}")
    server.admin("POST", "/apis", {"name": "weather", "definition": text})
    server.admin("PUT", "/apis/weather/credentials/live", {"fields": {"key": "sk-sandbox-one"}})
    server.admin("POST", "/apps", {"name": "bot", "apis": ["weather"]})
    permissions = {"mode": "restricted", "grants": {"weather": {"models": "read"}}}
    server.admin("POST", "/apps/bot/keys", {"name": "bot's key", "permissions": permissions})
    file = tmp_path / "weather.yaml"
    file.write_text(text)
    return str(file)


def editor(tmp_path: Path, script: str) -> dict[str, str]:
    """An editor that runs ``script`` on the file, as ``$1``."""
    program = tmp_path / "editor"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"VISUAL": str(program)}


def test_an_api_is_updated_and_keeps_credential_app_and_key(cli: Cli, weather: str) -> None:
    """Nothing has to be removed and added again for a new title."""
    file = Path(weather)
    file.write_text(file.read_text().replace("title: Weather", "title: The weather"))
    assert cli("api", "update", "weather", "--file", weather).code == 0
    shown = cli("api", "show", "weather", "--json").json
    assert (shown["title"], shown["credentials"]["live"]["state"]) == ("The weather", "active")
    assert cli("app", "show", "bot", "--json").json["apis"] == ["weather"]
    assert cli("key", "allows", "bot's key", "GET", "/models").code == 0


def test_a_base_url_is_updated_by_itself(cli: Cli, weather: str) -> None:
    """Its host is where the credential may go from then on."""
    assert cli("api", "update", "weather", "--base-url", "https://weather.example/v3").code == 0
    definition = cli("api", "export", "weather", "--json").json
    assert definition["base_url"] == "https://weather.example/v3"
    assert definition["title"] == "Weather"


def test_what_is_shown_as_json_can_be_put_back(cli: Cli, weather: str, tmp_path: Path) -> None:
    """For every noun that can be changed, as it stands; nothing is different afterwards."""
    for noun, name in (("api", "weather"), ("call", "weather.now"), ("app", "bot"), ("key", "bot's key")):
        shown = cli(noun, "show", name, "--json")
        file = tmp_path / f"{noun}.json"
        file.write_text(shown.out)
        put = cli(noun, "update", name, "--file", str(file))
        assert put.code == 0, put.err
        assert cli(noun, "show", name, "--json").json == shown.json


def test_an_exported_call_can_be_put_back(cli: Cli, weather: str) -> None:
    """YAML for people, JSON for programs; standard input is a file too."""
    for words in ((), ("--json",)):
        text = cli("call", "export", "weather.now", *words).out
        assert cli("call", "update", "weather.now", "--file", "-", stdin=text).code == 0


def test_an_app_gets_and_loses_apis(cli: Cli, weather: str, sandbox: str) -> None:
    """Those that are not named stay; the keys' loss is said."""
    assert cli("api", "add", "second", "--base-url", sandbox).code == 0
    assert cli("app", "update", "bot", "--api", "second", "--json").json["apis"] == ["second", "weather"]
    lost = cli("app", "update", "bot", "--no-api", "weather")
    assert "Its keys lose what they were granted on weather." in lost.err
    assert cli("app", "show", "bot", "--json").json["apis"] == ["second"]
    assert "names what it may not use" in cli("app", "update", "bot", "--no-api", "weather").err
    assert cli("app", "update", "bot", "--name", "robot").code == 0
    assert cli("app", "remove", "robot").code == 0
    assert cli("api", "remove", "second").code == 0


def test_what_a_key_may_do_can_be_made_wider_again(cli: Cli, weather: str) -> None:
    """An expiry and networks are given and taken away; what is given replaces what was."""
    narrow = ("--expires-in", "90d", "--from-ip", "192.0.2.0/24")
    assert cli("key", "update", "bot's key", *narrow).code == 0
    wide = cli("key", "update", "bot's key", "--no-expiry", "--from-anywhere", "--json").json
    assert (wide["expires_at"], wide["from_ip"]) == (None, [])


def test_an_editor_changes_an_api_a_call_an_app_and_a_key(cli: Cli, weather: str, tmp_path: Path) -> None:
    """What is saved is stored; an untouched file changes nothing."""
    env = editor(tmp_path, "sed -i 's/Weather/Sun/; s,/models$,/files,; s/name: bot/name: bot/; s/read$/read/' \"$1\"")
    assert cli("api", "edit", "weather", env=env).code == 0
    assert cli("api", "show", "weather", "--json").json["title"] == "Sun"
    env = editor(tmp_path, "sed -i 's,/files,/batches,' \"$1\"")
    assert cli("call", "edit", "weather.now", env=env).code == 0
    assert cli("call", "show", "weather.now", "--json").json["target"] == "/batches"
    env = editor(tmp_path, 'sed -i "s/bot\'s key/the key/; s/^name: bot$/name: robot/" "$1"')
    assert cli("key", "edit", "bot's key", env=env).code == 0
    assert cli("app", "edit", "bot", env=env).code == 0
    assert cli("key", "show", "the key", "--json").json["app"] == "robot"
    untouched = cli("app", "edit", "robot", env=editor(tmp_path, "true"))
    assert (untouched.code, untouched.err) == (0, "Nothing was changed.\n")
    emptied = cli("app", "edit", "robot", env=editor(tmp_path, ': > "$1"'))
    assert (emptied.code, emptied.err) == (0, "Nothing was changed.\n")
    assert cli("app", "remove", "robot").code == 0


def test_what_was_typed_is_kept_when_it_is_refused(cli: Cli, weather: str, tmp_path: Path) -> None:
    """The error names the file that it is in."""
    refused = cli("api", "edit", "weather", env=editor(tmp_path, "echo 'areaz: []' >> \"$1\""))
    assert refused.code == 1
    assert "areaz" in refused.err
    kept = Path(refused.err.split("is kept in ")[1].strip().rstrip("."))
    assert kept.read_text().endswith("areaz: []\n")
    kept.unlink()


def test_a_mistake_can_be_edited_again(cli: Cli, server: Any, weather: str, tmp_path: Path) -> None:
    """On a terminal the editor opens again with what was typed, which the second time is right."""
    script = f"if [ -e {tmp_path}/once ]; then sed -i 's/areaz/areas/' \"$1\"; else touch {tmp_path}/once; "
    script += 'sed -i "/^areas/,\\$d" "$1"; echo "areaz: []" >> "$1"; fi'
    env = {**server.environment, **editor(tmp_path, script)}
    screen = on_terminal("api", "edit", "weather", env=env, typed="y\n")
    assert screen.code == 0, screen.text
    assert "areaz" in screen.text
    assert cli("api", "show", "weather", "--json").json["areas"] == []


def test_removing_an_api_says_what_will_stop_working_and_asks(cli: Cli, server: Any, weather: str) -> None:
    """On a terminal nothing is removed without a yes; with --yes nothing is asked."""
    screen = on_terminal("api", "remove", "weather", env=server.environment, typed="n\n")
    assert screen.code == 1
    told = " ".join(screen.lines)
    assert "In use by bot (1 key): requests to weather will be refused with 404." in told
    assert "1 call, 1 credential" in told
    assert cli("api", "show", "weather").code == 0
    assert on_terminal("api", "remove", "weather", "--yes", env=server.environment).code == 0
    assert cli("api", "show", "weather").code == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("app", "remove", "bot"), "1 key will stop working"),
        (("call", "remove", "weather.now"), "Apps that may run it, bot,"),
        (("key", "revoke", "bot's key"), "Revoke bot's key"),
        (("token", "revoke", "local command line"), "what holds it will get 401"),
        (("credential", "retire", "weather", "1"), "424 credential_missing"),
    ],
)
def test_what_ends_something_asks_on_a_terminal(
    server: Any, weather: str, cli: Cli, words: tuple[str, ...], told: str
) -> None:
    """Each such command says what will be lost; a no leaves everything as it is."""
    screen = on_terminal(*words, env=server.environment, typed="n\n")
    assert screen.code == 1
    assert told in " ".join(screen.lines)
    assert screen.lines[-1].endswith("Nothing was done.")
    assert cli("key", "allows", "bot's key", "GET", "/models").code == 0


@pytest.mark.parametrize("typed", ["\n", "\x04", "n\n"], ids=["enter", "end of input", "no"])
def test_only_a_yes_is_one(cli: Cli, server: Any, weather: str, typed: str) -> None:
    """Anything else ends with 1, as an error that programs can read, and nothing is done."""
    screen = on_terminal("api", "remove", "weather", "--json", env=server.environment, typed=typed)
    assert screen.code == 1
    assert '"code": "cancelled"' in screen.text
    assert cli("api", "show", "weather").code == 0


def test_a_script_is_not_asked(cli: Cli, weather: str) -> None:
    """Without a terminal the command is carried out, as scripts expect, and what was lost is said."""
    retired = cli("credential", "retire", "weather", "1")
    assert retired.code == 0
    assert "424 credential_missing" in retired.err


def test_names_work_where_ids_do(cli: Cli, weather: str) -> None:
    """A name that several have is no guess: both ids are named; an unknown one says how to find it."""
    second = cli("key", "create", "--app", "bot", "--name", "bot's key", "--json").json
    ambiguous = cli("key", "show", "bot's key")
    assert ambiguous.code == 1
    assert second["id"] in ambiguous.err
    assert cli("key", "revoke", second["id"]).code == 0
    assert cli("key", "show", "bot's key").code == 0
    assert "tieline key list" in cli("key", "show", "nobody's").err
    cli("token", "create", "ci")
    assert cli("token", "show", "ci", "--json").json["role"] == "editor"
    assert cli("token", "revoke", "ci").code == 0
    assert json.loads(cli("token", "show", "ci", "--json").err)["error"]["code"] == "not_found"


def test_every_list_fits_80_columns_with_its_ids_whole(cli: Cli, server: Any, weather: str) -> None:
    """A row is one line on a terminal of 80 columns, and an id in it can be copied."""
    name = "a key with a name that is as long as names of keys well may be, and longer"
    key = cli("key", "create", "--app", "bot", "--name", name, "--json").json["id"]
    app = cli("app", "show", "bot", "--json").json["id"]
    lists = ("api list", "app list", "key list", "token list", "audit list", "credential list weather",
             "call list weather", "connection list", "vault status")  # fmt: skip
    for words in lists:
        screen = on_terminal(*words.split(), env=server.environment)
        assert screen.code == 0, screen.text
        assert [line for line in screen.lines if len(line) > 80 and not line.startswith(("Left out", "source"))] == []
    assert key in on_terminal("key", "list", env=server.environment).text
    assert app in on_terminal("app", "list", env=server.environment).text
    assert name in cli("key", "list").out


def test_limits_are_set_shown_and_taken_away(cli: Cli, weather: str) -> None:
    """A key and an app take the same options; what is given replaces what was."""
    cli("app", "update", "bot", "--rate", "1000/hour", "--rate", "20/s")
    assert "1000 requests an hour" in " ".join(cli("app", "show", "bot").out.split())
    options = ("--rate", "60/min", "--tokens-per-minute", "90000", "--concurrent", "4", "--models", "gpt-4.1*")
    made = json.loads(cli("key", "create", "--app", "bot", "--name", "limited", *options, "--json").out)
    assert made["limits"] == {
        "rates": [{"requests": 60, "per": "minute"}],
        "tokens_per_minute": 90_000,
        "concurrent": 4,
    }
    shown = " ".join(cli("key", "show", "limited").out.split())
    assert "60 requests a minute" in shown
    assert "gpt-4.1*" in shown
    changed = json.loads(cli("key", "update", "limited", "--no-limits", "--any-model", "--json").out)
    assert (changed["limits"], changed["models"]) == ({}, [])
    wrong = cli("key", "update", "limited", "--rate", "60/week")
    assert (wrong.code, "60/min" in wrong.err) == (2, True)
