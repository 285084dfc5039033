"""Every setting: its option, its environment names, its default and what it may hold.

Owns the environment: no other module reads it. An option given on the command line wins over the environment, the
environment over the default; ``NAME_FILE`` names a file that holds what ``NAME`` would. Whatever cannot be used raises
:class:`~tieline.core.errors.SettingsError` with one line that says which value and what to write instead. Nothing here
opens a store, a socket or a key.
"""

import ipaddress
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from tieline.core.errors import SettingsError
from tieline.core.secret import Secret

Plane = Literal["data", "control"]
RootKeyKind = Literal["file", "env", "passphrase"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
Choice = TypeVar("Choice", bound=str)
Given = Mapping[str, str | Sequence[str] | None]

PREFIX = "TIELINE_"
_DEFAULT_URL = "http://127.0.0.1:8601"
_DEFAULT_APP_URL = "http://127.0.0.1:8600"
FILE_LIMIT = 64 * 1024
WORKERS_MOST = 256
DRAIN_DELAY = 2
DRAIN_DELAY_MOST = 600
PASSPHRASE = "TIELINE_ROOT_KEY_PASSPHRASE"  # noqa: S105  the name, not the value
FOR_TESTS = frozenset({"TIELINE_REQUIRE_SERVICES", "TIELINE_SOAK"})

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_NUMBER = re.compile(r"[0-9]{1,5}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DATABASES = ("sqlite", "postgresql", "postgres")
_REDISES = ("redis", "rediss", "valkey", "valkeys", "unix")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: ``name`` in code, ``option`` on the command line, ``variable`` in the environment."""

    name: str
    option: str
    variable: str
    default: str | None
    title: str
    metavar: str = "TEXT"
    repeats: bool = False


SERVE_SETTINGS: tuple[Setting, ...] = (
    Setting(
        "data_dir",
        "--data-dir",
        "TIELINE_DATA_DIR",
        None,
        "Where Tieline keeps its files; $XDG_DATA_HOME/tieline unless given.",
        "DIR",
    ),
    Setting("app_listen", "--app-listen", "TIELINE_APP_LISTEN", "127.0.0.1:8600", "Where apps call.", "HOST:PORT"),
    Setting(
        "console_listen",
        "--console-listen",
        "TIELINE_CONSOLE_LISTEN",
        "127.0.0.1:8601",
        "Where operators and the command line call.",
        "HOST:PORT",
    ),
    Setting(
        "console_hosts",
        "--console-host",
        "TIELINE_CONSOLE_HOSTS",
        None,
        "A host name that the console is opened by, beside its address; repeatable.",
        "NAME",
        repeats=True,
    ),
    Setting(
        "console_url",
        "--console-url",
        "TIELINE_CONSOLE_URL",
        None,
        "What browsers open the console by, where that is not its address: providers send people back there.",
        "URL",
    ),
    Setting(
        "return_origins",
        "--return-origin",
        "TIELINE_RETURN_ORIGINS",
        None,
        "An origin that a browser may be sent to after a sign-in, such as https://app.example.com; repeatable.",
        "ORIGIN",
        repeats=True,
    ),
    Setting("workers", "--workers", "TIELINE_WORKERS", "1", "How many data-plane processes.", "N"),
    Setting(
        "database_url",
        "--database-url",
        "TIELINE_DATABASE_URL",
        None,
        "The store: sqlite:////path or postgresql://…; a file in the data directory unless given.",
        "URL",
    ),
    Setting("redis_url", "--redis-url", "TIELINE_REDIS_URL", None, "Where several nodes share limits.", "URL"),
    Setting(
        "root_key",
        "--root-key",
        "TIELINE_ROOT_KEY",
        None,
        "Where the root key is: file:PATH, env:VARIABLE or passphrase; root.key in the data directory unless given.",
        "SOURCE",
    ),
    Setting(
        "allow_destinations",
        "--allow-destination",
        "TIELINE_ALLOW_DESTINATIONS",
        None,
        "An inner network or host that APIs may be at; repeatable.",
        "CIDR|HOST",
        repeats=True,
    ),
    Setting(
        "ca_bundle", "--ca-bundle", "TIELINE_CA_BUNDLE", None, "Authorities (PEM) to trust beside the system's.", "FILE"
    ),
    Setting("log_format", "--log-format", "TIELINE_LOG_FORMAT", "text", "How log lines look.", "text|json"),
    Setting(
        "log_level",
        "--log-level",
        "TIELINE_LOG_LEVEL",
        "info",
        "What is logged: debug, info, warning or error, and what is worse.",
        "LEVEL",
    ),
    Setting(
        "drain_delay",
        "--drain-delay",
        "TIELINE_DRAIN_DELAY",
        str(DRAIN_DELAY),
        "Seconds after SIGTERM in which readiness is off and requests are still taken.",
        "SECONDS",
    ),
    Setting("only", "--only", "TIELINE_ONLY", None, "Run one plane alone.", "data|control"),
)

CLIENT_SETTINGS: tuple[Setting, ...] = (
    Setting("url", "TIELINE_URL", "TIELINE_URL", _DEFAULT_URL, "The console's address.", "URL"),
    Setting(
        "token",
        "TIELINE_TOKEN",
        "TIELINE_TOKEN",
        None,
        "An admin token; the data directory's admin.token unless given.",
    ),
    Setting("app_url", "TIELINE_APP_URL", "TIELINE_APP_URL", _DEFAULT_APP_URL, "The app listener's address.", "URL"),
    Setting("app_key", "TIELINE_APP_KEY", "TIELINE_APP_KEY", None, "An app key, to run calls with."),
)

_BY_NAME = {setting.name: setting for setting in (*SERVE_SETTINGS, *CLIENT_SETTINGS)}


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0 asks the system for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as the base of a URL."""
        return f"http://{self}"


@dataclass(frozen=True, slots=True)
class RootKeySource:
    """Where the root key comes from.

    ``path`` is the file of kind ``file``; ``variable`` the name that kind ``env`` read; ``secret`` the text of that
    variable, or the passphrase.
    """

    kind: RootKeyKind
    path: Path | None = None
    variable: str = ""
    secret: Secret | None = None

    def __str__(self) -> str:
        return {"file": f"file:{self.path}", "env": f"env:{self.variable}", "passphrase": "passphrase"}[self.kind]


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What ``tieline serve`` and the commands that work on its data directory run with."""

    data_dir: Path
    app_listen: Address
    console_listen: Address
    workers: int
    database_url: str
    redis_url: str | None
    root_key: RootKeySource
    console_hosts: tuple[str, ...] = ()
    console_url: str | None = None
    return_origins: tuple[str, ...] = ()
    allow_destinations: tuple[str, ...] = ()
    ca_bundle: Path | None = None
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"
    only: Plane | None = None
    drain_delay: int = DRAIN_DELAY

    @property
    def opened_at(self) -> str:
        """What browsers open the console by, without a slash at its end."""
        return self.console_url or self.console_listen.url


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Where the admin API is and the token to show it, None where neither a value nor a file is there.

    ``app_url`` is where calls are run, ``app_key`` what to run them with, None where it is not given. ``ca_bundle``
    holds authorities to trust beside the system's.
    """

    url: str
    token: Secret | None
    token_file: Path
    app_url: str
    app_key: Secret | None
    ca_bundle: Path | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """What was given: command-line options by name, and the environment."""

    options: Given
    environ: Mapping[str, str]
    known: set[str] = field(default_factory=set)

    def text(self, name: str) -> tuple[str, str] | None:
        """The value of a setting and where it was given, or None. Raises SettingsError for an unusable source."""
        setting = _BY_NAME[name]
        given = self.options.get(name)
        if given is not None:
            return str(given), setting.option
        return self.variable(setting.variable)

    def or_default(self, name: str) -> tuple[str, str]:
        """As :meth:`text`, with the setting's default where nothing was given."""
        return self.text(name) or (_BY_NAME[name].default or "", _BY_NAME[name].option)

    def variable(self, variable: str) -> tuple[str, str] | None:
        """The value of an environment name or of the file its ``_FILE`` twin names."""
        value, path = self.environ.get(variable), self.environ.get(f"{variable}_FILE")
        if value is not None and path is not None:
            raise SettingsError(f"{variable} and {variable}_FILE are both set: keep one of them.", param=variable)
        if path is not None:
            return _file_text(Path(path), f"{variable}_FILE"), f"{variable}_FILE"
        if value is None:
            return None
        if not value.strip():
            raise SettingsError(f"{variable} is set but empty: give it a value or unset it.", param=variable)
        return value.strip(), variable


def serve_settings(options: Given, environ: Mapping[str, str] | None = None) -> ServeSettings:
    """What to serve with, from command-line ``options`` by setting name (None or absent: not given) and ``environ``.

    Raises SettingsError for a value that cannot be used, and for an unknown ``TIELINE_…`` name.
    """
    source = _Source(options, os.environ if environ is None else environ)
    data_dir = _data_dir(source)
    settings = ServeSettings(
        data_dir=data_dir,
        app_listen=_address(source, "app_listen"),
        console_listen=_address(source, "console_listen"),
        workers=_whole_number(source, "workers", 1, WORKERS_MOST),
        database_url=_database_url(source, data_dir),
        redis_url=_redis_url(source),
        root_key=_root_key(source, data_dir),
        console_hosts=_console_hosts(source),
        console_url=_console_url(source),
        return_origins=_return_origins(source),
        allow_destinations=_destinations(source),
        ca_bundle=_ca_bundle(source),
        log_format=_choice(source, "log_format", ("text", "json")),
        log_level=_choice(source, "log_level", ("debug", "info", "warning", "error")),
        only=_only(source),
        drain_delay=_whole_number(source, "drain_delay", 0, DRAIN_DELAY_MOST),
    )
    _refuse_unknown(source)
    same = settings.app_listen == settings.console_listen and settings.app_listen.port != 0
    if same and settings.only is None:
        raise SettingsError(
            f"--app-listen and --console-listen are both {settings.app_listen}: give each a port of its own.",
            param="console_listen",
        )
    return settings


def client_settings(options: Given, environ: Mapping[str, str] | None = None) -> ClientSettings:
    """Where the admin API is and the token to show it: ``TIELINE_TOKEN``, else the data directory's ``admin.token``.

    Raises SettingsError for a value that cannot be used, and for an unknown ``TIELINE_…`` name.
    """
    source = _Source(options, os.environ if environ is None else environ)
    url = _client_url(source, "url", "the console's address")
    app_url = _client_url(source, "app_url", "the app listener's address")
    app_key = source.variable("TIELINE_APP_KEY")
    token_file = _data_dir(source) / "admin.token"
    given = source.variable("TIELINE_TOKEN")
    source.known.add(source.environ.get("TIELINE_ROOT_KEY", "").removeprefix("env:"))
    _refuse_unknown(source)
    return ClientSettings(
        url,
        Secret.from_text(given[0]) if given else _token(token_file),
        token_file,
        app_url,
        Secret.from_text(app_key[0]) if app_key else None,
        _ca_bundle(source),
    )


def variable_secret(variable: str, environ: Mapping[str, str] | None = None) -> Secret:
    """The secret in an environment variable named on the command line. Raises SettingsError if there is none."""
    if not _VARIABLE.fullmatch(variable):
        raise SettingsError("That is no name of an environment variable: name the one that holds the secret.")
    value = (os.environ if environ is None else environ).get(variable)
    if not value:
        raise SettingsError(f"The environment variable {variable} is not set or is empty.", param=variable)
    return Secret.from_text(value)


def editor_words() -> list[str]:
    """The command that opens a file for a person. Raises ValueError where a quote is not closed."""
    return shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")


def child_environment(
    root_key: RootKeySource | None = None, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment for child processes: this one's without Tieline's settings and without the root key's variable.

    Children are told their settings over a pipe, so that no secret shows in their environment.
    """
    given = os.environ if environ is None else environ
    hidden = root_key.variable if root_key is not None else ""
    return {name: value for name, value in given.items() if not name.startswith(PREFIX) and name != hidden}


def variable_names() -> frozenset[str]:
    """Every environment name that Tieline knows, with the ``_FILE`` twins."""
    plain = {setting.variable for setting in _BY_NAME.values()} | {PASSPHRASE}
    return frozenset(plain | {f"{name}_FILE" for name in plain} | FOR_TESTS)


def _refuse_unknown(source: _Source) -> None:
    known = variable_names() | source.known
    unknown = sorted(name for name in source.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        from difflib import get_close_matches  # noqa: PLC0415  only a mistake needs it

        close = get_close_matches(unknown[0], known, n=1, cutoff=0.75)
        guess = f" (did you mean {close[0]}?)" if close else ""
        raise SettingsError(
            f"{unknown[0]} is not a setting of Tieline{guess}: unset it, or see `tieline serve --help`.",
            param=unknown[0],
        )


def _file_text(path: Path, where: str) -> str:
    try:
        with path.expanduser().open(encoding="utf-8") as stream:
            text = stream.read(FILE_LIMIT + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f'{where} is "{path}", which cannot be read: {reason}.', param=where) from error
    if not text or len(text) > FILE_LIMIT:
        problem = "is empty" if not text else "is too long to be a setting"
        raise SettingsError(f'{where} is "{path}", which {problem}.', param=where)
    return text


def _token(path: Path) -> Secret | None:
    try:
        return Secret.from_text(path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return None  # the command that needs one says what to do


def _data_dir(source: _Source) -> Path:
    given = source.text("data_dir")
    if given is None:
        home = source.environ.get("XDG_DATA_HOME", "")
        # A relative one is ignored: XDG Base Directory Specification.
        base = Path(home) if home.startswith("/") else Path("~/.local/share").expanduser()
        return base / "tieline"
    text, where = given
    path = Path(text).expanduser().absolute()
    try:
        wrong = "\0" in text or (path.exists() and not path.is_dir())
    except OSError:
        wrong = False  # who needs the directory says that it cannot be looked at
    if wrong:
        raise SettingsError(f'{where} is "{text}", which is not a directory.', param="data_dir")
    return path


def parse_address(text: str, where: str) -> Address:
    """``HOST:PORT`` or ``[IPv6]:PORT`` as an address. Raises SettingsError that names ``where`` it was given."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        good = _is_ip(host, 6)
    else:
        good = _is_ip(host, 4) or _is_name(host)
    if not good or _NUMBER.fullmatch(port) is None or int(port) > 65535:
        raise SettingsError(f'{where} is "{text}": give HOST:PORT, such as 127.0.0.1:8600 or [::1]:8600.', param=where)
    return Address(host, int(port))


def _is_ip(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _is_name(text: str) -> bool:
    """Whether ``text`` is a host name; what could be an odd notation of an IPv4 address is none."""
    return len(text) <= 253 and _NAME.fullmatch(text) is not None and not text.rstrip(".").split(".")[-1].isdigit()


def _address(source: _Source, name: str) -> Address:
    return parse_address(*source.or_default(name))


def _whole_number(source: _Source, name: str, least: int, most: int) -> int:
    text, where = source.or_default(name)
    if _NUMBER.fullmatch(text) is None or not least <= int(text) <= most:
        raise SettingsError(f'{where} is "{text}": give a whole number from {least} to {most}.', param=name)
    return int(text)


def _choice(source: _Source, name: str, choices: tuple[Choice, ...]) -> Choice:
    text, where = source.or_default(name)
    for choice in choices:
        if choice == text:
            return choice
    listed = f"{', '.join(choices[:-1])} or {choices[-1]}"
    raise SettingsError(f'{where} is "{text}": choose {listed}.', param=name)


def _only(source: _Source) -> Plane | None:
    planes: tuple[Plane, ...] = ("data", "control")
    return None if source.text("only") is None else _choice(source, "only", planes)


def _database_url(source: _Source, data_dir: Path) -> str:
    given = source.text("database_url")
    if given is None:
        return f"sqlite:///{data_dir / 'tieline.db'}"
    text, where = given
    scheme, found, rest = text.partition("://")
    if not found or scheme not in _DATABASES or not rest.strip("/"):
        # The value may hold a password, so the line does not repeat it.
        raise SettingsError(
            f"{where} is not usable: give sqlite:////absolute/path.db or postgresql://user@host:5432/name.",
            param="database_url",
        )
    return text


def _redis_url(source: _Source) -> str | None:
    given = source.text("redis_url")
    if given is None:
        return None
    text, where = given
    scheme, found, rest = text.partition("://")
    if not found or scheme not in _REDISES or not rest:
        raise SettingsError(f"{where} is not usable: give redis://host:6379/0 or rediss://….", param="redis_url")
    return text


def _client_url(source: _Source, name: str, what: str) -> str:
    text, where = source.or_default(name)
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or any(mark in text for mark in "?#@\\ ") or not text.isprintable():
        raise SettingsError(f"{where} is not usable: give {what}, such as {_BY_NAME[name].default}.", param=name)
    return text.rstrip("/")


def _listed(source: _Source, name: str) -> list[tuple[str, str]]:
    """Each value of a setting that repeats, and where it was given; in the environment commas or blanks part them."""
    setting = _BY_NAME[name]
    given = source.options.get(name)
    if given:
        return [(item.strip(), setting.option) for item in ([given] if isinstance(given, str) else given)]
    text, where = source.variable(setting.variable) or ("", "")
    return [(item, where) for item in text.replace(",", " ").split()]


def _console_hosts(source: _Source) -> tuple[str, ...]:
    hosts = _listed(source, "console_hosts")
    for text, where in hosts:
        if not _is_name(text):
            raise SettingsError(f'{where} holds "{text}": give a host name, without a port.', param="console_hosts")
    return tuple(text.lower() for text, _ in hosts)


def _console_url(source: _Source) -> str | None:
    given = source.text("console_url")
    if given is None:
        return None
    text, where = given
    found = _origin(text)
    if found is None:
        raise SettingsError(
            f"{where} is not usable: give an origin, such as https://tieline.example.com.", param="console_url"
        )
    return found


def _return_origins(source: _Source) -> tuple[str, ...]:
    origins = []
    for text, where in _listed(source, "return_origins"):
        found = _origin(text)
        if found is None:
            raise SettingsError(
                f"{where} holds what is no origin: give scheme and host, such as https://app.example.com.",
                param="return_origins",
            )
        origins.append(found)
    return tuple(origins)


def _origin(text: str) -> str | None:
    """Scheme, host and port of an http or https URL that has nothing else, in lower case; None for any other text."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    good = _is_ip(host, 6) or _is_ip(host, 4) or _is_name(host)
    whole = parts.path in {"", "/"} and not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in {"http", "https"} or not (good and whole and text.isprintable()) or " " in text:
        return None
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" if port is None else f"{parts.scheme}://{shown}:{port}"


def _destinations(source: _Source) -> tuple[str, ...]:
    return tuple(_destination(text, where) for text, where in _listed(source, "allow_destinations"))


def _destination(text: str, where: str) -> str:
    if _is_name(text):
        return text.lower().rstrip(".")
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        hint = " (the address has bits beyond its prefix)" if "host bits" in str(error) else ""
        raise SettingsError(
            f'{where} holds "{text}"{hint}: give a network such as 10.0.0.0/8, an address, or a host name.',
            param="allow_destinations",
        ) from error


def _ca_bundle(source: _Source) -> Path | None:
    given = source.text("ca_bundle")
    if given is None:
        return None
    path = Path(given[0]).expanduser().absolute()
    if not path.is_file():
        raise SettingsError(f'{given[1]} is "{given[0]}", which is no file: give a PEM file.', param="ca_bundle")
    return path


def _root_key(source: _Source, data_dir: Path) -> RootKeySource:
    text, where = source.text("root_key") or (f"file:{data_dir / 'root.key'}", "--root-key")
    passphrase = source.variable(PASSPHRASE)
    kind, _, rest = text.partition(":")
    if passphrase is not None and text != "passphrase":
        raise SettingsError(
            f"{PASSPHRASE} is set, but {where} is not passphrase: change one of them.", param="root_key"
        )
    if kind == "file" and rest:
        return RootKeySource("file", path=Path(rest).expanduser().absolute())
    if kind == "env" and _VARIABLE.fullmatch(rest):
        source.known.add(rest)
        return RootKeySource("env", variable=rest, secret=variable_secret(rest, source.environ))
    if text == "passphrase":
        if passphrase is None:
            raise SettingsError(f"{where} is passphrase: set {PASSPHRASE} or {PASSPHRASE}_FILE.", param="root_key")
        return RootKeySource("passphrase", secret=Secret.from_text(passphrase[0]))
    # The value may be a key given by mistake, so the line does not repeat it.
    raise SettingsError(f"{where} is not usable: give file:PATH, env:VARIABLE or passphrase.", param="root_key")
