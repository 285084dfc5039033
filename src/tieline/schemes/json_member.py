"""One member put into a JSON document, whose other bytes stay as they are: no number, blank or order changes.

Knows JSON as text (RFC 8259), not what the member is for.
"""

import json
import re
from collections.abc import Sequence

_BLANKS = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)


class NoPlaceError(ValueError):
    """The document is no JSON object, or what should be an object on the way to the member is something else."""


def put_member(document: bytes, steps: Sequence[str], value: str) -> bytes:
    """``document`` with the member at ``steps`` (names, the outermost first) holding the text ``value``.

    A member that is there gets the value, each of several with one name; objects that are missing are made. Raises
    NoPlaceError.
    """
    try:
        text = document.decode()
        start = _after_blanks(text, 0)
        written, end = _Object(text, start).with_member(steps, json.dumps(value))
    except (ValueError, IndexError, RecursionError):
        raise NoPlaceError from None
    if _after_blanks(text, end) != len(text):
        raise NoPlaceError
    return (text[:start] + written + text[end:]).encode()


def _after_blanks(text: str, place: int) -> int:
    found = _BLANKS.match(text, place)
    return found.end() if found is not None else place


class _Object:
    """A reading of the object that begins at a place: where the value of each member stands."""

    def __init__(self, text: str, start: int) -> None:
        self._text = text
        self._start = start
        self._members: list[tuple[str, int, int]] = []
        self._expect(start, "{")
        place = _after_blanks(text, start + 1)
        if text[place] != "}":
            place = self._read_member(place)
            while text[place] == ",":
                place = self._read_member(_after_blanks(text, place + 1))
        self._expect(place, "}")
        self._end = place

    def _expect(self, place: int, character: str) -> None:
        if self._text[place] != character:
            raise NoPlaceError

    def _read_member(self, place: int) -> int:
        """Note the member at ``place``; the place after it and blanks."""
        self._expect(place, '"')
        name, place = _DECODER.raw_decode(self._text, place)
        place = _after_blanks(self._text, place)
        self._expect(place, ":")
        begin = _after_blanks(self._text, place + 1)
        _, end = _DECODER.raw_decode(self._text, begin)
        self._members.append((name, begin, end))
        return _after_blanks(self._text, end)

    def with_member(self, steps: Sequence[str], value: str) -> tuple[str, int]:
        """The object's text with the member, and where the object ended; ``value`` is JSON."""
        name, *further = steps
        pieces, place = [], self._start
        for each, begin, end in self._members:
            if each == name:
                inner = _Object(self._text, begin).with_member(further, value)[0] if further else value
                pieces += [self._text[place:begin], inner]
                place = end
        pieces.append(self._text[place : self._end])
        if place == self._start:
            made = value
            for each in reversed(further):
                made = f"{{{json.dumps(each)}:{made}}}"
            pieces.append(f"{',' if self._members else ''}{json.dumps(name)}:{made}")
        return "".join(pieces) + "}", self._end + 1
