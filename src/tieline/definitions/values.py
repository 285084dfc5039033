"""The small values of a definition: durations, sizes, amounts, titles, headers. Each function raises ValueError."""

import re

from tieline.core.names import TITLE_LENGTH, is_title
from tieline.core.urls import target
from tieline.definitions.problems import shown

_DURATION = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,3}))?(ms|s|m|h|d)")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB)")
_SIZES = {"GiB": 1024**3, "MiB": 1024**2, "KiB": 1024, "B": 1}
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")  # RFC 9110 section 5.6.2
_FIELD_VALUE = re.compile(r"[\x20-\x7e\t]*")
_FRAMING = frozenset(
    "connection content-length expect host keep-alive te trailer transfer-encoding upgrade".split()  # noqa: SIM905
)


def duration(text: str) -> float:
    """Seconds in a duration such as ``5s``, ``2m``, ``1.5h`` or ``500ms``, to the millisecond."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{shown(text)} is no duration; write it like 500ms, 5s or 2m")
    thousandths = int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0"))
    return thousandths * _UNITS[found[3]] // 1000 / 1000


def duration_text(seconds: float) -> str:
    """The duration as a definition writes it."""
    thousandths = round(seconds * 1000)
    return f"{thousandths // 1000}s" if thousandths % 1000 == 0 else f"{thousandths}ms"


def size(text: str) -> int:
    """Bytes in a size such as ``512MiB``."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{shown(text)} is no size; write it like 64KiB, 512MiB or 2GiB")
    return int(found[1]) * _SIZES[found[2]]


def size_text(count: int) -> str:
    """The size as a definition writes it, in the largest unit that divides it."""
    unit = next(unit for unit, factor in _SIZES.items() if count % factor == 0)
    return f"{count // _SIZES[unit]}{unit}"


def title(text: str) -> str:
    """A title as people see it."""
    if not is_title(text):
        raise ValueError(f"a title has 1 to {TITLE_LENGTH} printable characters and no blanks at its ends")
    return text


def notes(text: str) -> str:
    """Text of several lines without control characters."""
    if not all(letter.isprintable() or letter in "\n\t" for letter in text):
        raise ValueError("notes hold no control characters; remove them")
    return text


def icon(text: str) -> str:
    """One or two letters that stand for the API in a list."""
    if not 1 <= len(text) <= 2 or not text.isprintable() or text.isspace():
        raise ValueError("an icon is one or two letters")
    return text


def header_name(text: str) -> str:
    """A header that a definition may set: an RFC 9110 token that framing and Tieline do not own."""
    if _TOKEN.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is no header name; use letters, digits and hyphens")
    lower = text.lower()
    if lower in _FRAMING or lower.startswith(("proxy-", "tieline-")):
        raise ValueError(f"the header {text} belongs to the connection and cannot be named here; remove it")
    return text


def header_value(text: str) -> str:
    """A header's value: printable ASCII without blanks at its ends."""
    if _FIELD_VALUE.fullmatch(text) is None:
        raise ValueError("a header's value holds printable ASCII only; remove control and other characters")
    if text != text.strip():
        raise ValueError("a header's value has no blanks at its ends; remove them")
    return text


def pair_name(text: str) -> str:
    """The name of a query pair or form field."""
    if not text or len(text) > TITLE_LENGTH or not text.isprintable():
        raise ValueError(f"a name has 1 to {TITLE_LENGTH} printable characters")
    return text


def web_url(text: str) -> str:
    """A link that people follow: http or https and nothing that could be a script."""
    if re.fullmatch(r"https?://[\x21-\x7e]+", text) is None or any(letter in text for letter in "<>\"'\\`"):
        raise ValueError(f"{shown(text)} is no link; write it like https://example.com/docs")
    return text


def path_pattern(text: str) -> str:
    """A path, or the beginning of paths with ``*`` at its end."""
    plain = text.removesuffix("*")
    if "*" in plain:
        raise ValueError('"*" stands only at the end')
    target(plain if plain.startswith("/") else text, query=False)
    return text
