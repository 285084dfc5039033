"""Writes a large JSON value, and frees it, in parts: ``exact_json`` writes what is small, ``large_json`` reads it.

The interpreter lets nobody else run while C writes a value or frees one, which for 16 MiB takes a tenth of a second.
Here no more than 256 KiB are written at once, and no more than one container is freed. Steps are linear in the value.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from tieline.dataplane.answers.exact_json import MOST_DEPTH, ExactNumber, LongInteger, write_json

IN_PARTS: Final = 1024 * 1024
"""What came as more bytes is written and freed in parts."""
_PART: Final = 256 * 1024
_GROUP: Final = 4096
_SCALAR: Final = 16
"""What a number, a flag or nothing counts, about as many bytes as it is written with."""
_SCALARS: Final = frozenset({int, float, bool, type(None), ExactNumber, LongInteger})


def write_in_parts(value: Any) -> bytes:
    """``value`` as ``write_json`` writes it, in parts between which other threads run. Raises what that raises."""
    pieces: list[bytes] = []
    _write(value, pieces, 0)
    return b"".join(pieces)


def write_json_by_size(value: Any, size: int) -> bytes:
    """``value`` as ``write_json`` writes it; in parts where it came as more than a MiB: ``size`` is in bytes."""
    return write_json(value) if size <= IN_PARTS else write_in_parts(value)


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


def _write(value: Any, pieces: list[bytes], depth: int) -> None:
    if depth > MOST_DEPTH:
        raise ValueError("nested too deep")
    if isinstance(value, str):
        _write_text(value, pieces)
    elif isinstance(value, Mapping) and _weight(value) > _PART:
        pieces.append(b"{")
        _write_members(value, pieces, depth + 1)
        pieces.append(b"}")
    elif isinstance(value, list | tuple) and _weight(value) > _PART:
        pieces.append(b"[")
        _write_items(value, pieces, depth + 1)
        pieces.append(b"]")
    else:
        pieces.append(_written(value, depth))


def _write_text(text: str, pieces: list[bytes]) -> None:
    pieces.append(b'"')
    pieces += (write_json(text[at : at + _PART])[1:-1] for at in range(0, len(text), _PART))
    pieces.append(b'"')


def _write_items(items: list[Any] | tuple[Any, ...], pieces: list[bytes], depth: int) -> None:
    mark = b""
    for light, group in _groups(items, _weight):
        pieces.append(mark)
        if light:
            pieces.append(_written(group, depth - 1)[1:-1])
        else:
            _write(group[0], pieces, depth)
        mark = b","


def _write_members(members: Mapping[str, Any], pieces: list[bytes], depth: int) -> None:
    mark = b""
    for light, group in _groups(members.items(), _weight_of_member):
        pieces.append(mark)
        if light:
            pieces.append(_written(dict(group), depth - 1)[1:-1])
        else:
            ((key, value),) = group
            _write_text(key, pieces)
            pieces.append(b":")
            _write(value, pieces, depth)
        mark = b","


def _written(value: Any, depth: int) -> bytes:
    """``value`` written at once, as deep as it lies: the bound on nesting holds for all of it."""
    for _ in range(depth):
        value = [value]
    found = write_json(value)
    return found[depth : len(found) - depth]


def _groups(items: Iterable[Any], weight: Any) -> Iterator[tuple[bool, list[Any]]]:
    """``items`` in their order: several that are light together, or one that is not."""
    left = iter(items)
    while several := list(islice(left, _GROUP)):
        if _SCALARS.issuperset(map(type, several)):
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


def _weight_of_member(member: tuple[str, Any]) -> int:
    return len(member[0]) + _weight(member[1])


def _weight(value: Any) -> int:
    """About how many bytes ``value`` is written with, a character counted as one; no further than to a part's size."""
    if isinstance(value, str):
        return len(value)
    found = 0
    waiting = [value]
    while waiting and found <= _PART:
        each = waiting.pop()
        if isinstance(each, str):
            found += len(each)
            continue
        found += _SCALAR
        if isinstance(each, Mapping):
            found += 2 * len(each)
            if found <= _PART:
                waiting += each
                waiting += each.values()
        elif isinstance(each, list | tuple):
            found += 2 * len(each)
            if found <= _PART:
                waiting += each
    return found
