"""Dates and waits that outsiders wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.core.dates import date_of, retry_after

DATES = st.from_regex(r"\A(Mon, )?[0-9]{1,3} (Jan|Feb|x) [0-9]{1,30}( [0-9:]{1,12})?( GMT| [+-][0-9]{1,12})?\Z")


@pytest.mark.parametrize(
    "text",
    [
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +99999999999",
        "Mon, 99999999999 Jan 2026 00:00:00 GMT",
        "99999999999-01-01T00:00:00Z",
        "9" * 5000,
        "",
    ],
)
def test_a_date_that_has_no_form_is_none(text: str) -> None:
    """Whatever Python's parsers raise for it."""
    assert date_of(text) is None


def test_the_last_day_there_is_can_be_read_in_every_zone() -> None:
    """It ends after the last moment that Python can name in UTC."""
    assert date_of("9999-12-31T23:59:59-14:00") == 253402351199.0


@given(st.text(max_size=60) | DATES)
def test_any_text_is_a_number_or_none(text: str) -> None:
    """A wait is finite and not in the past."""
    assert date_of(text) is None or isinstance(date_of(text), float)
    wait = retry_after(text, 1e9)
    assert wait is None or 0 <= wait <= 1e9
