"""Whether and when a request is sent again. Decides only; sends and waits for nothing.

Follows RFC 9110 sections 9.2.2 (idempotent methods) and 10.2.3 (``Retry-After``).
"""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from tieline.wire.framing import Headers

WAIT_MOST: Final = 30.0
"""A ``Retry-After`` beyond this many seconds is not waited for: the answer goes to the caller as it is."""
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_FIRST = 0.25
_LONGEST = 8.0


def is_transient(status: int) -> bool:
    """Whether an answer of this status may be another one a moment later."""
    return status in _TRANSIENT


def pause(tries: int, headers: Headers = ()) -> float | None:
    """Seconds to wait after ``tries`` tries, the last of which was answered with ``headers``; None for no more.

    What the upstream asks for holds; else it doubles from a quarter of a second up to eight seconds, half of it random,
    so that those who failed together do not come back together.
    """
    asked = retry_after(headers)
    if asked is not None:
        return asked if asked <= WAIT_MOST else None
    longest = min(_LONGEST, _FIRST * 2.0 ** (tries - 1))
    return longest * (0.5 + random.random() / 2)  # noqa: S311  # spreads load, guards nothing


def retry_after(headers: Headers, now: datetime | None = None) -> float | None:
    """What ``Retry-After`` asks for, in seconds from ``now``, in either form; None where it is absent or unreadable."""
    value = next((value for name, value in headers if name.lower() == b"retry-after"), None)
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
