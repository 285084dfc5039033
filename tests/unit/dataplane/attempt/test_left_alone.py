"""The attempt loop and the breaker and retry budget of an upstream: when it is left alone, and for whose fault."""

import asyncio

import pytest

from tests.unit.dataplane.attempt.fakes import FakeHead, FakeSender, plan, run
from tieline.core.errors import (
    Overloaded,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from tieline.dataplane.attempt.loop import Policy
from tieline.dataplane.attempt.prepare import Message, Prepared
from tieline.dataplane.snapshot.plan import Plan
from tieline.wire.breaker import IN_A_ROW, Breaker

BLAMED: dict[str, tuple[UpstreamError, dict[str, bool], bool]] = {
    "nobody could be reached": (UpstreamUnreachable("no"), {"unsent": True, "stale": True}, True),
    "a new connection was lost": (UpstreamUnreachable("gone"), {"stale": False}, True),
    "an idle connection was lost": (UpstreamUnreachable("gone"), {"stale": True}, False),
    "what it sent is no HTTP": (UpstreamProtocolError("no HTTP"), {"sent": True}, True),
    "it spoke no TLS": (UpstreamProtocolError("no TLS"), {"unsent": True, "sent": False}, True),
    "the client's body came too slowly": (UpstreamTimeout("late"), {"sent": False}, False),
}


@pytest.mark.parametrize("name", BLAMED)
async def test_for_which_failures_an_upstream_is_left_alone(name: str) -> None:
    """For its own; a connection that it closed while it was idle, and a client that did not send, are none."""
    error, flags, is_blamed = BLAMED[name]
    to, sender = await plan(), FakeSender(error)
    for flag, value in flags.items():
        setattr(sender, flag, value)
    with pytest.raises(type(error)):
        await run(sender, to, Policy(1, idempotent=True))
    assert to.lane is not None
    assert to.lane.breaker.failures == is_blamed


def failed(to: Plan) -> Breaker:
    """The breaker of a plan whose upstream has failed so often that it is left alone."""
    assert to.lane is not None
    for _ in range(IN_A_ROW):
        to.lane.breaker.ended(good=False)
    assert to.lane.breaker.open
    return to.lane.breaker


async def test_an_upstream_that_failed_again_and_again_is_left_alone() -> None:
    """Nothing is sent, and who asks is told when to come back; answers below 502 are no failures."""
    to, once = await plan(), Policy(1, idempotent=True)
    for status in (*[500, 429] * IN_A_ROW, *[503] * (IN_A_ROW - 1), 200, 502, 504, 503, 502, 504):
        assert (await run(FakeSender(FakeHead(status)), to, once)).status == status
    sender = FakeSender(FakeHead())
    with pytest.raises(Overloaded) as caught:
        await run(sender, to, once)
    assert sender.heads == []
    assert 0 < (caught.value.retry_after or 0) <= 1


async def test_an_api_without_a_breaker_is_asked_whatever_it_answers() -> None:
    """Also where it had one until now."""
    to = await plan(limits={"breaker": False})
    breaker = failed(to)
    for answer in (*[FakeHead(503)] * IN_A_ROW, FakeHead()):
        assert await run(FakeSender(answer), to, Policy(1, idempotent=True)) is answer
    with pytest.raises(UpstreamUnreachable):
        await run(FakeSender(UpstreamUnreachable("no")), to, Policy(1, idempotent=True))
    assert (breaker.open, breaker.failures, breaker.successes) == (False, IN_A_ROW, IN_A_ROW + 1)


async def test_an_upstream_that_was_left_alone_is_tried_and_used_again() -> None:
    """After its pause, by one request at a time; two good answers, and it is as before."""
    to, once = await plan(), Policy(1, idempotent=True)
    breaker = failed(to)
    for _ in range(2):
        assert breaker.open
        breaker._next = 0.0
        await run(FakeSender(FakeHead()), to, once)
    assert not breaker.open
    assert breaker.successes == 2


async def test_a_probe_that_failed_leaves_the_upstream_alone_for_longer() -> None:
    """And one of which nobody knows what became of it lets the next one through at once."""
    to, once = await plan(), Policy(1, idempotent=True)
    breaker = failed(to)
    for _ in range(2):
        breaker._next = 0.0
        await run(FakeSender(FakeHead(503)), to, once)
    with pytest.raises(Overloaded) as caught:
        await run(FakeSender(FakeHead()), to, once)
    assert 2 < (caught.value.retry_after or 0) <= 4
    breaker._next = 0.0

    class Left(FakeSender):
        async def send(self, message: Message, prepared: Prepared) -> FakeHead:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run(Left(), to, once)
    assert (await run(FakeSender(FakeHead()), to, once)).status == 200
    assert (breaker.open, breaker.failures) == (True, IN_A_ROW + 2)


async def test_what_was_sent_before_an_upstream_recovered_says_nothing_about_it_now() -> None:
    """Old failures, which come in late, do not close it off again."""
    to, recovered = await plan(), asyncio.Event()
    assert to.lane is not None
    breaker = to.lane.breaker

    class Late(FakeSender):
        async def send(self, message: Message, prepared: Prepared) -> FakeHead:
            await recovered.wait()
            return await super().send(message, prepared)

    once = Policy(1, idempotent=True)
    sent = [asyncio.create_task(run(Late(FakeHead(503)), to, once)) for _ in range(IN_A_ROW)]
    await asyncio.sleep(0)
    breaker.close()
    recovered.set()
    await asyncio.gather(*sent)
    assert (breaker.open, breaker.failures) == (False, IN_A_ROW)


@pytest.mark.parametrize("answer", [UpstreamUnreachable("gone"), FakeHead(503)])
async def test_what_is_beyond_the_budget_of_retries_is_not_sent_again(answer: FakeHead | UpstreamUnreachable) -> None:
    """However many attempts its policy leaves: others wait for the same upstream."""
    to, sender = await plan(), FakeSender(answer, FakeHead())
    sender.unsent = True
    assert to.lane is not None
    while to.lane.retries.take():
        pass
    policy = Policy(3, idempotent=True, retries_status=True)
    if isinstance(answer, FakeHead):
        assert await run(sender, to, policy) is answer
    else:
        with pytest.raises(UpstreamUnreachable):
            await run(sender, to, policy)
    assert len(sender.heads) == 1
