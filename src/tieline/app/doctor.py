"""``tieline doctor``: looks at everything a node needs, changes nothing, and says what to do about what is wrong.

``wrong`` means that `tieline serve` would not start or not serve as it should, or that others may read its files; what
it would do by itself, such as make the data directory, is a ``note``. Each check is a function that yields findings;
none depends on another. Works with and without a running server.
"""

import asyncio
import http.client
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tieline.app import datadir
from tieline.app.listeners import is_free
from tieline.app.opening import open_existing
from tieline.app.prepare import TOKEN_FILE
from tieline.app.supervisor import raise_open_files
from tieline.core.errors import TielineError
from tieline.settings.model import Address, ServeSettings
from tieline.storage.engine import OldSchema, sqlite_file, wal_is_safe
from tieline.vault.rootkeys import file
from tieline.wire.tls import Trust, client_context

State = Literal["good", "note", "wrong"]

OPEN_FILES_LEAST = 4096
ANSWER_SECONDS = 3.0
YEAR_OF_THIS_CODE = 2026
DISK_LEAST = 256 * 1024 * 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: ``good``, a ``note`` worth reading, or ``wrong`` with what to do in ``told``."""

    state: State
    subject: str
    told: str

    def to_json(self) -> dict[str, str]:
        """The finding as JSON members."""
        return {"state": self.state, "subject": self.subject, "told": self.told}


def examine(settings: ServeSettings) -> list[Finding]:
    """Every finding, in the order in which to read them."""
    found = [*_data_directory(settings), *_store(settings), *_sqlite(settings), *_authorities(settings)]
    starts = not any(each.state == "wrong" for each in found)
    for name, address in (("app listener", settings.app_listen), ("console listener", settings.console_listen)):
        found.append(_listener(name, address, starts=starts))
    return [*found, _clock(settings), _open_files(), *_disk(settings)]


def _data_directory(settings: ServeSettings) -> Iterator[Finding]:
    folder = settings.data_dir
    problem = datadir.problem(folder)
    if problem is not None:
        yield Finding("wrong", "data directory", problem)
        return
    if not folder.is_dir():
        yield Finding("note", "data directory", f"{folder} is not there yet: the first `tieline serve` makes it")
        return
    yield _private(folder, "data directory", 0o700)
    for name in (TOKEN_FILE, "tieline.db"):
        yield from _private_file(folder / name, name)
    if settings.root_key.path is not None:
        yield from _root_key_file(settings.root_key.path)


def _root_key_file(path: Path) -> Iterator[Finding]:
    """What is found about the root key's file, which a first start would use where it is there."""
    found = list(_private_file(path, "root key file"))
    if all(each.state == "good" for each in found):
        try:
            file.load(path)
        except file.RootKeyFileMissing:
            return
        except TielineError as error:
            found = [Finding("wrong", "root key file", error.public)]
    yield from found


def _private_file(path: Path, subject: str) -> Iterator[Finding]:
    """What is found about a file that need not be there yet."""
    try:
        yield _private(path, subject, 0o600)
    except FileNotFoundError:
        return
    except OSError as error:
        yield Finding("wrong", subject, f"{path} cannot be looked at: {error.strerror}")


def _private(path: Path, subject: str, wanted: int) -> Finding:
    facts = path.stat()
    mode = stat.S_IMODE(facts.st_mode)
    if stat.S_ISDIR(facts.st_mode) != (wanted == stat.S_IRWXU):
        return Finding("wrong", subject, f"{path} is no plain file: move it away, or name another")
    if facts.st_uid != os.geteuid() and os.geteuid() != 0:
        return Finding("wrong", subject, f"{path} belongs to another user: run: chown $(id -u) {path}")
    if mode & _OTHERS:
        return Finding(
            "wrong", subject, f"{path} is open to other users (mode {mode:04o}): run: chmod {wanted:o} {path}"
        )
    return Finding("good", subject, f"{path} (mode {mode:04o})")


def _store(settings: ServeSettings) -> Iterator[Finding]:
    """Whether the store opens, has this version's schema, and the root key is the vault's."""
    if datadir.problem(settings.data_dir) is not None:
        return
    try:
        if settings.database_url.startswith("sqlite:") and not _is_there(sqlite_file(settings.database_url)):
            yield _no_store_yet(sqlite_file(settings.database_url).parent, settings)
            return
        yield asyncio.run(_opened(settings))
    except OldSchema:
        yield Finding("note", "store", "its schema is older than this version: the next `tieline serve` brings it up")
    except TielineError as error:
        yield Finding("wrong", "store and root key", error.public)


def _is_there(path: Path) -> bool:
    """Whether a file is there; one that cannot be looked at counts, as opening it says why."""
    try:
        return path.exists()
    except OSError:
        return True


def _no_store_yet(folder: Path, settings: ServeSettings) -> Finding:
    """What the first start would find: a folder that it makes or may write."""
    if folder != settings.data_dir and not os.access(folder, os.W_OK | os.X_OK):
        return Finding("wrong", "store", f"no store can be made in {folder}: check --database-url and who owns it")
    return Finding("note", "store", "there is no store yet: the first `tieline serve` makes it")


async def _opened(settings: ServeSettings) -> Finding:
    opened = await open_existing(settings)
    await opened.database.close()
    root_key = opened.keyring.status().root_key_id
    return Finding(
        "good", "store and root key", f"{opened.database.location} opens with {root_key} ({settings.root_key})"
    )


def _sqlite(settings: ServeSettings) -> Iterator[Finding]:
    if not settings.database_url.startswith("sqlite:"):
        return
    version = sqlite3.sqlite_version
    if wal_is_safe(sqlite3.sqlite_version_info):
        yield Finding("good", "SQLite", f"{version}, write-ahead log")
    else:
        yield Finding(
            "note",
            "SQLite",
            f"{version} has a bug in its write-ahead log, so Tieline uses the slower rollback journal: all is safe; "
            "3.51.3, 3.50.7 or 3.44.6 would be quicker to write",
        )


def _listener(name: str, address: Address, *, starts: bool) -> Finding:
    """Who, if anybody, answers there: Tieline, another program, or nobody; then a server may, where it ``starts``."""
    if is_free(address):
        advice = "; start one with `tieline serve`" if starts else ""
        return Finding("note", name, f"{address} is free: no server runs there{advice}")
    try:
        tieline, _ = _asked(address, "/")
        _, status = _asked(address, "/readyz")
    except (OSError, http.client.HTTPException):
        tieline, status = False, 0
    if not tieline:
        return Finding("wrong", name, f"{address} is another program's: stop it, or choose another port")
    if status != http.client.OK:
        return Finding("wrong", name, f"{address} answers but is not ready ({status}): see the server's log")
    return Finding("good", name, f"{address} is ready")


def _asked(address: Address, path: str) -> tuple[bool, int]:
    """Whether Tieline answers GET ``path``, which its fields show, and with which status."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    return any(field.lower().startswith("tieline-") for field, _ in answer.getheaders()), answer.status


def _authorities(settings: ServeSettings) -> Iterator[Finding]:
    if settings.ca_bundle is not None:
        try:
            client_context(Trust(settings.ca_bundle))
        except TielineError as error:
            yield Finding("wrong", "authorities", error.public)
        else:
            yield Finding("good", "authorities", f"{settings.ca_bundle}, beside the system's")


def _clock(settings: ServeSettings) -> Finding:
    """Expiries and audit times need a clock that is about right; a file from the future shows one that is not."""
    now = time.time()
    if time.gmtime(now).tm_year < YEAR_OF_THIS_CODE:
        return Finding(
            "wrong", "clock", f"it is {time.strftime('%F', time.gmtime(now))} here: set the clock, such as by NTP"
        )
    store = settings.data_dir / "tieline.db"
    if datadir.problem(settings.data_dir) is None and store.exists() and store.stat().st_mtime > now + 60:
        return Finding("wrong", "clock", f"{store} was written in the future: set the clock, such as by NTP")
    return Finding("good", "clock", time.strftime("%FT%TZ", time.gmtime(now)))


def _open_files() -> Finding:
    most = raise_open_files()  # as the server does, so this process may well do it too
    if most < OPEN_FILES_LEAST:
        how = "LimitNOFILE=65536 in its service unit, or `ulimit -Hn 65536` as root"
        return Finding("note", "open files", f"at most {most}, two for each call under way: raise it with {how}")
    return Finding("good", "open files", f"at most {most}")


def _disk(settings: ServeSettings) -> Iterator[Finding]:
    if datadir.problem(settings.data_dir) is not None or not settings.data_dir.is_dir():
        return
    room = os.statvfs(settings.data_dir)
    free = room.f_bavail * room.f_frsize
    if free < DISK_LEAST:
        yield Finding("wrong", "disk", f"{free // 2**20} MiB are left for {settings.data_dir}: make room")
    else:
        yield Finding("good", "disk", f"{free // 2**20} MiB are left")
