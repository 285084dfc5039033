"""What the name of a member says about its value. Knows English names as APIs write them, and no values.

Names are hints only: ``kinds`` asks them where a value alone could be two things.
"""

import re
from functools import lru_cache
from itertools import pairwise

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")

_STRONG_TIMES = frozenset(
    "at timestamp timestamps ts epoch unix iat exp nbf mtime ctime atime created updated modified deleted expires "  # noqa: SIM905
    "expiry expiration published datetime dt sunrise sunset".split()
)
_WEAK_TIMES = frozenset(
    "time times date dates on start end since until due begin seen login reset anchor t expire begins ends "  # noqa: SIM905
    "deadline before after received sent".split()
)
_TIME_UNITS = frozenset("ms millis milliseconds seconds sec secs s us micros ns nanos utc gmt".split())  # noqa: SIM905
_LENGTHS = frozenset("duration elapsed runtime uptime length playtime took".split())  # noqa: SIM905
_SPANS = _LENGTHS | frozenset(
    "timeout estimate interval ttl latency delay period age retention window remaining reset lifetime expiry wait time "  # noqa: SIM905
    "cooldown backoff after".split()
)
_IMAGES = frozenset(
    "image img picture pic photo avatar thumbnail thumb icon logo banner poster cover screenshot gravatar favicon "  # noqa: SIM905
    "headshot artwork portrait backdrop".split()
)
_SIZES = frozenset(
    "url urls uri src href small medium large original full raw mini normal regular big tiny https http path link "  # noqa: SIM905
    "default standard high low".split()
)
_FILES = frozenset("download file attachment pdf tarball zipball archive".split())  # noqa: SIM905
_LABELS = frozenset(
    "zip zipcode postal postcode plz phone mobile fax tel telephone code ean gtin upc isbn issn sku account iban vat "  # noqa: SIM905
    "ssn number no version phonenumber".split()
)
_MAPS = frozenset(
    "tags labels annotations variables env translations dependencies headers languages map".split()  # noqa: SIM905
)
_SECRETS = frozenset(
    "password passwd passphrase secret token apikey authorization credential credentials signature otp pin cvv cvc "  # noqa: SIM905
    "ssn iban pwd jwt cookie".split()
)
_KEYS = frozenset("api access private secret signing encryption shared master auth session".split())  # noqa: SIM905


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """The words of a name in lower case: of ``profileImage_url`` these are profile, image and url."""
    return tuple(word.lower() for word in _WORD.findall(name[:200]))


def time_evidence(name: str) -> int:
    """How much a name speaks for a point in time: 0 not, 1 somewhat, 2 clearly."""
    found = words(name)
    while found and found[-1] in _TIME_UNITS:
        found = found[:-1]
    if not found:
        return 0
    if found[-1] in _STRONG_TIMES or "timestamp" in found or "epoch" in found or "unix" in found:
        return 2
    return 1 if found[-1] in _WEAK_TIMES else 0


def is_span(name: str) -> bool:
    """Whether a name speaks for a stretch of time."""
    return any(word in _SPANS for word in words(name))


def is_length(name: str) -> bool:
    """Whether a name speaks for how long something takes or plays."""
    return any(word in _LENGTHS for word in words(name))


def is_image(name: str) -> bool:
    """Whether a name is that of an image: ``avatar``, ``logo_url``, ``images``."""
    found = words(name)
    while len(found) > 1 and (found[-1] in _SIZES or found[-1].isdigit()):
        found = found[:-1]
    return bool(found) and (found[-1] in _IMAGES or found[-1].removesuffix("s") in _IMAGES)


def is_size(name: str) -> bool:
    """Whether a name leaves the noun to the member above: ``url``, ``large``."""
    return all(word in _SIZES or word.isdigit() for word in words(name))


def is_file(name: str) -> bool:
    """Whether a name is that of a file to download."""
    found = words(name)
    while len(found) > 1 and found[-1] in _SIZES:
        found = found[:-1]
    return bool(found) and found[-1] in _FILES


def is_label(name: str) -> bool:
    """Whether digits under this name are a name themselves: a postal code, a phone number."""
    return any(word in _LABELS for word in words(name))


def is_map(name: str) -> bool:
    """Whether a name is that of a map: ``tags``, ``labels``, ``countsByDay``, ``SummaryMap``."""
    found = words(name)
    if not found:
        return False
    keyed = any(word in {"by", "to"} and before.endswith("s") for before, word in pairwise(found[:-1]))
    return found[-1] in _MAPS or keyed


def is_secret(name: str) -> bool:
    """Whether what stands under this name is for few eyes: ``access_token``, ``clientSecret``, ``api_key``."""
    found = words(name)
    if not found:
        return False
    return found[-1] in _SECRETS or (len(found) > 1 and found[-1] == "key" and found[-2] in _KEYS)
