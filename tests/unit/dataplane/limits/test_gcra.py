"""The rate in integers against a model in fractions."""

import random
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from throttled import MemoryStore, Throttled, per_duration, utils

from tieline.dataplane.limits.gcra import Arrival, Rate

FRESH = Arrival(0, 0)


class Bucket:
    """A bucket that holds ``units`` and fills at an even pace, as an exact model of a rate."""

    def __init__(self, rate: Rate, now: int) -> None:
        self.rate, self.level, self.at = rate, Fraction(rate.units), now

    def fill(self, now: int) -> None:
        gained = Fraction((now - self.at) * self.rate.units, self.rate.period)
        self.level, self.at = min(Fraction(self.rate.units), self.level + gained), now

    def take(self, now: int, amount: int) -> bool:
        self.fill(now)
        fits = self.level >= amount
        self.level -= amount if fits else 0
        return fits


rates = st.builds(Rate, st.integers(1, 1000), st.sampled_from([1, 7, 1000, 1_000_000, 60_000_000, 86_400_000_000]))
steps = st.lists(st.tuples(st.integers(0, 2_000_000_000), st.integers(0, 3), st.booleans()), max_size=60)


@given(rates, st.integers(0, 10**15), steps)
def test_it_decides_as_an_exact_bucket_does(rate: Rate, now: int, asked: list[tuple[int, int, bool]]) -> None:
    """Taking and charging leave the same level, whatever the rate divides into."""
    arrival, bucket = FRESH, Bucket(rate, now)
    for pause, amount, charged in asked:
        now += pause % (rate.period + 1)
        if charged:
            bucket.fill(now)
            bucket.level -= amount
            arrival = rate.charge(arrival, now, amount)
        else:
            taken = rate.take(arrival, now, amount)
            assert taken.fits is bucket.take(now, amount)
            arrival = taken.arrival
            assert taken.remaining == max(0, int(bucket.level))
            if not taken.fits and amount <= rate.units:
                assert not rate.take(arrival, now + taken.wait - 1, amount).fits
                assert rate.take(arrival, now + taken.wait, amount).fits
        assert rate.look(arrival, now + rate.look(arrival, now).reset).remaining == rate.units


def test_a_rate_lets_its_units_through_at_once_and_then_one_at_a_time() -> None:
    """Seven a second: seven at once, the eighth after a seventh of a second, rounded up to a microsecond."""
    rate, arrival, now = Rate(7, 1_000_000), FRESH, 5_000_000
    for left in range(6, -1, -1):
        taken = rate.take(arrival, now)
        assert (taken.fits, taken.remaining) == (True, left)
        arrival = taken.arrival
    refused = rate.take(arrival, now)
    assert (refused.fits, refused.wait, refused.arrival, refused.reset) == (False, 142_858, arrival, 1_000_000)
    assert rate.take(arrival, now + 142_858).fits


def test_what_was_used_beyond_the_rate_is_a_debt() -> None:
    """Tokens are known afterwards: what went beyond has to be worn off first."""
    rate = Rate(100, 60_000_000)
    arrival = rate.charge(FRESH, 1_000, 150)
    assert rate.take(arrival, 1_000).wait == 30_600_000
    assert rate.look(rate.charge(arrival, 1_000, -150), 1_000).remaining == 100


def test_more_than_a_rate_ever_lets_through_never_fits() -> None:
    """Asking for eleven of ten is refused also after a rest."""
    assert not Rate(10, 1_000).take(FRESH, 10**12, 11).fits


@pytest.mark.parametrize(("units", "period"), [(0, 1), (1, 0), (-1, 1), (10**9 + 1, 1), (1, 367 * 86_400 * 10**6)])
def test_rates_out_of_bounds_are_no_rates(units: int, period: int) -> None:
    """Numbers that a signed 64-bit cell could not hold are refused when the rate is made."""
    with pytest.raises(ValueError, match="a rate is 1 to"):
        Rate(units, period)


def test_a_rate_equals_the_model_over_many_steps(soak: bool) -> None:
    """One state carried on and on: bursts, rests, charges and clocks that stand still never drift from the model."""
    randomness = random.Random(20261130)
    left = 1_000_000 if soak else 10_000
    while left > 0:
        rate = Rate(randomness.randint(1, 10_000), randomness.choice([7, 1000, 1_000_000, 60_000_000, 86_400_000_000]))
        now = randomness.randrange(10**15)
        arrival, bucket = FRESH, Bucket(rate, now)
        for _ in range(min(left, 5_000)):
            pace = rate.period // rate.units + 1
            now += randomness.choice([0, 0, 1, randomness.randint(0, 2 * pace), randomness.randint(0, rate.period)])
            amount = randomness.choice([1, 1, 1, 0, randomness.randint(1, rate.units + 1)])
            if randomness.random() < 0.05:
                bucket.fill(now)
                bucket.level -= amount
                arrival = rate.charge(arrival, now, amount)
            else:
                taken = rate.take(arrival, now, amount)
                assert taken.fits is bucket.take(now, amount)
                assert taken.remaining == max(0, int(bucket.level))
                arrival = taken.arrival
        left -= 5_000


class Seconds:
    """A clock that stands still until a test moves it."""

    now = 1_024.0

    def __call__(self) -> float:
        return self.now


def test_a_rate_decides_as_a_library_that_others_wrote(monkeypatch: pytest.MonkeyPatch, soak: bool) -> None:
    """Step by step on one clock against throttled-py's GCRA.

    It counts in floating point, so all that it meets is whole 64ths of a second, of which no sum is ever rounded.
    """
    clock = Seconds()
    monkeypatch.setattr(utils, "now_mono_f", clock)
    randomness = random.Random(20261130)
    left = 1_000_000 if soak else 40_000
    refused = 0
    while left > 0:
        units = 2 ** randomness.randint(0, 12)
        quota = per_duration(timedelta(seconds=64), units, burst=units)
        theirs = Throttled(key="k", using="gcra", quota=quota, store=MemoryStore())
        ours, arrival = Rate(units, 64_000_000), FRESH
        for _ in range(5_000):
            pace = max(1, 4_096 // units)
            clock.now += randomness.choice((0, 0, 1, pace, randomness.randint(0, 3 * pace))) / 64
            amount = randomness.choice((1, 1, 1, 2, randomness.randint(1, units)))
            taken, found = ours.take(arrival, int(clock.now * 1_000_000), amount), theirs.limit(cost=amount)
            assert taken.fits is not found.limited
            assert taken.remaining == found.state.remaining
            refused += found.limited
            arrival = taken.arrival
        left -= 5_000
    assert refused > 1_000
