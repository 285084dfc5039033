"""When a request is sent again."""

import time
from datetime import UTC, datetime
from email.utils import formatdate

import pytest

from tieline.dataplane.attempt.retry import is_transient, pause, retry_after

NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"7", 7.0),
        (b"0", 0.0),
        (b"1.5", 1.5),
        (b"9" * 60, 1e9),
        (b"Thu, 26 Nov 99999999999 12:00:30 GMT", None),
        (b"Thu, 26 Nov 2026 12:00:30 GMT", 30.0),
        (b"Thursday, 26-Nov-26 12:00:30 GMT", 30.0),
        (b"Thu, 26 Nov 2026 11:00:00 GMT", 0.0),
        (b"soon", None),
        (b"-3", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: bytes, seconds: float | None) -> None:
    """Seconds and dates (RFC 9110 section 10.2.3); a date that has passed is now."""
    assert retry_after([(b"Retry-After", value)], NOW) == seconds


def test_a_date_is_held_against_the_clock_of_this_machine() -> None:
    """Where no other time is given; dates have whole seconds."""
    now = time.time()
    in_a_while = formatdate(now + 20, usegmt=True).encode()
    assert now + 20 - 1 - time.time() <= (retry_after([(b"Retry-After", in_a_while)]) or 0.0) <= 20
    assert retry_after([(b"Retry-After", in_a_while)], now - 100) == int(now + 20) - (now - 100)


def test_what_the_upstream_asks_for_is_waited() -> None:
    """Its own word goes before the customary pauses."""
    assert pause(1, [(b"retry-after", b"3")]) == 3.0


def test_a_fraction_of_a_second_is_waited_too() -> None:
    """Who comes back before the time that was asked for is refused again."""
    assert pause(1, [(b"retry-after", b"1.5")]) == 1.5


def test_a_long_wait_is_left_to_the_caller() -> None:
    """Nobody is kept waiting for more than half a minute."""
    assert pause(1, [(b"retry-after", b"30")]) == 30.0
    assert pause(1, [(b"retry-after", b"31")]) is None


def test_pauses_double_and_are_never_the_same() -> None:
    """At least half of each is kept, all of the other half is random, eight seconds are the most."""
    for tries, longest in ((1, 0.25), (2, 0.5), (3, 1.0), (9, 8.0)):
        pauses = [pause(tries) or 0.0 for _ in range(300)]
        assert all(longest / 2 <= each <= longest for each in pauses)
        assert min(pauses) < longest * 0.6
        assert max(pauses) > longest * 0.9


def test_only_passing_troubles_are_tried_again() -> None:
    """What the request itself is wrong about stays wrong."""
    assert [status for status in range(200, 600) if is_transient(status)] == [408, 429, 500, 502, 503, 504]
