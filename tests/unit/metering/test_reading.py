"""How single figures of an upstream's are read and added up."""

from typing import Any

import pytest

from tieline.metering.reading import Tally, UsageReading, milliseconds, name_in, together, whole


@pytest.mark.parametrize(
    ("figure", "count"),
    [(0, 0), (12, 12), (12.0, 12), ("12", 12), (" 7 ", 7), ("12.0", 12), (1e3, 1000), (10**15, 10**15)],
)
def test_counts_are_read_however_they_are_written(figure: Any, count: int) -> None:
    """Services that write whole numbers as text or with a point mean what they say."""
    assert whole(figure) == count


@pytest.mark.parametrize(
    "figure",
    [-1, "-1", 1.5, True, float("nan"), float("inf"), "NaN", "", "1_000", "١٢", "0x10", [], {}, 10**15 + 1],
)
def test_what_is_no_count_is_none(figure: Any) -> None:
    """It is never taken for 0."""
    assert whole(figure) is None


def test_figures_of_thousands_of_digits_are_no_counts() -> None:
    """Nothing is written out to find that out."""
    assert [whole(each) for each in (10**5000, -(10**5000), "9" * 100_000, 1e300, "1e99", None)] == [None] * 6


def test_a_begun_millisecond_counts() -> None:
    """Nobody is billed for less time than was used."""
    assert milliseconds(1.2341) == 1235
    assert milliseconds("0.1") == 100
    assert milliseconds(float("nan")) is None


def test_an_odd_figure_is_told_and_leaves_the_others() -> None:
    """A figure that is missing is neither odd nor 0."""
    tally = Tally()
    tally.note("input_tokens", 3, "usage.prompt_tokens")
    tally.note("output_tokens", -4, "usage.completion_tokens")
    tally.note("searches", None, "usage.searches")
    assert tally.counts == {"input_tokens": 3}
    assert tally.unread == {"usage.completion_tokens"}


def test_what_is_told_in_two_places_is_added_up() -> None:
    """Times are told in seconds, fractions too."""
    tally, more = Tally(), Tally()
    tally.note("audio_ms", 1.5, "a")
    more.note("audio_ms", "0.25", "b")
    tally.add(more)
    assert tally.counts == {"audio_ms": 1750}


def test_a_tally_is_bounded() -> None:
    """However many names an answer makes up."""
    tally = Tally()
    for each in range(1000):
        tally.note(f"n{each}", 1, "x")
        tally.odd(f"p{each}")
    assert len(tally.counts) == 50
    assert len(tally.unread) == 20


@pytest.mark.parametrize("value", [None, 3, "", "x" * 201, "a\nb"])
def test_what_is_no_name_is_none(value: Any) -> None:
    """Models and tiers end up in records and prices."""
    assert name_in(value) is None


def test_exchanges_that_count_as_one_are_added_up_by_model() -> None:
    """None is nothing; what is a guess in one is one in the sum."""
    first = UsageReading("a", None, {"requests": 1})
    second = UsageReading("a", None, {"requests": 2, "pages": 3}, estimated=True, unread=frozenset({"x"}))
    assert [together(None, None), together(first, None), together(None, first)] == [None, first, first]
    summed = UsageReading("a", None, {"requests": 3, "pages": 3}, estimated=True, unread=frozenset({"x"}))
    assert together(first, second) == summed
    other = UsageReading("b", None, {"requests": 5})
    assert together(UsageReading("a", None, {"requests": 1}, others=(other,)), other) == UsageReading(
        "a", None, {"requests": 1}, others=(UsageReading("b", None, {"requests": 10}),)
    )
