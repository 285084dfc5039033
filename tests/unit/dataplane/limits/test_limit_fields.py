"""What answers say of limits: the fields of the draft, and those that OpenAI's SDKs know."""

import pytest

from tieline.access.limits import RequestLimits
from tieline.dataplane.limits.bounds import Owner, bounds_of
from tieline.dataplane.limits.fields import fields_of
from tieline.dataplane.limits.held import Left

SECOND = 1_000_000


def told(*left: tuple[int, int], owner: Owner = "key", openai: bool = True, **limits: object) -> dict[str, str]:
    """The fields, by name, where so many are left and reset after so many microseconds, in the order of the bounds."""
    bounds = bounds_of(RequestLimits.from_json(limits), owner, "id")
    assert bounds is not None
    states = [Left(bound, *each) for bound, each in zip(bounds.shared, left, strict=True)]
    lines = fields_of(states, openai=openai).decode().split("\r\n")
    assert lines.pop() == ""
    return dict(line.split(": ", 1) for line in lines)


def test_every_window_of_a_key_is_told_with_what_is_left_of_it() -> None:
    """Names are the same in both fields, quoted; a slot has a unit and no window."""
    rates = [{"requests": 60, "per": "minute"}, {"requests": 1000, "per": "day"}]
    found = told((59, SECOND), (999, 86_400_001), (3, 0), rates=rates, concurrent=4)
    assert found["ratelimit-policy"] == (
        '"tieline-key-minute";q=60;w=60, "tieline-key-day";q=1000;w=86400, '
        '"tieline-key-concurrent";q=4;qu="concurrent-requests"'
    )
    assert found["ratelimit"] == (
        '"tieline-key-minute";r=59;t=1, "tieline-key-day";r=999;t=87, "tieline-key-concurrent";r=3'
    )


def test_openai_s_fields_are_of_the_rate_of_which_least_is_left() -> None:
    """The smallest part counts, not the smallest number; tokens are no requests."""
    rates = [{"requests": 10, "per": "second"}, {"requests": 1000, "per": "day"}]
    found = told((9, 100_000), (800, 17_280 * SECOND), (0, SECOND), rates=rates, tokens_per_minute=100)
    assert found["x-ratelimit-limit-requests"] == "1000"
    assert found["x-ratelimit-remaining-requests"] == "800"
    assert found["x-ratelimit-reset-requests"] == "4h48m0s"
    assert '"tieline-key-tokens";q=100;w=60;qu="tokens"' in found["ratelimit-policy"]


@pytest.mark.parametrize(
    ("micros", "said"),
    [(0, "0ms"), (1, "1ms"), (12_000, "12ms"), (SECOND, "1s"), (1_500_000, "1.5s"), (360 * SECOND, "6m0s"),
     (3_605 * SECOND, "1h0m5s"), (90_050_000, "1m30.05s"), (59_999_999, "1m0s")],
)  # fmt: skip
def test_times_are_written_as_openai_writes_them(micros: int, said: str) -> None:
    """Rounded up to a millisecond, so that nobody who waits as long comes too early."""
    found = told((5, micros), rates=[{"requests": 10, "per": "hour"}])
    assert found["x-ratelimit-reset-requests"] == said


def test_where_nothing_is_left_the_time_is_that_of_the_next() -> None:
    """Six of six a minute are gone at once: one fits again after ten seconds, all of them after sixty."""
    found = told((0, 60 * SECOND), rates=[{"requests": 6, "per": "minute"}])
    assert found["ratelimit"] == '"tieline-key-minute";r=0;t=10'
    assert found["x-ratelimit-reset-requests"] == "1m0s"


def test_an_upstream_s_own_fields_are_not_doubled_and_those_of_an_api_are_nobody_s_business() -> None:
    """Without OpenAI's; and nothing of a limit that other apps share."""
    rates = [{"requests": 6, "per": "minute"}]
    assert set(told((1, 1), rates=rates, openai=False)) == {"ratelimit-policy", "ratelimit"}
    assert told((1, 1), rates=rates, owner="API") == {}
