r"""Text with ``<name>`` slots. Computes nothing; how values go into paths, queries and bodies is for ``fill``.

A slot is ``<``, a parameter's name, ``>``; ``\<`` is a literal ``<``, and ``\\<`` a backslash before a slot. A ``<``
that begins no slot stands for itself, except where it looks like a slot with a wrong name (``<user-id>``): refused.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tieline.core.names import is_parameter_name
from tieline.definitions.problems import shown

_PIECE = re.compile(r"(?<!\\)(\\++)(?=<)|<([A-Za-z0-9_][A-Za-z0-9_. -]*)>")


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
        """The text with values as they are; raises KeyError for a value that is missing."""
        return "".join(piece.text if isinstance(piece, Literal) else values[piece.name] for piece in self.pieces)


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


def replace_slots(text: str, value_of: Callable[[str], str | None]) -> str:
    """``text`` with the slots filled that ``value_of`` gives text for, which then stands for itself; the rest stays."""
    pieces: list[str] = []
    position = 0
    while (found := _PIECE.search(text, position)) is not None:
        end = found.end()
        if found[1] is not None:
            end += len(found[1]) % 2  # an escaped < begins no slot
            pieces.append(text[position:end])
        else:
            value = value_of(found[2])
            pieces += [text[position : found.start()], found[0] if value is None else escape(value)]
        position = end
    return "".join(pieces) + text[position:]


def escape(text: str) -> str:
    """``text`` as a template that stands for itself."""
    return re.sub(r"(?<!\\)(\\*+)<", lambda found: found[1] * 2 + "\\<", text)


def names_in(value: Any) -> tuple[str, ...]:
    """The names of the slots in every text and key of plain data, each once; raises ValueError as ``parse``."""
    return tuple(dict.fromkeys(name for text in _texts_in(value) for name in parse(text).names()))


def _texts_in(value: Any) -> Iterator[str]:
    """Every text and key of plain data: of a mapping first the keys, then the values."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping | list):
            below = [*one, *one.values()] if isinstance(one, Mapping) else one
            left += reversed(below)


def _close(literal: list[str], pieces: list[Literal | Slot]) -> None:
    text = "".join(literal)
    literal.clear()
    if text:
        pieces.append(Literal(text))
