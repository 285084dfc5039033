"""The node table: counters that all workers of a node share, in a memory-mapped file, exact and without a server.

A cell belongs to an identity (16 bytes: whose limit, which limit, its numbers). It has a shared part (a rate's arrival
time, a budget's slice) and a part for each worker, which that worker alone writes (slots in use, money under way). What
is in use is the sum of the workers' parts, so the part of a worker that died is taken back by zeroing it, exactly; what
it had under way at an upstream, which may charge it, is kept as used, and known to be an estimate.

Who may touch a cell: whoever holds its lock, one byte of the file (POSIX record lock: the kernel frees it when its
holder dies). A lock is held for a few microseconds by code that waits for nothing, and locks of several cells are taken
in ascending order. A node with one worker needs no locks and takes none.

A cell may go to another identity as soon as it is indistinguishable from a fresh one: its ``keep_until`` has passed and
no worker holds anything in it. So counters are forgotten only where forgetting changes nothing, and the file has a
fixed size: where every place for an identity is in use, :class:`TableFull` is raised, and the request is refused.

The file outlives ``kill -9`` of workers and of the whole server; after a restart of the machine it begins anew, as its
clock does. Its disk space is allocated when it is opened, so that a full disk cannot fault a write into memory. A value
is eight bytes at a multiple of eight: a worker that dies while writing leaves the old one or the new one.
"""

import fcntl
import mmap
import os
import time
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from tieline.core.errors import Overloaded

CAPACITY: Final = 1 << 16
"""Cells: so many limits may be in use at once on a node. 3 MiB on disk, and 1 MiB for each worker."""
FILE: Final = "node.table"
ADDRESSES_FILE: Final = "addresses.table"
WORKERS_MOST: Final = 64
PROBED: Final = 32
"""Cells that an identity may have, from where its hash points to."""
FOREVER: Final = (1 << 63) - 1

_IDENTITY: Final = 16
_SHARED: Final = 4
_OWN: Final = 2
_UNDER_WAY: Final = 2
_PAGE: Final = 4096
_FORMAT: Final = b"tieline\x02"
_EMPTY: Final = bytes(_IDENTITY)
_NAME: Final = 16
_NODE_AT: Final = 1024
_BOOT_AT: Final = 1040
_PREPARING: Final = 1 << 40
"""Where the lock lies under which the file is made: beyond those of all cells."""
_MIB: Final = 1 << 20
_STRIDE: Final = 8192
_ZEROS: Final = bytes(_STRIDE * 8)
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class TableFull(Overloaded):
    """More limits are in use at once than the node table has cells for."""


def identity(*parts: str) -> bytes:
    """The identity of a limit: of whose it is, which one, and its numbers (as another rate is another limit)."""
    return blake2b("\0".join(parts).encode(), digest_size=_IDENTITY).digest()


def micros() -> int:
    """Microseconds on the clock of the table, which all processes of a machine share and nobody can set."""
    return time.clock_gettime_ns(_CLOCK) // 1000


def open_file(directory: Path | None, name: str = FILE) -> int:
    """A descriptor of the table's file in ``directory``, or of memory that lives as long as a process holds it open.

    Raises OSError.
    """
    if directory is None:
        return os.memfd_create(f"tieline-{name}")
    return os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


class NodeTable:
    """The table in the open ``file`` (:func:`open_file`), for worker number ``worker`` (from 0) of ``workers``.

    Cells are numbers. Between :meth:`acquire` and :meth:`release`, the shared values ``shared[cell * 4 + i]`` and this
    worker's values ``own[cell * 2 + i]`` may be read and written. ``shared`` 0 is ``keep_until``, in microseconds of
    :func:`micros`; 1 to 3 are the limit's. ``own`` 0 is what is held, and given back if the worker dies; 1 is kept.
    ``under_way[cell * 2]`` is a part of what is held, which becomes kept instead if the worker dies; 1 is how much of
    what is kept came to be so.

    ``node`` names the file for good, ``boot`` what is counted in it since the machine was last started.

    Raises OSError where the file has no space. The file is closed by whoever opened it; a process that closes any
    descriptor of it loses the locks that it holds.
    """

    def __init__(self, file: int, worker: int, workers: int, *, capacity: int = CAPACITY) -> None:
        if not 0 <= worker < workers <= WORKERS_MOST:
            msg = f"a node has 1 to {WORKERS_MOST} workers, not worker {worker} of {workers}"
            raise ValueError(msg)
        self._capacity = capacity
        self.workers = workers
        self._alone = workers == 1
        self._known: dict[bytes, int] = {}
        cells = capacity + PROBED  # so that no probe has to wrap around
        sizes = [_PAGE, cells * _IDENTITY, cells * _SHARED * 8] + [cells * (_OWN + _UNDER_WAY) * 8] * workers
        starts = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
        self.file = file
        size = self._prepare(starts[-1])
        self.node = os.pread(file, _NAME, _NODE_AT).hex()
        self.boot = os.pread(file, _NAME, _BOOT_AT).hex()
        self._map = mmap.mmap(file, size)
        view = memoryview(self._map)
        self._begin = starts[1]
        self._identities = view[starts[1] : starts[2]]
        self.shared = view[starts[2] : starts[3]].cast("q")
        parts = range(starts[3], size - sizes[3] + 1, sizes[3])
        half = cells * _OWN * 8
        self._of_workers = [view[start : start + half].cast("q") for start in parts]
        self._sent_of_workers = [view[start + half : start + sizes[3]].cast("q") for start in parts]
        self.own = self._of_workers[worker]
        self.under_way = self._sent_of_workers[worker]
        self._is_only = len(self._of_workers) == 1  # no other worker ever had a part of this file

    def acquire(self, identities: Sequence[bytes]) -> list[int]:
        """The cells of ``identities``, each once and locked: fresh ones where they have none. Raises TableFull.

        Follow it with ``try`` and ``finally``: :meth:`release`. Wait for nothing in between.
        """
        while True:
            cells = [self._known_cell(each) for each in identities]
            if self._alone:
                return cells
            order = cells if len(cells) < 2 else sorted(set(cells))
            for cell in order:
                self._lock(cell, 1)
            if all(self._is_of(cell, each) for cell, each in zip(cells, identities, strict=True)):
                return cells
            self.release(cells)  # another worker has just given one to another identity

    def release(self, cells: Sequence[int]) -> None:
        """Free the locks of ``cells``."""
        if not self._alone:
            for cell in cells:
                self._unlock(cell, 1)

    def held(self, cell: int) -> int:
        """What all workers hold in ``cell``."""
        at = cell * _OWN
        return self.own[at] if self._is_only else sum([own[at] for own in self._of_workers])

    def kept(self, cell: int) -> int:
        """The sum of what all workers counted in ``cell``, those that died too."""
        at = cell * _OWN + 1
        return self.own[at] if self._is_only else sum([own[at] for own in self._of_workers])

    def estimated(self, cell: int) -> int:
        """How much of what is kept in ``cell`` was under way when its worker died."""
        at = cell * _UNDER_WAY + 1
        return sum([sent[at] for sent in self._sent_of_workers])

    def release_all(self, worker: int) -> None:
        """Give back whatever ``worker`` holds, because its process has ended; keep what was under way.

        In this order, so that whoever looks meanwhile sees too much taken and never too little.
        """
        own, under_way = self._of_workers[worker], self._sent_of_workers[worker]
        for at in range(0, len(own), _STRIDE):
            part, sent = own[at : at + _STRIDE], under_way[at : at + _STRIDE]
            if bytes(part) != _ZEROS:  # else there is nothing to do, and pages that were never used stay so
                for held in range(0, len(part), _OWN):
                    if sent[held]:
                        part[held + 1] += sent[held]
                        sent[held + 1] += sent[held]
                        sent[held] = 0
                    part[held] = 0

    def close(self) -> None:
        """Unmap the file. Its cells stay."""
        for view in (self._identities, self.shared, *self._of_workers, *self._sent_of_workers):
            view.release()
        self._map.close()

    def _is_of(self, cell: int, wanted: bytes) -> bool:
        begin = self._begin + cell * _IDENTITY
        return self._map[begin : begin + _IDENTITY] == wanted

    def _known_cell(self, wanted: bytes) -> int:
        """The cell of ``wanted``, which may be given to another identity before it is locked."""
        known = self._known.get(wanted)
        if known is not None:
            begin = self._begin + known * _IDENTITY  # as ``_is_of``, for one call less
            if self._map[begin : begin + _IDENTITY] == wanted:
                return known
        start = self._start(wanted)
        self._lock(start, PROBED)
        try:
            found = self._find(wanted, start)
        finally:
            self._unlock(start, PROBED)
        if len(self._known) >= self._capacity:
            self._known.clear()
        self._known[wanted] = found
        return found

    def _start(self, wanted: bytes) -> int:
        return int.from_bytes(wanted[:8], "little") % self._capacity

    def _find(self, wanted: bytes, start: int) -> int:
        """The cell of ``wanted`` among those from ``start`` on, or one that is free now. Their locks are held."""
        identities = self._identities
        free = None
        now = micros()
        for cell in range(start, start + PROBED):
            found = identities[cell * _IDENTITY : (cell + 1) * _IDENTITY]
            if found == wanted:
                return cell
            if free is None and (found == _EMPTY or (self.shared[cell * _SHARED] <= now and not self.held(cell))):
                free = cell
        if free is None:
            raise TableFull("Too many limits are in use at once. Try again shortly.", retry_after=1)
        for i in range(_SHARED):
            self.shared[free * _SHARED + i] = 0
        for own in (*self._of_workers, *self._sent_of_workers):
            own[free * _OWN] = own[free * _OWN + 1] = 0
        identities[free * _IDENTITY : (free + 1) * _IDENTITY] = wanted
        return free

    def _lock(self, cell: int, count: int) -> None:
        if not self._alone:
            fcntl.lockf(self.file, fcntl.LOCK_EX, count, cell)

    def _unlock(self, cell: int, count: int) -> None:
        if not self._alone:
            fcntl.lockf(self.file, fcntl.LOCK_UN, count, cell)

    def _prepare(self, needed: int) -> int:
        """Make the file what this run of the machine needs, once; returns its size, at least ``needed`` bytes."""
        fcntl.lockf(self.file, fcntl.LOCK_EX, 1, _PREPARING)
        try:
            header = _FORMAT + self._capacity.to_bytes(8, "little") + boot_id()
            if os.pread(self.file, len(header), 0) != header:
                node = os.pread(self.file, _NAME, _NODE_AT).strip(b"\0") or os.urandom(_NAME)
                os.ftruncate(self.file, 0)
                os.pwrite(self.file, bytes(_PAGE), 0)
                os.pwrite(self.file, node + os.urandom(_NAME), _NODE_AT)
            size = os.fstat(self.file).st_size
            if size < needed:
                size = max(size, _PAGE)
                for start in range(size, needed, _MIB):
                    os.pwrite(self.file, bytes(min(_MIB, needed - start)), start)
                os.pwrite(self.file, header, 0)
            return max(size, needed)
        finally:
            fcntl.lockf(self.file, fcntl.LOCK_UN, 1, _PREPARING)


class NodeTables(NamedTuple):
    """What a node counts in: ``limits`` of keys, apps and APIs, and what each client address has of them.

    They are two, so that however many addresses there are, they do not fill the table of keys, apps and APIs.
    """

    limits: NodeTable
    addresses: NodeTable

    @classmethod
    def of(cls, files: Sequence[int], worker: int, workers: int) -> "NodeTables":
        """The tables in ``files``, which :func:`open_files` gave. Raises OSError."""
        limits, addresses = [NodeTable(file, worker, workers) for file in files]
        return cls(limits, addresses)

    @property
    def files(self) -> tuple[int, int]:
        """The descriptors."""
        return self.limits.file, self.addresses.file

    def close(self) -> None:
        """Unmap both files. Their cells stay."""
        for table in self:
            table.close()


def open_files(directory: Path | None) -> tuple[int, int]:
    """Descriptors of both tables' files, as :func:`open_file` gives them. Raises OSError."""
    return open_file(directory), open_file(directory, ADDRESSES_FILE)


def boot_id() -> bytes:
    """What names this run of the machine (Linux), 36 bytes; elsewhere as many zeros: there the file is never stale."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()[:36]
    except OSError:
        return bytes(36)
