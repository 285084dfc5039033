"""Limits of keys and apps, as a client meets them: refused in words, freed however a request ends."""

import asyncio
import json
from typing import Any

import pytest

from tests.wire import calling
from tests.wire.conftest import StartStage
from tests.wire.raw import Message, Peer, Upstream, answer, saying, until
from tests.wire.stage import Stage
from tieline.access import appkey
from tieline.dataplane.limits import limiter

MINUTE = {"rates": [{"requests": 3, "per": "minute"}]}


def error(message: Message) -> Any:
    """The error that an answer of Tieline's holds."""
    return json.loads(message.body)["error"]


async def limited(stage: Stage, **values: Any) -> None:
    """Give the stage's key these limits, app_limits or models."""
    stage.worker.source.change_key(stage.key, **values)
    await stage.worker.caught_up()


async def test_a_key_is_refused_beyond_its_rate(stage: Stage) -> None:
    """The fourth of three a minute is a 429 that says what is used up and when to come back; it reached no API."""
    await limited(stage, limits=MINUTE)
    assert [(await stage.get()).status for _ in range(3)] == [200] * 3
    refused = await stage.get()
    fields = dict(refused.headers)
    assert (refused.status, fields[b"tieline-error"], fields[b"x-should-retry"]) == (429, b"rate_limited", b"true")
    assert fields[b"retry-after"] == b"20"
    assert error(refused)["code"] == "rate_limited"
    assert "This app key may have 3 requests a minute" in error(refused)["message"]
    assert len(stage.upstream.seen) == 3


async def test_an_app_shares_its_rate_among_its_keys(stage: Stage) -> None:
    """Two keys of one app use up what the app has together."""
    await limited(stage, app_limits=MINUTE)
    other = stage.worker.source.put_key("api", app_limits=MINUTE)
    await stage.worker.caught_up()
    first = [(await stage.get()).status for _ in range(2)]
    stage.key = other
    assert [*first, (await stage.get()).status, (await stage.get()).status] == [200, 200, 200, 429]
    assert "This app" in error(await stage.get())["message"]


async def test_a_refused_request_takes_nothing(stage: Stage) -> None:
    """What does not fit the app's limit does not count against the key's own."""
    await limited(stage, limits={"rates": [{"requests": 4, "per": "day"}]}, app_limits=MINUTE)
    assert [(await stage.get()).status for _ in range(5)] == [200, 200, 200, 429, 429]
    await limited(stage, app_limits={})
    assert [(await stage.get()).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("end", ["hangs up", "answered", "refused by the upstream"])
async def test_a_slot_is_free_when_its_request_has_ended(start_stage: StartStage, end: str) -> None:
    """One at a time: the second is refused while the first is under way, and served afterwards."""
    go = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        if not go.is_set():
            await go.wait()
            if end == "refused by the upstream":
                peer.reset()
                return
        await peer.send(answer(b"ok"))

    stage = await start_stage(script)
    await limited(stage, limits={"concurrent": 1})
    first = await stage.connect()
    await first.send(stage.request(b"POST", body=b"x"))
    await until(lambda: len(stage.upstream.seen) == 1)
    refused = await stage.get()
    assert (refused.status, error(refused)["code"]) == (429, "concurrency_limited")
    assert "1 request at once" in error(refused)["message"]
    if end == "hangs up":
        first.close()
        await until(lambda: stage.worker.service.listener.open_connections == 0)
        go.set()
    else:
        go.set()
        await first.message()
    assert (await stage.get()).status == 200


async def test_answers_say_what_is_left(stage: Stage) -> None:
    """Every answer, and the refusal too, tells limit, rest and reset, as OpenAI and the draft write them."""
    await limited(stage, limits={**MINUTE, "concurrent": 5})
    got = await stage.get()
    assert got.one(b"x-ratelimit-limit-requests") == b"3"
    assert got.one(b"x-ratelimit-remaining-requests") == b"2"
    assert got.one(b"x-ratelimit-reset-requests") == b"20s"
    assert got.one(b"ratelimit-policy") == (
        b'"tieline-key-minute";q=3;w=60, "tieline-key-concurrent";q=5;qu="concurrent-requests"'
    )
    assert got.one(b"ratelimit") == b'"tieline-key-minute";r=2;t=20, "tieline-key-concurrent";r=4'
    await stage.get()
    await stage.get()
    refused = await stage.get()
    assert refused.one(b"x-ratelimit-remaining-requests") == b"0"
    assert refused.one(b"ratelimit") == b'"tieline-key-minute";r=0;t=20'
    assert refused.one(b"retry-after") == b"20"


async def test_an_upstreams_own_rate_fields_stand_alone(start_stage: StartStage) -> None:
    """What it says under OpenAI's names goes on, once; ours stands beside it under the draft's."""
    stage = await start_stage(saying(answer(b"hello", b"X-RateLimit-Limit-Requests: 77")))
    await limited(stage, limits=MINUTE)
    got = await stage.get()
    assert got.one(b"x-ratelimit-limit-requests") == b"77"
    assert got.every(b"x-ratelimit-remaining-requests") == []
    assert got.one(b"ratelimit") == b'"tieline-key-minute";r=2;t=20'


async def test_an_upstream_s_own_limits_are_told_as_they_came(start_stage: StartStage) -> None:
    """The provider's figures are about the account that Tieline uses; they are not written over."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(answer(b"ok", b"X-RateLimit-Limit-Requests: 500", b'RateLimit: "theirs";r=7'))

    stage = await start_stage(script)
    await limited(stage, limits=MINUTE)
    got = await stage.get()
    assert got.every(b"x-ratelimit-limit-requests") == [b"500"]
    assert got.every(b"x-ratelimit-remaining-requests") == []
    assert got.every(b"ratelimit") == [b'"theirs";r=7', b'"tieline-key-minute";r=2;t=20']


async def test_an_api_has_limits_of_its_own_for_all_apps(start_stage: StartStage) -> None:
    """Keys of two apps share it; what is left is told to neither, the refusal says whose it is."""
    stage = await start_stage(limits={"rates": [{"requests": 2, "per": "hour"}]})
    other = stage.worker.source.put_key("api")
    stage.worker.source.change_key(other, app_id="app_2")
    await stage.worker.caught_up()
    first = await stage.get()
    assert (first.status, first.every(b"ratelimit")) == (200, [])
    stage.key = other
    assert [(await stage.get()).status for _ in range(2)] == [200, 429]
    assert "This API, with all its apps, may have 2 requests an hour" in error(await stage.get())["message"]


@pytest.mark.parametrize("by", ["length", "chunks"])
async def test_a_body_beyond_the_key_s_limit_is_refused(stage: Stage, by: str) -> None:
    """With its size announced it reaches no API and counts for nothing; else it is cut off when it is too large."""
    await limited(stage, limits={"body": 1000, **MINUTE})
    if by == "length":
        got = [await stage.ask(stage.request(b"POST", body=b"x" * 1001)) for _ in range(4)]
        assert stage.upstream.seen == []
    else:
        body = b"401\r\n" + b"x" * 1025 + b"\r\n0\r\n\r\n"
        got = [await stage.ask(stage.request(b"POST", b"/thing", b"Transfer-Encoding: chunked") + body)]
    assert {each.status for each in got} == {413}
    assert error(got[0])["code"] == "body_too_large"
    assert "1000 bytes that this key may send" in error(got[0])["message"]
    assert (await stage.ask(stage.request(b"POST", body=b"x" * 1000))).status == 200


async def test_each_client_address_has_its_own_rate(stage: Stage) -> None:
    """The second request of one address a day is refused; from another address it is not."""
    await limited(stage, limits={"per_address": {"requests": 1, "per": "day"}})
    assert [(await stage.get()).status for _ in range(2)] == [200, 429]
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.worker.port, local_addr=("127.0.0.2", 0))
    other = Peer(reader, writer)
    stage.clients.append(other)
    await other.send(stage.request())
    assert (await other.message()).status == 200


@pytest.mark.parametrize("asked", [b"Accept: text/event-stream", b"Accept: */*"])
async def test_no_more_streams_than_the_key_may_have(start_stage: StartStage, asked: bytes) -> None:
    """The second is refused: before it is sent where it asks for nothing but a stream, else before it is passed on."""
    go = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        message = await upstream.read(peer)
        if b"/plain" in message.target:
            await peer.send(answer(b"ok"))
            return
        await peer.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"9\r\ndata: 1\n\n\r\n"
        )
        await go.wait()
        await peer.send(b"0\r\n\r\n")

    stage = await start_stage(script)
    await limited(stage, limits={"streams": 1})
    first = await stage.connect()
    await first.send(stage.request(b"GET", b"/live", asked))
    assert (await first.head()).status == 200
    refused = await stage.get(b"/live", asked)
    assert (refused.status, error(refused)["code"]) == (429, "concurrency_limited")
    assert "1 stream at once" in error(refused)["message"]
    records = await stage.worker.recorded(1)
    assert (records[0].status, records[0].code, records[0].outcome) == (429, "concurrency_limited", "refused")
    assert len(stage.upstream.seen) == (1 if b"event-stream" in asked else 2)
    assert [(await stage.get(b"/plain", b"Accept: */*")).status for _ in range(3)] == [200] * 3
    go.set()
    await until(lambda: stage.worker.service.pool.busy_connections == 0)
    assert (await stage.get(b"/live", asked)).status == 200


async def test_a_websocket_is_a_stream_until_it_ends(start_stage: StartStage) -> None:
    """The tunnel holds its slot; the refused one was not sent."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        await peer.rest()

    stage = await start_stage(script)
    await limited(stage, limits={"streams": 1, **MINUTE})
    ask = stage.request(b"GET", b"/live", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
                        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip
    first = await stage.connect()
    await first.send(ask)
    head = await first.head()
    assert (head.status, head.one(b"x-ratelimit-remaining-requests")) == (101, b"2")
    assert (await stage.ask(ask)).status == 429
    assert len(stage.upstream.seen) == 1
    first.close()
    await until(lambda: stage.worker.service.listener.open_connections == 0)
    again = await stage.connect()
    await again.send(ask)
    assert (await again.head()).status == 101


async def test_calls_have_the_limits_of_their_key_too(start_stage: StartStage) -> None:
    """A stream call takes a stream from the start on; answers of calls say what is left, as they begin."""
    go = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
        await peer.send(b'a\r\n{"t": "a"}\r\n1\r\n\n\r\n')
        await go.wait()
        await peer.send(b"0\r\n\r\n")

    stream = {"path": "/tell", "response": {"type": "stream", "stream": {"format": "ndjson", "text": {"path": "t"}}}}
    stage = await start_stage(script, calls={"tell": stream})
    await limited(stage, limits={"streams": 1, "rates": [{"requests": 9, "per": "day"}]})
    first = await stage.connect()
    await first.send(calling.request(stage, "tell", {}))
    head = await first.head()
    assert head.one(b"ratelimit") == b'"tieline-key-day";r=8;t=9600, "tieline-key-streams";r=0'
    refused = await calling.run(stage, "tell", {})
    assert (refused.status, error(refused)["code"]) == (429, "concurrency_limited")
    assert len(stage.upstream.seen) == 1
    first.close()
    await until(lambda: stage.worker.service.listener.open_connections == 0)
    go.set()
    assert (await calling.run(stage, "tell", {})).status == 200


async def test_tokens_are_charged_when_they_are_known(start_stage: StartStage) -> None:
    """A request fits as long as any are left; what it used beyond is a debt that refuses the next."""
    body = b'{"usage":{"prompt_tokens":70,"completion_tokens":50,"total_tokens":120}}'

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(answer(body, b"Content-Type: application/json"))

    stage = await start_stage(script, usage={"kind": "openai"})
    await limited(stage, limits={"tokens_per_minute": 100})
    ask = stage.request(b"POST", b"/chat/completions", b"Content-Type: application/json", body=b'{"model":"m"}')
    first = await stage.ask(ask)
    assert (first.status, first.one(b"ratelimit")) == (200, b'"tieline-key-tokens";r=100;t=0')
    refused = await stage.ask(ask)
    assert (refused.status, error(refused)["code"]) == (429, "rate_limited")
    assert "100 tokens a minute" in error(refused)["message"]
    assert 11 <= int(refused.one(b"retry-after")) <= 13


async def test_a_stream_that_the_body_asks_for_is_refused_before_it_is_sent(start_stage: StartStage) -> None:
    """Where the body is read for usage anyway; who asks for no stream is served."""
    go = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        if b'"stream":true' not in (await upstream.read(peer)).body:
            await peer.send(answer(b"{}"))
            return
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await go.wait()

    stage = await start_stage(script, usage={"kind": "openai"})
    await limited(stage, limits={"streams": 1})
    json_field = b"Content-Type: application/json"
    ask = stage.request(b"POST", b"/chat/completions", json_field, body=b'{"stream":true,"model":"m"}')
    first = await stage.connect()
    await first.send(ask)
    assert (await first.head()).status == 200
    refused = await stage.ask(ask)
    assert (refused.status, error(refused)["code"]) == (429, "concurrency_limited")
    in_parts = await stage.connect()
    await in_parts.send(ask[:-5])
    await asyncio.sleep(0.05)
    await in_parts.send(ask[-5:])
    assert (await in_parts.message()).status == 429
    assert len(stage.upstream.seen) == 1
    plain = stage.request(b"POST", b"/chat/completions", json_field, body=b'{"stream":false}')
    assert (await stage.ask(plain)).status == 200
    go.set()


async def test_a_flood_of_unknown_keys_locks_out_no_good_key_and_stores_nothing(stage: Stage, soak: bool) -> None:
    """From one address: strangers are refused, in the end with 429; keys that nobody has used before are served."""
    source = stage.worker.source
    flood, rounds = (2_000, 50) if soak else (100, 3)
    good = [source.put_key("api") for _ in range(rounds * 2)]
    served: list[int] = []
    refused: set[bytes] = set()

    async def strange() -> None:
        client = await stage.connect()
        for _ in range(flood // 20):
            key = b"Authorization: Bearer " + appkey.mint("live").reveal_bytes()
            await client.send(stage.request(b"GET", b"/thing", key, key=False))
            refused.add((await client.message()).one(b"tieline-error"))
        client.close()

    async def known() -> None:
        stage.key = good.pop()
        served.append((await stage.get()).status)

    for _ in range(rounds):
        await asyncio.gather(*(strange() for _ in range(20)), known(), known())
    assert served == [200] * (rounds * 2)
    assert refused == {b"invalid_app_key", b"rate_limited"}
    records = await stage.worker.recorded(rounds * 2)
    assert len(records) == rounds * 2
    assert len(source.used) <= rounds * 2


@pytest.mark.parametrize("end", ["times out", "is no HTTP", "is cut", "cannot be reached", "is a bad call"])
async def test_no_failure_keeps_a_slot(start_stage: StartStage, end: str) -> None:
    """Of the key and of the app at the same time: ten failures one after the other, each finds both slots free."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        if end == "times out":
            await peer.rest()
        elif end == "is no HTTP":
            await peer.send(b"nonsense\r\n\r\n")
        else:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            peer.reset()

    calls = {"ask": {"path": "/ask", "parameters": {"n": {"type": "integer", "in": "query"}}}}
    limits = {"timeout": {"first_byte": "50ms"}, "retry": {"attempts": 1}, "concurrent": 1, "streams": 1}
    stage = await start_stage(script, limits=limits, calls=calls)
    await limited(stage, limits={"concurrent": 1, "streams": 1}, app_limits={"concurrent": 1})
    if end == "cannot be reached":
        await stage.upstream.stop()
    for _ in range(10):
        client = await stage.connect()
        if end == "is a bad call":
            await client.send(calling.request(stage, "ask", {"n": "none"}))
        else:
            await client.send(stage.request(b"POST", b"/thing", body=b"x"))
        raw = await client.rest() if end == "is cut" else (await client.message()).raw
        assert b" 429 " not in raw.split(b"\r\n")[0]
        client.close()
        await until(lambda: stage.worker.service.listener.open_connections == 0)


async def test_no_field_of_a_client_makes_it_another_address(stage: Stage) -> None:
    """Without trusted proxies whatever it says of others counts for nothing."""
    await limited(stage, limits={"per_address": {"requests": 1, "per": "day"}})
    fields = (b"X-Forwarded-For: 203.0.113.%d", b"Forwarded: for=203.0.113.%d", b"X-Real-IP: 203.0.113.%d")
    got = [await stage.get(b"/thing", *(field % number for field in fields)) for number in range(3)]
    assert [each.status for each in got] == [200, 429, 429]


async def test_refused_requests_do_not_put_off_the_next(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever keeps asking while nothing is left gets the next when it is due, not later."""
    now = 10**12
    monkeypatch.setattr(limiter, "micros", lambda: now)
    await limited(stage, limits=MINUTE)
    assert [(await stage.get()).status for _ in range(6)] == [200] * 3 + [429] * 3
    for _ in range(4):
        now += 4_000_000
        assert (await stage.get()).status == 429
    now += 4_000_000
    assert [(await stage.get()).status for _ in range(2)] == [200, 429]
