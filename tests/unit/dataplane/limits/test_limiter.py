"""What a request holds of its limits: all or nothing, freed once."""

import os
from collections.abc import Iterator

import pytest

from tieline.access.limits import RequestLimits
from tieline.core.errors import ConcurrencyLimited, RateLimited
from tieline.dataplane.limits.bounds import Bound, bounds_of
from tieline.dataplane.limits.limiter import Held, Limiter
from tieline.dataplane.limits.table import NodeTable, open_file


@pytest.fixture
def limiter() -> Iterator[Limiter]:
    """A limiter of a node with one worker."""
    file = open_file(None)
    table = NodeTable(file, 0, 1)
    yield Limiter(table)
    table.close()
    os.close(file)


def bounds(**limits: object) -> tuple[Bound, ...]:
    """The bounds of a key with these limits."""
    return bounds_of(RequestLimits.from_json(limits), "key", "key_1")


def test_slots_are_freed_once(limiter: Limiter) -> None:
    """Freeing twice gives no more back than was taken."""
    two = bounds(concurrent=2)
    first, second = limiter.hold(two), limiter.hold(two)
    assert isinstance(first, Held)
    assert isinstance(second, Held)
    assert isinstance(limiter.hold(two), ConcurrencyLimited)
    first.free()
    first.free()
    assert isinstance(limiter.hold(two), Held)
    assert isinstance(limiter.hold(two), ConcurrencyLimited)


def test_tokens_are_charged_afterwards_and_a_debt_refuses(limiter: Limiter) -> None:
    """A request fits while something is left, whatever it will use; then nothing fits until that is worn off."""
    hundred = bounds(tokens_per_minute=100)
    held = limiter.hold(hundred)
    assert isinstance(held, Held)
    held.charge(250)
    refused = limiter.hold(hundred)
    assert isinstance(refused, RateLimited)
    assert "100 tokens a minute" in refused.public
    assert refused.retry_after is not None
    assert 90 < refused.retry_after <= 90.6


def test_several_windows_hold_at_once(limiter: Limiter) -> None:
    """The narrower one refuses first, and says so; what is left of the other is as it was."""
    both = bounds(rates=[{"requests": 2, "per": "second"}, {"requests": 100, "per": "day"}])
    held = [limiter.hold(both) for _ in range(3)]
    assert [isinstance(each, Held) for each in held] == [True, True, False]
    assert isinstance(held[2], RateLimited)
    assert "2 requests a second" in held[2].public
    assert isinstance(held[1], Held)
    assert [decision.remaining for _, decision in held[1].rates] == [0, 98]


def test_another_number_begins_fresh_but_what_is_under_way_counts(limiter: Limiter) -> None:
    """A new rate is a new limit; slots are those of the key, whatever their number is now."""
    assert isinstance(limiter.hold(bounds(rates=[{"requests": 1, "per": "day"}], concurrent=1)), Held)
    assert isinstance(limiter.hold(bounds(rates=[{"requests": 2, "per": "day"}])), Held)
    assert isinstance(limiter.hold(bounds(concurrent=1)), ConcurrencyLimited)
    assert isinstance(limiter.hold(bounds(concurrent=2)), Held)
