"""One member put into a JSON document, whose other bytes stay as they are: no number, blank or order changes.

Knows JSON as bytes (RFC 8259), not what the member is for. What the document holds besides is passed over, not read:
one pass, a constant amount of memory beside the result, and no step so long that other threads have to wait for it.
"""

import json
import re
from collections.abc import Sequence

_BLANKS = re.compile(rb"[ \t\n\r]*")
_STRUCTURE = re.compile(rb'["\[\]{}]')
_SCALAR_END = re.compile(rb"[,\]} \t\n\r]")
_STEP = 1024 * 1024
_LONGEST_ESCAPE = 6  # bytes of a name's character in a document, such as \u00e9
_OPENING, _QUOTE, _BACKSLASH = b"[{", ord('"'), ord("\\")


class NoPlaceError(ValueError):
    """The document is no JSON object, or what should be an object on the way to the member is something else."""


def put_member(document: bytes, steps: Sequence[str], value: str, *, replace: bool = True) -> bytes:
    """``document`` with the member at ``steps`` (names, the outermost first) holding the text ``value``.

    A member that is there gets the value, each of several with one name, or unless ``replace`` stays as it is; objects
    that are missing are made. Raises NoPlaceError.
    """
    writing = _Writing(document, json.dumps(value).encode(), replace=replace)
    try:
        end = writing.put(_after_blanks(document, 0), steps)
    except (ValueError, IndexError):
        raise NoPlaceError from None
    if _after_blanks(document, end) != len(document):
        raise NoPlaceError
    return writing.finished()


class _Writing:
    """The document as far as it was written anew: ``_pieces``, and from ``_copied`` on what stays as it is."""

    def __init__(self, document: bytes, value: bytes, *, replace: bool) -> None:
        self._document = document
        self._value = value
        self._replaces = replace
        self._pieces: list[bytes] = []
        self._copied = 0

    def put(self, start: int, steps: Sequence[str]) -> int:
        """Put the member into the object that begins at ``start``; the place behind that object."""
        document = self._document
        self._expect(start, b"{")
        place = _after_blanks(document, start + 1)
        is_empty, is_put = document[place : place + 1] == b"}", False
        while not is_empty:
            place, was_it = self._member(place, steps)
            is_put = is_put or was_it
            if document[place : place + 1] != b",":
                break
            place = _after_blanks(document, place + 1)
        self._expect(place, b"}")
        if not is_put:
            made = self._value
            for each in reversed(steps[1:]):
                made = b"{" + json.dumps(each).encode() + b":" + made + b"}"
            comma = b"" if is_empty else b","
            self._replace(place, place, comma + json.dumps(steps[0]).encode() + b":" + made)
        return place + 1

    def finished(self) -> bytes:
        """The whole document."""
        return b"".join([*self._pieces, self._document[self._copied :]])

    def _member(self, place: int, steps: Sequence[str]) -> tuple[int, bool]:
        """Pass over the member at ``place``, or into it; the place behind it and blanks, and whether it was the one."""
        document, (name, *further) = self._document, steps
        self._expect(place, b'"')
        end = _string_end(document, place)
        is_it = end - place <= _LONGEST_ESCAPE * len(name) + 2 and json.loads(document[place:end]) == name
        place = _after_blanks(document, end)
        self._expect(place, b":")
        begin = _after_blanks(document, place + 1)
        if is_it and further:
            end = self.put(begin, further)
        else:
            end = _value_end(document, begin)
            if is_it and self._replaces:
                self._replace(begin, end, self._value)
        return _after_blanks(document, end), is_it

    def _replace(self, begin: int, end: int, by: bytes) -> None:
        self._pieces += [self._document[self._copied : begin], by]
        self._copied = end

    def _expect(self, place: int, character: bytes) -> None:
        if self._document[place : place + 1] != character:
            raise NoPlaceError


def _after_blanks(document: bytes, place: int) -> int:
    found = _BLANKS.match(document, place)
    return found.end() if found is not None else place


def _value_end(document: bytes, place: int) -> int:
    """The place behind the value at ``place``; raises NoPlaceError where there is none, or no end of it."""
    if document[place] == _QUOTE:
        return _string_end(document, place)
    if document[place] not in _OPENING:
        end = _found(_SCALAR_END, document, place)
        if end == place:
            raise NoPlaceError
        return end
    depth = 0
    while True:
        place = _found(_STRUCTURE, document, place)
        if document[place] == _QUOTE:
            place = _string_end(document, place)
            continue
        depth += 1 if document[place] in _OPENING else -1
        place += 1
        if depth == 0:
            return place


def _string_end(document: bytes, place: int) -> int:
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
