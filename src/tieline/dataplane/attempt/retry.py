"""Whether and when a request is sent again. Decides only; sends and waits for nothing.

Follows RFC 9110 sections 9.2.2 (idempotent methods) and 10.2.3 (``Retry-After``).
"""

import random
import time
from typing import Final

from tieline.core import dates
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


def retry_after(headers: Headers, now: float | None = None) -> float | None:
    """What ``Retry-After`` asks for, in seconds from ``now`` (since the epoch); None if absent or unreadable."""
    value = next((value for name, value in headers if name.lower() == b"retry-after"), None)
    return None if value is None else dates.retry_after(value.decode("latin-1"), time.time() if now is None else now)
