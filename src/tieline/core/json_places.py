"""Where things stand in a JSON document, as bytes (RFC 8259): members, values and strings are passed over, not read.

One pass, no memory beside the document, and no step so long that other threads have to wait for it. What is passed over
is not checked beyond what it takes to find its end.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

LONGEST_ESCAPE: Final = 6
"""Bytes of a name's character in a document, such as \\u00e9."""
_NAME_MOST = 64
_BLANKS = re.compile(rb"[ \t\n\r]*")
_STRUCTURE = re.compile(rb'["\[\]{}]')
_SCALAR_END = re.compile(rb"[,\]} \t\n\r]")
_STEP = 1024 * 1024
_OPENING, _QUOTE, _BACKSLASH = b"[{", ord('"'), ord("\\")


class NoPlaceError(ValueError):
    """The document is no JSON object, or what should be an object on the way to the member is something else."""


def members(document: bytes, start: int = 0, *, inner: bool = False) -> Iterator[tuple[str, int, int]]:
    """Name, beginning and end of the value of each member of the object at ``start``, in their order.

    A name of more than 64 characters is empty here. Unless it is an ``inner`` one, nothing may follow the object.
    Raises NoPlaceError, at the end too: who changes a document has to have seen all members.
    """
    try:
        place = after_blanks(document, start)
        _expect(document, place, b"{")
        place = after_blanks(document, place + 1)
        is_empty = document[place : place + 1] == b"}"
        while not is_empty:
            name, begin = _name(document, place)
            end = value_end(document, begin)
            yield name, begin, end
            place = after_blanks(document, end)
            if document[place : place + 1] != b",":
                break
            place = after_blanks(document, place + 1)
        _expect(document, place, b"}")
        if not inner and after_blanks(document, place + 1) != len(document):
            raise NoPlaceError
    except (ValueError, IndexError):
        raise NoPlaceError from None


def _name(document: bytes, place: int) -> tuple[str, int]:
    """The name at ``place``, and where its value begins."""
    _expect(document, place, b'"')
    end = string_end(document, place)
    name = json.loads(document[place:end]) if end - place <= LONGEST_ESCAPE * _NAME_MOST else ""
    place = after_blanks(document, end)
    _expect(document, place, b":")
    return name, after_blanks(document, place + 1)


def _expect(document: bytes, place: int, character: bytes) -> None:
    if document[place : place + 1] != character:
        raise NoPlaceError


def after_blanks(document: bytes, place: int) -> int:
    """The next place at or behind ``place`` that is not blank."""
    found = _BLANKS.match(document, place)
    return found.end() if found is not None else place


def value_end(document: bytes, place: int) -> int:
    """The place behind the value at ``place``; raises NoPlaceError where there is none, or no end of it."""
    if document[place] == _QUOTE:
        return string_end(document, place)
    if document[place] not in _OPENING:
        end = _found(_SCALAR_END, document, place)
        if end == place:
            raise NoPlaceError
        return end
    depth = 0
    while True:
        place = _found(_STRUCTURE, document, place)
        if document[place] == _QUOTE:
            place = string_end(document, place)
            continue
        depth += 1 if document[place] in _OPENING else -1
        place += 1
        if depth == 0:
            return place


def string_end(document: bytes, place: int) -> int:
    """The place behind the string whose quote stands at ``place``: behind the first quote that no backslash escapes."""
    begin = place + 1
    while True:
        quote = document.find(b'"', begin)
        if quote < 0:
            raise NoPlaceError
        first = quote
        while first > begin and document[first - 1] == _BACKSLASH:
            first -= 1
        if (quote - first) % 2 == 0:
            return quote + 1
        begin = quote + 1


def _found(pattern: re.Pattern[bytes], document: bytes, place: int) -> int:
    """The next place where ``pattern`` stands, looked for in steps; raises NoPlaceError where there is none."""
    while place < len(document):
        found = pattern.search(document, place, place + _STEP)
        if found is not None:
            return found.start()
        place += _STEP
    raise NoPlaceError
