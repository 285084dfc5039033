"""Reads a large JSON text in parts, so that other threads run in between: ``exact_json`` reads what is small.

The interpreter lets nobody else run while it decodes one text in C, which for 16 MiB takes a second or more. Here no
more than 128 KiB are decoded at once. A container that is larger is gone through: as many of its members as a window
holds are decoded together (whatever a window's beginning is that is well-formed with a closing bracket behind it, are
whole members), and one by one where it is not known how many those are. Steps are linear in the text.
"""

import json
import re
from contextlib import suppress
from typing import Any, Final

from tieline.core.json_size import is_small, size_of
from tieline.dataplane.answers.exact_json import EXACT, is_plain, read_json
from tieline.dataplane.answers.json_parts import release

CONTAINERS_MOST: Final = 1_000_000
"""Objects and lists in one text."""
VALUES_MOST: Final = 4_000_000
"""Members and items in one text."""
_WINDOW: Final = 128 * 1024
_DEEPEST: Final = 64
"""Levels of containers that are larger than a window."""
_CUTS: Final = ("},", "],", '",', ",")
"""Where a window is cut: behind an object, a list, a text, or anything else; tried in this order."""
_BLANKS: Final = re.compile(r"[ \t\r\n]*+")
_MARKS: Final = re.compile(r'(?:[^"\\]++|\\(?:u[0-9a-fA-F]{4}|[^u]))*+')
"""What a text is made of."""
_HALF: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")
"""Half a character, which the other half may follow."""
_TOKEN: Final = 12
"""Characters that the longest piece of a text is written with that is not cut: two halves of a character."""
_PLAIN: Final = json.JSONDecoder(parse_constant=EXACT.parse_constant)
_LAX: Final = json.JSONDecoder(parse_constant=EXACT.parse_constant, parse_int=float)  # of any number of digits


class TooManyValues(ValueError):
    """The text holds more than is read."""


def check_large_json(body: bytes) -> None:
    """Raise what ``read_large_json`` raises. Numbers are not kept exact for it, which takes a third of the memory."""
    text = body.decode()
    _check_size(text)
    release(_read(text, _LAX))


def read_json_by_size(body: bytes) -> Any:
    """As ``read_json``; in parts what is large. Its values are not counted: for what somebody counted before."""
    return read_json(body) if len(body) <= _WINDOW else _read(body.decode(), _decoder(body))


def read_large_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8, exact as ``read_json`` has it.

    Raises TooManyValues for more than a million containers or four million values, ValueError for what is no JSON.
    """
    text = body.decode()
    _check_size(text)
    return _read(text, _decoder(body))


def read_large_json_text(text: str) -> Any:
    """As ``read_large_json``, of text, with every number exact."""
    _check_size(text)
    return _read(text, EXACT)


def _check_size(text: str) -> None:
    if not is_small(text, members=VALUES_MOST, containers=CONTAINERS_MOST, separators=VALUES_MOST):
        size = size_of(text)
        if size.containers > CONTAINERS_MOST or size.members + size.separators > 2 * VALUES_MOST:
            raise TooManyValues


def _decoder(body: bytes) -> json.JSONDecoder:
    is_all_plain = all(is_plain(body[at : at + _WINDOW + 64]) for at in range(0, len(body), _WINDOW))
    return _PLAIN if is_all_plain else EXACT


def _read(text: str, decoder: json.JSONDecoder) -> Any:
    reader = _Reader(text, decoder)
    is_whole = False
    try:
        found = reader.value(_after_blanks(text, 0), 0)
        is_whole = _after_blanks(text, reader.at) == len(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except IndexError:
        raise ValueError("ends in the middle") from None
    finally:
        if not is_whole:
            for each in reader.containers:
                release(each)
    if not is_whole:
        raise ValueError("goes on behind its end")
    return found


def _after_blanks(text: str, at: int) -> int:
    while True:
        found = _BLANKS.match(text, at, at + _WINDOW)
        assert found is not None  # it matches nothing too
        if found.end() < at + _WINDOW:
            return found.end()
        at = found.end()


def _is_escape(text: str) -> bool:
    """Whether the backslash that ends ``text`` is none that another one escapes."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


class _Reader:
    """Goes through one text. ``at`` is where what was read last ends, ``containers`` are those larger than a window."""

    def __init__(self, text: str, decoder: json.JSONDecoder) -> None:
        self.at = 0
        self.containers: list[Any] = []
        self._text = text
        self._decoder = decoder
        self._base = 0
        self._window = ""

    def value(self, at: int, depth: int) -> Any:
        """The value at ``at``: in one go where it lies within a window."""
        text = self._text
        inside = at - self._base
        if not 0 <= inside < len(self._window):
            inside = self._move(at)
        while True:
            with suppress(json.JSONDecodeError):
                found, end = self._decoder.raw_decode(self._window, inside)
                if end < len(self._window) or self._base + end == len(text):  # else it may go on
                    self.at = self._base + end
                    return found
            if inside <= _WINDOW // 2:
                break
            inside = self._move(at)
        if text[at] in "[{" and len(self._window) == _WINDOW:
            return self._container(at, depth + 1)
        if text[at] == '"':
            return self._text_at(at)
        self._decoder.raw_decode(self._window, inside)  # raises what is wrong, unless it is a number without end
        raise ValueError("has a number of more digits than are read")

    def _text_at(self, at: int) -> str:
        """The text that begins at ``at``, of any length. Raises ValueError."""
        text = self._text
        parts: list[str] = []
        at += 1
        while True:
            found = _MARKS.match(text, at, at + _WINDOW)
            assert found is not None  # it matches nothing too
            end = found.end()
            if text[end] == '"':
                break
            if end < at + _WINDOW - _TOKEN:
                raise ValueError("has a text that is none")
            half = end - len("\\ud83d")
            if _HALF.match(text, half, end) is not None and _is_escape(text[at : half + 1]):
                end = half
            parts.append(self._decoder.decode(f'"{text[at:end]}"'))
            at = end
        parts.append(self._decoder.decode(f'"{text[at:end]}"'))
        self.at = end + 1
        return "".join(parts)

    def _move(self, at: int) -> int:
        """Have the window begin at ``at``."""
        self._base, self._window = at, self._text[at : at + _WINDOW]
        return 0

    def _container(self, at: int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        text = self._text
        opening, closing = text[at], "]" if text[at] == "[" else "}"
        found: Any = [] if opening == "[" else {}
        self.containers.append(found)
        add = found.extend if opening == "[" else found.update
        at = _after_blanks(text, at + 1)
        if text[at] == closing:
            self.at = at + 1
            return found
        one_by_one = 0  # up to where the last window could not be cut
        while True:
            if at >= one_by_one:
                part = self._part(at, opening, closing)
                if part is not None:
                    add(part)
                    at = _after_blanks(text, self.at + 1)
                    continue
                one_by_one = at + _WINDOW
            if opening == "{":
                key, at = self._key(at)
                found[key] = self.value(at, depth)
            else:
                found.append(self.value(at, depth))
            at = _after_blanks(text, self.at)
            if text[at] == closing:
                self.at = at + 1
                return found
            if text[at] != ",":
                raise ValueError("has something between its members")
            at = _after_blanks(text, at + 1)

    def _part(self, at: int, opening: str, closing: str) -> Any:
        """The members that the window at ``at`` holds whole, to a comma at ``self.at``; None where no cut is seen."""
        self._move(at)
        if len(self._window) < _WINDOW:
            return None
        for cut in _CUTS:
            comma = self._window.rfind(cut) + len(cut) - 1
            part = self._window[:comma]
            if comma < len(cut) or part.count("[") != part.count("]") or part.count("{") != part.count("}"):
                continue  # brackets in texts may say so too: then it goes on one by one
            try:
                found = self._decoder.decode(opening + part + closing)
            except json.JSONDecodeError:
                continue
            self.at = at + comma
            return found
        return None

    def _key(self, at: int) -> tuple[str, int]:
        """The name of a member, and where its value begins."""
        if self._text[at] != '"':
            raise ValueError("has a member without a name")
        key = self._text_at(at)
        at = _after_blanks(self._text, self.at)
        if self._text[at] != ":":
            raise ValueError("has a name without a value")
        return key, _after_blanks(self._text, at + 1)
