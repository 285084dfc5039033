"""Dates and waits as outsiders write them, read without an error for any text.

Python's parsers raise OverflowError, IndexError and others for texts such as a year of eleven digits; here all of that
means "not understood".
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_SPAN: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_TEXT_MOST: Final = 100
_LONGEST: Final = 1e9  # seconds: some thirty years, which nobody waits for; it still fits wherever a number is written
_UNREADABLE: Final = (ValueError, OverflowError, TypeError, IndexError)


def date_of(text: str) -> float | None:
    """Seconds since the epoch of a date of RFC 3339 or HTTP (RFC 9110 section 5.6.7); None where ``text`` is neither.

    A date without a zone is taken as UTC.
    """
    text = text.strip()
    if len(text) > _TEXT_MOST:
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text)
            return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
        except _UNREADABLE:
            continue
    return None


def retry_after(text: str, now: float) -> float | None:
    """What a ``Retry-After`` of ``text`` asks for, in seconds from ``now`` (since the epoch); None if unreadable.

    RFC 9110 section 10.2.3 has whole seconds or a date; providers send fractions too, and these are not cut off: who
    comes back earlier is refused again.
    """
    text = text.strip()
    if len(text) <= _TEXT_MOST and _SPAN.fullmatch(text) is not None:
        return min(float(text), _LONGEST)
    date = date_of(text)
    return None if date is None else min(max(0.0, date - now), _LONGEST)
