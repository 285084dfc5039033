"""Identifiers: a prefix that says what it names, then a time-ordered random part."""

import secrets
import time
from typing import Literal

Prefix = Literal[
    "api", "cred", "app", "key", "req", "op", "aud", "tok", "dk", "conn", "sgn", "bud", "wh", "evt", "dlv", "use"
]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_BITS = 48
_RANDOM_BITS = 77
_LENGTH = 25  # 125 bits, five a character


def new_id(prefix: Prefix) -> str:
    """A new id such as ``key_06bq3v…``: 48 bits of milliseconds, 77 random bits, Crockford's base32 in lower case.

    Ids of one kind sort by the time they were made, so lists can be paged by id.
    """
    number = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    letters = [_ALPHABET[(number >> shift) & 31] for shift in range(5 * (_LENGTH - 1), -1, -5)]
    return f"{prefix}_{''.join(letters)}"


class RequestIds:
    """Ids of requests, made quickly: the time in microseconds, then a part drawn at random once per process.

    They are unique, sort by the time when they were made, and say it; they are not secret.
    """

    __slots__ = ("_count", "_process")

    def __init__(self) -> None:
        self._process = secrets.token_hex(4)
        self._count = time.time_ns() // 1_000

    def next(self) -> str:
        """A new id such as ``req_64a7c2d1e5f03a9b0c44``."""
        self._count = max(self._count + 1, time.time_ns() // 1_000)
        return f"req_{self._count:014x}{self._process}"
