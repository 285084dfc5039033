"""What each setting may hold: its text as a value, or one line that says which text and what to write instead.

Owns the forms of values. Hosts and URLs are those of ``core.urls``. Opens no store, no socket and no key.
"""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar

from tieline.core.errors import SettingsError
from tieline.core.secret import Secret
from tieline.core.urls import base_url, canonical_host, is_address, parse_url, written_host
from tieline.settings.model import Address, Plane
from tieline.settings.source import Source, listed, variable_secret
from tieline.settings.table import BY_NAME, PASSPHRASE
from tieline.vault.rootkeys.choice import RootKeySource, split_source

Choice = TypeVar("Choice", bound=str)
_NUMBER = re.compile(r"[0-9]{1,5}")
_DATABASES = ("sqlite", "postgresql", "postgres")
_REDISES = ("redis", "rediss", "valkey", "valkeys", "unix")


def token(path: Path) -> Secret | None:
    """The admin token that a start left in ``path``, None where it cannot be read."""
    try:
        return Secret.from_text(path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return None  # the command that needs one says what to do


def data_dir(source: Source) -> Path:
    """The data directory as an absolute path, whether it is there or not."""
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


def listen_address(text: str, where: str) -> Address:
    """``HOST:PORT`` or ``[IPv6]:PORT`` as an address. Raises SettingsError that names ``where`` it was given."""
    written, _, port = text.rpartition(":")
    try:
        host = written_host(written)
        good = _NUMBER.fullmatch(port) is not None and int(port) <= 65535
    except ValueError:
        host, good = "", False
    if not good:
        raise SettingsError(f'{where} is "{text}": give HOST:PORT, such as 127.0.0.1:8600 or [::1]:8600.', param=where)
    return Address(host.strip("[]"), int(port))


def address(source: Source, name: str) -> Address:
    """Where to listen."""
    return listen_address(*source.or_default(name))


def whole_number(source: Source, name: str, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``."""
    text, where = source.or_default(name)
    if _NUMBER.fullmatch(text) is None or not least <= int(text) <= most:
        raise SettingsError(f'{where} is "{text}": give a whole number from {least} to {most}.', param=name)
    return int(text)


def choice(source: Source, name: str, choices: tuple[Choice, ...]) -> Choice:
    """One of a few words."""
    text, where = source.or_default(name)
    for word in choices:
        if word == text:
            return word
    offered = f"{', '.join(choices[:-1])} or {choices[-1]}"
    raise SettingsError(f'{where} is "{text}": choose {offered}.', param=name)


def only(source: Source) -> Plane | None:
    """The plane that runs alone, None for both."""
    planes: tuple[Plane, ...] = ("data", "control")
    return None if source.text("only") is None else choice(source, "only", planes)


def database_url(source: Source, data_dir: Path) -> str:
    """The store, a file in the data directory unless given."""
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


def redis_url(source: Source) -> str | None:
    """Where several nodes share limits, None for none."""
    given = source.text("redis_url")
    if given is None:
        return None
    text, where = given
    scheme, found, rest = text.partition("://")
    if not found or scheme not in _REDISES or not rest:
        raise SettingsError(f"{where} is not usable: give redis://host:6379/0 or rediss://….", param="redis_url")
    return text


def client_url(source: Source, name: str, what: str) -> str:
    """The base of a URL that the command line sends to, without a slash at its end; ``what`` it is, for the line."""
    text, where = source.or_default(name)
    try:
        return base_url(text)
    except ValueError:
        example = BY_NAME[name].default
        raise SettingsError(f"{where} is not usable: give {what}, such as {example}.", param=name) from None


def console_hosts(source: Source) -> tuple[str, ...]:
    """Host names, in their one form."""
    return tuple(_host_name(text, where) for text, where in listed(source, "console_hosts"))


def _host_name(text: str, where: str) -> str:
    try:
        host = canonical_host(text)
    except ValueError:
        host = ""
    if not host or is_address(host):
        raise SettingsError(f'{where} holds "{text}": give a host name, without a port.', param="console_hosts")
    return host


def console_url(source: Source) -> str | None:
    """What browsers open the console by, None for its address."""
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


def return_origins(source: Source) -> tuple[str, ...]:
    """Origins that a browser may be sent to."""
    origins = []
    for text, where in listed(source, "return_origins"):
        found = _origin(text)
        if found is None:
            raise SettingsError(
                f"{where} holds what is no origin: give scheme and host, such as https://app.example.com.",
                param="return_origins",
            )
        origins.append(found)
    return tuple(origins)


def _origin(text: str) -> str | None:
    """Scheme, host and port of a URL that has nothing else, in their one form; None for any other text."""
    try:
        found = parse_url(text)
    except ValueError:
        return None
    return str(found.origin) if found.path in {"", "/"} and found.query is None else None


def destinations(source: Source) -> tuple[str, ...]:
    """Networks and hosts that APIs may be at."""
    return tuple(_destination(text, where) for text, where in listed(source, "allow_destinations"))


def _destination(text: str, where: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        beyond = "host bits" in str(error)
    try:
        return canonical_host(text)
    except ValueError:
        hint = " (the address has bits beyond its prefix)" if beyond else ""
        raise SettingsError(
            f'{where} holds "{text}"{hint}: give a network such as 10.0.0.0/8, an address, or a host name.',
            param="allow_destinations",
        ) from None


def trusted_proxies(source: Source) -> tuple[str, ...]:
    """Networks of proxies that are believed what they say of clients."""
    return tuple(_network(text, where) for text, where in listed(source, "trusted_proxies"))


def _network(text: str, where: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise SettingsError(
            f'{where} holds "{text}": give a network, such as 10.0.0.0/8 without bits beyond it, or an address.',
            param="trusted_proxies",
        ) from None


def ca_bundle(source: Source) -> Path | None:
    """A file of authorities, None for the system's alone."""
    given = source.text("ca_bundle")
    if given is None:
        return None
    path = Path(given[0]).expanduser().absolute()
    try:
        wrong = "" if path.is_file() else "is no file"
    except OSError as error:
        wrong = f"cannot be read: {error.strerror}"
    if wrong:
        raise SettingsError(f'{given[1]} is "{given[0]}", which {wrong}: give a PEM file.', param="ca_bundle")
    return path


def root_key(source: Source, data_dir: Path) -> RootKeySource:
    """Where the root key comes from, with what the environment holds of it."""
    text, where = source.text("root_key") or (f"file:{data_dir / 'root.key'}", "--root-key")
    passphrase = source.variable(PASSPHRASE)
    kind, rest = split_source(text, where)
    if passphrase is not None and kind != "passphrase":
        raise SettingsError(
            f"{PASSPHRASE} is set, but {where} is not passphrase: change one of them.", param="root_key"
        )
    if kind == "file":
        return RootKeySource("file", path=Path(rest).expanduser().absolute())
    if kind == "env":
        source.known.add(rest)
        return RootKeySource("env", variable=rest, secret=variable_secret(rest, source.environ))
    if passphrase is None:
        raise SettingsError(f"{where} is passphrase: set {PASSPHRASE} or {PASSPHRASE}_FILE.", param="root_key")
    return RootKeySource("passphrase", secret=Secret.from_text(passphrase[0]))
