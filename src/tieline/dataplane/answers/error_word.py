"""The one word by which an upstream names an error, such as ``insufficient_quota`` or ``AccessDenied``.

Nothing else of an answer goes into records and logs: messages of errors repeat what was sent. A word is of letters,
parted by dots, lines or underscores; so it holds no key, number or name that could be somebody's.
"""

import re
from typing import Final

SAID_MOST: Final = 4096
"""Bytes of an answer that are looked into."""
_WORD = rb"([A-Za-z]{2,40}(?:[_.-][A-Za-z]{1,40}){0,6})"
_MEMBERS: Final = tuple(
    re.compile(rb'"' + name + rb'"\s{0,8}:\s{0,8}"' + _WORD + rb'"')
    for name in (b"code", b"status", b"error_code", b"type", b"reason", b"error", b"__type")
)
_ELEMENT: Final = re.compile(rb"<[Cc]ode>" + _WORD + rb"</[Cc]ode>")
_EMPTY: Final = frozenset({"error", "null", "none", "false", "true", "failed", "failure", "fail"})


def error_word(said: bytes) -> str | None:
    """The word in ``said``, an answer from which secrets were masked; None where it names its error by none."""
    said = said[-SAID_MOST:]
    for pattern in (*_MEMBERS, _ELEMENT):
        for found in pattern.finditer(said):
            word = found[1].decode("ascii")
            if word.lower() not in _EMPTY:
                return word
    return None
