"""What comes along when a value is copied or read from a file: a byte order mark, line ends, blanks that nobody sees.

One rule for every way in: at the ends it is cut off and said, within a value it is refused.
"""

import unicodedata
from typing import Final

_BYTE_ORDER_MARK: Final = "\ufeff"
_LINE_ENDS: Final = "\r\n\x0b\x0c\x85\u2028\u2029"
_IN_LINES: Final = "\r\n\t"
# Format characters (zero-width blanks, direction marks, soft hyphens), separators of lines and paragraphs, blanks.
_UNSEEN: Final = frozenset({"Cf", "Zl", "Zp", "Zs"})


def cut(text: str) -> tuple[str, str]:
    """``text`` without what is not to be seen at its ends, and what that was in words; empty where it was nothing."""
    begin, end = 0, len(text)
    while begin < end and _is_cut(text[begin]):
        begin += 1
    while end > begin and _is_cut(text[end - 1]):
        end -= 1
    gone = text[:begin] + text[end:]
    kinds = dict.fromkeys(map(_kind, gone))
    return text[begin:end], " and ".join(kinds)


def unseen_within(text: str, *, multiline: bool) -> str | None:
    """The first character of a value that is not to be seen, as ``U+200B``; None where each is. A space may be there.

    ``multiline`` values may have line breaks and tabs too. Control characters are among those that are told.
    """
    for character in text:
        if character == " " or character.isprintable() or (multiline and character in _IN_LINES):
            continue
        return f"U+{ord(character):04X}"
    return None


def _is_cut(character: str) -> bool:
    return character in _LINE_ENDS or character == "\t" or unicodedata.category(character) in _UNSEEN


def _kind(character: str) -> str:
    if character == _BYTE_ORDER_MARK:
        return "a byte order mark"
    if character in _LINE_ENDS:
        return "a line end"
    return "invisible characters" if unicodedata.category(character) == "Cf" else "blanks"
