"""The command line against a running server: every command once as people use it, and what it says when refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
SECRET = "sk-sandbox-" + "cli-not-a-real-key"


@pytest.fixture(scope="module")
def openai(cli: Cli, sandbox: str) -> str:
    """The name of an API added from the catalogue, its credential given on standard input."""
    words = ("api", "add", "openai", "--from-catalogue", "openai", "--base-url", sandbox, "--credential-stdin")
    added = cli(*words, stdin=f"{SECRET}\n")
    assert added.code == 0, added.err
    return "openai"


@pytest.fixture(scope="module")
def website(cli: Cli, openai: str) -> str:
    """The name of an app that may use it."""
    assert cli("app", "create", "website", "--api", openai).code == 0
    return "website"


def test_version_needs_no_server(command: Cli) -> None:
    """It prints the version, plainly or as JSON."""
    assert command("version").out == f"tieline {command('version', '--json').json['version']}\n"


def test_without_a_server_it_says_how_to_start_one(command: Cli, tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Nobody answers at the address: one line, exit 1."""
    env = {"TIELINE_URL": f"http://127.0.0.1:{free_port()}", "TIELINE_DATA_DIR": str(tmp_path)}
    result = command("api", "list", env=env)
    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert "start one with `tieline serve`" in result.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["api", "list", "--nonsense"], "No such option: --nonsense"),
        (["key", "create"], "Missing option '--app'"),
        (["key", "create", "--app", "x", "--permissions", "most"], "'most' is not one of"),
        (["key", "create", "--app", "x", "--grant", "openai"], '--grant is "openai": give API:AREA=LEVEL'),
        (["key", "create", "--app", "x", "--grant", "a:b=read", "--grant", "a:b=write"], "names a:b twice"),
        (["key", "create", "--app", "x", "--permissions", "all", "--grant", "a:b=read"], "--grant goes with"),
        (["key", "create", "--app", "x", "--expires-in", "soon"], '--expires-in is "soon": give a number and a unit'),
        (["key", "update", "key_1"], "Say what to change"),
        (["credential", "set", "openai"], "Say where the secret is"),
        (
            ["credential", "set", "openai", "--stdin", "--env", "X"],
            "Give one of --stdin, --env and --file, not several",
        ),
        (["credential", "set", "openai", "--env", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set"),
        (["credential", "set", "openai", "--file", "/no/such/file"], "/no/such/file cannot be read"),
        (["credential", "set", "openai", "--stdin"], "standard input holds no secret"),
        (["api", "add", "x", "--from-catalogue", "openai", "--file", "x"], "not both"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(command: Cli, words: list[str], told: str) -> None:
    """What cannot be meant is refused before any server is asked."""
    result = command(*words)
    assert (result.code, result.out) == (2, "")
    assert told in result.err
    assert result.err.startswith("tieline: ")


def test_an_api_is_added_listed_shown_and_verified(cli: Cli, openai: str, sandbox: str) -> None:
    """Added with its credential, it works at once; what is shown of the secret is its ends."""
    listed = cli("api", "list", "--json").json
    assert [item["name"] for item in listed["items"]] == [openai]
    shown = cli("api", "show", openai, "--json").json
    assert shown["base_url"] == sandbox
    version = shown["credentials"]["live"]["version"]  # other tests put further ones
    table = cli("api", "list")
    assert table.out.split("\n")[0].split() == ["NAME", "TITLE", "BASE", "URL", "CREDENTIALS"]
    assert f"live v{version}" in table.out
    assert cli("api", "verify", openai).err == "openai (live) works: it answered 200.\n"
    for result in (table, cli("api", "show", openai), cli("credential", "list", openai)):
        assert SECRET not in result.out + result.err


def test_an_api_without_a_verify_request_could_not_be_tried(cli: Cli, sandbox: str) -> None:
    """Nothing is known of it then, good or bad; what to add to the definition is told."""
    cli("api", "add", "untried", "--base-url", sandbox)
    result = cli("api", "verify", "untried")
    assert (result.code, "does not work" in result.err) == (1, False)
    assert "untried (live) could not be tried: The definition names no verify request" in result.err
    assert "verify: {method: GET, path: /models}" in result.err
    cli("api", "remove", "untried", "--yes")


def test_a_user_name_and_a_password_are_asked_for_as_such(cli: Cli, sandbox: str, tmp_path: Path) -> None:
    """Where either may be left out too; in the definition neither is an option."""
    file = tmp_path / "two.yaml"
    text = f"tieline: v1\napi: two\nbase_url: {sandbox}\nauth: {{scheme: basic}}\n"
    file.write_text(text)
    added = cli("api", "add", "two", "--file", str(file))
    assert "It has no credential yet: tieline credential set two --stdin" in added.err
    alone = cli("credential", "set", "two", "--stdin", stdin="hunter2-not-real")
    assert (alone.code, 'give a JSON object such as {"username": "…", "password": "…"}' in alone.err) == (2, True)
    both = '{"username": "ann", "password": "not-a-real-password"}'
    assert cli("credential", "set", "two", "--stdin", stdin=both).code == 0
    cli("api", "remove", "two", "--yes")
    file.write_text(text.replace("basic", "basic, username: ann"))
    assert "username: this stands in the API's credential, beside its secret" in cli("check", str(file)).out


def test_an_export_can_be_added_again(cli: Cli, openai: str, tmp_path: Path) -> None:
    """The exported definition is a definition file: it makes the same API under another name, and can be removed."""
    file = tmp_path / "definition.yaml"
    file.write_text(cli("api", "export", openai).out)
    assert cli("api", "add", "again", "--file", str(file)).code == 0
    exported = [cli("api", "export", name, "--json").json for name in (openai, "again")]
    assert {**exported[0], "api": ""} == {**exported[1], "api": ""}
    assert cli("api", "remove", "again").code == 0
    assert cli("api", "show", "again").code == 1


def test_an_api_whose_credential_is_refused_is_not_added(cli: Cli, sandbox: str) -> None:
    """A secret with a line break inside cannot be sent: nothing is half saved."""
    words = ("api", "add", "half", "--from-catalogue", "openai", "--base-url", sandbox, "--credential-env", "KEY")
    result = cli(*words, env={"KEY": "sk-sandbox-one\nsk-sandbox-two"})
    assert result.code == 1
    assert "line break" in result.err
    assert cli("api", "show", "half").code == 1


def test_a_broken_definition_is_told_with_its_line(cli: Cli, tmp_path: Path) -> None:
    """Place, what is wrong and what to write; below it the line itself."""
    file = tmp_path / "broken.yaml"
    file.write_text("tieline: v1\napi: broken\nbase_url: https://api.example.com\nareaz: []\n")
    result = cli("api", "add", "broken", "--file", str(file))
    assert result.code == 1
    assert result.err.startswith(f'tieline: {file}:4:1: areaz: unknown key "areaz"')
    assert result.err.splitlines()[1].strip() == "areaz: []"


def test_a_credential_waits_until_it_is_activated(cli: Cli, openai: str, tmp_path: Path) -> None:
    """A second version is pending; activating it retires the first; a retired one is listed as such."""
    file = tmp_path / "secret"
    file.write_text("sk-sandbox-the-second-one\n")
    stored = cli("credential", "set", openai, "--file", str(file), "--json").json
    assert stored["state"] == "pending"
    version = str(stored["version"])
    assert cli("credential", "activate", openai, version).code == 0
    states = {each["version"]: each["state"] for each in cli("credential", "list", openai, "--json").json["items"]}
    assert states == {1: "retired", int(version): "active"}
    third = cli("credential", "set", openai, "--env", "KEY", "--activate", "--json", env={"KEY": SECRET}).json
    assert third["state"] == "active"
    assert cli("credential", "retire", openai, version).code == 0


def test_the_secret_stands_alone_on_standard_output(cli: Cli, website: str) -> None:
    """`KEY=$(tieline key create …)` holds the secret and nothing else; no other command prints it."""
    made = cli("key", "create", "--app", website, "--name", "shown once")
    assert made.code == 0
    assert made.out.startswith("tl_live_")
    assert made.out.count("\n") == 1
    assert "shown this once" in made.err
    secret = made.out.strip()
    listed = cli("key", "list", "--json").json["items"]
    key = next(each["id"] for each in listed if each["name"] == "shown once")
    for words in (("key", "list"), ("key", "show", key), ("app", "show", website), ("audit", "list", "--json")):
        result = cli(*words)
        assert result.code == 0
        assert secret not in result.out + result.err


def test_a_restricted_key_says_what_it_may_do(cli: Cli, website: str) -> None:
    """Grants alone mean restricted; `allows` gives the relay's own verdict and exits 1 for no."""
    made = cli("key", "create", "--app", website, "--grant", "openai:chat_completions=request", "--json").json
    assert made["permissions"] == {"mode": "restricted", "grants": {"openai": {"chat_completions": "request"}}}
    yes = cli("key", "allows", made["id"], "POST", "/chat/completions")
    assert (yes.code, yes.err) == (0, "Yes: POST /chat/completions (chat_completions: request).\n")
    no = cli("key", "allows", made["id"], "GET", "/files")
    assert no.code == 1
    assert no.err.startswith('No: This key needs "Files: Read"')
    assert "openai:chat_completions" in cli("key", "show", made["id"]).out


def test_a_key_is_updated_rotated_and_revoked(cli: Cli, website: str) -> None:
    """Changes keep the secret; a rotation makes another; a revoked key stays in the list as such."""
    words = ("--permissions", "read-only", "--expires-in", "90d", "--from-ip", "192.0.2.0/24")
    made = cli("key", "create", "--app", website, *words, "--environment", "development", "--json").json
    assert made["secret"].startswith("tl_test_")
    changed = cli("key", "update", made["id"], "--name", "renamed", "--permissions", "all", "--json").json
    assert (changed["name"], changed["permissions"]["mode"]) == ("renamed", "all")
    assert changed["from_ip"] == ["192.0.2.0/24"]
    assert changed["redacted"] == made["redacted"]
    rotated = cli("key", "rotate", made["id"], "--overlap", "1h")
    assert rotated.out.startswith("tl_test_")
    assert rotated.out.strip() != made["secret"]
    assert cli("key", "revoke", made["id"]).code == 0
    assert cli("key", "show", made["id"], "--json").json["state"] == "revoked"


def test_an_app_goes_with_its_keys(cli: Cli, openai: str) -> None:
    """Removing an app removes it from the list, and its keys cannot be found any more."""
    assert cli("app", "create", "short lived", "--api", openai).code == 0
    key = cli("key", "create", "--app", "short lived", "--json").json["id"]
    assert cli("app", "remove", "short lived").code == 0
    assert "short lived" not in [each["name"] for each in cli("app", "list", "--json").json["items"]]
    assert cli("key", "show", key).code == 1


def test_a_token_works_until_it_is_revoked(cli: Cli) -> None:
    """A viewer token given by TIELINE_TOKEN may look and not change; revoked, it may nothing."""
    made = cli("token", "create", "ci", "--role", "viewer", "--expires-in", "1h")
    env = {"TIELINE_TOKEN": made.out.strip()}
    assert cli("api", "list", env=env).code == 0
    refused = cli("app", "create", "nope", env=env)
    assert refused.code == 1
    assert 'needs the role "editor"' in refused.err
    token = next(each["id"] for each in cli("token", "list", "--json").json["items"] if each["name"] == "ci")
    assert cli("token", "revoke", token).code == 0
    assert "revoked" in cli("api", "list", env=env).err


def test_a_missing_token_says_where_it_is_looked_for(cli: Cli, tmp_path: Path) -> None:
    """Without a token file the line names the two settings that help."""
    result = cli("api", "list", env={"TIELINE_DATA_DIR": str(tmp_path)})
    assert result.code == 1
    assert "set TIELINE_TOKEN, or TIELINE_DATA_DIR" in result.err


def test_the_audit_log_names_what_was_done_and_holds(cli: Cli, website: str) -> None:
    """Events are listed newest first, and the chain is whole."""
    events = cli("audit", "list", "--limit", "300", "--json").json["items"]
    assert [event["seq"] for event in events] == sorted((event["seq"] for event in events), reverse=True)
    assert {"api.added", "app.created"} <= {event["kind"].replace("_", ".") for event in events}
    verified = cli("audit", "verify")
    assert verified.err.endswith("events holds.\n")
    assert cli("audit", "verify", "--anchor", verified.out.strip()).code == 0
    assert cli("audit", "verify", "--anchor", f"100000.{'0' * 64}").code == 1


def test_audit_events_are_found_by_what_and_when(cli: Cli, website: str) -> None:
    """Options narrow the list; a time may be how long ago; what cannot be is refused before anything is sent."""
    made = cli("audit", "list", "--kind", "app.created", "--since", "1h", "--json").json["items"]
    assert {each["kind"] for each in made} == {"app.created"}
    target = made[0]["target"]
    assert cli("audit", "list", "--target", target, "--kind", "app.created", "--json").json["items"][0] == made[0]
    assert cli("audit", "list", "--kind", "app", "--until", "2020-01-01T00:00:00Z").out == ""
    refused = cli("audit", "list", "--since", "yesterday")
    assert (refused.code, "how long ago: 24h" in refused.err) == (2, True)


def test_the_vault_shows_ids_only(cli: Cli, server: Any) -> None:
    """Root key id and data keys, read from the store itself; never a key."""
    status = cli("vault", "status", "--json").json
    assert status["root_key"].startswith("rk_")
    assert status["current"] in {each["id"] for each in status["data_keys"]}
    assert (server.data_dir / "root.key").read_text().strip() not in cli("vault", "status").out


def test_the_doctor_finds_a_healthy_node(cli: Cli, server: Any) -> None:
    """With a server running, nothing is wrong and both listeners are seen to be ready."""
    listeners = ("--app-listen", server.app[7:], "--console-listen", server.console[7:])
    result = cli("doctor", *listeners, "--json")
    found = {each["subject"]: each for each in result.json["items"]}
    assert (result.code, [each for each in found.values() if each["state"] == "wrong"]) == (0, [])
    assert found["app listener"]["told"].endswith("is ready")
    assert found["console listener"]["told"].endswith("is ready")
    assert "opens with rk_" in found["store and root key"]["told"]


def test_the_doctor_says_what_to_do(command: Cli, server: Any, tmp_path: Path) -> None:
    """Open files and a wrong root key are found, with the command that helps; exit 1."""
    other = tmp_path / "other.key"
    other.write_text("A" * 43)
    other.chmod(0o644)
    words = ("--root-key", f"file:{other}", "--data-dir", str(server.data_dir))
    result = command("doctor", *words, "--app-listen", server.console[7:], "--console-listen", "127.0.0.1:1")
    assert result.code == 1
    assert f"chmod 600 {other}" in result.out


def test_machine_output_is_all_of_standard_output(cli: Cli, website: str) -> None:
    """With --json, standard output is one JSON document, whatever the command."""
    for words in (
        ("api", "list"),
        ("app", "list"),
        ("key", "list"),
        ("token", "list"),
        ("audit", "verify"),
        ("version",),
    ):
        assert isinstance(json.loads(cli(*words, "--json").out), dict)


def test_every_command_has_help(command: Cli) -> None:
    """Help of a command names its options; it goes to standard output and exits 0."""
    for words, told in ((["serve"], "--allow-destination"), (["key", "create"], "--grant"), ([], "credential")):
        result = command(*words, "--help")
        assert result.code == 0
        assert told in result.out


def test_the_demo_tells_the_whole_story(command: Cli) -> None:
    """With --once it ends by itself, having streamed an answer, been refused, and shown no provider key."""
    pytest.importorskip("openai")
    result = command("demo", "--once")
    assert (result.code, result.err) == (0, "")
    for told in (
        "You said: In one sentence",
        "403 missing_permission",
        'needs "Files: Read"',
        "/relay/openai",
        "curl ",
        "tieline key list",
    ):
        assert told in result.out
    assert "sk-sandbox-for-the-demo" not in result.out
