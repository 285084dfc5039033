"""Upstreams that die, brown out or say 429: how much is sent to them, when it stops, and when it begins again.

Real sockets; the upstream does what its switch says. What bounds time here is the product's own clock.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.wire import calling
from tests.wire.calling import json_answer
from tests.wire.conftest import StartStage
from tests.wire.raw import Message, Peer, Upstream, answer, until
from tests.wire.stage import Stage
from tieline.wire.breaker import Breaker
from tieline.wire.gate import Gate

GOOD = json_answer({"ok": True})
BUSY = json_answer({"message": "down"}, status=b"503 Service Unavailable")
LIMITED = json_answer({"message": "slow down"}, b"Retry-After: 0", status=b"429 Too Many Requests")
IT: dict[str, Any] = {"it": {"path": "/it", "retry": {"attempts": 3}}}


class Switch:
    """What the upstream does: the answer that ``told`` gives for the number of a request; None cuts the connection."""

    def __init__(self) -> None:
        self.told: Callable[[int], bytes | None] = lambda _number: GOOD

    async def __call__(self, upstream: Upstream, peer: Peer) -> None:
        while True:
            await upstream.read(peer)
            raw = self.told(len(upstream.seen))
            if raw is None:
                return
            await peer.send(raw)


async def flood(stage: Stage, count: int, ask: Callable[[], Any]) -> Counter[int]:
    """So many requests, ten at a time; how many of each status were answered."""
    statuses: Counter[int] = Counter()

    async def client() -> None:
        for _ in range(count // 10):
            statuses[(await ask()).status] += 1

    await asyncio.gather(*(client() for _ in range(10)))
    return statuses


def breaker(stage: Stage) -> Breaker:
    """That of the only API's only credential."""
    plan = stage.worker.service.snapshot.apis[b"api"].plans["live"]
    assert plan.lane is not None
    return plan.lane.breaker


async def refusal(stage: Stage) -> Message:
    """The first answer that says that nothing is sent now."""
    while True:
        got = await stage.get()
        if b"tieline-error" in got.names and got.one(b"tieline-error") == b"overloaded":
            return got


async def recovered(stage: Stage) -> float:
    """Seconds until three requests in a row are answered."""
    began = time.monotonic()
    row = 0
    while row < 3:
        row = row + 1 if (await stage.get()).status == 200 else 0
        if row == 0:
            await asyncio.sleep(0.05)
    return time.monotonic() - began


async def test_a_dead_upstream_is_left_alone_within_two_seconds_and_used_again_within_ten(
    start_stage: StartStage,
) -> None:
    """Its connections are cut: a few requests find out, the others are refused at once, and probes see it come back."""
    switch = Switch()
    stage = await start_stage(switch, errors="openai")
    assert (await stage.get()).status == 200
    switch.told = lambda _number: None
    began = time.monotonic()
    got = await refusal(stage)
    assert time.monotonic() - began < 2.0
    assert got.status == 503
    assert 1 <= int(got.one(b"retry-after")) <= 4
    assert set(got.json) == {"error"}  # as the API's SDK reads it
    seen = len(stage.upstream.seen)
    assert await flood(stage, 100, stage.get) == {503: 100}
    assert len(stage.upstream.seen) - seen <= 1  # one probe may have been due
    switch.told = lambda _number: GOOD
    assert await recovered(stage) < 10.0


async def test_what_is_refused_meanwhile_does_not_keep_it_open(start_stage: StartStage) -> None:
    """envoyproxy/envoy issue 25487: what the circuit breaker had refused counted as failures of the endpoint."""
    switch = Switch()
    switch.told = lambda _number: BUSY
    stage = await start_stage(switch)
    await refusal(stage)
    failures = breaker(stage).failures
    await flood(stage, 50, stage.get)
    assert breaker(stage).failures - failures <= 1


async def test_a_dead_upstream_gets_hardly_more_than_what_was_asked(start_stage: StartStage) -> None:
    """Calls that may be tried three times: the breaker ends that after five failures."""
    switch = Switch()
    switch.told = lambda _number: BUSY
    stage = await start_stage(switch, calls=IT)
    await flood(stage, 200, lambda: calling.run(stage, "it"))
    assert len(stage.upstream.seen) <= 1.2 * 200


async def test_a_brown_out_is_not_made_worse_by_retries(start_stage: StartStage) -> None:
    """One of five fails; envoyproxy/envoy issue 30205: a budget that pauses are no part of lets a thousand through."""
    switch = Switch()
    switch.told = lambda number: BUSY if number % 5 == 0 else GOOD
    stage = await start_stage(switch, calls=IT)
    statuses = await flood(stage, 500, lambda: calling.run(stage, "it"))
    assert len(stage.upstream.seen) <= 1.2 * 500
    assert statuses[200] >= 0.8 * 500
    assert breaker(stage).failures >= 100
    assert not breaker(stage).open


async def test_an_upstream_that_says_429_is_not_taken_for_dead(start_stage: StartStage) -> None:
    """BerriAI/litellm issue 3617: 429 put an upstream on a cooldown. It is an answer, and retries have their budget."""
    switch = Switch()
    switch.told = lambda _number: LIMITED
    stage = await start_stage(switch, calls=IT)
    await flood(stage, 200, lambda: calling.run(stage, "it"))
    assert len(stage.upstream.seen) <= 1.2 * 200
    seen = len(stage.upstream.seen)
    assert await flood(stage, 100, stage.get) == {429: 100}
    assert len(stage.upstream.seen) - seen == 100


async def test_answers_about_the_request_are_no_failures(start_stage: StartStage) -> None:
    """getnora-io/nora issue 585: a probe that was answered by 404 never gave its place back."""
    switch = Switch()
    switch.told = lambda _number: BUSY
    stage = await start_stage(switch)
    await refusal(stage)
    switch.told = lambda _number: answer(b"no", status=b"404 Not Found")
    await until_answered(stage, 404)
    assert await flood(stage, 50, stage.get) == {404: 50}


async def until_answered(stage: Stage, status: int) -> None:
    """Ask until it was answered so three times in a row."""
    row = 0
    while row < 3:
        row = row + 1 if (await stage.get()).status == status else 0
        await asyncio.sleep(0.02)


async def test_a_probe_whose_client_leaves_lets_another_go(start_stage: StartStage) -> None:
    """The next request is a probe at once."""
    switch = Switch()
    switch.told = lambda _number: BUSY
    stage = await start_stage(switch)
    await refusal(stage)
    hanging = asyncio.Event()

    def hang(_number: int) -> bytes:
        hanging.set()
        return b"HTTP/1.1"

    switch.told = hang
    while not hanging.is_set():
        client = await stage.connect()
        await client.send(stage.request())
        await asyncio.sleep(0.05)
        client.close()
    switch.told = lambda _number: GOOD
    await stage.settled()
    assert (await stage.get()).status == 200


async def test_an_upload_that_stalls_is_not_the_upstreams_failure(start_stage: StartStage) -> None:
    """A client that sends half of a body, five times, takes the API from nobody."""
    stage = await start_stage(Switch(), limits={"timeout": {"total": "300ms"}})
    await stage.get()
    for _ in range(6):
        got = await stage.ask(stage.request(b"POST", b"/x", b"Content-Length: 10") + b"half", method=b"POST")
        assert got.status in {408, 504}
    assert (await stage.get()).status == 200


async def test_a_definition_may_do_without(start_stage: StartStage) -> None:
    """For APIs that answer 503 on purpose, such as while they load a model."""
    switch = Switch()
    switch.told = lambda _number: BUSY
    stage = await start_stage(switch, limits={"breaker": False})
    await flood(stage, 50, stage.get)
    assert len(stage.upstream.seen) == 50


async def test_a_worker_with_too_much_to_do_says_so_before_any_work(start_stage: StartStage) -> None:
    """Requests beyond its bound get 503 at once, health does not; when some have ended, others are taken again."""
    waiting = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await waiting.wait()
        await peer.send(GOOD)

    stage = await start_stage(script, errors="openai")
    shedding = stage.worker.service.shedding
    shedding.most = 8
    clients = [await stage.connect() for _ in range(8)]
    await until(lambda: shedding.watchful)
    for client in clients:
        await client.send(stage.request())
    await until(lambda: len(stage.upstream.seen) == 8)
    got = await stage.get()
    assert (got.status, got.one(b"retry-after"), got.one(b"tieline-error")) == (503, b"1", b"overloaded")
    assert set(got.json) == {"error"}
    assert (await stage.ask(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
    assert len(stage.upstream.seen) == 8
    waiting.set()
    for client in clients:
        assert (await client.message()).status == 200
        client.close()
    await until(lambda: not shedding.watchful)
    assert (await stage.get()).status == 200


async def test_a_worker_whose_loop_is_late_takes_no_more(start_stage: StartStage) -> None:
    """Two sweeps in a row, more than a second late each; the first that is in time ends it."""
    stage = await start_stage()
    shedding, deadlines = stage.worker.service.shedding, stage.worker.service.deadlines
    for late, refused in ((1.5, False), (1.5, True), (0.1, False)):
        deadlines.late = late
        shedding.expired()
        assert shedding.watchful is refused


async def test_a_greedy_key_leaves_the_others_success(start_stage: StartStage) -> None:
    """Two hundred connections of one key at an API that has eight: every request of another key is answered."""
    together = most = 0

    async def script(upstream: Upstream, peer: Peer) -> None:
        nonlocal together, most
        while True:
            await upstream.read(peer)
            together += 1
            most = max(most, together)
            await asyncio.sleep(0.005)
            together -= 1
            await peer.send(GOOD)

    stage = await start_stage(script, limits={"connections": 8})
    modest = stage.worker.source.put_key("api").encode()
    await stage.worker.caught_up()
    stop = asyncio.Event()

    async def greedy() -> None:
        client = await stage.connect()
        while not stop.is_set():
            await client.send(stage.request())
            assert (await client.message()).status in {200, 503}

    crowd = [asyncio.ensure_future(greedy()) for _ in range(200)]
    gate = gate_of(stage)
    await until(lambda: gate.waiting >= 50)
    asked = stage.request().replace(stage.key.encode(), modest)
    client = await stage.connect()
    statuses: Counter[int] = Counter()
    for _ in range(100):
        await client.send(asked)
        statuses[(await client.message()).status] += 1
    stop.set()
    await asyncio.gather(*crowd)
    assert statuses == {200: 100}
    assert most <= 8
    await until(lambda: (gate.taken, gate.waiting) == (0, 0))


def gate_of(stage: Stage) -> Gate:
    """Who waits for the connections of the only API."""
    lane = stage.worker.service.snapshot.apis[b"api"].plans["live"].lane
    assert lane is not None
    assert lane.gate is not None
    return lane.gate


async def test_hang_ups_leave_no_place_taken(start_stage: StartStage) -> None:
    """Whether their clients waited for a place, or for the answer."""
    waiting = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        while True:
            await upstream.read(peer)
            await waiting.wait()
            await peer.send(GOOD)

    stage = await start_stage(script, limits={"connections": 4}, calls=IT)
    gate = gate_of(stage)
    for raw in (stage.request(), calling.request(stage, "it")):
        for _ in range(3):
            clients = [await stage.connect() for _ in range(12)]
            for client in clients:
                await client.send(raw)
            await until(lambda: (gate.taken, gate.waiting) == (3, 9))
            for client in clients:
                client.close()
            await until(lambda: (gate.taken, gate.waiting) == (0, 0))
    waiting.set()
    assert (await stage.get()).status == 200
    assert (await calling.run(stage, "it")).status == 200


async def test_a_stream_has_its_connection_until_it_ends(start_stage: StartStage) -> None:
    """With one connection in all, the next request waits for it, and then for its time."""
    more = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        while True:
            await upstream.read(peer)
            await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
            await more.wait()
            await peer.send(b"0\r\n\r\n")

    stage = await start_stage(script, limits={"connections": 1, "timeout": {"connect": "200ms"}})
    client = await stage.connect()
    await client.send(stage.request())
    await client.head()
    assert gate_of(stage).taken == 1
    got = await stage.get()
    assert (got.status, got.one(b"tieline-error")) == (503, b"overloaded")
    more.set()
    await until(lambda: gate_of(stage).taken == 0)
    assert (await stage.get()).body == b"hi"
    assert stage.upstream.accepted == 1
