"""The form of an admin token: ``tla_``, 43 base62 characters (256 random bits), 6 characters of CRC-32 over all before.

The checksum finds typing errors without asking the store; it never authenticates. A token is stored only as its
HMAC-SHA-256 under a pepper derived from the root key.
"""

import hmac
import re
import secrets
import string
import zlib

from tieline.core.secret import Secret

PREFIX = b"tla_"

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_LENGTH = 43
_CHECK_LENGTH = 6
_FORM = re.compile(rb"tla_[0-9A-Za-z]{49}")


def mint() -> Secret:
    """A new admin token."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH)).encode()
    return Secret(body + _checksum(body))


def has_form(token: bytes) -> bool:
    """Whether ``token`` can be an admin token: form and checksum."""
    if _FORM.fullmatch(token) is None:
        return False
    return hmac.compare_digest(_checksum(token[:-_CHECK_LENGTH]), token[-_CHECK_LENGTH:])


def keyed_hash(pepper: bytes, token: bytes) -> bytes:
    """The 32 bytes that a token is stored as and found by."""
    return hmac.digest(pepper, token, "sha256")


def _checksum(body: bytes) -> bytes:
    number = zlib.crc32(body)
    letters = []
    for _ in range(_CHECK_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    return "".join(reversed(letters)).encode()
