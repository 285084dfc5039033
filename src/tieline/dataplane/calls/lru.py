"""A byte-bounded LRU cache with a time to live. Knows nothing of what it holds."""

import time
from collections import OrderedDict
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
ENTRY_BYTES: Final = 512
"""What an entry counts beside its value."""


@dataclass(slots=True)
class _Entry(Generic[Value]):
    value: Value
    size: int
    until: float
    tags: frozenset[str]


class LruCache(Generic[Key, Value]):
    """Values by key until their time is over. Where all are too large together, the longest unused ones are evicted.

    Each has ``tags``, by which those that rest on something that is gone can be dropped at once. One worker's own.
    """

    __slots__ = ("_entries", "_most", "_size", "_tagged")

    def __init__(self, most: int) -> None:
        """``most`` is how many bytes everything may have together."""
        self._most = most
        self._size = 0
        self._entries: OrderedDict[Key, _Entry[Value]] = OrderedDict()
        self._tagged: dict[str, set[Key]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes of everything that is kept."""
        return self._size

    def get(self, key: Key) -> Value | None:
        """The value of ``key``, None where there is none or its time is over; it is now the last used one."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until <= time.monotonic():
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    def put(self, key: Key, value: Value, size: int, seconds: float, tags: Collection[str] = ()) -> None:
        """Keep ``value``, of ``size`` bytes, for so many seconds; not where it is larger than everything may be."""
        self.drop(key)
        size += ENTRY_BYTES
        if size > self._most:
            return
        while self._size + size > self._most:
            self.drop(next(iter(self._entries)))
        self._entries[key] = _Entry(value, size, time.monotonic() + seconds, frozenset(tags))
        self._size += size
        for tag in tags:
            self._tagged.setdefault(tag, set()).add(key)

    def drop(self, key: Key) -> None:
        """Keep nothing under ``key``."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._size -= entry.size
        for tag in entry.tags:
            keys = self._tagged[tag]
            keys.discard(key)
            if not keys:
                del self._tagged[tag]

    def tagged(self, tags: Collection[str] | None) -> list[Key]:
        """The keys of the values that have one of ``tags``; None: any tag at all."""
        chosen = self._tagged.values() if tags is None else [self._tagged[tag] for tag in tags if tag in self._tagged]
        return list(set[Key]().union(*chosen))
