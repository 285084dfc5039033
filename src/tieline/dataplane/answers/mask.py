"""Hides a secret that an upstream sends back: an echo service, a debugging page, a careless error text.

Bytes that pass through a relay are looked through as they are (``mask``, ``StreamMask``), and each byte of a secret
becomes ``*``. What a call hands out is looked through as its reader sees it (``Mask``): after content coding, charset
and format were read, and also in text that holds the secret once more encoded, as JSON, URLs and HTML write it. A body
that is relayed with a content coding, and a tunnel, are not looked into: docs/threat-model.md says what is promised.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from html.entities import html5
from typing import Any, Final

from tieline.core.slices import SLICE, decode, encode, find, join, replace
from tieline.dataplane.answers.json_parts import IN_PARTS, write_json_by_size
from tieline.dataplane.answers.large_json import read_json_by_size
from tieline.definitions.json_parts import release

_STEM = 4
_ENTITIES: Final = {
    name.rstrip(";").encode(): mark.encode() for name, mark in html5.items() if len(mark) == 1 and mark.isascii()
}
# One character in another dress. Each alternative begins where nothing of its kind stands before it, and takes what it
# repeats at once, so that no text is gone through twice: JSON in JSON has two backslashes, %2525 is a % thrice encoded.
_ENCODED: Final = re.compile(
    rb"(?<!\\)\\++(?:u00([0-7][0-9a-fA-F])|x([0-7][0-9a-fA-F])|([\"'/]))"
    rb"|%(?:25)*+([0-9a-fA-F]{2})"
    rb"|&(?:amp;)*+(?:#[xX]0*+([0-7]?[0-9a-fA-F]);?|#0*+([0-9]{1,3});?|([A-Za-z]{2,10});)"
)
_ESCAPES: Final = (b"\\u", b"\\x", b"\\/", b"\\\\", b"\\'")
_SLICE: Final = 256 * 1024
_PIECE: Final = 64 * 1024
"""Bytes of which what is encoded is replaced at once, which takes the longest of all that is done here."""
_OVERLAP: Final = 32 * 1024
"""A secret, encoded, is found across two slices up to this length."""
_LONGEST: Final = 64
"""Bytes that an encoded character takes, unless somebody plays."""
_BACKSLASH: Final = ord("\\")
_DEEPEST: Final = 64
_LAYERS: Final = 3
"""How often a text may be encoded by different writers: a page's text in the JSON of a JSON text."""
_WIDEST: Final = 6
"""Bytes that one of a secret takes where a writer of JSON or HTML escapes each."""


def mask(data: bytes, secrets: Sequence[bytes]) -> bytes:
    """``data`` with every occurrence of ``secrets`` (of at least 12 bytes each) hidden."""
    for secret in secrets:
        if _has(data, secret):
            data = replace(data, secret, b"*" * len(secret))
    return data


def _has(data: bytes, part: bytes) -> bool:
    # ``in`` asks first whether the part is a number, and takes three times as long
    return (data.find(part) if len(data) <= SLICE else find(data, part)) >= 0


def plain(data: bytes) -> bytes:
    """``data`` with what JSON, URLs and HTML encode of ASCII decoded, up to three of them one in the other.

    In steps as many as there are bytes.
    """
    for _ in range(_LAYERS):
        found = 0
        parts: list[bytes] = []
        for piece in _pieces(data):
            part, times = _ENCODED.subn(_decoded, piece)
            parts.append(part)
            found += times
        if not found:
            break
        data = join(parts)
    return data


def _pieces(data: bytes) -> Iterator[bytes]:
    """``data`` in pieces, between which others run; none ends within one encoded character of an ordinary length."""
    at = 0
    while at < len(data):
        end = at + _PIECE
        last = data[end - _LONGEST : end] if end < len(data) else b""
        mark = max(last.rfind(b"\\"), last.rfind(b"%"), last.rfind(b"&"))
        if mark >= 0:
            end -= len(last) - len(last[: mark + 1].rstrip(b"\\") if last[mark] == _BACKSLASH else last[:mark])
        yield data[at:end]
        at = end


def _decoded(found: "re.Match[bytes]") -> bytes:
    for group in (1, 2, 4, 5):
        if found[group] is not None:
            return bytes([int(found[group], 16)])
    if found[3] is not None:
        return found[3]
    if found[6] is not None:
        number = int(found[6])
        return bytes([number]) if number < 128 else found[0]
    return _ENTITIES.get(found[7], found[0])


class Mask:
    """Hides ``secrets`` in what one answer holds. Made for each answer; what it needs for rare ones is made then."""

    __slots__ = ("_plain", "secrets")

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self.secrets = secrets
        self._plain: tuple[bytes, ...] | None = None

    def text(self, text: str) -> str:
        """A text as its reader sees it; one that holds a secret encoded is decoded, so that it can be hidden."""
        if not self.secrets:
            return text
        data = encode(text, "surrogatepass")
        shown = mask(data, self.secrets)
        if self._is_dressed(shown):
            shown = mask(plain(shown), self._undressed())
        return text if shown is data else decode(shown, "utf-8", "surrogatepass" if shown.isascii() else "replace")

    def header(self, value: bytes) -> bytes:
        """As ``text``, of a header field."""
        return self.text(value.decode("latin-1")).encode("latin-1", "replace") if self.secrets else value

    def json(self, body: bytes) -> bytes:
        """JSON as ``exact_json`` writes it, or as an upstream wrote it; its values are looked at where need be."""
        if not self.secrets:
            return body
        for secret in self.secrets:
            if _has(body, secret):
                body = mask(body, self.secrets)
                break
        if not (_has(body, b"\\") or _has(body, b"%") or _has(body, b"&")):
            return body  # nothing in it is encoded, as in most
        return self._rewritten(body) if self._is_dressed(body) else body

    def body(self, body: bytes) -> bytes:
        """A decoded body of whatever format, in UTF-8 where it is text; only one that holds a secret is changed."""
        shown = mask(body, self.secrets)
        if not self._is_dressed(shown):
            return shown
        try:
            return self._rewritten(shown)
        except ValueError:
            return mask(plain(shown), self._undressed())

    def _rewritten(self, body: bytes) -> bytes:
        """A JSON text with its values looked through. Raises ValueError where it is none."""
        found = read_json_by_size(body)
        shown = self.value(found)
        try:
            return write_json_by_size(shown, len(body))
        finally:
            if len(body) > IN_PARTS:
                release(found)
                release(shown)

    def value(self, value: Any, depth: int = 0) -> Any:
        """A JSON value with every text in it, names of members too, looked through. ``value`` is not changed."""
        if isinstance(value, str):
            return self.text(value)
        if depth < _DEEPEST and isinstance(value, list):
            return [self.value(item, depth + 1) for item in value]
        if depth < _DEEPEST and isinstance(value, Mapping):
            return {self.text(key): self.value(item, depth + 1) for key, item in value.items()}
        return None if isinstance(value, list | Mapping) else value

    def beginning(self, data: bytes) -> bytes:
        """``data``, the beginning of a body that was cut, without what may be the beginning of a secret.

        What was cut in two is not found any more, as it is or in another dress.
        """
        longest = max(map(len, self.secrets), default=0)
        return data[: max(0, len(data) - _WIDEST * longest)] if longest else data

    @property
    def of_files(self) -> tuple[bytes, ...]:
        """What to look for in the bytes of a file: the secrets as they are, and in UTF-16."""
        texts = [secret.decode("latin-1") for secret in self.secrets]
        return (*self.secrets, *[text.encode(f"utf-16-{order}") for text in texts for order in ("le", "be")])

    def holds(self, data: bytes) -> bool:
        """Whether ``data`` holds a secret, as it is or in another dress."""
        return any(_has(data, secret) for secret in self.secrets) or self._is_dressed(data)

    def _is_dressed(self, data: bytes) -> bool:
        """Whether a secret shows once ``data`` is decoded; most data holds nothing that could be."""
        for start in range(0, len(data), _SLICE):  # others run in between
            piece = data[start : start + _SLICE + _OVERLAP]
            if _may_be_dressed(piece):
                seen = plain(piece)
                if any(seen.find(secret) >= 0 for secret in self._undressed()):
                    return True
        return False

    def _undressed(self) -> tuple[bytes, ...]:
        if self._plain is None:
            self._plain = tuple({plain(secret) for secret in self.secrets})
        return self._plain


def _may_be_dressed(data: bytes) -> bool:
    """Whether anything in ``data`` is encoded."""
    escaped = data.find(b"\\") >= 0 and any(data.find(mark) >= 0 for mark in _ESCAPES)
    return escaped or data.find(b"%") >= 0 or data.find(b"&") >= 0


class StreamMask:
    """Masks a body that comes in pieces. Holds back the end of a piece only where a secret may begin in it."""

    __slots__ = ("_held", "_secrets")

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = secrets
        self._held = b""

    def feed(self, data: bytes, *, last: bool) -> bytes:
        """What can be passed on of the body so far; everything once it is the ``last`` piece."""
        if self._held:
            data = self._held + data
            self._held = b""
        data = mask(data, self._secrets)
        if last or not data:
            return data
        end = data[-1]  # mostly a line feed, which few secrets hold
        keep = 0
        for secret in self._secrets:
            if end in secret:
                keep = max(keep, _begun(data, secret))
        if keep:
            self._held = data[-keep:]
            return data[:-keep]
        return data


def _begun(data: bytes, secret: bytes) -> int:
    """How many bytes at the end of ``data`` may be the beginning of ``secret``."""
    for short in range(1, _STEM):
        if data.endswith(secret[:short]):
            return _longest(data, secret)
    return _longest(data, secret) if secret[:_STEM] in data[-len(secret) :] else 0


def _longest(data: bytes, secret: bytes) -> int:
    for length in range(min(len(secret) - 1, len(data)), 0, -1):
        if data.endswith(secret[:length]):
            return length
    return 0
