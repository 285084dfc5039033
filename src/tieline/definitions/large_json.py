"""Reads a large JSON text in parts, so that other threads run in between; ``json_parts`` writes and frees one.

The interpreter lets nobody else run while it decodes one text in C, which for 16 MiB takes a second or more. Here no
more than 128 KiB are decoded at once. A container that is larger is gone through: as many of its members as a window
holds are decoded together (whatever a window's beginning is that is well-formed with a closing bracket behind it, are
whole members), and one by one where it is not known how many those are. Steps are linear in the text.

Knows no exactness of its own: each part is read by the decoder that is given.
"""

import json
import re
from contextlib import suppress
from typing import Any, Final

from tieline.core.slices import join_text
from tieline.definitions.json_parts import release

WINDOW: Final = 128 * 1024
"""Characters that are decoded at once."""
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


class DuplicateMember(ValueError):
    """An object names a member twice."""


def read_in_parts(text: str, decoder: json.JSONDecoder, *, unique: bool = False) -> Any:
    """The value of ``text``, each part of it as ``decoder`` reads it.

    Raises ValueError for what is no JSON, its text completes ``it …``; with ``unique``, DuplicateMember where objects
    larger than a window name a member twice: in those that are smaller it is the decoder's to see.
    """
    reader = _Reader(text, decoder, unique=unique)
    is_whole = False
    try:
        found = reader.value(_after_blanks(text, 0), 0)
        is_whole = _after_blanks(text, reader.at) == len(text)
    except RecursionError:
        raise ValueError("is nested too deep") from None
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
        found = _BLANKS.match(text, at, at + WINDOW)
        assert found is not None  # it matches nothing too
        if found.end() < at + WINDOW:
            return found.end()
        at = found.end()


def _is_escape(text: str) -> bool:
    """Whether the backslash that ends ``text`` is none that another one escapes."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


class _Reader:
    """Goes through one text. ``at`` is where what was read last ends, ``containers`` are those larger than a window."""

    def __init__(self, text: str, decoder: json.JSONDecoder, *, unique: bool) -> None:
        self.at = 0
        self.containers: list[Any] = []
        self._text = text
        self._decoder = decoder
        self._unique = unique
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
            if inside <= WINDOW // 2:
                break
            inside = self._move(at)
        if text[at] in "[{" and len(self._window) == WINDOW:
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
            found = _MARKS.match(text, at, at + WINDOW)
            assert found is not None  # it matches nothing too
            end = found.end()
            if text[end] == '"':
                break
            if end < at + WINDOW - _TOKEN:
                raise ValueError("has a text that is none")
            half = end - len("\\ud83d")
            if _HALF.match(text, half, end) is not None and _is_escape(text[at : half + 1]):
                end = half
            parts.append(self._decoder.decode(f'"{text[at:end]}"'))
            at = end
        parts.append(self._decoder.decode(f'"{text[at:end]}"'))
        self.at = end + 1
        return join_text(parts)

    def _move(self, at: int) -> int:
        """Have the window begin at ``at``."""
        self._base, self._window = at, self._text[at : at + WINDOW]
        return 0

    def _container(self, at: int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("is nested too deep")
        text = self._text
        opening, closing = text[at], "]" if text[at] == "[" else "}"
        found: Any = [] if opening == "[" else {}
        self.containers.append(found)
        at = _after_blanks(text, at + 1)
        if text[at] == closing:
            self.at = at + 1
            return found
        one_by_one = 0  # up to where the last window could not be cut
        while True:
            if at >= one_by_one:
                part = self._part(at, opening, closing)
                if part is not None:
                    self._add(found, part)
                    at = _after_blanks(text, self.at + 1)
                    continue
                one_by_one = at + WINDOW
            if opening == "{":
                key, at = self._key(at)
                self._add(found, {key: self.value(at, depth)})
            else:
                found.append(self.value(at, depth))
            at = _after_blanks(text, self.at)
            if text[at] == closing:
                self.at = at + 1
                return found
            if text[at] != ",":
                raise ValueError("has something between its members")
            at = _after_blanks(text, at + 1)

    def _add(self, found: Any, part: Any) -> None:
        """Add ``part``, a list or an object, to what was ``found`` of it before."""
        if isinstance(found, list):
            found.extend(part)
            return
        if self._unique and not found.keys().isdisjoint(part):
            raise DuplicateMember
        found.update(part)

    def _part(self, at: int, opening: str, closing: str) -> Any:
        """The members that the window at ``at`` holds whole, to a comma at ``self.at``; None where no cut is seen."""
        self._move(at)
        if len(self._window) < WINDOW:
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
