"""Which app keys exist, by the first bytes of their hashes: so much that a stranger's key costs no look at the store.

A key that is not among them does not exist, as far as the snapshot has heard. One that is among them may still be
another's (one of 2^64 is) or gone: the store says so. Keys that are gone are taken out when they are next looked for.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

_BYTES: Final = 8
_NEW_MOST: Final = 4096
"""Numbers that are kept apart until they are sorted in, so that a new key does not move a hundred thousand others."""


class MintedKeys:
    """Hashes of app keys, eight bytes each."""

    __slots__ = ("_gone", "_new", "_sorted")

    def __init__(self) -> None:
        self._sorted = array("Q")
        self._new: set[int] = set()
        self._gone: set[int] = set()

    def add(self, hashes: Iterable[bytes]) -> None:
        """These exist from now on."""
        numbers = {_number(each) for each in hashes}
        self._gone -= numbers
        self._new |= numbers
        self._tidy()

    def discard(self, keyed_hash: bytes) -> None:
        """There is no such key any more."""
        self._new.discard(_number(keyed_hash))
        self._gone.add(_number(keyed_hash))
        self._tidy()

    def __contains__(self, keyed_hash: bytes) -> bool:
        number = _number(keyed_hash)
        if number in self._new:
            return True
        place = bisect_left(self._sorted, number)
        return place < len(self._sorted) and self._sorted[place] == number and number not in self._gone

    def _tidy(self) -> None:
        if len(self._new) + len(self._gone) > _NEW_MOST:
            self._sorted = array("Q", sorted({*self._sorted, *self._new} - self._gone))
            self._new.clear()
            self._gone.clear()


def _number(keyed_hash: bytes) -> int:
    return int.from_bytes(keyed_hash[:_BYTES], "big")
