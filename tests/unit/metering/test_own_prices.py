"""Prices of a definition: which one holds for a name, when, and for which tier."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.unit.metering.readings import Used, per_million
from tieline.definitions.model import Price, PriceRate
from tieline.metering.own_prices import own_price_list
from tieline.metering.rates import Cost, PriceList, PriceTable

TIERS = (None, "batch", "flex")
SOURCE = ("2026-08-21", "https://a.example/prices")


def priced(usd: int, begins: str | None = None, ends: str | None = None) -> Price:
    """So many dollars for a million tokens read."""
    return Price(*SOURCE, {"input_tokens": per_million(usd)}, begins=begins, ends=ends)


def table(*definitions: dict[str, tuple[Price, ...]]) -> PriceTable:
    """The prices of each, the first before the others."""
    return PriceTable([PriceList(own_price_list(each)) for each in definitions])


def at(day: str) -> float:
    """Midnight in UTC, as seconds since the epoch."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def cost(prices: PriceTable, model: str, day: str = "2026-11-30", tier: str | None = None, **used: int) -> Cost:
    """What a million tokens read cost, or what was used."""
    return prices.cost(Used(model, used or {"input_tokens": 1_000_000}, tier), at(day))


@pytest.mark.parametrize(
    ("model", "usd"),
    [("gpt-4", 1), ("GPT-4", 1), ("gpt-4-mini", 2), ("gpt-4-mini-audio", 3), ("gpt-5-mini", 4), ("other", 5)],
)
def test_the_most_exact_name_counts(model: str, usd: int) -> None:
    """An exact one before globs, more letters before fewer, in whatever order they are written."""
    names = {"*": 5, "gpt-*": 4, "gpt-4*": 2, "gpt-4": 1, "gpt-4*audio": 3}
    prices = table({name: (priced(each),) for name, each in names.items()})
    assert cost(prices, model) == Cost(usd * 10**9)


def test_prices_hold_from_a_day_until_before_another() -> None:
    """Of those in force the last counts; before and after there is none."""
    prices = table({"m": (priced(1, "2026-01-01", "2026-07-01"), priced(2, "2026-06-01", "2026-08-01"))})
    found = [cost(prices, "m", day).nano for day in ("2025-12-31", "2026-01-01", "2026-06-01", "2026-07-31")]
    assert found == [None, 10**9, 2 * 10**9, 2 * 10**9]
    assert cost(prices, "m", "2026-08-01") == Cost(None, frozenset({"input_tokens"}))


def test_where_a_definition_has_no_price_now_the_list_behind_it_counts() -> None:
    """For models that it does not name, and for times that its prices do not hold for."""
    prices = table({"m": (priced(1, "2026-06-01"),)}, {"*": (priced(9),)})
    assert [cost(prices, "m", day).nano for day in ("2026-05-31", "2026-06-01")] == [9 * 10**9, 10**9]
    assert cost(prices, "n").nano == 9 * 10**9


def test_an_entry_that_only_says_a_window_leaves_the_prices() -> None:
    """It is for the bound of a call."""
    prices = table({"m": (Price(*SOURCE, window=77),)}, {"m": (priced(9),)})
    assert cost(prices, "m").nano == 9 * 10**9
    assert prices.window("m") == 77


def test_a_tier_has_its_own_rates_for_what_it_names() -> None:
    """Other quantities and other tiers have the standard ones."""
    rates = {"input_tokens": per_million(4), "output_tokens": per_million(8)}
    prices = table({"m": (Price(*SOURCE, rates, {"batch": {"input_tokens": per_million(2)}}),)})
    million = 1_000_000
    found = [cost(prices, "m", "2026-11-30", tier, input_tokens=million, output_tokens=million) for tier in TIERS]
    assert [each.nano for each in found] == [12 * 10**9, 10 * 10**9, 12 * 10**9]


def test_a_request_is_rounded_up_once() -> None:
    """From the exact sum: a third of a nano-dollar twice is one, not two."""
    third = PriceRate(Decimal("0.0012"), "hour")  # 333 and a third picos for a millisecond
    prices = table({"m": (Price(*SOURCE, {"audio_ms": third, "images": PriceRate(Decimal("0.0000003"), "1K")}),)})
    assert cost(prices, "m", audio_ms=1, images=1) == Cost(1)
    assert cost(prices, "m", audio_ms=3) == Cost(1)
    assert cost(prices, "m", audio_ms=4) == Cost(2)


def test_parts_that_exceed_their_whole_cost_what_they_cost() -> None:
    """Nothing is charged less for a figure that cannot be."""
    prices = table({"m": (Price(*SOURCE, {"input_tokens": per_million(4), "cached_input_tokens": per_million(1)}),)})
    assert cost(prices, "m", input_tokens=10, cached_input_tokens=1_000_000).nano == 10**9


def test_what_has_no_price_is_told() -> None:
    """And not what measures in another way what has one, nor quantities that nobody used."""
    prices = table({"m": (priced(1),)})
    found = cost(prices, "m", input_tokens=1_000_000, output_tokens=5, images=2, searches=1, audio_ms=0, their_own=3)
    assert found == Cost(10**9, frozenset({"output_tokens", "searches", "their_own"}))
    assert cost(prices, "m", images=2) == Cost(None, frozenset({"images"}))
    assert cost(prices, "m", cached_input_tokens=3, input_tokens=0) == Cost(0)


def test_steps_are_for_the_whole_request() -> None:
    """More than so many tokens read, not as many."""
    rates = {"input_tokens": per_million(1, (10, 2), (20, 3)), "output_tokens": per_million(1, (10, 5))}
    prices = table({"m": (Price(*SOURCE, rates),)})
    found = [cost(prices, "m", input_tokens=read, output_tokens=1).nano for read in (10, 11, 20, 21)]
    assert found == [11_000, 27_000, 45_000, 68_000]
