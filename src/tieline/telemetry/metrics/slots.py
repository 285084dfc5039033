"""The metrics file: a memory-mapped file with a slot for each process of a node, which that process alone writes.

A slot begins with a header and is then a log of series that only grows: the key of a series (its family and labels),
and its values, eight bytes each at a multiple of eight. So a reader meets every value whole, without a lock. What a
process counted stays when it dies, and the one in its place counts on from there: no counter of a node goes back but
with the whole server. Slots belong to places (data worker 2), not to process ids, so a file does not grow with deaths.

    header   "used" bytes of the log · heartbeat in microseconds · when counting began, in nanoseconds since the epoch
    series   length of the key in bytes · number of values · key as JSON, padded · values

Owns the layout. The file is in memory (``memfd``, else a file without a name): nothing of it outlives the server.
"""

import json
import mmap
import os
import struct
import tempfile
import time
from typing import Final

SLOT_BYTES: Final = 4 * 1024 * 1024
"""Room for some 20,000 series in each process; pages that were never written to take no memory."""
ALIVE_SECONDS: Final = 5.0
"""A process whose heartbeat is older hangs or is dead: its gauges tell of what is no more."""

Key = tuple[str, tuple[str, ...]]
"""A family's name, and the values of its labels."""

_HEADER: Final = 64
_USED, _HEARTBEAT, _BEGAN = 0, 1, 2
_ENTRY: Final = struct.Struct("=II")
_ALIGNED: Final = 8


def create_file(slots: int) -> int:
    """The descriptor of a new metrics file for so many processes, which children may inherit. Raises OSError."""
    size = slots * SLOT_BYTES
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("tieline-metrics")
    else:
        with tempfile.TemporaryFile() as unnamed:
            file = os.dup(unnamed.fileno())
    os.ftruncate(file, size)
    return file


class ProcessSlot:
    """One process's part of the metrics ``file``: slot number ``index``. ``values`` holds every value in it.

    A series is where its first value is in ``values``; see :meth:`series`. ``known`` maps keys to that.
    """

    def __init__(self, file: int, index: int) -> None:
        self._map = mmap.mmap(file, SLOT_BYTES, offset=index * SLOT_BYTES)
        self.values = memoryview(self._map).cast("q")
        self.known: dict[Key, tuple[int, int]] = {}
        self._read = 0

    def begin(self) -> None:
        """Count here from now on, after whoever did before. Only for the process whose slot it is."""
        if not self.values[_BEGAN]:
            self.values[_BEGAN] = time.time_ns()
        self.refresh()
        self.beat()

    def beat(self) -> None:
        """Say that the process lives."""
        self.values[_HEARTBEAT] = time.monotonic_ns() // 1000

    @property
    def began(self) -> int:
        """When counting began, in nanoseconds since the epoch; 0 where nobody ever did."""
        return self.values[_BEGAN]

    @property
    def alive(self) -> bool:
        """Whether its process said lately that it lives. Its clock is that of the whole machine."""
        return time.monotonic_ns() // 1000 - self.values[_HEARTBEAT] < ALIVE_SECONDS * 1_000_000

    def series(self, key: Key, width: int) -> int | None:
        """Where the ``width`` values of ``key`` begin in ``values``; None where there is no room for a new one."""
        found = self.known.get(key)
        if found is not None:
            return found[0]
        text = json.dumps(key).encode()
        text += b" " * (-len(text) % _ALIGNED)
        at = _HEADER + self.values[_USED]
        end = at + _ENTRY.size + len(text) + width * 8
        if end > SLOT_BYTES:
            return None
        first = (end - width * 8) // 8
        self._map[at : at + _ENTRY.size + len(text)] = _ENTRY.pack(len(text), width) + text
        self.values[_USED] = end - _HEADER  # from here on readers see it
        self.known[key] = first, width
        return first

    def refresh(self) -> None:
        """Find the series that were added since."""
        used = self.values[_USED]
        at = self._read
        while at < used:
            start = _HEADER + at
            length, width = _ENTRY.unpack_from(self._map, start)
            name, labels = json.loads(self._map[start + _ENTRY.size : start + _ENTRY.size + length])
            first = (start + _ENTRY.size + length) // 8
            self.known[name, tuple(labels)] = first, width
            at += _ENTRY.size + length + width * 8
        self._read = at

    def close(self) -> None:
        """Unmap it. What was counted stays in the file."""
        self.values.release()
        self._map.close()
