"""JSON of an answer as values and back, nothing in it changed: numbers keep their digits, halves of characters stay.

Most JSON holds nothing that Python's own types would change, and is read by orjson. What does (RFC 8259 section 6 sets
no bound to numbers, section 8.2 allows lone surrogates) is found by a look at the text and read with numbers that
remember how they were written. Of members with one name the last one counts. Knows no call.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Self

import orjson

MOST_DEPTH: Final = 254
"""Levels of nesting that are written."""
_DIGITS = bytes.maketrans(b"123456789.", b"0000000000")
_LONG = b"0" * 17
_EXPONENT = re.compile(rb"[0-9][eE][+-]?[0-9]++(?![^\s,\]}])")
# A fraction that ends in a zero, but for .0 itself, or is so small that it would be written with an exponent.
_FRACTION = re.compile(rb"\.(?!0(?![0-9]))(?:0000|[0-9]*+(?<=0))")
_MINUS_ZERO = re.compile(rb"-0(?![.0-9])")
_SAFE_DIGITS = 18
_MOST_DIGITS = 4000


class ExactNumber(float):
    """A number that is written as it came; as a float it is the nearest one, or infinite."""

    __slots__ = ("written",)

    def __new__(cls, written: str) -> Self:
        """``written`` as JSON writes a number."""
        made = super().__new__(cls, written)
        made.written = written
        return made

    written: str

    def __str__(self) -> str:
        return self.written


class LongInteger(int):
    """A whole number beyond 64 bits; a class of its own, so that its digits are asked for when it is written."""


def read_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises ValueError for anything else, ``NaN`` and ``Infinity`` too."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if is_plain(body) and not _may_be_exact(error):
            raise
    else:
        if _comes_out_as(body, found) or is_plain(body):
            return found
    return read_json_text(body.decode())


def read_json_text(text: str) -> Any:
    """As ``read_json``, of text, with every number exact."""
    try:
        return EXACT.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _comes_out_as(body: bytes, found: Any) -> bool:
    """Whether ``found`` is written as ``body``, compact or indented by two: the quickest proof that nothing changed."""
    option = orjson.OPT_INDENT_2 if body[1:2] == b"\n" else None
    try:
        return orjson.dumps(found, option=option) == body.rstrip(b"\n")
    except orjson.JSONEncodeError:
        return False  # nested deeper than is written


def is_plain(body: bytes) -> bool:
    """Whether reading the numbers of a JSON text as integers of 64 bits and doubles changes none of them.

    May be False for one that holds such a thing in a text.
    """
    digits = body.translate(_DIGITS)
    if digits.find(_LONG) >= 0:
        return False
    if (digits.find(b"0e") >= 0 or digits.find(b"0E") >= 0) and _EXPONENT.search(body) is not None:
        return False
    if body.find(b"-0") >= 0 and _MINUS_ZERO.search(body) is not None:
        return False
    return _FRACTION.search(body) is None


def is_json(body: bytes) -> bool:
    """Whether ``body`` is a JSON text in UTF-8 that may go on as it is, nested no deeper than what is written."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not _may_be_exact(error):
            return False
        try:
            found = read_json_text(body.decode())
        except ValueError:
            return False
    if body.count(b"[") + body.count(b"{") > MOST_DEPTH:
        try:
            write_json(found)
        except ValueError:
            return False
    return True


def write_json(value: Any) -> bytes:
    """``value`` as compact JSON. Raises ValueError where it nests deeper than 254 levels, or is no JSON value."""
    try:
        return orjson.dumps(value, default=_written, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    except orjson.JSONEncodeError:
        pieces: list[str] = []
        _write(value, pieces, 0)
        return "".join(pieces).encode("utf-8", "backslashreplace")  # half a character becomes its escape, as \ud83d


def _may_be_exact(error: orjson.JSONDecodeError) -> bool:
    """Whether only orjson does not read it: a number beyond doubles, half a character."""
    return "infinity" in error.msg or "surrogate" in error.msg or "escape" in error.msg


def _written(value: Any) -> orjson.Fragment:
    if isinstance(value, ExactNumber):
        return orjson.Fragment(value.written)
    if isinstance(value, int):
        return orjson.Fragment(int.__str__(value))
    if isinstance(value, Mapping):
        return orjson.Fragment(write_json(dict(value)))
    raise TypeError


def _write(value: Any, pieces: list[str], depth: int) -> None:
    if depth > MOST_DEPTH:
        raise ValueError("nested too deep")
    if isinstance(value, str):
        pieces.append(json.dumps(value, ensure_ascii=False))
    elif isinstance(value, ExactNumber):
        pieces.append(value.written)
    elif isinstance(value, Mapping):
        mark = "{"
        for key, item in value.items():
            pieces += (mark, json.dumps(key, ensure_ascii=False), ":")
            _write(item, pieces, depth + 1)
            mark = ","
        pieces.append("}" if value else "{}")
    elif isinstance(value, list | tuple):
        mark = "["
        for item in value:
            pieces.append(mark)
            _write(item, pieces, depth + 1)
            mark = ","
        pieces.append("]" if value else "[]")
    else:
        pieces.append(json.dumps(value, allow_nan=False))


def _number(text: str) -> float:
    found = float(text)
    return found if repr(found) == text else ExactNumber(text)


def _integer(text: str) -> int | float:
    if len(text) <= _SAFE_DIGITS:
        return int(text) if text != "-0" else ExactNumber(text)
    return LongInteger(text) if len(text) <= _MOST_DIGITS else ExactNumber(text)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


EXACT: Final = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_constant)
"""Reads every number exact."""
