"""Bytes of an answer as text: by the charset that its media type names, else by a byte order mark, else UTF-8."""

import codecs
from typing import Final

from tieline.core.slices import decode

_UTF8: Final = frozenset({"", "utf-8", "utf8", "us-ascii"})
_NO_CHARSETS: Final = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}  # by the names that codecs have
)
"""Codecs of Python's that are for names and source texts; the steps of some grow with the square of the text."""
_PART: Final = 64 * 1024
_ORDER_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def charset_of(content_type: bytes) -> str:
    """The ``charset`` of a media type in lower case, empty where it says none."""
    for parameter in content_type.split(b";")[1:]:
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"charset":
            return value.strip(b' \t"').decode("ascii", "replace").lower()
    return ""


def is_marked(body: bytes) -> bool:
    """Whether ``body`` begins with a byte order mark of UTF-16 or UTF-32."""
    return body.startswith(tuple(mark for mark, _ in _ORDER_MARKS))


def text_of(body: bytes, charset: str) -> str:
    """``body`` as text, what cannot be read in it replaced; UTF-8 where the charset is not known.

    A byte order mark of UTF-16 or UTF-32 counts for more than no charset, or one that is not known. What is large is
    decoded in parts, between which other threads run.
    """
    marked = next((name for mark, name in _ORDER_MARKS if body.startswith(mark)), None)
    if charset in _UTF8 or not _is_charset(charset):
        return _decoded(body, marked or "utf-8-sig")
    try:
        return _decoded(body, charset)
    except UnicodeError:
        return _decoded(body, marked or "utf-8-sig")


def _is_charset(name: str) -> bool:
    """Whether Python decodes bytes to text by this name, and others do too: it has codecs that are no charsets."""
    try:
        found = codecs.lookup(name)
        return found.name not in _NO_CHARSETS and isinstance(b" ".decode(name, "replace"), str)
    except (LookupError, UnicodeError):
        return False


def _decoded(body: bytes, charset: str) -> str:
    return decode(body, charset, "replace", _PART)
