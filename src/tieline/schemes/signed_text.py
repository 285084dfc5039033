r"""Templates of what ``hmac`` signs and adds: text with slots for parts of the request, the time and a nonce.

A slot is ``<name>`` or ``<header:Name>``; ``\<`` is a literal ``<``. Knows which slots there are, not how they are
signed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tieline.definitions.problems import shown, suggestion

SLOTS = (
    "method",
    "path",
    "query",
    "target",
    "host",
    "url",
    "timestamp",
    "expires",
    "nonce",
    "key_id",
    "body_hash",
    "body",
)
SIGNATURE = "signature"
_HEADER = "header:"
_PIECE = re.compile(r"\\<|<([a-z_]+|header:[!#$%&'*+\-.^_`|~0-9A-Za-z]+)>")
_NEARLY = re.compile(r"<[A-Za-z][\w:. -]*>")


@dataclass(frozen=True, slots=True)
class SignedText:
    """A parsed template: literal bytes and names of slots in turn, a literal first."""

    pieces: tuple[bytes | str, ...]

    @property
    def slots(self) -> frozenset[str]:
        """The names of its slots."""
        return frozenset(each for each in self.pieces if isinstance(each, str))

    def render(self, value: Callable[[str], bytes]) -> bytes:
        """The text with the value of each slot in its place."""
        return b"".join([each if isinstance(each, bytes) else value(each) for each in self.pieces])


def template_of(*names: str) -> Callable[[str], SignedText]:
    """A check that reads a template whose slots are of ``names``; it raises ValueError with what is wrong."""

    def read(text: str) -> SignedText:
        pieces: list[bytes | str] = []
        place = 0
        for found in _PIECE.finditer(text):
            pieces.append(_literal(text[place : found.start()]))
            place = found.end()
            if found[1] is None:
                pieces.append(b"<")
            elif found[1] not in names and not found[1].startswith(_HEADER):
                raise ValueError(f"there is no slot {shown(found[1])} here{suggestion(found[1], names)}")
            else:
                pieces.append(found[1])
        pieces.append(_literal(text[place:]))
        return SignedText(tuple(each for each in pieces if each))

    return read


def _literal(text: str) -> bytes:
    nearly = _NEARLY.search(text)
    if nearly is not None:
        raise ValueError(f"{shown(nearly[0])} is no slot; write \\< for a literal <")
    return text.encode()


def header_of(slot: str) -> bytes | None:
    """The lower-case name of the field that a slot stands for, None for another slot."""
    return slot.removeprefix(_HEADER).lower().encode() if slot.startswith(_HEADER) else None


def values_of(known: Mapping[str, bytes], headers: Callable[[bytes], bytes | None]) -> Callable[[str], bytes]:
    """The value of a slot: one of ``known``, or that of the first field it names, empty where there is none."""

    def value(slot: str) -> bytes:
        name = header_of(slot)
        return known[slot] if name is None else headers(name) or b""

    return value
