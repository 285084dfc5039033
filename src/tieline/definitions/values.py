"""The small values of a definition: durations, sizes, URLs, hosts, paths, headers. Each function raises ValueError."""

import ipaddress
import re
from decimal import Decimal

from tieline.core.names import TITLE_LENGTH, is_title
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
_URL = re.compile(r"(https?)://([^/?#]*)(/[^?#]*)?", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_TARGET = re.compile(r"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?\[\]|{}]|%[0-9A-Fa-f]{2})*")
_FORBIDDEN_ESCAPES = re.compile(r"%(?:0[0-9a-f]|1[0-9a-f]|7f|5c|2e)", re.IGNORECASE)
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,12})?")


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


def amount(text: str) -> Decimal:
    """A sum of money, never negative, exact."""
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is no amount; write it like 2.50")
    return Decimal(text)


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


def host(text: str) -> str:
    """A host name or IP address in lower case, without scheme, port or wildcard."""
    lower = text.lower()
    if not lower.isascii():
        raise ValueError(f"the host {shown(text)} is not ASCII; write it in its xn-- form")
    if lower.startswith("[") and lower.endswith("]"):
        return f"[{_address6(lower[1:-1])}]"
    labels = lower.removesuffix(".").split(".")
    if len(lower) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{shown(text)} is no host; write a name such as api.example.com, without scheme, port or *")
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        _check_address4(lower)
    return lower


def _address6(text: str) -> str:
    try:
        if "%" not in text:
            return str(ipaddress.IPv6Address(text))
    except ValueError:
        pass
    raise ValueError(f"{shown(text)} is no IPv6 address; write it like [2001:db8::1], without a zone")


def _check_address4(text: str) -> None:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is no IPv4 address; write four decimal numbers such as 192.0.2.1") from None


def base_url(text: str) -> str:
    """A base URL, its scheme and host in lower case and without a slash at its end."""
    scheme, authority, path = _split(text)
    return f"{scheme}://{authority}{target(path or '/', query=False).rstrip('/')}"


def url(text: str) -> str:
    """The full URL of a call: as a base URL, but a query may follow."""
    head, mark, query = text.partition("?")
    scheme, authority, path = _split(head)
    return f"{scheme}://{authority}{target((path or '/') + mark + query)}"


def web_url(text: str) -> str:
    """A link that people follow: http or https and nothing that could be a script."""
    if re.fullmatch(r"https?://[\x21-\x7e]+", text) is None or any(letter in text for letter in "<>\"'\\`"):
        raise ValueError(f"{shown(text)} is no link; write it like https://example.com/docs")
    return text


def host_of(address: str) -> str:
    """The host of a URL that ``base_url`` or ``url`` accepted, without its port."""
    authority = address.split("://", 1)[1].split("/", 1)[0].split("?", 1)[0]
    return re.sub(r":[0-9]+$", "", authority)


def _split(text: str) -> tuple[str, str, str | None]:
    if re.search(r"[\x00-\x20\x7f\\]", text):
        raise ValueError("a URL holds no blanks, control characters or backslashes; remove them")
    found = _URL.fullmatch(text)
    if found is None:
        _refuse_rest(text)
        raise ValueError(f"{shown(text)} is no URL; write it like https://api.example.com/v1")
    if "@" in found[2]:
        raise ValueError("a URL holds no user name or password; put them into the credential")
    return found[1].lower(), _authority(found[2]), found[3]


def _refuse_rest(text: str) -> None:
    if "#" in text:
        raise ValueError("a URL here has no fragment; remove # and what follows")
    if "?" in text:
        raise ValueError("a base URL has no query; use shared parameters")


def _authority(text: str) -> str:
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?", text)
    if found is None or not found[1]:
        raise ValueError(f"{shown(text)} is no host; write a name such as api.example.com")
    name = host(found[1])
    if found[2] is None:
        return name
    if not 1 <= int(found[2]) <= 65_535:
        raise ValueError(f"the port {found[2]} is out of range; ports go from 1 to 65535")
    return f"{name}:{int(found[2])}"


def target(text: str, *, query: bool = True) -> str:
    """A path, with a query where ``query`` allows one, that cannot climb, hide a character or be read in two ways."""
    if not text.startswith("/"):
        raise ValueError(f'{shown(text)} is no path; begin it with "/"')
    if "#" in text:
        raise ValueError("a path has no fragment; remove # and what follows")
    if _TARGET.fullmatch(text) is None:
        raise ValueError("a path holds visible ASCII characters only, others percent-encoded")
    path, mark, _ = text.partition("?")
    if mark and not query:
        raise ValueError("no query is allowed here; use parameters")
    if _FORBIDDEN_ESCAPES.search(path):
        raise ValueError("a path holds no encoded dots, backslashes or control characters; write it plainly")
    if "//" in path or any(segment.partition(";")[0] in {".", ".."} for segment in path.split("/")):
        raise ValueError('a path has no "//", "/./" or "/../"; write it plainly')
    return text


def path_pattern(text: str) -> str:
    """A path, or the beginning of paths with ``*`` at its end."""
    plain = text.removesuffix("*")
    if "*" in plain:
        raise ValueError('"*" stands only at the end')
    target(plain if plain.startswith("/") else text, query=False)
    return text
