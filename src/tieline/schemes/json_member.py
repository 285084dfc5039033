"""One member put into a JSON document, whose other bytes stay as they are: no number, blank or order changes.

Knows JSON as bytes (RFC 8259), not what the member is for. What the document holds besides is passed over, not read:
one pass, a constant amount of memory beside the result, and no step so long that other threads have to wait for it.
"""

import json
from collections.abc import Sequence

from tieline.core.json_places import LONGEST_ESCAPE, NoPlaceError, after_blanks, string_end, value_end


def put_member(document: bytes, steps: Sequence[str], value: str, *, replace: bool = True) -> bytes:
    """``document`` with the member at ``steps`` (names, the outermost first) holding the text ``value``.

    A member that is there gets the value, each of several with one name, or unless ``replace`` stays as it is; objects
    that are missing are made. Raises NoPlaceError.
    """
    writing = _Writing(document, json.dumps(value).encode(), replace=replace)
    try:
        end = writing.put(after_blanks(document, 0), steps)
    except (ValueError, IndexError):
        raise NoPlaceError from None
    if after_blanks(document, end) != len(document):
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
        place = after_blanks(document, start + 1)
        is_empty, is_put = document[place : place + 1] == b"}", False
        while not is_empty:
            place, was_it = self._member(place, steps)
            is_put = is_put or was_it
            if document[place : place + 1] != b",":
                break
            place = after_blanks(document, place + 1)
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
        end = string_end(document, place)
        is_it = end - place <= LONGEST_ESCAPE * len(name) + 2 and json.loads(document[place:end]) == name
        place = after_blanks(document, end)
        self._expect(place, b":")
        begin = after_blanks(document, place + 1)
        if is_it and further:
            end = self.put(begin, further)
        else:
            end = value_end(document, begin)
            if is_it and self._replaces:
                self._replace(begin, end, self._value)
        return after_blanks(document, end), is_it

    def _replace(self, begin: int, end: int, by: bytes) -> None:
        self._pieces += [self._document[self._copied : begin], by]
        self._copied = end

    def _expect(self, place: int, character: bytes) -> None:
        if self._document[place : place + 1] != character:
            raise NoPlaceError
