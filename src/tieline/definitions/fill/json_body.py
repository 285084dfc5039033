"""JSON templates: data whose texts and keys hold slots. Compiled to bytes and slots; filled without building data.

Text that is exactly ``<name>`` becomes the JSON value of its type; inside a longer text, and in a key, a value is
inserted as text. A member or item that holds an optional parameter that is not given is left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tieline.definitions.fill.json_text import write_json
from tieline.definitions.fill.scope import (
    BODY_MOST,
    Pieces,
    SlotScope,
    ValueForms,
    body_too_large,
    joined,
    slots_of,
    whole,
)
from tieline.definitions.fill.values import invalid


@dataclass(frozen=True, slots=True)
class _Value:
    """The place of a value in its own type."""

    name: str


@dataclass(frozen=True, slots=True)
class _Inside:
    """The place of a value as text inside a string."""

    name: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """A member or item that may be left out. ``key`` is None for an item, and where no key of the object has slots."""

    needs: tuple[str, ...]
    key: "_Parts | None"
    parts: "_Parts"


@dataclass(frozen=True, slots=True)
class _Group:
    """An object or list that is put together at each run.

    ``unique`` are the names, in source order, that make keys of their own: two equal keys would change the structure.
    """

    opening: bytes
    entries: tuple[_Entry, ...]
    closing: bytes
    unique: tuple[str, ...] = ()


_Part = bytes | _Value | _Inside | _Group
_Parts = tuple[_Part, ...]


class JsonTemplate:
    """A compiled template; ``members`` are further members of it, by name: a parameter's or shared value's key."""

    __slots__ = ("_needs", "_parts")

    def __init__(self, data: Any, scope: SlotScope, members: Mapping[str, str] | None = None) -> None:
        self._needs = scope.needs(scope.split(data)) if isinstance(data, str) else ()
        if members:
            self._parts = _merged(_object(data or {}, members, scope))
        else:
            self._parts = _merged(_compiled(data, scope))

    def render(self, run: ValueForms) -> bytes | None:
        """The JSON text in UTF-8, None where all of it is left out; raises InvalidParameter and BodyTooLarge."""
        if self._needs and run.lacks(self._needs):
            return None
        out: list[bytes] = []
        _render(self._parts, run, out)
        return joined(b"", out, BODY_MOST, body_too_large)


def _compiled(data: Any, scope: SlotScope) -> list[_Part]:
    if isinstance(data, str):
        pieces = scope.split(data)
        name = whole(pieces)
        return [_Value(name)] if name is not None else _text(pieces)
    if isinstance(data, Mapping):
        return _object(data, {}, scope)
    if isinstance(data, list | tuple):
        entries = [_Entry(_needs(item, scope), None, _merged(_compiled(item, scope))) for item in data]
        return _group(b"[", entries, b"]", ())
    return [write_json(data)]


def _object(data: Any, members: Mapping[str, str], scope: SlotScope) -> list[_Part]:
    entries = []
    unique: list[str] = []
    for key, item in data.items():
        pieces = scope.split(key)
        unique += slots_of(pieces)
        needs = tuple(dict.fromkeys((*scope.needs(pieces), *_needs(item, scope))))
        entries.append(_Entry(needs, _merged(_text(pieces)), _merged(_compiled(item, scope))))
    for key, name in members.items():
        needs = (name,) if name not in scope.rules or scope.rules[name].optional else ()
        entries.append(_Entry(needs, (write_json(key),), (_Value(name),)))
    return _group(b"{", entries, b"}", tuple(unique))


def _group(opening: bytes, entries: list[_Entry], closing: bytes, unique: tuple[str, ...]) -> list[_Part]:
    """The entries laid out flat where all of them are always there, else a group."""
    if unique or any(entry.needs for entry in entries):
        return [_Group(opening, tuple(entries), closing, unique)]
    parts: list[_Part] = [opening]
    for index, entry in enumerate(entries):
        if index:
            parts.append(b",")
        if entry.key is not None:
            parts += (*entry.key, b":")
        parts += entry.parts
    return [*parts, closing]


def _text(pieces: Pieces) -> list[_Part]:
    inner: list[_Part] = [
        write_json(piece)[1:-1] if isinstance(piece, str) else _Inside(piece.name) for piece in pieces
    ]
    return [b'"', *inner, b'"']


def _needs(item: Any, scope: SlotScope) -> tuple[str, ...]:
    return scope.needs(scope.split(item)) if isinstance(item, str) else ()


def _merged(parts: Iterable[_Part]) -> _Parts:
    """Neighbouring bytes as one."""
    merged: list[_Part] = []
    for part in parts:
        before = merged[-1] if merged else None
        if isinstance(part, bytes) and isinstance(before, bytes):
            merged[-1] = before + part
        else:
            merged.append(part)
    return tuple(merged)


def _render(parts: _Parts, run: ValueForms, out: list[bytes]) -> None:
    for part in parts:
        if isinstance(part, bytes):
            out.append(part)
        elif isinstance(part, _Value):
            out.append(run.json(part.name))
        elif isinstance(part, _Inside):
            out.append(run.inside(part.name))
        else:
            _render_group(part, run, out)


def _render_group(group: _Group, run: ValueForms, out: list[bytes]) -> None:
    out.append(group.opening)
    seen: set[bytes] = set()
    mark = b""
    for entry in group.entries:
        if entry.needs and run.lacks(entry.needs):
            continue
        out.append(mark)
        if entry.key is not None:
            key: list[bytes] = []
            _render(entry.key, run, key)
            text = joined(b"", key, BODY_MOST, body_too_large)
            if group.unique and text in seen:
                raise invalid(group.unique[0], "names a member of the JSON body that is there already; give another")
            seen.add(text)
            out += (text, b":")
        _render(entry.parts, run, out)
        mark = b","
    out.append(group.closing)
