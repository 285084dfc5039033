"""Clients that pipeline, wait to be asked, stop half way, or leave: each gets its own answers, and nothing stays."""

import asyncio
from collections import Counter

import pytest

from tests.stopwatch import Stopwatch
from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Script, Upstream, answer, chunked, saying
from tests.wire.stage import Stage
from tieline.wire.request import Request

HEAD = b"HTTP/1.1 200 OK\r\n"
EVENTS = HEAD + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def name_back(upstream: Upstream, peer: Peer) -> None:
    """Answer every request with its own target, the first ones later than the last ones."""
    while True:
        seen = await upstream.read(peer)
        await asyncio.sleep(0.05 if seen.target.endswith(b"0") else 0)
        await peer.send(answer(seen.target))


async def test_pipelined_requests_are_answered_in_order(start_stage: StartStage) -> None:
    """However long each takes, answers come in the order of the requests."""
    stage = await start_stage(name_back)
    client = await stage.connect()
    paths = [b"/%d" % number for number in range(40)]
    await client.send(b"".join(stage.request(b"GET", path) for path in paths))
    assert [(await client.message()).body for _ in paths] == [b"/v1" + path for path in paths]


async def test_others_have_their_turn_between_pipelined_requests(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300 requests that come at once, and are answered at once, the loop serves 32 in a row at most."""
    turn, served = 0, Counter[int]()
    loop = asyncio.get_running_loop()

    def next_turn() -> None:
        nonlocal turn
        turn += 1
        if served.total() < 300:
            loop.call_soon(next_turn)

    listener = stage.worker.service.listener
    serve = listener.serve

    def counted(request: Request) -> None:
        served[turn] += 1
        serve(request)

    monkeypatch.setattr(listener, "serve", counted)
    next_turn()
    client = await stage.connect()
    await client.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 300)
    assert [(await client.message()).status for _ in range(300)] == [200] * 300
    assert max(served.values()) == 32


async def test_pipelined_bodies_belong_to_their_requests(start_stage: StartStage) -> None:
    """Bodies of every framing, one behind the other in one segment."""
    stage = await start_stage(name_back)
    client = await stage.connect()
    raw = stage.request(b"POST", b"/a", body=b"one") + stage.request(b"GET", b"/b")
    raw += stage.request(b"POST", b"/c", b"Transfer-Encoding: chunked") + chunked(b"three", b"3")
    raw += stage.request(b"PUT", b"/d", body=b"x" * 100_000) + stage.request(b"POST", b"/e", body=b"")
    await client.send(raw)
    assert [(await client.message()).body for _ in range(5)] == [b"/v1/a", b"/v1/b", b"/v1/c", b"/v1/d", b"/v1/e"]
    assert [seen.body for seen in stage.upstream.seen] == [b"one", b"", b"three3", b"x" * 100_000, b""]


async def test_a_malformed_request_in_the_middle_ends_the_pipeline(start_stage: StartStage) -> None:
    """What was good before it is answered; it gets its 400; what comes after it is not looked at."""
    stage = await start_stage(name_back)
    client = await stage.connect()
    good = stage.request(b"GET", b"/0"), stage.request(b"GET", b"/1")
    await client.send(b"".join(good) + b"GET /x HTTP/1.1\r\nno colon\r\n\r\n" + stage.request(b"GET", b"/2"))
    assert [(await client.message()).status for _ in range(3)] == [200, 200, 400]
    assert await client.is_over()
    assert len(stage.upstream.seen) == 2


async def test_a_refused_request_in_the_middle_does_not_end_the_pipeline(start_stage: StartStage) -> None:
    """A request that is well formed and not allowed gets its own answer."""
    stage = await start_stage(name_back)
    client = await stage.connect()
    refused = stage.request(b"GET", b"/x", key=False)
    await client.send(stage.request(b"GET", b"/0") + refused + stage.request(b"GET", b"/1"))
    assert [(await client.message()).status for _ in range(3)] == [200, 401, 200]


async def test_nothing_after_connection_close_is_answered(start_stage: StartStage) -> None:
    """The request that says ``close`` is the last."""
    stage = await start_stage(name_back)
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/0", b"Connection: close") + stage.request(b"GET", b"/1"))
    got = await client.message()
    assert (got.body, got.one(b"connection")) == (b"/v1/0", b"close")
    assert await client.is_over()
    assert len(stage.upstream.seen) == 1


async def test_pipelining_waits_for_a_client_that_does_not_read(start_stage: StartStage) -> None:
    """Answers are not piled up in memory for a client that only asks."""
    stage = await start_stage(saying(answer(b"x" * 200_000)))
    client = await stage.connect(buffer=4096)
    sending = asyncio.create_task(client.send(stage.request() * 300))
    await asyncio.sleep(1)
    assert len(stage.upstream.seen) < 100
    sending.cancel()
    await asyncio.wait([sending])


async def test_a_keep_alive_client_that_does_not_read_is_not_served_on(start_stage: StartStage) -> None:
    """The same where each request comes by itself, once its answer was handed to the kernel."""
    stage = await start_stage(saying(answer(b"x" * 200_000)))
    client = await stage.connect(buffer=4096)
    for _ in range(150):
        client.writer.write(stage.request())
        await asyncio.sleep(0.005)
    assert len(stage.upstream.seen) < 100
    got = [len((await client.message()).body) for _ in range(150)]
    assert got == [200_000] * 150


class TestExpect:
    async def test_a_client_that_waits_is_asked_for_its_body(self, stage: Stage) -> None:
        """``100 Continue`` comes before the body was sent."""
        client = await stage.connect()
        await client.send(stage.request(b"POST", b"/thing", b"Expect: 100-continue", b"Content-Length: 4"))
        assert (await client.head()).line == b"HTTP/1.1 100 Continue"
        await client.send(b"body")
        assert (await client.message()).body == b"hello"
        assert stage.upstream.seen[0].body == b"body"
        assert b"expect" not in stage.upstream.seen[0].names

    async def test_a_refused_client_sends_no_body(self, stage: Stage) -> None:
        """A refusal comes at once and is the end of the connection."""
        client = await stage.connect()
        raw = stage.request(b"POST", b"/thing", b"Expect: 100-continue", b"Content-Length: 4", key=False)
        await client.send(raw)
        got = await client.message()
        assert (got.status, got.interim) == (401, [])
        assert await client.is_over()

    async def test_a_body_that_is_too_large_is_never_sent(self, start_stage: StartStage) -> None:
        """413 instead of 100."""
        stage = await start_stage(limits={"body": "1KiB"})
        client = await stage.connect()
        await client.send(stage.request(b"POST", b"/thing", b"Expect: 100-continue", b"Content-Length: 4000"))
        got = await client.message()
        assert (got.status, got.interim) == (413, [])
        assert stage.upstream.accepted == 0

    async def test_an_http10_client_is_not_asked(self, stage: Stage) -> None:
        """RFC 9110 section 10.1.1: an HTTP/1.0 client knows no interim answers."""
        raw = stage.request(b"POST", b"/thing", b"Expect: 100-continue", b"Content-Length: 4", version=b"1.0")
        client = await stage.connect()
        await client.send(raw)
        await asyncio.sleep(0.1)
        await client.send(b"body")
        assert (await client.rest()).startswith(b"HTTP/1.1 200 OK")

    async def test_the_upstreams_own_100_is_not_passed_on(self, start_stage: StartStage) -> None:
        """One 100 is enough."""
        stage = await start_stage(saying(b"HTTP/1.1 100 Continue\r\n\r\n" + answer()))
        got = await stage.ask(stage.request(b"POST", b"/thing", b"Expect: 100-continue", body=b"body"))
        assert [each.status for each in got.interim] in ([], [100])


class TestHalfClosed:
    """``shutdown(SHUT_WR)`` after the request, as ``nc -N`` and some clients do."""

    async def test_a_client_that_sends_no_more_gets_its_answer(self, start_stage: StartStage) -> None:
        """It waits, so it is answered."""
        stage = await start_stage(name_back)
        client = await stage.connect()
        await client.send(stage.request(b"GET", b"/10"))
        client.end()
        assert (await client.message()).body == b"/v1/10"
        assert await client.is_over()

    async def test_a_slow_answer_is_waited_for(self, start_stage: StartStage) -> None:
        """Interim answers find out whether it is still there, and it is."""

        async def script(upstream: Upstream, peer: Peer) -> None:
            await upstream.read(peer)
            await asyncio.sleep(1.5)
            await peer.send(answer())

        stage = await start_stage(script)
        client = await stage.connect()
        await client.send(stage.request())
        client.end()
        got = await client.message()
        assert got.body == b"hello"
        assert {each.status for each in got.interim} == {100}

    async def test_every_pipelined_request_is_answered(self, start_stage: StartStage) -> None:
        """Requests that were whole when the client ended are all served."""
        stage = await start_stage(name_back)
        client = await stage.connect()
        await client.send(b"".join(stage.request(b"GET", b"/%d" % number) for number in range(5)))
        client.end()
        assert [(await client.message()).body for _ in range(5)] == [b"/v1/%d" % number for number in range(5)]
        assert await client.is_over()

    async def test_a_half_request_behind_a_whole_one_does_not_spoil_it(self, start_stage: StartStage) -> None:
        """What will never be whole is dropped, what was is answered."""
        stage = await start_stage(name_back)
        client = await stage.connect()
        await client.send(stage.request(b"GET", b"/0") + stage.request(b"POST", b"/1", b"Content-Length: 9") + b"abc")
        client.end()
        assert (await client.message()).body == b"/v1/0"
        assert await client.is_over()
        assert len(stage.upstream.seen) == 1

    async def test_a_client_that_ends_in_its_body_is_gone(self, stage: Stage) -> None:
        """A request that will never be whole is given up at both ends."""
        client = await stage.connect()
        await client.send(stage.request(b"POST", b"/thing", b"Content-Length: 9") + b"abc")
        await stage.upstream.until(lambda upstream: upstream.accepted == 1)
        client.end()
        assert await client.is_over()
        await stage.upstream.until(lambda upstream: upstream.open == 0)

    async def test_a_large_answer_reaches_a_slow_client_whole(self, start_stage: StartStage) -> None:
        """Having ended while the answer waits for it does not cut it short."""
        stage = await start_stage(saying(answer(b"x" * 8_000_000)))
        client = await stage.connect(buffer=4096)
        await client.send(stage.request())
        await asyncio.sleep(0.3)
        client.end()
        await asyncio.sleep(1)
        assert len((await client.message()).body) == 8_000_000


async def wait(upstream: Upstream, peer: Peer) -> None:
    """Read a request, whole or not, and say nothing."""
    upstream.seen.append(await peer.head())
    await peer.gone()


async def stream(upstream: Upstream, peer: Peer) -> None:
    """Begin a stream of events and fall silent."""
    upstream.seen.append(await peer.head())
    await peer.send(EVENTS + b"9\r\ndata: a\n\n\r\n")
    await peer.gone()


async def pour(upstream: Upstream, peer: Peer) -> None:
    """Send without end."""
    upstream.seen.append(await peer.head())
    await peer.send(EVENTS)
    while True:
        await peer.send(b"2710\r\n" + b"x" * 10_000 + b"\r\n")


async def test_a_half_closed_client_that_leaves_much_later_is_noticed(start_stage: StartStage) -> None:
    """It was there when it was asked; it is looked for as long as its answer is awaited."""
    stage = await start_stage(wait)
    client = await stage.connect()
    await client.send(stage.request())
    await stage.upstream.until(lambda upstream: bool(upstream.seen))
    client.end()
    await asyncio.sleep(1.2)
    assert stage.upstream.open == 1
    client.reset()
    await stage.upstream.until(lambda upstream: upstream.open == 0, 1.0)


@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize("script", [wait, stream, pour])
@pytest.mark.parametrize("request_", ["whole", "half"])
async def test_a_client_that_leaves_is_noticed_within_a_second(
    start_stage: StartStage, leave: str, script: Script, request_: str
) -> None:
    """Whatever the upstream is doing, it is cancelled, and nothing is left."""
    stage = await start_stage(script)
    client = await stage.connect()
    if request_ == "whole":
        await client.send(stage.request())
    else:
        await client.send(stage.request(b"POST", b"/thing", b"Content-Length: 100") + b"half")
    await stage.upstream.until(lambda upstream: bool(upstream.seen))
    await asyncio.sleep(0.05)
    async with Stopwatch() as watch:
        getattr(client, leave)()
        await stage.upstream.until(lambda upstream: upstream.open == 0)
    assert watch.seconds < 1.0
    await stage.settled()
    assert (await stage.worker.recorded(1))[0].outcome == "client_gone"


async def test_a_client_that_leaves_an_upload_nobody_reads_is_noticed(start_stage: StartStage) -> None:
    """Back-pressure does not hide a reset."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await asyncio.sleep(5)

    stage = await start_stage(script)
    client = await stage.connect()
    sending = asyncio.create_task(client.send(stage.request(b"POST", b"/thing", body=b"x" * 40_000_000)))
    await stage.upstream.until(lambda upstream: upstream.accepted == 1)
    await asyncio.sleep(0.5)
    async with Stopwatch() as watch:
        client.reset()
        await stage.settled()
    assert watch.seconds < 1.0
    sending.cancel()
    await asyncio.wait([sending])


async def test_a_client_that_leaves_behind_a_waiting_request_is_noticed(start_stage: StartStage) -> None:
    """Reading stops while a second request waits; the end of the connection is seen all the same."""
    stage = await start_stage(wait)
    client = await stage.connect()
    await client.send(stage.request() * 3)
    await stage.upstream.until(lambda upstream: bool(upstream.seen))
    async with Stopwatch() as watch:
        client.close()
        await stage.upstream.until(lambda upstream: upstream.open == 0)
    assert watch.seconds < 1.0
    assert len(stage.upstream.seen) == 1


async def test_a_client_that_leaves_while_its_key_is_looked_up_is_forgotten(stage: Stage) -> None:
    """A cold start is cancelled like everything else."""
    source = stage.worker.source
    asked = asyncio.Event()

    async def never(keyed_hash: bytes) -> None:
        asked.set()
        await asyncio.sleep(60)

    source.key_by_hash = never  # type: ignore[method-assign]
    client = await stage.connect()
    await client.send(stage.request())
    await asked.wait()
    client.reset()
    await stage.settled()
    assert stage.upstream.accepted == 0


async def test_a_client_that_leaves_while_the_upstream_is_dialled_is_forgotten(
    start_stage: StartStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dial is cancelled."""
    stage = await start_stage()
    asked = asyncio.Event()

    async def never(origin: object) -> None:
        asked.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(stage.worker.service.pool._guard, "resolve", never)
    client = await stage.connect()
    await client.send(stage.request())
    await asked.wait()
    client.reset()
    await stage.settled()
    assert stage.upstream.accepted == 0
