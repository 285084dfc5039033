"""What a request holds of its limits: all or nothing, freed once."""

import os
from collections.abc import Iterator

import pytest

from tieline.access.limits import RequestLimits
from tieline.core.errors import ConcurrencyLimited, RateLimited
from tieline.dataplane.limits.bounds import Bounds, bounds_of
from tieline.dataplane.limits.held import Held
from tieline.dataplane.limits.limiter import Limiter
from tieline.dataplane.limits.table import NodeTables, open_files
from tieline.metering.reading import UsageReading


@pytest.fixture
def limiter() -> Iterator[Limiter]:
    """A limiter of a node with one worker."""
    files = open_files(None)
    tables = NodeTables.of(files, 0, 1)
    yield Limiter(tables)
    tables.close()
    for file in files:
        os.close(file)


PEER = "192.0.2.1"


def bounds(**limits: object) -> Bounds:
    """The bounds of a key with these limits."""
    found = bounds_of(RequestLimits.from_json(limits), "key", "key_1")
    assert found is not None
    return found


def test_slots_are_freed_once(limiter: Limiter) -> None:
    """Freeing twice gives no more back than was taken."""
    two = bounds(concurrent=2)
    first, second = limiter.hold(two, PEER), limiter.hold(two, PEER)
    assert isinstance(first, Held)
    assert isinstance(second, Held)
    assert isinstance(limiter.hold(two, PEER), ConcurrencyLimited)
    first.free()
    first.free()
    assert isinstance(limiter.hold(two, PEER), Held)
    assert isinstance(limiter.hold(two, PEER), ConcurrencyLimited)


def test_tokens_are_charged_afterwards_and_a_debt_refuses(limiter: Limiter) -> None:
    """A request fits while something is left, whatever it will use; then nothing fits until that is worn off."""
    hundred = bounds(tokens_per_minute=100)
    held = limiter.hold(hundred, PEER)
    assert isinstance(held, Held)
    held.end(
        UsageReading(
            "m",
            None,
            {"input_tokens": 100, "cached_input_tokens": 90, "output_tokens": 50},
            others=(UsageReading("n", None, {"input_tokens": 100, "audio_ms": 9}),),
        )
    )
    held.end(UsageReading("m", None, {"input_tokens": 100}))
    refused = limiter.hold(hundred, PEER)
    assert isinstance(refused, RateLimited)
    assert "100 tokens a minute" in refused.public
    assert refused.retry_after is not None
    assert 90 < refused.retry_after <= 90.6


def test_several_windows_hold_at_once(limiter: Limiter) -> None:
    """The narrower one refuses first, and says so; what is left of the other is as it was."""
    both = bounds(rates=[{"requests": 2, "per": "second"}, {"requests": 100, "per": "day"}])
    held = [limiter.hold(both, PEER) for _ in range(3)]
    assert [isinstance(each, Held) for each in held] == [True, True, False]
    assert isinstance(held[2], RateLimited)
    assert "2 requests a second" in held[2].public
    assert isinstance(held[1], Held)
    assert [each.remaining for each in held[1].left] == [0, 98]


def test_another_number_begins_fresh_but_what_is_under_way_counts(limiter: Limiter) -> None:
    """A new rate is a new limit; slots are those of the key, whatever their number is now."""
    assert isinstance(limiter.hold(bounds(rates=[{"requests": 1, "per": "day"}], concurrent=1), PEER), Held)
    assert isinstance(limiter.hold(bounds(rates=[{"requests": 2, "per": "day"}]), PEER), Held)
    assert isinstance(limiter.hold(bounds(concurrent=1), PEER), ConcurrencyLimited)
    assert isinstance(limiter.hold(bounds(concurrent=2), PEER), Held)


def held(limiter: Limiter, of: Bounds, peer: str = PEER, *, stream: bool = False) -> Held:
    """What a request holds that is let through."""
    found = limiter.hold(of, peer, stream=stream)
    assert isinstance(found, Held)
    return found


def test_whoever_asks_for_a_stream_holds_one_until_it_turns_out_to_be_none(limiter: Limiter) -> None:
    """A slot of streams is taken at the start, given back at an answer that is none, and freed once with the rest."""
    one = bounds(streams=1, concurrent=9)
    first = held(limiter, one, stream=True)
    refused = limiter.hold(one, PEER, stream=True)
    assert isinstance(refused, ConcurrencyLimited)
    assert "1 stream at once" in refused.public
    assert first.answered(stream=False) is None
    second = held(limiter, one, stream=True)
    assert second.answered(stream=True) is None
    assert isinstance(first.answered(stream=True), ConcurrencyLimited)
    first.free()
    second.free()
    second.free()
    third = held(limiter, one)
    assert third.answered(stream=True) is None
    assert third.answered(stream=True) is None
    assert isinstance(held(limiter, one).answered(stream=True), ConcurrencyLimited)
    third.free()
    assert held(limiter, one, stream=True).answered(stream=True) is None


def test_a_request_that_has_ended_takes_no_slot(limiter: Limiter) -> None:
    """An answer that comes after the client left holds nothing that nobody would free."""
    one = bounds(streams=1)
    gone = held(limiter, one)
    gone.free()
    assert gone.answered(stream=True) is None
    assert isinstance(limiter.hold(one, PEER, stream=True), Held)


def test_every_address_has_a_rate_for_itself(limiter: Limiter) -> None:
    """An IPv6 address is counted by its /64, a mapped one as what it stands for; what is refused later takes none."""
    each = bounds(per_address={"requests": 1, "per": "day"}, concurrent=4)
    peers = ["192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "2001:db8:0:2::1"]
    kept = [held(limiter, each, peer) for peer in peers]
    for peer in [*peers, "::ffff:192.0.2.1", "2001:db8:0:1:ffff::9", "2001:db8:0:2::5%eth0"]:
        refused = limiter.hold(each, peer)
        assert isinstance(refused, RateLimited)
        assert "1 request a day from each address" in refused.public
    fifth = "192.0.2.5"
    assert isinstance(limiter.hold(each, fifth), ConcurrencyLimited)
    kept[0].free()
    assert isinstance(limiter.hold(each, fifth), Held)


def test_whoever_is_refused_for_one_limit_has_taken_no_other(limiter: Limiter) -> None:
    """Slots, streams and rates are as before, whichever of them it was that did not fit."""
    every = bounds(rates=[{"requests": 3, "per": "day"}], concurrent=2, streams=1)
    first = held(limiter, every, stream=True)
    for _ in range(5):
        assert isinstance(limiter.hold(every, PEER, stream=True), ConcurrencyLimited)
    assert [left.remaining for left in limiter.look(every, PEER)] == [2, 1, 0]
    second = held(limiter, every)
    assert isinstance(limiter.hold(every, PEER), ConcurrencyLimited)
    second.free()
    first.free()
    assert [left.remaining for left in limiter.look(every, PEER)] == [1, 2, 1]
