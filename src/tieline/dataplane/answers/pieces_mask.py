"""Hides a secret that the texts of a stream's events hold only together, in the stream's own bytes.

For who is shown a stream as it came: ``item_mask`` does the same in what a call hands out. Knows no framing: texts of
one member's name, such as ``content`` of delta after delta, are joined wherever they stand, as are lines of ``data``
that are no JSON. A text of which a part belongs to a secret becomes stars of its length.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from tieline.dataplane.answers.mask import StreamMask

# One that is cut goes to the end, so that no text is gone through from each of its quotes.
_TEXT = rb'"((?:[^"\\]|\\.)*+)\\?+(?:"|\Z)'
_PIECE = re.compile(rb"(?:%b\s*+:\s*+)?%b|^data: ?+(?![\[{\"])([^\r\n]++)" % (_TEXT, _TEXT), re.MULTILINE | re.DOTALL)
_DATA = b""  # no member's name: texts that stand in lists by themselves go with the lines


@dataclass(slots=True)
class _Joined:
    """The texts of one name, in their order: each with where it stands, and all of them as one."""

    places: list[tuple[int, int, int]] = field(default_factory=list)
    text: bytearray = field(default_factory=bytearray)

    def add(self, start: int, end: int, text: bytes) -> None:
        """One more text, which stands from ``start`` to ``end``."""
        self.text += text
        self.places.append((start, end, len(self.text)))

    def hidden(self, secrets: Sequence[bytes], *, whole: bool) -> Iterator[tuple[int, int]]:
        """Where those texts stand that belong to a secret or, where more follows, may begin one."""
        shown = StreamMask(secrets).feed(bytes(self.text), last=whole)
        begin = 0
        for start, end, after in self.places:
            if shown[begin:after] != self.text[begin:after]:
                yield start, end
            begin = after


def mask_pieces(body: bytes, secrets: Sequence[bytes], *, whole: bool) -> bytes:
    """``body`` with the pieces of ``secrets`` hidden that are one only when its texts are joined.

    ``whole`` says that nothing follows. In steps as many as there are bytes.
    """
    if not secrets:
        return body
    joined: dict[bytes, _Joined] = {}
    for found in _PIECE.finditer(body):
        group = 3 if found[3] is not None else 2
        text = found[3] if found[3] is not None else _decoded(found[2])
        joined.setdefault(found[1] or _DATA, _Joined()).add(*found.span(group), text)
    shown = bytearray(body)
    for each in joined.values():
        for start, end in each.hidden(secrets, whole=whole):
            shown[start:end] = b"*" * (end - start)
    return bytes(shown)


def _decoded(text: bytes) -> bytes:
    if b"\\" not in text:
        return text
    try:
        return str(orjson.loads(b'"%b"' % text)).encode()
    except orjson.JSONDecodeError:
        return text
