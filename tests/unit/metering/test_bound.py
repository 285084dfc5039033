"""What a call can cost at most: each part of the bound, and where there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from tests.unit.metering.readings import per_million
from tieline.definitions.model import Price, PriceRate
from tieline.metering.bound import ADDED_TOKENS, bound
from tieline.metering.own_prices import own_price_list
from tieline.metering.rates import PriceList, PriceTable

SOURCE = ("2026-08-21", "https://a.example")
READ = {"input_tokens": per_million(2), "cache_write_tokens": per_million(3), "output_tokens": per_million(8)}


@dataclass(frozen=True, slots=True)
class Asks:
    """What a request asks for."""

    model: str | None = "m"
    most_output: int | None = None
    inputs: int = 1
    choices: int = 1
    is_whole: bool = False
    tools: Mapping[str, int | None] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)


def table(
    rates: Mapping[str, PriceRate],
    tiers: Mapping[str, Mapping[str, PriceRate]] | None = None,
    window: int | None = 1_000,
) -> PriceTable:
    """The prices of the model ``m``."""
    price = Price("2026-08-21", "https://a.example", rates, tiers or {}, window=window)
    return PriceTable([PriceList(own_price_list({"m": (price,)}))])


def micro(found: int | None) -> float | None:
    """In micro-dollars."""
    return None if found is None else found / 1_000


def test_window_and_highest_rates_bound_a_call() -> None:
    """All that the model can read at the highest rate of reading, and all that it can write."""
    assert micro(bound(table(READ), Asks(), 10, 0)) == 1_000 * 3 + 1_000 * 8


def test_the_bound_follows_prices_from_the_moment_they_change() -> None:
    """What is remembered of a model holds until then, and no longer; before its first price there is no bound."""
    days = (("2026-06-01", "2026-07-01", 2), ("2026-07-01", None, 5))
    prices = tuple(
        Price(
            "2026-05-01", "https://a.example", {"input_tokens": per_million(usd)}, begins=begins, ends=ends, window=10
        )
        for begins, ends, usd in days
    )
    changing = PriceTable([PriceList(own_price_list({"m": prices}))])
    june, july = (datetime(2026, month, 1, tzinfo=UTC).timestamp() for month in (6, 7))
    moments = (june - 1, june, july - 1, july, july - 1, june - 1)
    assert [micro(bound(changing, Asks(), 1, each)) for each in moments] == [None, 20, 20, 50, 20, None]


def test_what_the_request_says_of_its_output_counts() -> None:
    """For each choice; never more than the window."""
    assert micro(bound(table(READ), Asks(most_output=100, choices=3), 10, 0)) == 1_000 * 3 + 300 * 8
    assert micro(bound(table(READ), Asks(most_output=5_000), 10, 0)) == 1_000 * 3 + 1_000 * 8


def test_bytes_bound_a_whole_request() -> None:
    """And what providers add; the window where that is smaller."""
    prices = table(READ, window=10_000)
    assert micro(bound(prices, Asks(is_whole=True, most_output=1), 10, 0)) == (10 + ADDED_TOKENS) * 3 + 8
    assert micro(bound(prices, Asks(is_whole=True, most_output=1), 100_000, 0)) == 10_000 * 3 + 8


def test_a_whole_request_needs_no_window() -> None:
    """Its bytes and what it says of its output bound it; without either there is no bound."""
    prices = table(READ, window=None)
    assert micro(bound(prices, Asks(is_whole=True, most_output=1), 10, 0)) == (10 + ADDED_TOKENS) * 3 + 8
    assert bound(prices, Asks(is_whole=True), 10, 0) is None
    assert bound(prices, Asks(most_output=1), 10, 0) is None


def test_texts_that_are_read_apart_have_a_window_each() -> None:
    """A list of texts to embed, or of prompts."""
    assert micro(bound(table(READ), Asks(inputs=4, most_output=1), 10, 0)) == 4 * (1_000 * 3 + 8)


def test_sounds_and_pictures_are_not_in_a_whole_request() -> None:
    """Whose input is text; elsewhere their rates count, as the highest."""
    prices = table(READ | {"input_audio_tokens": per_million(40)})
    assert micro(bound(prices, Asks(most_output=0), 10, 0)) == 1_000 * 40
    assert micro(bound(prices, Asks(most_output=0, is_whole=True), 10, 0)) == 1_000 * 3


def test_the_dearest_tier_bounds_all() -> None:
    """The provider may choose it."""
    prices = table(READ, {"priority": {"output_tokens": per_million(16)}, "flex": {"output_tokens": per_million(4)}})
    assert micro(bound(prices, Asks(most_output=10), 10, 0)) == 1_000 * 3 + 10 * 16


def test_long_contexts_count_where_they_can_be_reached() -> None:
    """A step above what the request can come to does not."""
    prices = table({"input_tokens": per_million(2, (5_000, 20)), "output_tokens": per_million(1)}, window=10_000)
    assert micro(bound(prices, Asks(most_output=0), 10, 0)) == 10_000 * 20
    assert micro(bound(prices, Asks(most_output=0, is_whole=True), 10, 0)) == (10 + ADDED_TOKENS) * 2


def test_tools_count_with_their_caps_and_the_turns_they_add() -> None:
    """Each use may make the model read and write again."""
    prices = table(READ | {"searches": PriceRate(per_million(10).usd, "1K")})
    assert micro(bound(prices, Asks(tools={"searches": 2}), 10, 0)) == 3 * (1_000 * 3 + 1_000 * 8) + 2 * 10_000
    assert bound(prices, Asks(tools={"searches": None}), 10, 0) is None
    assert bound(prices, Asks(tools={"code_executions": 2}), 10, 0) is None


def test_a_window_of_a_providers_list_has_a_margin() -> None:
    """Lists round windows: what the model really takes is bounded too."""
    price = Price("2026-08-21", "https://a.example", READ, window=1_000_000)
    listed = PriceTable([PriceList({**own_price_list({"m": (price,)}), "own": False})])
    assert micro(bound(listed, Asks(most_output=0), 10, 0)) == 1_050_000 * 3


@pytest.mark.parametrize("model", [None, "n"])
def test_without_a_price_there_is_no_bound(model: str | None) -> None:
    """No model, or one that nobody has priced."""
    assert bound(table(READ), Asks(model=model), 10, 0) is None


def test_what_the_request_settles_itself_is_bounded() -> None:
    """Images by their number, characters by the body's length; nothing bounds the length of a sound."""
    assert micro(bound(table({"images": per_million(4)}), Asks(most={"images": 2}), 10, 0)) == 8
    assert bound(table({"images": per_million(4)}), Asks(), 10, 0) is None
    assert micro(bound(table({"characters": per_million(4)}), Asks(is_whole=True), 10, 0)) == 40
    assert bound(table({"audio_ms": PriceRate(per_million(4).usd, "minute")}), Asks(), 10, 0) is None
    assert micro(bound(table({"requests": per_million(4)}), Asks(), 10, 0)) == 4


def test_a_part_that_costs_more_than_its_whole_bounds_it() -> None:
    """All of it may be of that part."""
    prices = table({"pages": per_million(1), "annotated_pages": per_million(3)})
    assert micro(bound(prices, Asks(most={"pages": 5}), 10, 0)) == 15
