"""Bytes of an answer as text: by the charset that its media type names, else by a byte order mark, else UTF-8."""

import codecs
from typing import Final

_UTF8: Final = frozenset({"", "utf-8", "utf8", "us-ascii"})
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

    A byte order mark of UTF-16 or UTF-32 counts for more than no charset, or one that is not known.
    """
    marked = next((name for mark, name in _ORDER_MARKS if body.startswith(mark)), None)
    if charset in _UTF8 and marked is None:
        return body.decode("utf-8-sig", "replace")
    try:
        codecs.lookup(charset)
        return body.decode(charset if charset not in _UTF8 else marked or charset, "replace")
    except (LookupError, UnicodeError):
        return body.decode(marked or "utf-8-sig", "replace")
