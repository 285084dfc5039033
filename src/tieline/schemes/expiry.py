"""When a token ends, from what an answer says of it: a span, a moment or a date. Knows no answer's shape."""

import math
import re
from typing import Any, Final

from tieline.core.dates import date_of

UNITS: Final = ("seconds", "milliseconds", "epoch", "epoch_milliseconds", "date")
# A token that lasts longer than a century is one that does not end; a date beyond the year 9999 has no form.
_LONGEST = 100 * 365 * 86_400.0
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")


def moment(value: Any, unit: str, now: float) -> float | None:
    """The end in seconds since the epoch; None where ``value`` says none, or no end that means anything.

    ``seconds`` and ``milliseconds`` count from ``now``, ``epoch`` and ``epoch_milliseconds`` from 1970; a ``date`` is
    RFC 3339 or that of HTTP (RFC 9110 section 5.6.7). Numbers may be text.
    """
    if unit == "date":
        return date_of(value) if isinstance(value, str) else None
    number = _number(value)
    if number is None:
        return None
    span = number / 1000 if unit.endswith("milliseconds") else number
    end = span if unit.startswith("epoch") else now + span
    return end if 0 < end < now + _LONGEST and span > 0 else None


def _number(value: Any) -> float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e18 and math.isfinite(value) else None
