"""``Upgrade: websocket`` becomes a tunnel until either side ends; every other upgrade is an ordinary request."""

import asyncio

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import Message, Peer, Script, Upstream, answer, greet
from tests.wire.stage import PROVIDER_KEY, Stage

ASK = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
AGREE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Theirs: 1\r\n\r\n"
)


async def echo(upstream: Upstream, peer: Peer) -> None:
    """Agree, then send every byte back until the client ends."""
    await upstream.read(peer)
    await peer.send(AGREE)
    while data := await peer.reader.read(65536):
        await peer.send(data)


async def opened(stage: Stage, *fields: bytes, early: bytes = b"") -> tuple[Peer, Message]:
    """A client whose upgrade was agreed to, and the answer."""
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/realtime?model=x", *ASK, *fields) + early)
    return client, await client.head()


async def test_bytes_go_both_ways(start_stage: StartStage) -> None:
    """After 101 nothing is HTTP any more."""
    stage = await start_stage(echo)
    client, got = await opened(stage)
    assert got.line == b"HTTP/1.1 101 Switching Protocols"
    assert (got.one(b"upgrade"), got.one(b"connection").lower()) == (b"websocket", b"upgrade")
    assert (got.one(b"sec-websocket-accept"), got.one(b"x-theirs")) == (b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", b"1")
    assert got.one(b"tieline-request-id")
    for data in (b"\x81\x05hello", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 1000):
        await client.send(data)
        assert await client.some(len(data)) == data


async def test_the_upstream_is_asked_for_the_same_upgrade(start_stage: StartStage) -> None:
    """The request arrives with the client's WebSocket fields and the provider's key."""
    stage = await start_stage(echo)
    await opened(stage, b"Sec-WebSocket-Extensions: permessage-deflate")
    seen = stage.upstream.seen[0]
    assert seen.target == b"/v1/realtime?model=x"
    assert (seen.one(b"connection").lower(), seen.one(b"upgrade")) == (b"upgrade", b"websocket")
    assert seen.one(b"sec-websocket-key") == b"dGhlIHNhbXBsZSBub25jZQ=="
    assert seen.one(b"sec-websocket-extensions") == b"permessage-deflate"
    assert seen.one(b"authorization") == b"Bearer " + PROVIDER_KEY.encode()


async def test_the_key_may_stand_among_the_protocols(start_stage: StartStage) -> None:
    """A browser cannot set headers; its item with the key is taken out, the other protocols stay."""
    stage = await start_stage(echo)
    protocols = b"realtime, openai-insecure-api-key.%b, openai-beta.realtime-v1" % stage.key.encode()
    client = await stage.connect()
    raw = stage.request(b"GET", b"/realtime", *ASK, b"Sec-WebSocket-Protocol: " + protocols, key=False)
    await client.send(raw)
    assert (await client.head()).status == 101
    assert stage.upstream.seen[0].one(b"sec-websocket-protocol") == b"realtime, openai-beta.realtime-v1"
    assert stage.key.encode() not in stage.upstream.seen[0].raw


async def test_frames_that_come_with_the_request_are_kept(start_stage: StartStage) -> None:
    """A hasty client's first frame waits for the 101, in whatever segment it came."""
    stage = await start_stage(echo)
    client, _ = await opened(stage, early=b"early bird")
    assert await client.some(10) == b"early bird"


async def test_frames_that_come_with_the_answer_are_kept(start_stage: StartStage) -> None:
    """An upstream may greet in the same segment."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(AGREE + b"welcome")
        await peer.gone()

    stage = await start_stage(script)
    client, _ = await opened(stage)
    assert await client.some(7) == b"welcome"


async def test_a_flood_before_the_answer_waits(start_stage: StartStage) -> None:
    """Bytes behind an upgrade that nobody granted yet do not fill the memory."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await asyncio.sleep(0.5)
        await peer.send(AGREE)
        for _ in range(200):
            assert len(await peer.some(100_000)) == 100_000
        await peer.send(b"all")

    stage = await start_stage(script)
    client = await stage.connect()
    sending = asyncio.create_task(client.send(stage.request(b"GET", b"/realtime", *ASK) + b"x" * 20_000_000))
    assert (await client.head()).status == 101
    assert await client.some(3) == b"all"
    await sending


async def test_a_refused_upgrade_is_an_ordinary_answer(stage: Stage) -> None:
    """The upstream's answer comes back, and then the connection ends: nobody knows what else the client meant."""
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/realtime", *ASK) + b"frames")
    got = await client.message()
    assert (got.status, got.body, got.one(b"connection")) == (200, b"hello", b"close")
    assert await client.is_over()


async def test_an_upgrade_without_a_key_is_refused(stage: Stage) -> None:
    """Errors reach a WebSocket client as an HTTP answer."""
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/realtime", *ASK, key=False))
    assert (await client.message()).status == 401
    assert stage.upstream.accepted == 0


ORDINARY = {
    "h2c": (b"GET", [b"Connection: Upgrade", b"Upgrade: h2c"], b"1.1"),
    "several protocols": (b"GET", [b"Connection: Upgrade", b"Upgrade: websocket, h2c"], b"1.1"),
    "no connection field": (b"GET", [b"Upgrade: websocket"], b"1.1"),
    "another connection field": (b"GET", [b"Connection: x-upgrade", b"Upgrade: websocket"], b"1.1"),
    "a POST": (b"POST", [b"Connection: Upgrade", b"Upgrade: websocket"], b"1.1"),
}


@pytest.mark.parametrize(("method", "fields", "version"), ORDINARY.values(), ids=ORDINARY)
async def test_any_other_upgrade_is_an_ordinary_request(
    stage: Stage, method: bytes, fields: list[bytes], version: bytes
) -> None:
    """It is relayed without its ``Upgrade``, and the connection goes on."""
    client = await stage.connect()
    for _ in range(2):
        await client.send(stage.request(method, b"/thing", *fields, version=version))
        assert (await client.message()).body == b"hello"
    assert not {b"upgrade", b"connection"} & set(stage.upstream.seen[0].names)


async def test_http10_knows_no_upgrade(stage: Stage) -> None:
    """RFC 9110 section 7.8: an upgrade in HTTP/1.0 is ignored."""
    await stage.ask(stage.request(b"GET", b"/thing", *ASK, version=b"1.0"))
    assert b"upgrade" not in stage.upstream.seen[0].names


@pytest.mark.parametrize(
    "raw",
    [
        AGREE.replace(b"Upgrade: websocket\r\n", b""),
        AGREE.replace(b"Connection: Upgrade\r\n", b""),
        AGREE.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
        AGREE.replace(b"Upgrade: websocket", b"Upgrade: websocket\r\nUpgrade: h2c"),
    ],
    ids=["no upgrade", "no connection", "another protocol", "two protocols"],
)
async def test_a_wrong_agreement_is_a_502(start_stage: StartStage, raw: bytes) -> None:
    """101 to something else than was asked for goes no further."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(raw + b"frames")
        await peer.gone()

    stage = await start_stage(script)
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/realtime", *ASK))
    got = await client.message()
    assert (got.status, got.one(b"tieline-error")) == (502, b"upstream_protocol_error")


@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_a_client_that_leaves_ends_the_tunnel(start_stage: StartStage, leave: str) -> None:
    """The upstream hears of it, and nothing is left."""
    stage = await start_stage(echo)
    client, _ = await opened(stage)
    getattr(client, leave)()
    await stage.upstream.until(lambda upstream: upstream.open == 0, 1.0)
    await stage.settled()
    record = (await stage.worker.recorded(1))[0]
    assert (record.status, record.outcome) == (101, "complete")


async def test_an_upstream_that_ignores_the_clients_end_is_cut(
    start_stage: StartStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-closed tunnel does not stay for ever, however busy the upstream keeps it."""
    monkeypatch.setattr("tieline.dataplane.relaying.tunnel.HALF_SECONDS", 0.3)

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(AGREE)
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.05)

    stage = await start_stage(script)
    client, _ = await opened(stage)
    client.end()
    await client.rest()
    await stage.settled()


async def test_what_follows_the_clients_end_still_arrives(start_stage: StartStage) -> None:
    """A client may end its half and read on."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(AGREE)
        data = await peer.reader.read()
        await peer.send(b"got " + data)

    stage = await start_stage(script)
    client, _ = await opened(stage)
    await client.send(b"question")
    client.end()
    assert await client.rest() == b"got question"


async def test_a_client_that_ended_with_its_request_is_passed_on(start_stage: StartStage) -> None:
    """The end is not lost between the request and the 101."""
    stage = await start_stage(echo)
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/realtime", *ASK) + b"only this")
    client.end()
    assert (await client.message()).status == 101
    assert (await client.rest()).endswith(b"only this")
    await stage.settled()


async def at_once(upstream: Upstream, peer: Peer) -> None:
    """Agree, say goodbye and close."""
    await upstream.read(peer)
    await peer.send(AGREE + b"bye")


async def by_reset(upstream: Upstream, peer: Peer) -> None:
    """Agree, say goodbye, and reset a little later."""
    await upstream.read(peer)
    await peer.send(AGREE + b"bye")
    await asyncio.sleep(0.1)
    peer.reset()


@pytest.mark.parametrize("script", [at_once, by_reset])
async def test_an_upstream_that_leaves_ends_the_tunnel(start_stage: StartStage, script: Script) -> None:
    """The client gets what was said and then the end."""
    stage = await start_stage(script)
    client, _ = await opened(stage)
    assert await client.rest() == b"bye"
    await stage.settled()


async def test_a_silent_tunnel_ends(start_stage: StartStage) -> None:
    """``total`` is how long a tunnel may be silent."""
    stage = await start_stage(echo, limits={"timeout": {"total": "300ms"}})
    client, _ = await opened(stage)
    assert await client.is_over()
    await stage.settled()


async def test_a_busy_tunnel_outlives_total(start_stage: StartStage) -> None:
    """Traffic either way keeps it, also where the client falls behind for a moment."""
    stage = await start_stage(echo, limits={"timeout": {"total": "1500ms"}})
    client, _ = await opened(stage)
    for _ in range(22):
        await client.send(b"x" * 1000)
        assert await client.some(1000)
        await asyncio.sleep(0.1)


async def test_a_slow_client_of_an_old_tunnel_is_not_cut(start_stage: StartStage) -> None:
    """Back-pressure after ``total`` has passed is no reason to end the tunnel."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(AGREE)
        for _ in range(20):
            await peer.send(b"x")
            await asyncio.sleep(0.1)
        peer.writer.write(b"y" * 20_000_000)
        await peer.gone()

    stage = await start_stage(script, limits={"timeout": {"total": "1500ms"}})
    client = await stage.connect(buffer=4096)
    await client.send(stage.request(b"GET", b"/realtime", *ASK))
    await client.head()
    await asyncio.sleep(3)
    for _ in range(200):
        assert await client.some(100_000)


async def test_a_tunnel_waits_for_a_slow_client_and_a_slow_upstream(start_stage: StartStage) -> None:
    """Neither side's flood is kept in memory."""
    counted = 0

    async def script(upstream: Upstream, peer: Peer) -> None:
        nonlocal counted
        await upstream.read(peer)
        await peer.send(AGREE)
        while True:
            await peer.send(b"x" * 65536)
            counted += 65536

    stage = await start_stage(script)
    client = await stage.connect(buffer=4096)
    await client.send(stage.request(b"GET", b"/realtime", *ASK))
    flood = asyncio.create_task(client.send(b"y" * 64_000_000))
    await asyncio.sleep(1)
    assert counted < 16_000_000
    assert not flood.done()
    flood.cancel()
    await asyncio.wait([flood])


async def test_the_secret_does_not_come_back_through_a_tunnel(start_stage: StartStage) -> None:
    """A frame that reflects the provider's key is masked, its length kept."""
    stage = await start_stage(echo)
    client, _ = await opened(stage)
    await client.send(b"\x81\x30" + PROVIDER_KEY.encode() + b"!")
    assert await client.some(len(PROVIDER_KEY) + 3) == b"\x81\x30" + b"*" * len(PROVIDER_KEY) + b"!"


async def test_the_secret_does_not_come_back_in_a_101(start_stage: StartStage) -> None:
    """Nor in the fields of the agreement."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        seen = await upstream.read(peer)
        await peer.send(AGREE[:-2] + b"X-Echo: " + seen.one(b"authorization") + b"\r\n\r\n")
        await peer.gone()

    stage = await start_stage(script)
    _, got = await opened(stage)
    assert PROVIDER_KEY.encode() not in got.raw


async def test_a_pooled_connection_carries_an_upgrade(start_stage: StartStage) -> None:
    """A connection that carried a request before can become a tunnel, and is never used again."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(answer())
        await echo(upstream, peer)

    stage = await start_stage(script)
    await stage.get()
    client, _ = await opened(stage)
    await client.send(b"ping")
    assert await client.some(4) == b"ping"
    assert stage.upstream.accepted == 1
    stage.upstream.script = greet
    assert (await stage.get()).body == b"hello"
    assert stage.upstream.accepted == 2
