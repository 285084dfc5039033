"""When a token ends, in each way that answers say it."""

from typing import Any

import pytest

from tieline.schemes.expiry import moment

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "unit", "end"),
    [
        (3600, "seconds", NOW + 3600),
        ("3600", "seconds", NOW + 3600),
        ("3600.5", "seconds", NOW + 3600.5),
        (0.5, "seconds", NOW + 0.5),
        (3_600_000, "milliseconds", NOW + 3600),
        (1_700_000_060, "epoch", NOW + 60),
        (1_700_000_060_000, "epoch_milliseconds", NOW + 60),
        ("2023-11-14T22:14:20Z", "date", NOW + 60),
        ("2023-11-14T23:14:20+01:00", "date", NOW + 60),
        ("2023-11-14T22:14:20", "date", NOW + 60),
        ("Tue, 14 Nov 2023 22:14:20 GMT", "date", NOW + 60),
        (1_600_000_000, "epoch", 1_600_000_000),
    ],
)
def test_an_end_is_understood(value: Any, unit: str, end: float) -> None:
    """Numbers may be text; what lies in the past is past."""
    assert moment(value, unit, NOW) == end


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (None, "seconds"),
        (True, "seconds"),
        ("soon", "seconds"),
        ("-5", "seconds"),
        (0, "seconds"),
        (-5, "seconds"),
        (10**30, "seconds"),
        (float("nan"), "seconds"),
        (10**12, "seconds"),
        ([3600], "seconds"),
        (3600, "date"),
        ("tomorrow", "date"),
        ("", "date"),
        ("Thu, 26 Nov 99999999999 12:00:30 GMT", "date"),
        ("99999999999-01-01T00:00:00Z", "date"),
        ("99999999999", "epoch"),
        (10**400, "milliseconds"),
        ({"in": 5}, "epoch"),
    ],
)
def test_what_says_no_end_is_none(value: Any, unit: str) -> None:
    """Then the token lasts until it is refused, or as long as the definition says."""
    assert moment(value, unit, NOW) is None
