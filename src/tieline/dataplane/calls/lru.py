"""Answers kept in memory for a while, within bounds: by size in all, by size of one, by age. Knows not what for."""

import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
ENTRY_BYTES = 512
"""What an entry counts beside its content."""


@dataclass(slots=True)
class _Entry(Generic[Value]):
    value: Value
    size: int
    until: float


class Shelf(Generic[Key, Value]):
    """Values by key until a time, the longest unused ones given up for new ones. All of it is one worker's own."""

    __slots__ = ("_entries", "_most", "_size")

    def __init__(self, most: int) -> None:
        """``most`` is how many bytes everything may have together."""
        self._most = most
        self._size = 0
        self._entries: OrderedDict[Key, _Entry[Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes of everything that is kept."""
        return self._size

    def get(self, key: Key) -> Value | None:
        """The value of ``key``, None where there is none or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until <= time.monotonic():
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    def put(self, key: Key, value: Value, size: int, seconds: float) -> None:
        """Keep ``value``, of ``size`` bytes, for so many seconds; not where it is larger than everything may be."""
        self.drop(key)
        size += ENTRY_BYTES
        if size > self._most:
            return
        while self._size + size > self._most:
            _, given_up = self._entries.popitem(last=False)
            self._size -= given_up.size
        self._entries[key] = _Entry(value, size, time.monotonic() + seconds)
        self._size += size

    def drop(self, key: Key) -> None:
        """Keep nothing under ``key``."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= entry.size
