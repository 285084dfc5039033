r"""Text with ``<name>`` slots, and how a value goes into a path, a query, a header or plain text. Computes nothing.

A slot is ``<``, a parameter's name, ``>``; ``\<`` is a literal ``<``, and ``\\<`` a backslash before a slot. A ``<``
that begins no slot stands for itself, except where it looks like a slot with a wrong name (``<user-id>``): refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

from tieline.core.errors import InvalidParameter
from tieline.core.names import is_parameter_name
from tieline.definitions.problems import shown

_PIECE = re.compile(r"(?<!\\)(\\++)(?=<)|<([A-Za-z0-9_][A-Za-z0-9_. -]*)>")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_RAW = re.compile(r"[\x00-\x20\x7f\\?#]")
_DOTS = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:;[^/]*)?(?=/|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that stands for itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a value."""

    name: str


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    pieces: tuple[Literal | Slot, ...]

    def names(self) -> tuple[str, ...]:
        """The names of the slots, each once, in order."""
        return tuple(dict.fromkeys(piece.name for piece in self.pieces if isinstance(piece, Slot)))

    def render_text(self, values: Mapping[str, str]) -> str:
        """The text with values as they are; raises KeyError for a value that is missing, as all ``render_`` do."""
        return "".join(piece.text if isinstance(piece, Literal) else values[piece.name] for piece in self.pieces)

    def render_path(self, values: Mapping[str, str], raw: frozenset[str] = frozenset()) -> str:
        """A path, each value percent-encoded as one segment (RFC 3986 section 2.1), or as it is for names in ``raw``.

        Raises InvalidParameter for a value that would climb or change the shape of the URL.
        """
        parts = []
        for piece in self.pieces:
            if isinstance(piece, Literal):
                parts.append(piece.text)
            elif piece.name in raw:
                parts.append(_raw(piece.name, values[piece.name]))
            else:
                parts.append(quote(values[piece.name], safe=""))
        path = "".join(parts)
        if _DOTS.search(path):
            message = "A value would make this path climb; give a value other than “.” or “..”."
            raise InvalidParameter(message, param=next(iter(self.names()), None))
        return path

    def render_query(self, values: Mapping[str, str]) -> str:
        """A query string, each value encoded by the rules of forms (WHATWG URL, section 5.2)."""
        return "".join(
            piece.text if isinstance(piece, Literal) else quote_plus(values[piece.name]) for piece in self.pieces
        )

    def render_header(self, values: Mapping[str, str]) -> str:
        """A header's value; raises InvalidParameter for a value with control characters."""
        for name in self.names():
            if _CONTROL.search(values[name]):
                message = f"The parameter {name} goes into a header and holds a control character; remove it."
                raise InvalidParameter(message, param=name)
        return self.render_text(values)


def parse(text: str) -> Template:
    """The template in ``text``; raises ValueError for a slot whose name cannot be one."""
    pieces: list[Literal | Slot] = []
    literal: list[str] = []
    position = 0
    while (found := _PIECE.search(text, position)) is not None:
        literal.append(text[position : found.start()])
        position = found.end()
        if found[1] is not None:
            literal.append("\\" * (len(found[1]) // 2))
            if len(found[1]) % 2:
                literal.append("<")
                position += 1
            continue
        if not is_parameter_name(found[2]):
            raise ValueError(
                f"{shown(found[0])} names no parameter: use letters, digits and _, a letter first; write \\< for <"
            )
        _close(literal, pieces)
        pieces.append(Slot(found[2]))
    literal.append(text[position:])
    _close(literal, pieces)
    return Template(tuple(pieces))


def fill_some(text: str, values: Mapping[str, str]) -> str:
    """``text`` with the slots named in ``values`` filled, by text that stands for itself; all else as it is written."""
    pieces: list[str] = []
    position = 0
    while (found := _PIECE.search(text, position)) is not None:
        end = found.end()
        if found[1] is not None:
            end += len(found[1]) % 2  # an escaped < begins no slot
            pieces.append(text[position:end])
        else:
            filled = escape(values[found[2]]) if found[2] in values else found[0]
            pieces += [text[position : found.start()], filled]
        position = end
    return "".join(pieces) + text[position:]


def escape(text: str) -> str:
    """``text`` as a template that stands for itself."""
    return re.sub(r"(?<!\\)(\\*+)<", lambda found: found[1] * 2 + "\\<", text)


def names_in(value: Any) -> tuple[str, ...]:
    """The names of the slots in every text and key of plain data, each once; raises ValueError as ``parse``."""
    if isinstance(value, str):
        return parse(value).names()
    below = [*value, *value.values()] if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return tuple(dict.fromkeys(name for item in below for name in names_in(item)))


def fill_partly(value: Any, found: Mapping[str, str]) -> Any:
    """Plain data whose slots that ``found`` has a text for are filled; others, and text that is no template, stay."""
    if isinstance(value, str) and found:
        return fill_some(value, found)
    if isinstance(value, Mapping):
        return {key: fill_partly(item, found) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_partly(item, found) for item in value]
    return value


def _close(literal: list[str], pieces: list[Literal | Slot]) -> None:
    text = "".join(literal)
    literal.clear()
    if text:
        pieces.append(Literal(text))


def _raw(name: str, value: str) -> str:
    if _NOT_RAW.search(value):
        message = (
            f"The parameter {name} goes into a path as it is and holds a blank, backslash, ? or #; encode or remove it."
        )
        raise InvalidParameter(message, param=name)
    return quote(value, safe="!$%&'()*+,;=:@/-._~[]|{}")
