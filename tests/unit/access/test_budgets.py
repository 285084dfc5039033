"""What a budget may be, when its windows begin, and how its sums are read and written."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.access.budgets import (
    ALERT_MOST,
    ALERTS_MOST,
    EPOCH,
    KEYS_MOST,
    NANO,
    TOKENS_MOST,
    USD_MOST,
    Amount,
    BudgetTarget,
    BudgetTerms,
    nano_of,
    usd,
)
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
        ({"applies_to": None}, "applies_to"),
        ({"applies_to": [("app", "a")]}, "applies_to"),
        ({"applies_to": {"keys": "key_1"}}, "applies_to"),
        ({"applies_to": {"keys": ["key_1", ""]}}, "applies_to"),
        ({"applies_to": {"keys": ["key_1", 1]}}, "applies_to"),
        ({"applies_to": {"keys": ["key_1"] * (KEYS_MOST + 1)}}, "applies_to"),
        ({"applies_to": {"app": ""}}, "applies_to"),
        ({"applies_to": {"app": 1}}, "applies_to"),
        ({"applies_to": {"api": ""}}, "applies_to"),
        ({"applies_to": {"api": 1}}, "applies_to"),
        ({"applies_to": {"team": "key"}}, "applies_to"),
        ({"period": "year"}, "period"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../etc/passwd"}, "time_zone"),
        ({"period": "week", "first_day": 8}, "first_day"),
        ({"period": "month", "first_day": 29}, "first_day"),
        ({"period": "day", "first_day": 2}, "first_day"),
        ({"period": "total", "first_day": 2}, "first_day"),
        ({"first_day": True}, "first_day"),
        ({"first_day": 0}, "first_day"),
        ({"first_day": "1"}, "first_day"),
        ({"time_zone": ""}, "time_zone"),
        ({"time_zone": 1}, "time_zone"),
        ({"time_zone": "Europe/" + "B" * 300}, "time_zone"),
        ({"time_zone": "Europe\0"}, "time_zone"),
        ({"mode": "soft"}, "mode"),
        ({"unbounded": "allow"}, "unbounded"),
        ({"priced_only": 1}, "priced_only"),
        ({"alerts": [0]}, "alerts"),
        ({"alerts": [ALERT_MOST + 1]}, "alerts"),
        ({"alerts": [True]}, "alerts"),
        ({"alerts": [50, "80"]}, "alerts"),
        ({"alerts": "50"}, "alerts"),
        ({"alerts": list(range(1, ALERTS_MOST + 2))}, "alerts"),
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


@pytest.mark.parametrize(
    ("members", "choices"),
    [
        ({"period": "year"}, "period is one of day, week, month, total."),
        ({"mode": "soft"}, "mode is one of hard, warn."),
        ({"unbounded": "allow"}, "unbounded is one of refuse, one_at_a_time."),
    ],
)
def test_a_word_that_is_none_of_a_members_is_answered_with_those_that_are(
    members: dict[str, Any], choices: str
) -> None:
    """Whoever mistyped it sees what there is."""
    with pytest.raises(InvalidInput) as caught:
        terms(**members)
    assert caught.value.public == choices


@pytest.mark.parametrize(
    ("given_", "target"),
    [
        ({"keys": ["key_2", "key_1", "key_2"]}, BudgetTarget(keys=("key_2", "key_1"))),
        ({"keys": ("key_1",)}, BudgetTarget(keys=("key_1",))),
        ({"keys": [f"key_{n}" for n in range(KEYS_MOST)]}, BudgetTarget(tuple(f"key_{n}" for n in range(KEYS_MOST)))),
        ({"app": "shop"}, BudgetTarget(app="shop")),
        ({"api": "openai"}, BudgetTarget(api="openai")),
        ({"each": "key"}, BudgetTarget(each="key")),
        ({"each": "app"}, BudgetTarget(each="app")),
        ({"each": "end_user"}, BudgetTarget(each="end_user")),
    ],
)
def test_a_budget_holds_for_whom_it_says(given_: dict[str, Any], target: BudgetTarget) -> None:
    """A key that is named twice has one share; what was read is written alike."""
    assert BudgetTarget.of(given_) == target
    assert BudgetTarget.of(target.to_json()) == target
    assert list(target.to_json()) == list(given_)


def test_what_a_budget_leaves_out_is_what_most_mean() -> None:
    """A calendar month in UTC, which holds, and refuses what nobody can bound."""
    assert terms() == BudgetTerms(BudgetTarget(each="key"))
    assert terms().to_json() == {
        "applies_to": {"each": "key"},
        "period": "month",
        "time_zone": "UTC",
        "first_day": 1,
        "mode": "hard",
        "unbounded": "refuse",
        "priced_only": False,
        "alerts": [],
    }


def test_every_member_of_a_budget_is_read_and_written() -> None:
    """Thresholds in order, each once; each number at its bound."""
    given_ = {
        "applies_to": {"app": "shop"},
        "period": "week",
        "time_zone": "Europe/Berlin",
        "first_day": 7,
        "mode": "warn",
        "unbounded": "one_at_a_time",
        "priced_only": True,
        "alerts": [80, ALERT_MOST, 1, 80],
    }
    assert BudgetTerms.from_json(given_).to_json() == given_ | {"alerts": [1, 80, ALERT_MOST]}
    assert terms(period="month", first_day=28).first_day == 28
    assert len(terms(alerts=list(range(1, ALERTS_MOST + 1))).alerts) == ALERTS_MOST
    assert terms(period="day", first_day=1).first_day == 1


@pytest.mark.parametrize(
    ("given_", "whole", "unit", "words"),
    [
        ({"usd": "10"}, 10 * NANO, "usd", "10.00 USD"),
        ({"usd": str(USD_MOST)}, USD_MOST * NANO, "usd", "1000000000.00 USD"),
        ({"usd": "0.000000001"}, 1, "usd", "0.000000001 USD"),
        ({"tokens": 1}, 1, "tokens", "1 tokens"),
        ({"tokens": TOKENS_MOST}, TOKENS_MOST, "tokens", "1000000000000000 tokens"),
    ],
)
def test_an_amount_is_money_or_tokens(given_: dict[str, Any], whole: int, unit: str, words: str) -> None:
    """From the least to the most there can be, told in its unit; and so is what is left of it."""
    amount = Amount.from_json(given_)
    assert (amount.whole, amount.unit, amount.words()) == (whole, unit, words)
    assert Amount.from_json(amount.shown()) == amount
    assert amount.shown(0) == ({"usd": "0.00"} if unit == "usd" else {"tokens": 0})
    assert amount.words(0) == ("0.00 USD" if unit == "usd" else "0 tokens")


@pytest.mark.parametrize(
    ("amount", "param"),
    [
        ({"usd": "-1"}, "amount.usd"),
        ({"tokens": 0}, "amount.tokens"),
        ({"tokens": TOKENS_MOST + 1}, "amount.tokens"),
        ({"tokens": "1"}, "amount.tokens"),
        ({"eur": "1"}, "amount"),
        (["usd"], "amount"),
        (["tokens"], "amount"),
    ],
)
def test_what_is_wrong_with_an_amount_is_named(amount: object, param: str) -> None:
    """The very member."""
    with pytest.raises(InvalidInput) as caught:
        Amount.from_json(amount)
    assert caught.value.param == param


def test_a_sum_is_refused_where_it_was_asked_for() -> None:
    """With the name that its asker has for it."""
    with pytest.raises(InvalidInput, match=r"^--budget is a sum in US dollars") as caught:
        nano_of("1,5", "--budget")
    assert caught.value.param == "--budget"


@given(st.integers(1, 10**18))
def test_money_is_read_as_it_is_written(nano: int) -> None:
    """Nothing is lost between nano-dollars and their decimal text."""
    assert Amount.from_json({"usd": usd(nano)}) == Amount(nano, "usd")


def test_money_has_two_places_at_least() -> None:
    """As people write it."""
    assert (usd(10 * NANO), usd(NANO // 2), usd(1)) == ("10.00", "0.50", "0.000000001")
    assert (usd(0), usd(-1), usd(-NANO * 3 // 2)) == ("0.00", "-0.000000001", "-1.50")


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


@pytest.mark.parametrize("members", [{"period": "day"}, {"period": "week", "first_day": 7}, {"first_day": 7}])
def test_a_window_that_is_over_does_not_begin_again(members: dict[str, Any]) -> None:
    """Newfoundland put its clocks back a minute after midnight: an hour that the clock showed as the day before's."""
    every = terms(time_zone="America/St_Johns", **members)
    midnight = datetime(2010, 11, 7, 2, 30, tzinfo=UTC)
    before, first = every.window(midnight - timedelta(seconds=1)), every.window(midnight)
    assert before.ends_at == first.starts_at == midnight
    for minutes in (1, 30, 59, 61, 90):
        assert every.window(midnight + timedelta(minutes=minutes)) == first
    assert first.ends_at is not None
    assert first.ends_at > midnight + timedelta(hours=24)


def test_a_total_never_ends() -> None:
    """It has one window."""
    window = terms(period="total").window(at("2026-11-30"))
    assert (window.starts_at, window.ends_at) == (EPOCH, None)
    assert datetime(1970, 1, 1, tzinfo=UTC) == EPOCH


ZONES = st.sampled_from(
    [
        "UTC",
        "America/St_Johns",
        "Europe/Berlin",
        "America/Santiago",
        "Asia/Beirut",
        "Australia/Lord_Howe",
        "Africa/Cairo",
    ]
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
