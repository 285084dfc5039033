"""What a budget may be, when its windows begin, and how its sums are read and written."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.access.budgets import NANO, Amount, BudgetTerms, usd
from tieline.core.errors import InvalidInput

EVERY_KEY = {"each": "key"}


def terms(**members: Any) -> BudgetTerms:
    """Terms for every key."""
    return BudgetTerms.from_json({"applies_to": EVERY_KEY, **members})


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"applies_to": {}}, "applies_to"),
        ({"applies_to": {"app": "a", "api": "b"}}, "applies_to"),
        ({"applies_to": {"keys": []}}, "applies_to"),
        ({"applies_to": {"each": "api"}}, "applies_to"),
        ({"period": "year"}, "period"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../etc/passwd"}, "time_zone"),
        ({"period": "week", "first_day": 8}, "first_day"),
        ({"period": "month", "first_day": 29}, "first_day"),
        ({"period": "day", "first_day": 2}, "first_day"),
        ({"first_day": True}, "first_day"),
        ({"mode": "soft"}, "mode"),
        ({"unbounded": "allow"}, "unbounded"),
        ({"priced_only": 1}, "priced_only"),
        ({"alerts": [0]}, "alerts"),
        ({"alerts": list(range(1, 12))}, "alerts"),
    ],
)
def test_what_no_budget_can_be_is_named(members: dict[str, Any], param: str) -> None:
    """The error says which member it is."""
    with pytest.raises(InvalidInput) as caught:
        terms(**members)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "amount",
    [None, {}, {"usd": 10}, {"usd": "-1"}, {"usd": "0"}, {"usd": "1e3"}, {"usd": "0.0000000001"}, {"usd": "1000000001"},
     {"tokens": 0}, {"tokens": True}, {"tokens": 1.5}, {"usd": "1", "tokens": 1}],
)  # fmt: skip
def test_what_no_amount_can_be_is_refused(amount: object) -> None:
    """Money is a decimal text and exact; tokens are a whole number."""
    with pytest.raises(InvalidInput):
        Amount.from_json(amount)


@given(st.integers(1, 10**18))
def test_money_is_read_as_it_is_written(nano: int) -> None:
    """Nothing is lost between nano-dollars and their decimal text."""
    assert Amount.from_json({"usd": usd(nano)}) == Amount(nano, "usd")


def test_money_has_two_places_at_least() -> None:
    """As people write it."""
    assert (usd(10 * NANO), usd(NANO // 2), usd(1)) == ("10.00", "0.50", "0.000000001")


def at(text: str, zone: str = "UTC") -> datetime:
    """A time in a zone."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("members", "now", "starts", "ends"),
    [
        ({"period": "day"}, "2026-11-30 23:59:59", "2026-11-30", "2026-12-01"),
        ({"period": "week"}, "2026-11-30 00:00", "2026-11-30", "2026-12-07"),
        ({"period": "week", "first_day": 7}, "2026-11-30 00:00", "2026-11-29", "2026-12-06"),
        ({"period": "month"}, "2026-12-31 12:00", "2026-12-01", "2027-01-01"),
        ({"period": "month", "first_day": 28}, "2027-03-01 12:00", "2027-02-28", "2027-03-28"),
    ],
)
def test_windows_begin_at_midnight(members: dict[str, Any], now: str, starts: str, ends: str) -> None:
    """Of the day that was asked for, in the time zone."""
    for zone in ("UTC", "Europe/Berlin", "Asia/Kathmandu"):
        window = terms(time_zone=zone, **members).window(at(now, zone))
        assert window.starts_at == at(starts, zone)
        assert window.ends_at == at(ends, zone)


def test_a_total_never_ends() -> None:
    """It has one window."""
    assert terms(period="total").window(at("2026-11-30")).ends_at is None


ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/Santiago", "Asia/Beirut", "Australia/Lord_Howe", "Africa/Cairo"]
)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001  in UTC below
    ZONES,
    st.sampled_from(["day", "week", "month"]),
    st.integers(1, 7),
)
def test_every_moment_lies_in_its_window_and_windows_touch(now: datetime, zone: str, period: str, first: int) -> None:
    """Also on days whose midnight is not there, or is there twice."""
    every = terms(period=period, time_zone=zone, first_day=1 if period == "day" else first)
    now = now.replace(tzinfo=UTC)
    window = every.window(now)
    assert window.ends_at is not None
    assert window.starts_at <= now < window.ends_at
    assert every.window(window.ends_at).starts_at == window.ends_at
    assert every.window(window.ends_at - timedelta(microseconds=1)) == window
    assert BudgetTerms.from_json(every.to_json()) == every
