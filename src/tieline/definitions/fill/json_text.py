"""JSON as text, exact in both directions: no number is rounded, no text changed. Knows no parameters.

Decimals are ``Decimal`` and come out as they came in; floats, as definitions hold them, come out in the shortest form
that is read back as the same float.
"""

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson

from tieline.core.errors import InvalidRequest
from tieline.core.json_size import is_small, size_of
from tieline.core.slices import decode, is_blank
from tieline.definitions.json_parts import PartWriter, is_heavy
from tieline.definitions.large_json import DuplicateMember, read_in_parts

MOST_DEPTH = 64
MOST_MEMBERS = 100_000
"""Members of all objects in one text, and objects and lists in it."""
MOST_VALUES = 500_000
"""Members and items in one text: with this bound what is read takes at most 20 times the bytes that were sent."""
_BLANKS: Final = b" \t\r\n"
_WHOLE_BITS = 8192  # some 2,466 digits: far beyond any API, and quick to write


class UnwritableError(ValueError):
    """A value that JSON has no text for; its text completes ``The parameter x …``."""


def read_parameters(body: bytes) -> dict[str, Any]:
    """The JSON object of parameters in a ``/call`` request's ``body``; nothing at all is an empty object.

    Raises InvalidRequest for anything but one JSON object (RFC 8259) in UTF-8, without duplicate members, ``NaN``,
    nesting beyond 64 levels, more than 100,000 members or 500,000 values.
    """
    is_small = len(body) <= LARGE
    if not body.strip(_BLANKS) if is_small else is_blank(body, _BLANKS):
        return {}
    try:
        found = read_json(body.decode() if is_small else decode(body))
    except ValueError as error:
        problem = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        msg = f"The body is no JSON object of parameters: it {problem}. Send one such as {{}} in UTF-8."
        raise InvalidRequest(msg) from None
    if not isinstance(found, dict):
        msg = "The body is JSON, but no object. Send the parameters by name, such as {}."
        raise InvalidRequest(msg)
    return found


def read_json(text: str) -> Any:
    """The value in ``text``; raises ValueError with a text that completes ``it …``."""
    _check_size(text)
    try:
        return _decoded(text) if len(text) <= LARGE else _in_parts(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not valid JSON at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _too_deep() from None
    except InvalidOperation:
        raise ValueError("holds a number that is out of range") from None
    except UnwritableError:
        raise
    except ValueError:
        raise ValueError("holds a number with too many digits") from None


def _check_size(text: str) -> None:
    """Raise ValueError where ``text`` holds more than is read, before anything is built of it."""
    if len(text) <= MOST_MEMBERS and text.count("[") + text.count("{") <= MOST_DEPTH:
        return
    if is_small(text, members=MOST_MEMBERS, containers=MOST_DEPTH, separators=MOST_VALUES - 1):
        return
    size = size_of(text, brackets=2 * MOST_MEMBERS)
    if size.members > MOST_MEMBERS:
        raise ValueError(f"has more than {MOST_MEMBERS:,} members")
    if size.separators >= MOST_VALUES:
        raise ValueError(f"has more than {MOST_VALUES:,} values")
    if size.containers > MOST_MEMBERS:
        raise ValueError(f"has more than {MOST_MEMBERS:,} objects and lists")
    if size.is_deeper_than(MOST_DEPTH):
        raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"is nested deeper than {MOST_DEPTH} levels, or not well-formed")


def _decoded(text: str) -> Any:
    """The value, without the search for white space around it where there is none."""
    if text[:1] in {"{", "["}:
        found, end = _DECODER.raw_decode(text)
        if end == len(text):
            return found
    return _DECODER.decode(text)


def _in_parts(text: str) -> Any:
    try:
        return read_in_parts(text, _decoder(_Decimals().__getitem__), unique=True)
    except DuplicateMember:
        raise _named_twice() from None
    except json.JSONDecodeError:
        raise UnwritableError("is not valid JSON") from None
    except UnwritableError:
        raise
    except ValueError as error:
        raise UnwritableError(f"is not valid JSON: it {error}") from None


def write_json(value: Any) -> bytes:
    """``value`` as compact JSON in UTF-8; raises UnwritableError.

    What can be is written in one go, or in large parts: one small ``bytes`` for each of very many members would keep a
    KiB each.
    """
    if type(value) is str and len(value) <= LARGE:
        return _text(value)
    return _IN_PARTS.write(value) if is_heavy(value) else _at_once(value)


def _at_once(value: Any) -> bytes:
    if isinstance(value, list | dict):
        with suppress(orjson.JSONEncodeError):
            return orjson.dumps(value, default=_exact, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    out: list[bytes] = []
    _write(value, out, 0)
    return b"".join(out)


def _exact(value: Any) -> orjson.Fragment:
    """What orjson does not write, or not as it came; raises UnwritableError."""
    return orjson.Fragment(scalar_text(value))


def _text(value: str) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise UnwritableError("holds half a character (a lone surrogate); remove it") from None


def _write(value: Any, out: list[bytes], depth: int) -> None:
    if isinstance(value, str):
        out.append(_text(value))
    elif isinstance(value, Mapping):
        _write_members(value, out, depth)
    elif isinstance(value, list | tuple):
        _deepen(depth)
        mark = b"["
        for item in value:
            out.append(mark)
            _write(item, out, depth + 1)
            mark = b","
        out.append(b"]" if value else b"[]")
    else:
        out.append(scalar_text(value).encode())


def _write_members(value: Mapping[Any, Any], out: list[bytes], depth: int) -> None:
    _deepen(depth)
    mark = b"{"
    for key, item in value.items():
        if not isinstance(key, str):
            raise UnwritableError("holds an object whose member has no text for a name; give it one")
        out += (mark, _text(key), b":")
        _write(item, out, depth + 1)
        mark = b","
    out.append(b"}" if value else b"{}")


def _deepen(depth: int) -> None:
    if depth >= MOST_DEPTH:
        raise UnwritableError(f"is nested deeper than {MOST_DEPTH} levels; flatten it")


def scalar_text(value: Any) -> str:
    """A number, flag or nothing as JSON writes it; raises UnwritableError."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() <= _WHOLE_BITS:
            return str(value)
        case Decimal() if value.is_finite():
            return str(value)
        case float() if math.isfinite(value):
            return repr(value)
        case int() | float() | Decimal():
            raise UnwritableError("holds a number that JSON cannot write; give a finite one of at most 2,400 digits")
        case _:
            raise UnwritableError("holds a value that JSON does not know; give text, numbers, flags, lists or objects")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _named_twice()
    return found


def _named_twice() -> UnwritableError:
    return UnwritableError("names a member twice")


def _constant(_: str) -> Any:
    raise UnwritableError("holds NaN or Infinity, which JSON does not have")


class _Whole(int):
    """A number of more digits than 64 bits hold; a class of its own, so that writing asks for its digits."""


class _Decimals(dict[str, Decimal]):
    """Decimals by their text, up to 10,000 of them: a list of a million equal ones is a million references."""

    def __missing__(self, text: str) -> Decimal:
        found = Decimal(text)
        if len(self) < _REPEATED:
            self[text] = found
        return found


def _whole(text: str) -> int:
    return int(text) if len(text) < _LONG else _Whole(text)


def _decoder(parse_float: Callable[[str], Any]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_members, parse_float=parse_float, parse_int=_whole, parse_constant=_constant
    )


LARGE: Final = 128 * 1024
"""A text of more characters is read in parts, and its values put in place, in a thread (``dataplane.calls``).
"""
_IN_PARTS: Final = PartWriter(_at_once, (int, float, bool, type(None), Decimal, _Whole), 2 * MOST_DEPTH)
_REPEATED = 10_000
_LONG = 19
_DECODER = _decoder(Decimal)
