"""What kind of thing a single value is: a date, a URL, a unix time. Precision comes first: in doubt text stays text.

Knows values and the names they stand under, and nothing of documents. Calendar dates by RFC 3339 and ISO 8601; e-mail
addresses as HTML's ``input type=email`` reads them, with a top-level domain.
"""

import re
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Any, Final

from tieline.definitions.infer import names

BLANK: Final = "blank"
TEXTS: Final = frozenset({"text", "date", "datetime", "duration", "url", "email", "image", "file"})
NUMBERS: Final = frozenset({"integer", "number", "unix_time"})
_LINKS: Final = frozenset({"url", "image", "file"})

_MOST_LINK = 8192
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]([01][0-9]|2[0-4]):[0-5][0-9](?::(?:[0-5][0-9]|60)(?:[.,][0-9]{1,9})?)?"
    r" ?(?:[Zz]|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_PERIOD = re.compile(
    r"-?P(?=[0-9T])(?:[0-9]+Y)?(?:[0-9]+M)?(?:[0-9]+W)?(?:[0-9]+D)?"
    r"(?:T(?=[0-9])(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+(?:\.[0-9]+)?S)?)?"
)
_UNITS = re.compile(r"(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+(?:\.[0-9]+)?s)?(?:[0-9]+ms)?")
_ONE_UNIT = re.compile(r"[0-9]+(?:\.[0-9]+)? ?(?:ns|us|µs|ms|s|m|h|d|sec|min|hours?|days?|minutes?|seconds?)")
_CLOCK = re.compile(r"[0-9]{1,3}:[0-5][0-9](?::[0-5][0-9])?(?:[.,][0-9]{1,9})?")
_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+=?^_`{|}~-][A-Za-z0-9.!#$%&'*+=?^_`{|}~-]{0,63}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,63}"
)
_VISIBLE = r"[^\s<>\"{}|\\^`\x00-\x20\x7f]"
_LINK = re.compile(rf"([A-Za-z][A-Za-z0-9+.-]{{1,19}})://(?=[\w\[])({_VISIBLE}+)")
_BARE_LINK = re.compile(rf"//(?:[\w-]+\.)+[A-Za-z]{{2,63}}(?::[0-9]+)?/{_VISIBLE}+")
_DATA = re.compile(r"data:([a-z]+/[A-Za-z0-9.+-]+)(?:;[A-Za-z0-9=._-]+)*,")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")

_IMAGES = frozenset("png jpg jpeg gif webp svg avif bmp ico tif tiff heic heif apng jfif".split())  # noqa: SIM905
_FILES = frozenset(
    "pdf doc docx xls xlsx ppt pptx odt ods odp csv tsv txt rtf zip tar gz tgz bz2 xz 7z rar mp3 wav ogg oga flac "  # noqa: SIM905
    "m4a aac opus mp4 m4v mov avi mkv webm mpg mpeg epub mobi apk dmg exe msi deb rpm iso whl jar parquet jsonl ndjson "
    "ics vcf bin safetensors onnx gguf woff woff2 ttf otf psd eps glb stl".split()
)
_PAGES = frozenset({"html", "htm", "php", "aspx", "jsp", "json", "xml", "js", "css"})
_IMAGE_QUERY = re.compile(r"[?&](?:format|fm|ext)=(?:jpe?g|png|webp|gif|avif)\b")


def kind_of(value: Any, name: str = "", above: str = "") -> str:
    """The type of a value that is neither null, list nor object; ``blank`` for text without a character.

    ``name`` is the member it stands under and ``above`` the member that holds that one; both only help.
    """
    if isinstance(value, str):
        return _kind_of_text(value, name, above)
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        if _is_unix_time(value, name):
            return "unix_time"
        return "integer" if isinstance(value, int) else "number"
    return "json"


def kind_in_text(value: Any, name: str = "", above: str = "") -> str:
    """As :func:`kind_of`, for sources that have text only (XML, CSV): numbers and flags are read out of it.

    Digits that are a name rather than an amount (a postal code, a phone number, leading zeros) stay text.
    """
    if not isinstance(value, str):
        return kind_of(value, name, above)
    if value in {"true", "false"}:
        return "boolean"
    found = _NUMBER.fullmatch(value)
    if found is not None and not names.is_label(name):
        return "number" if found[1] else "integer"
    return _kind_of_text(value, name, above)


def widen(kinds: AbstractSet[str], *, textual: bool = False) -> str:
    """The type of a place where values of all these kinds stand; with ``textual`` all of them came as text."""
    if len(kinds) == 1:
        return next(iter(kinds))
    rest = kinds - {BLANK}
    if len(rest) == 1 and rest <= TEXTS:
        return next(iter(rest))
    if rest <= TEXTS:
        return "url" if rest <= _LINKS else "text"
    if kinds <= NUMBERS:
        return "number" if "number" in kinds else "integer"
    return "text" if textual and "json" not in kinds else "json"


def fits(kind: str, value: Any) -> bool:
    """Whether ``value`` (not null) is what a field of type ``kind`` holds, as the drift watch asks; cheap."""
    if kind in TEXTS:
        return isinstance(value, str) and (kind == "text" or not value or _fits_text(kind, value))
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in NUMBERS:
        whole = kind == "integer"
        return (isinstance(value, int) and not isinstance(value, bool)) or (
            isinstance(value, float) and (not whole or value.is_integer())
        )
    return kind not in {"object", "map"} or isinstance(value, dict)


def _fits_text(kind: str, value: str) -> bool:
    if kind == "date":
        return _is_date(value)
    if kind == "datetime":
        return _is_datetime(value)
    if kind == "email":
        return _EMAIL.fullmatch(value) is not None
    if kind == "duration":
        return any(each.fullmatch(value) for each in (_PERIOD, _UNITS, _ONE_UNIT, _CLOCK))
    return is_link(value)


def is_link(text: str) -> bool:
    """Whether text is a URL with a scheme and host, one that begins with ``//``, or a ``data:`` URL."""
    if text.startswith("data:"):
        return _DATA.match(text) is not None
    if len(text) > _MOST_LINK:
        return False
    return (_BARE_LINK if text.startswith("//") else _LINK).fullmatch(text) is not None


def _kind_of_text(text: str, name: str, above: str) -> str:
    if not text:
        return BLANK
    if text.startswith("data:"):
        found = _DATA.match(text)
        return "text" if found is None else "image" if found[1].startswith("image/") else "file"
    if len(text) > _MOST_LINK:
        return "text"
    if text[0].isdigit() and "-" in text[:5]:
        return "date" if _is_date(text) else "datetime" if _is_datetime(text) else "text"
    if "//" in text and is_link(text):
        return _kind_of_link(text, name, above)
    if "@" in text and _EMAIL.fullmatch(text):
        return "email"
    return "duration" if _is_duration(text, name) else "text"


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None and _is_day(text)


def _is_datetime(text: str) -> bool:
    return _TIME.fullmatch(text) is not None and _is_day(text[:10])


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_duration(text: str, name: str) -> bool:
    if len(text) > 40:
        return False
    if text[0] in "P-":
        return _PERIOD.fullmatch(text) is not None
    if not text[0].isdigit():
        return False
    if _UNITS.fullmatch(text) is not None and sum(letter in "dhms" for letter in text.replace("ms", "s")) > 1:
        return True
    if names.is_span(name):
        return _ONE_UNIT.fullmatch(text) is not None or (names.is_length(name) and _CLOCK.fullmatch(text) is not None)
    return False


def _is_unix_time(value: float, name: str) -> bool:
    """Magnitude and name must both speak for it: 1973 (or 2001 under weaker names) to 2100, in s, ms, µs or ns."""
    if not 1e8 <= value < 4.1025e18:
        return False
    evidence = names.time_evidence(name)
    if evidence == 0:
        return False
    least, least_ms = (1e8, 3e11) if evidence > 1 else (1e9, 1e12)
    return (
        least <= value < 4.1025e9
        or least_ms <= value < 4.1025e12
        or (isinstance(value, int) and (1e15 <= value < 4.1025e15 or value >= 1e18))
    )


def _kind_of_link(link: str, name: str, above: str) -> str:
    address = link.split("://", 1)[-1].lstrip("/")
    path = re.split(r"[?#]", address, maxsplit=1)[0].partition("/")[2]
    ending = path.rpartition("/")[2].rpartition(".")
    ending_name = ending[2].lower() if ending[1] else ""
    if ending_name in _IMAGES or _IMAGE_QUERY.search(link):
        return "image"
    if ending_name in _FILES:
        return "file"
    if ending_name in _PAGES or not link.lower().startswith(("http", "//")):
        return "url"
    if names.is_image(name) or (names.is_size(name) and names.is_image(above) and not address.startswith("www.")):
        return "image"
    return "file" if names.is_file(name) else "url"
