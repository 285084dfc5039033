"""Whoever comes with unknown keys again and again is told to wait; the memory of it is bounded."""

import pytest

from tieline.core.errors import InvalidAppKey, RateLimited
from tieline.dataplane.admission import strangers as module
from tieline.dataplane.admission.strangers import RATE, Strangers


def test_beyond_the_rate_an_address_is_told_to_wait_and_others_are_not() -> None:
    """The sixty-first of a minute is a 429 that says what is wrong and when to come back."""
    strangers = Strangers()
    for _ in range(RATE.units):
        assert isinstance(strangers.refusal("2001:db8::1"), InvalidAppKey)
    refused = strangers.refusal("2001:db8::2")
    assert isinstance(refused, RateLimited)
    assert "unknown app keys" in refused.public
    assert refused.retry_after is not None
    assert 0 < refused.retry_after <= 1
    assert isinstance(strangers.refusal("2001:db8:0:1::1"), InvalidAppKey)


def test_the_address_that_came_last_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand others push out none that goes on."""
    monkeypatch.setattr(module, "ADDRESSES_MOST", 100)
    strangers = Strangers()
    for number in range(500):
        strangers.refusal(f"198.51.{number // 250}.{number % 250}")
        last = strangers.refusal("192.0.2.1")
    assert isinstance(last, RateLimited)
    assert len(strangers._arrivals) <= 100
