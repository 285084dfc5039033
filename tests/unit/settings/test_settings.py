"""What a setting may hold, where it may come from, and the one line that says why it cannot be used."""

from pathlib import Path
from typing import Any

import pytest

from tieline.core.errors import SettingsError
from tieline.settings.model import Address
from tieline.settings.reading import client_settings, serve_settings
from tieline.settings.source import child_environment, variable_secret
from tieline.settings.table import SERVE_SETTINGS, variable_names
from tieline.settings.values import listen_address

HOME = {"XDG_DATA_HOME": "/var/lib/somebody"}


def test_defaults_are_those_of_the_contract() -> None:
    """With nothing given, everything is as contract section 2 says."""
    settings = serve_settings({}, HOME)
    assert settings.data_dir == Path("/var/lib/somebody/tieline")
    assert str(settings.app_listen) == "127.0.0.1:8600"
    assert str(settings.console_listen) == "127.0.0.1:8601"
    assert settings.workers == 1
    assert settings.database_url == "sqlite:////var/lib/somebody/tieline/tieline.db"
    assert str(settings.root_key) == "file:/var/lib/somebody/tieline/root.key"
    assert (settings.redis_url, settings.allow_destinations, settings.only) == (None, (), None)
    assert (settings.log_format, settings.log_level) == ("text", "info")


def test_every_contract_option_and_name_is_known() -> None:
    """The options and environment names that the contract lists exist, each with its file twin."""
    options = {setting.option for setting in SERVE_SETTINGS}
    assert {"--data-dir", "--app-listen", "--console-listen", "--workers", "--database-url", "--redis-url"} <= options
    assert {"--root-key", "--allow-destination", "--log-format", "--log-level", "--only"} <= options
    for name in ("DATA_DIR", "APP_LISTEN", "WORKERS", "ROOT_KEY", "ALLOW_DESTINATIONS", "LOG_LEVEL", "URL", "TOKEN"):
        assert {f"TIELINE_{name}", f"TIELINE_{name}_FILE"} <= variable_names()


def test_an_option_wins_over_the_environment() -> None:
    """The command line is the nearest word."""
    environ = {**HOME, "TIELINE_WORKERS": "3"}
    assert serve_settings({"workers": "2"}, environ).workers == 2
    assert serve_settings({"workers": None}, environ).workers == 3


def test_a_file_twin_holds_the_value(tmp_path: Path) -> None:
    """NAME_FILE names a file; blanks and the newline at its end do not count."""
    file = tmp_path / "url"
    file.write_text("postgresql://tieline:secret@db/tieline\n")
    settings = serve_settings({}, {**HOME, "TIELINE_DATABASE_URL_FILE": str(file)})
    assert settings.database_url == "postgresql://tieline:secret@db/tieline"


def test_a_name_and_its_file_twin_together_are_refused(tmp_path: Path) -> None:
    """Nobody has to guess which of the two counts."""
    environ = {**HOME, "TIELINE_WORKERS": "1", "TIELINE_WORKERS_FILE": "/nowhere"}
    with pytest.raises(SettingsError, match="TIELINE_WORKERS and TIELINE_WORKERS_FILE are both set"):
        serve_settings({}, environ)


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot be read"), ("  \n", "is empty"), ("x" * 70_000, "long")]
)
def test_a_file_twin_that_holds_nothing_usable_is_refused(tmp_path: Path, content: str | None, problem: str) -> None:
    """A missing, empty or huge file is named together with its variable."""
    file = tmp_path / "value"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match=f"TIELINE_WORKERS_FILE is .*{problem}"):
        serve_settings({}, {**HOME, "TIELINE_WORKERS_FILE": str(file)})


@pytest.mark.parametrize(("name", "guess"), [("TIELINE_WORKER", "TIELINE_WORKERS"), ("TIELINE_TOKN", "TIELINE_TOKEN")])
def test_an_unknown_name_is_refused_with_a_guess(name: str, guess: str) -> None:
    """A misspelt name would otherwise be a setting that silently does nothing."""
    with pytest.raises(SettingsError, match=rf"{name} is not a setting of Tieline \(did you mean {guess}\?\)"):
        serve_settings({}, {**HOME, name: "1"})
    with pytest.raises(SettingsError, match=name):
        client_settings({}, {**HOME, name: "1"})


def test_what_only_tests_set_is_never_guessed() -> None:
    """A variable of the test suite is nobody's setting."""
    with pytest.raises(SettingsError, match=r"TIELINE_SOAP is not a setting of Tieline: unset"):
        serve_settings({}, {**HOME, "TIELINE_SOAP": "1"})


@pytest.mark.parametrize("name", ["TIELINE_TOKEN", "TIELINE_APP_KEY", "TIELINE_DATA_DIR"])
def test_a_value_that_is_not_utf_8_is_refused(name: str) -> None:
    """The system hands its bytes over as lone surrogates, which nothing could send on; the value is not repeated."""
    with pytest.raises(SettingsError, match=f"^{name} is not UTF-8 text: give it in UTF-8.$"):
        client_settings({}, {**HOME, name: "a\udcffb"})


def test_an_option_that_is_not_utf_8_is_refused() -> None:
    """As a variable is."""
    with pytest.raises(SettingsError, match="--data-dir is not UTF-8 text"):
        serve_settings({"data_dir": "/tmp/a\udcffb"}, HOME)


def test_an_empty_name_is_refused() -> None:
    """Set but empty is a mistake somewhere, such as a variable of a compose file that was never filled in."""
    with pytest.raises(SettingsError, match="TIELINE_REDIS_URL is set but empty"):
        serve_settings({}, {**HOME, "TIELINE_REDIS_URL": " "})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", "0"),
        ("workers", "257"),
        ("workers", "two"),
        ("workers", "1.5"),
        ("workers", "٣"),
        ("workers", "9" * 5000),
        ("app_listen", "8600"),
        ("app_listen", ":8600"),
        ("app_listen", "127.0.0.1"),
        ("app_listen", "127.0.0.1:65536"),
        ("app_listen", "127.0.0.1:-1"),
        ("app_listen", "::1:8600"),
        ("app_listen", "[127.0.0.1]:8600"),
        ("app_listen", "127.1:8600"),
        ("app_listen", "a b:8600"),
        ("console_listen", "http://127.0.0.1:8601"),
        ("database_url", "mysql://db/tieline"),
        ("database_url", "sqlite:///"),
        ("redis_url", "127.0.0.1:6379"),
        ("root_key", "file:"),
        ("root_key", "env:NO SUCH"),
        ("root_key", "env:UNSET_VARIABLE"),
        ("root_key", "passphrase"),
        ("root_key", "vault:thing"),
        ("log_format", "xml"),
        ("log_level", "loud"),
        ("only", "both"),
        ("ca_bundle", "/no/such/file.pem"),
        ("data_dir", "/dev/null"),
        ("allow_destinations", ["10.0.0.1/8"]),
        ("allow_destinations", ["http://host"]),
        ("trusted_proxies", ["10.0.0.1/8"]),
        ("trusted_proxies", ["proxy.example"]),
        ("console_hosts", ["tieline.example:8601"]),
    ],
)
def test_an_unusable_value_is_refused(name: str, value: str | list[str]) -> None:
    """Each unusable value stops the start with a line that names its option and ends with what to do."""
    with pytest.raises(SettingsError) as caught:
        serve_settings({name: value}, HOME)
    option = next(setting.option for setting in SERVE_SETTINGS if setting.name == name)
    assert option in caught.value.public or "UNSET_VARIABLE" in caught.value.public
    assert "\n" not in caught.value.public


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::1]:8600", "::1", 8600),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("tie.line:1", "tie.line", 1),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int) -> None:
    """IPv4, IPv6 in brackets and names are read and written back as they came."""
    address = listen_address(text, "--app-listen")
    assert (address.host, address.port, str(address)) == (host, port, text)


def test_two_listeners_need_two_addresses() -> None:
    """The same address twice is refused, unless only one plane runs or the system picks the ports."""
    same = {"app_listen": "127.0.0.1:9000", "console_listen": "127.0.0.1:9000"}
    with pytest.raises(SettingsError, match="port of its own"):
        serve_settings(same, HOME)
    assert serve_settings({**same, "only": "data"}, HOME).app_listen == Address("127.0.0.1", 9000)
    assert serve_settings({"app_listen": "127.0.0.1:0", "console_listen": "127.0.0.1:0"}, HOME).workers == 1


def test_destinations_come_as_a_list() -> None:
    """The option repeats; the environment separates by commas or blanks."""
    given = serve_settings({"allow_destinations": ["10.0.0.0/8", "Build.Example"]}, HOME)
    assert given.allow_destinations == ("10.0.0.0/8", "build.example")
    environ = {**HOME, "TIELINE_ALLOW_DESTINATIONS": "10.0.0.0/8, ::1  intra.example"}
    assert serve_settings({}, environ).allow_destinations == ("10.0.0.0/8", "::1/128", "intra.example")


def test_trusted_proxies_are_networks_and_addresses() -> None:
    """Nobody is trusted unless named; names are not, as they may come to mean others."""
    assert serve_settings({}, HOME).trusted_proxies == ()
    environ = {**HOME, "TIELINE_TRUSTED_PROXIES": "10.0.0.0/8, ::1"}
    assert serve_settings({}, environ).trusted_proxies == ("10.0.0.0/8", "::1/128")


def test_a_relative_data_home_is_ignored() -> None:
    """XDG Base Directory Specification: all paths in these variables must be absolute."""
    settings = serve_settings({}, {"XDG_DATA_HOME": "relative"})
    assert settings.data_dir == Path("~/.local/share/tieline").expanduser()


def test_values_that_may_hold_secrets_are_not_repeated() -> None:
    """A password in a URL or a key given as its own source does not end up in a terminal or log."""
    for name, value in (
        ("database_url", "mysql://u:hunter2@db/x"),
        ("redis_url", "hunter2@x"),
        ("root_key", "hunter2"),
    ):
        with pytest.raises(SettingsError) as caught:
            serve_settings({name: value}, HOME)
        assert "hunter2" not in caught.value.public


def test_the_root_key_can_come_from_a_variable_of_any_name() -> None:
    """The variable that env: names is read here, is no unknown setting, and does not reach child processes."""
    environ = {**HOME, "TIELINE_ROOT_KEY": "env:TIELINE_MASTER", "TIELINE_MASTER": "hex", "PATH": "/bin"}
    source = serve_settings({}, environ).root_key
    assert (source.kind, source.variable) == ("env", "TIELINE_MASTER")
    assert source.secret is not None
    assert source.secret.reveal_bytes() == b"hex"
    assert child_environment(source, {**environ, "OTHER": "1"}) == {**HOME, "PATH": "/bin", "OTHER": "1"}
    plain = serve_settings({"root_key": "env:MASTER"}, {**HOME, "MASTER": "hex"}).root_key
    assert child_environment(plain, {"MASTER": "hex"}) == {}


def test_a_passphrase_needs_its_source_and_the_source_its_passphrase(tmp_path: Path) -> None:
    """A passphrase that nothing uses would leave a vault unprotected by it."""
    file = tmp_path / "passphrase"
    file.write_text("correct horse battery staple\n")
    environ = {**HOME, "TIELINE_ROOT_KEY_PASSPHRASE_FILE": str(file)}
    source = serve_settings({"root_key": "passphrase"}, environ).root_key
    assert source.secret is not None
    assert source.secret.reveal_bytes() == b"correct horse battery staple"
    with pytest.raises(SettingsError, match="is not passphrase"):
        serve_settings({}, environ)
    with pytest.raises(SettingsError, match="set TIELINE_ROOT_KEY_PASSPHRASE"):
        serve_settings({"root_key": "passphrase"}, HOME)


def test_a_client_finds_the_local_token(tmp_path: Path) -> None:
    """Without TIELINE_TOKEN the data directory's admin.token is used; without either there is none."""
    environ = {"TIELINE_DATA_DIR": str(tmp_path)}
    assert client_settings({}, environ).token is None
    (tmp_path / "admin.token").write_text("tla_local\n")
    local = client_settings({}, environ)
    assert local.url == "http://127.0.0.1:8601"
    assert local.token is not None
    assert local.token.reveal_bytes() == b"tla_local"
    given = client_settings({}, {**environ, "TIELINE_TOKEN": "tla_given"})
    assert given.token is not None
    assert given.token.reveal_bytes() == b"tla_given"


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8601",
        "ftp://host",
        "http://",
        "http://u:p@host",
        "http://host?x=1",
        "http://host:99999",
        "http://h\\x",
    ],
)
def test_an_unusable_client_address_is_refused(url: str) -> None:
    """A URL that would lead elsewhere than it seems to is not followed, nor repeated."""
    with pytest.raises(SettingsError, match="TIELINE_URL is not usable"):
        client_settings({}, {**HOME, "TIELINE_URL": url})


def test_test_switches_are_known() -> None:
    """What the test suite itself sets does not stop a server that a test starts."""
    assert serve_settings({}, {**HOME, "TIELINE_SOAK": "1", "TIELINE_REQUIRE_SERVICES": "1"}).workers == 1


def test_a_secret_variable_must_hold_something() -> None:
    """A variable that is not set says so instead of storing nothing."""
    assert variable_secret("KEY", {"KEY": "v"}).reveal_bytes() == b"v"
    for environ in ({}, {"KEY": ""}):
        with pytest.raises(SettingsError, match="KEY is not set or is empty"):
            variable_secret("KEY", environ)
    with pytest.raises(SettingsError, match="The environment variable KEY is not UTF-8 text"):
        variable_secret("KEY", {"KEY": "sk-\udcff"})


def test_browsers_open_the_console_by_its_address_unless_told() -> None:
    """The address that providers send people back to, without a slash at its end."""
    assert serve_settings({}, HOME).opened_at == "http://127.0.0.1:8601"
    environ = {**HOME, "TIELINE_CONSOLE_URL": "https://Tieline.example.com/"}
    assert serve_settings({}, environ).opened_at == "https://tieline.example.com"
    assert serve_settings({"console_url": "http://[::1]:9000"}, environ).opened_at == "http://[::1]:9000"


def test_browsers_may_return_to_the_origins_that_are_named() -> None:
    """Several on the command line, or in the environment parted by commas."""
    assert serve_settings({}, HOME).return_origins == ()
    environ = {**HOME, "TIELINE_RETURN_ORIGINS": "https://a.example, http://b.example:8080/"}
    assert serve_settings({}, environ).return_origins == ("https://a.example", "http://b.example:8080")
    assert serve_settings({"return_origins": ["https://c.example"]}, environ).return_origins == ("https://c.example",)


@pytest.mark.parametrize("name", ["console_url", "return_origins"])
@pytest.mark.parametrize(
    "value",
    [
        "tieline.example",
        "ftp://tieline.example",
        "https://",
        "https://tieline.example/console",
        "https://tieline.example?x=1",
        "https://tieline.example#x",
        "https://me@tieline.example",
        "https://tieline.example:http",
        "https://-.example",
        "https://[::1",
    ],
)
def test_what_is_no_origin_is_refused(name: str, value: str) -> None:
    """With the option's name and what to write instead."""
    with pytest.raises(SettingsError, match="give") as refused:
        serve_settings({name: [value] if name == "return_origins" else value}, HOME)
    assert refused.value.param == name


def test_telemetry_is_sent_where_a_collector_is_named() -> None:
    """By default nowhere; both signals, a tenth of the requests, no fields of its own."""
    assert serve_settings({}, HOME).otlp is None
    otlp = serve_settings({"otlp_endpoint": "http://127.0.0.1:4318/"}, HOME).otlp
    assert otlp is not None
    assert (otlp.endpoint, otlp.signals, otlp.sample) == (
        "http://127.0.0.1:4318",
        frozenset({"traces", "metrics"}),
        0.1,
    )
    assert otlp.headers is None


def test_fields_for_a_collector_are_secret(tmp_path: Path) -> None:
    """Read as OpenTelemetry writes them, from the environment or a file, and never shown."""
    environ = {**HOME, "TIELINE_OTLP_HEADERS": "authorization=Basic%20abc%3D, x-a=1", "TIELINE_TRACE_SAMPLE": "1"}
    otlp = serve_settings({"otlp_endpoint": "https://otel.example.com/otlp", "otlp_signals": ["traces"]}, environ).otlp
    assert otlp is not None
    assert otlp.headers is not None
    assert otlp.headers.reveal_bytes() == b"authorization: Basic abc=\r\nx-a: 1\r\n"
    assert (otlp.endpoint, otlp.signals, otlp.sample) == ("https://otel.example.com/otlp", frozenset({"traces"}), 1.0)
    assert "abc" not in repr(otlp)


@pytest.mark.parametrize(
    ("options", "environ", "says"),
    [
        ({"otlp_endpoint": "localhost:4318"}, {}, "collector's URL"),
        ({"otlp_endpoint": "http://a/b?c=d"}, {}, "collector's URL"),
        ({"otlp_endpoint": "http://a", "otlp_signals": ["logs"]}, {}, "choose traces or metrics"),
        ({"trace_sample": "2"}, {}, "from 0 to 1"),
        ({"trace_sample": "nan"}, {}, "from 0 to 1"),
        ({"trace_sample": "-0.1"}, {}, "from 0 to 1"),
        ({"otlp_signals": ["traces"]}, {}, "give --otlp-endpoint too"),
        ({}, {"TIELINE_OTLP_HEADERS": "a=b"}, "give --otlp-endpoint too"),
        ({"otlp_endpoint": "http://a"}, {"TIELINE_OTLP_HEADERS": "secret-without-a-name"}, "NAME=VALUE"),
        ({"otlp_endpoint": "http://a"}, {"TIELINE_OTLP_HEADERS": "a=b%0d%0aevil: 1"}, "NAME=VALUE"),
        ({"otlp_endpoint": "http://a"}, {"TIELINE_OTLP_HEADERS": "host=evil"}, "NAME=VALUE"),
    ],
)
def test_telemetry_that_cannot_be_sent_stops_the_start(
    options: dict[str, Any], environ: dict[str, str], says: str
) -> None:
    """With one line, which repeats nothing of a secret."""
    with pytest.raises(SettingsError, match=says) as caught:
        serve_settings(options, {**HOME, **environ})
    assert "secret" not in caught.value.public
