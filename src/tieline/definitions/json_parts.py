"""Writes a large value as JSON, and frees it, in parts, between which the interpreter lets other threads run.

Nobody else runs while C writes a value or frees one, which for 16 MiB takes a tenth of a second. Here no more than
256 KiB are written at once, and no more than one container is freed. It has no exactness of its own: each part is
written by a function that is given.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from tieline.core.slices import join

_PART: Final = 256 * 1024
_GROUP: Final = 4096
_SCALAR: Final = 16
"""What a number, a flag or nothing counts, about as many bytes as it is written with."""
_LIGHT: Final = frozenset({int, float, bool, type(None)})


class PartWriter:
    """Writes as ``write_at_once`` does, but in parts. Steps are linear in the value.

    ``scalars`` are the types of numbers, flags and nothing, which are light. What is nested deeper than ``most_depth``
    raises ValueError, and so does what ``write_at_once`` cannot write.
    """

    def __init__(self, write_at_once: Callable[[Any], bytes], scalars: Iterable[type], most_depth: int) -> None:
        self._write_at_once = write_at_once
        self._scalars = frozenset(scalars)
        self._most_depth = most_depth

    def write(self, value: Any) -> bytes:
        """``value`` as compact JSON."""
        pieces: list[bytes] = []
        self._write(value, pieces, 0)
        return join(pieces)

    def _write(self, value: Any, pieces: list[bytes], depth: int) -> None:
        if depth > self._most_depth:
            raise ValueError("nested too deep")
        if isinstance(value, str):
            self._write_text(value, pieces)
        elif isinstance(value, Mapping) and _weight(value) > _PART:
            pieces.append(b"{")
            self._write_members(value, pieces, depth + 1)
            pieces.append(b"}")
        elif isinstance(value, list | tuple) and _weight(value) > _PART:
            pieces.append(b"[")
            self._write_items(value, pieces, depth + 1)
            pieces.append(b"]")
        else:
            pieces.append(self._written(value, depth))

    def _write_text(self, text: str, pieces: list[bytes]) -> None:
        pieces.append(b'"')
        pieces += (self._write_at_once(text[at : at + _PART])[1:-1] for at in range(0, len(text), _PART))
        pieces.append(b'"')

    def _write_items(self, items: list[Any] | tuple[Any, ...], pieces: list[bytes], depth: int) -> None:
        mark = b""
        for light, group in self._groups(items, _weight):
            pieces.append(mark)
            if light:
                pieces.append(self._written(group, depth - 1)[1:-1])
            else:
                self._write(group[0], pieces, depth)
            mark = b","

    def _write_members(self, members: Mapping[str, Any], pieces: list[bytes], depth: int) -> None:
        mark = b""
        for light, group in self._groups(members.items(), _weight_of_member):
            pieces.append(mark)
            if light:
                pieces.append(self._written(dict(group), depth - 1)[1:-1])
            else:
                ((key, value),) = group
                self._write_text(key, pieces)
                pieces.append(b":")
                self._write(value, pieces, depth)
            mark = b","

    def _written(self, value: Any, depth: int) -> bytes:
        """``value`` written at once, as deep as it lies: the bound on nesting holds for all of it."""
        for _ in range(depth):
            value = [value]
        found = self._write_at_once(value)
        return found[depth : len(found) - depth]

    def _groups(self, items: Iterable[Any], weight: Any) -> Iterator[tuple[bool, list[Any]]]:
        """``items`` in their order: several that are light together, or one that is not."""
        left = iter(items)
        while several := list(islice(left, _GROUP)):
            if self._scalars.issuperset(map(type, several)):
                yield True, several
                continue
            group: list[Any] = []
            heavy = 0
            for item in several:
                own = weight(item)
                if group and heavy + own > _PART:
                    yield True, group
                    group, heavy = [], 0
                if own > _PART:
                    yield False, [item]
                    continue
                group.append(item)
                heavy += own
            if group:
                yield True, group


def release(value: Any) -> None:
    """Take ``value`` apart, which nobody uses any more: its lists and objects are empty afterwards."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict):
            items = list(holder.values())
            holder.clear()
        elif isinstance(holder, list):
            items = holder
        else:
            continue
        while items:
            item = items.pop()
            if type(item) is list or type(item) is dict:
                waiting.append(item)


def is_heavy(value: Any) -> bool:
    """Whether ``value`` is written with more than one part."""
    return _weight(value) > _PART


def _weight_of_member(member: tuple[str, Any]) -> int:
    return len(member[0]) + _weight(member[1])


def _weight(value: Any) -> int:
    """About how many bytes ``value`` is written with, a character counted as one; no further than to a part's size."""
    kind = type(value)
    if kind is str:
        return len(value)
    if kind in _LIGHT:  # most are, and to ask what else they might be takes much longer
        return _SCALAR
    found = 0
    waiting = [value]
    while waiting and found <= _PART:
        each = waiting.pop()
        kind = type(each)
        if kind in _LIGHT:
            found += _SCALAR
        elif isinstance(each, str):
            found += len(each)
        elif kind is dict or isinstance(each, Mapping):
            found += _SCALAR + 2 * len(each)
            if found <= _PART:
                waiting += each
                waiting += each.values()
        elif isinstance(each, list | tuple):
            found += _SCALAR + 2 * len(each)
            if found <= _PART:
                waiting += each
        else:
            found += _SCALAR
    return found
