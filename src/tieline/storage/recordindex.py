"""A sparse index of a day's records: which kinds, keys, times and ids stand in each block of 4,096 of them.

It lies in a file beside the day's (``2026-11-30.index``), which only the control plane's process writes, so nobody who
serves requests ever waits for it. It may be deleted at any time and is made again. It only ever says where nothing is
to be found: whatever it does not know yet, or was made of another file, is read.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

BLOCK: Final = 4_096
"""Entries in a block."""
SPAN: Final = 60
"""Blocks that one number tells of, a bit for each. New rows stand behind the old ones, which is cheap to write."""
STEP: Final = 8
"""Blocks in one transaction, which holds the day's file for some tens of milliseconds."""
BUSY_SECONDS: Final = 5.0
_SCHEMA: Final = """
PRAGMA journal_mode=TRUNCATE;
PRAGMA synchronous=NORMAL;
CREATE TABLE IF NOT EXISTS made_of (first TEXT);
CREATE TABLE IF NOT EXISTS blocks (block INTEGER PRIMARY KEY, since, until, first_id, last_id);
CREATE TABLE IF NOT EXISTS callers (caller INTEGER PRIMARY KEY, key_id TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS caller_blocks (span INTEGER, caller INTEGER, bits, PRIMARY KEY (span, caller)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kind_blocks (span INTEGER, kind INTEGER, bits, PRIMARY KEY (span, kind)) WITHOUT ROWID;
"""
_OF_STEP: Final = "FROM day.entries WHERE number BETWEEN :first AND :last"
_OF_CALLERS: Final = "FROM day.entries CROSS JOIN callers USING (key_id) WHERE number BETWEEN :first AND :last"
_BLOCK_OF: Final = "(number - 1) / :size"
_BITS: Final = f"{_BLOCK_OF} / {SPAN} AS span, sum(DISTINCT 1 << ({_BLOCK_OF} % {SPAN})) AS bits"
_ADD: Final = "ON CONFLICT DO UPDATE SET bits = bits | excluded.bits"
_BUILD: Final = (
    f"INSERT OR IGNORE INTO callers (key_id) SELECT DISTINCT key_id {_OF_STEP}",
    f"INSERT INTO kind_blocks (kind, span, bits) SELECT kind, {_BITS} {_OF_STEP} GROUP BY span, kind {_ADD}",
    f"INSERT INTO caller_blocks (caller, span, bits) SELECT caller, {_BITS} {_OF_CALLERS} GROUP BY span, caller {_ADD}",
    f"INSERT INTO blocks SELECT {_BLOCK_OF}, min(at), max(at), min(id), max(id) {_OF_STEP} GROUP BY 1",
)


def index_path(day: Path) -> Path:
    """The file of the index of the file ``day``."""
    return day.with_suffix(".index")


def open_day(path: Path) -> sqlite3.Connection:
    """A connection that reads a day's file; it may write, to end what a writer that was killed left there."""
    connection = sqlite3.connect(f"file:{path}?mode=rw", BUSY_SECONDS, isolation_level=None, uri=True)
    connection.row_factory = sqlite3.Row
    return connection


class DayIndex:
    """The index of one day's file, opened for one search: ``known`` is how many blocks it knows, from the first on."""

    def __init__(self, day: Path, entries: sqlite3.Connection | None) -> None:
        self.known = 0
        self._connection: sqlite3.Connection | None = None
        path = index_path(day)
        if entries is None or not path.exists():
            return
        with suppress(sqlite3.DatabaseError):
            connection = self._connection = sqlite3.connect(f"file:{path}?mode=rw", 1.0, isolation_level=None, uri=True)
            if connection.execute("SELECT first FROM made_of").fetchall() == [(first_id(entries),)]:
                self.known = (connection.execute("SELECT max(block) + 1 FROM blocks").fetchone()[0]) or 0

    def close(self) -> None:
        """Give the file back."""
        if self._connection is not None:
            self._connection.close()

    def with_times(self, since: float | None, until: float | None, low: int, high: int) -> set[int]:
        """The blocks from ``low`` to ``high`` with entries from ``since`` on and before ``until``."""
        return self._blocks(
            "SELECT block FROM blocks WHERE block BETWEEN ? AND ? AND until >= ? AND since < ?",
            (low, high, float("-inf") if since is None else since, float("inf") if until is None else until),
        )

    def with_kinds(self, kinds: Sequence[int], low: int, high: int) -> set[int]:
        """The blocks from ``low`` to ``high`` with entries of any of ``kinds``."""
        listed = ", ".join(map(str, kinds)) or "NULL"
        return self._told(f"SELECT span, bits FROM kind_blocks WHERE kind IN ({listed})", (), low, high)  # noqa: S608

    def with_keys(self, keys: Sequence[str], low: int, high: int) -> set[int]:
        """The blocks from ``low`` to ``high`` with entries of any of ``keys``, by id."""
        slots = ", ".join("?" * len(keys))
        callers = f"SELECT caller FROM callers WHERE key_id IN ({slots})"  # noqa: S608
        return self._told(f"SELECT span, bits FROM caller_blocks WHERE caller IN ({callers})", tuple(keys), low, high)  # noqa: S608

    def with_id(self, request_id: str) -> set[int]:
        """The blocks that may have the entry with this id."""
        return self._blocks("SELECT block FROM blocks WHERE first_id <= ? AND last_id >= ?", (request_id,) * 2)

    def _told(self, query: str, values: tuple[Any, ...], low: int, high: int) -> set[int]:
        """The blocks from ``low`` to ``high`` whose bits ``query`` gives."""
        assert self._connection is not None  # it knows blocks
        spans: dict[int, int] = {}
        for number in range(low // SPAN, high // SPAN + 1):
            for span, bits in self._connection.execute(f"{query} AND span = ?", (*values, number)):
                spans[span] = spans.get(span, 0) | bits
        return {block for block in range(low, high + 1) if spans.get(block // SPAN, 0) >> block % SPAN & 1}

    def _blocks(self, query: str, values: tuple[Any, ...]) -> set[int]:
        assert self._connection is not None  # it knows blocks
        return {block for (block,) in self._connection.execute(query, values)}


def extend(day: Path, steps: int | None = None) -> bool:
    """Index the whole blocks of ``day`` that are not known yet, in at most ``steps`` transactions.

    Returns whether more are left.
    Raises sqlite3.DatabaseError or OSError where a file cannot be read or written.
    """
    path = index_path(day)
    with closing(open_day(day)) as entries:
        made_of = first_id(entries)
        whole = (entries.execute("SELECT max(number) FROM entries").fetchone()[0] or 0) // BLOCK
    if not whole:
        return False
    try:
        return _extend(path, day, made_of, (whole, steps))
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        path.unlink(missing_ok=True)  # broken: it is made again
        return _extend(path, day, made_of, (whole, steps))


def _extend(path: Path, day: Path, made_of: str | None, bounds: tuple[int, int | None]) -> bool:
    whole, steps = bounds
    with closing(sqlite3.connect(f"file:{path}", BUSY_SECONDS, isolation_level=None, uri=True)) as index:
        path.chmod(0o600)
        index.executescript(_SCHEMA)
        index.execute("ATTACH ? AS day", (f"file:{day}?mode=rw",))
        if index.execute("SELECT first FROM made_of").fetchall() != [(made_of,)]:
            for table in ("made_of", "blocks", "callers", "caller_blocks", "kind_blocks"):
                index.execute(f"DELETE FROM {table}")  # noqa: S608  our own names
            index.execute("INSERT INTO made_of VALUES (?)", (made_of,))
        known = index.execute("SELECT max(block) + 1 FROM blocks").fetchone()[0] or 0
        while known < whole and (steps is None or steps > 0):
            end = min(whole, known + STEP)
            index.execute("BEGIN")
            for statement in _BUILD:
                index.execute(statement, {"first": known * BLOCK + 1, "last": end * BLOCK, "size": BLOCK})
            index.execute("COMMIT")
            known, steps = end, None if steps is None else steps - 1
        return known < whole


def first_id(entries: sqlite3.Connection) -> str | None:
    """The id of the first entry of a day's file, by which a file is told from another of the same name."""
    row = entries.execute("SELECT id FROM entries ORDER BY number LIMIT 1").fetchone()
    return None if row is None else row[0]
