"""The form of an app key: made, checked offline, hashed for storage, redacted for people.

``tl_live_`` or ``tl_test_``, 43 base62 characters of randomness (256 bits), then the CRC-32 of all before it as 6
base62 characters. The checksum finds typing errors without asking the store; it never authenticates. Where in a request
a key stands is for ``keyplaces``; whether it is known, revoked or expired is for whoever holds the keys.
"""

import hmac
import re
import secrets
import string
import zlib

from tieline.access.keyplaces import FORM, Found, KeyPlaces, find, has_form, holds_key
from tieline.core.errors import InvalidAppKey
from tieline.core.names import Environment
from tieline.core.secret import Secret, redact

__all__ = [
    "Found",
    "KeyPlaces",
    "check",
    "environment_of",
    "find",
    "has_form",
    "hidden",
    "holds_key",
    "keyed_hash",
    "mint",
    "redacted",
]

_PREFIXES: dict[Environment, bytes] = {"live": b"tl_live_", "development": b"tl_test_"}
_DIGITS = (string.digits + string.ascii_uppercase + string.ascii_lowercase).encode()
_BASE = len(_DIGITS)
_PAIRS = tuple(bytes((first, second)) for first in _DIGITS for second in _DIGITS)
_RANDOM_LENGTH = 43
_CHECK_LENGTH = 6
_LENGTH = 8 + _RANDOM_LENGTH + _CHECK_LENGTH
_FORM_IN_TEXT = re.compile(r"tl_(?:live|test)_[0-9A-Za-z]{16,}")


def mint(environment: Environment) -> Secret:
    """A new app key for ``environment``."""
    body = _PREFIXES[environment] + bytes(secrets.choice(_DIGITS) for _ in range(_RANDOM_LENGTH))
    return Secret(body + _checksum(body))


def check(text: bytes) -> None:
    """Refuse what cannot be an app key, by its form and checksum alone.

    Raises:
        InvalidAppKey: the form is another, or a character is wrong or missing.
    """
    if FORM.fullmatch(text) is None:
        if text.startswith(tuple(_PREFIXES.values())):
            msg = f"The app key has {len(text)} characters or one that no key has; a key has {_LENGTH}. Copy it whole."
            raise InvalidAppKey(msg)
        msg = 'This is no app key: one begins with "tl_live_" or "tl_test_". Use the key that Tieline showed.'
        raise InvalidAppKey(msg)
    if _checksum(text[:-_CHECK_LENGTH]) != text[-_CHECK_LENGTH:]:
        msg = "The app key has a wrong character: its checksum does not fit. Copy it again."
        raise InvalidAppKey(msg)


def keyed_hash(pepper: bytes, key: bytes) -> bytes:
    """The 32 bytes that a key is stored as and found by: HMAC-SHA-256 (RFC 2104) under ``pepper``."""
    return hmac.digest(pepper, key, "sha256")


def environment_of(key: bytes | Secret) -> Environment:
    """The environment that ``key``, which has passed ``check``, belongs to."""
    return "live" if _plain(key).startswith(_PREFIXES["live"]) else "development"


def redacted(key: bytes | Secret) -> str:
    """How ``key`` may be shown: ``tl_live_…wxyz``."""
    return redact(_plain(key).decode("ascii", "replace"))


def hidden(text: str) -> str:
    """``text`` with every app key in it redacted: a path or a name may hold one by mistake."""
    if "tl_" not in text:
        return text
    return _FORM_IN_TEXT.sub(lambda match: redact(match[0]), text)


def _plain(key: bytes | Secret) -> bytes:
    return key.reveal_bytes() if isinstance(key, Secret) else key


def _checksum(body: bytes) -> bytes:
    number = zlib.crc32(body)
    head, low = divmod(number, _BASE * _BASE)
    high, middle = divmod(head, _BASE * _BASE)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]
