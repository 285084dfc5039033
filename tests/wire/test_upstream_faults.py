"""Upstreams that fail, lie or attack: the client gets one clear error, or a body that it cannot take for whole."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import Message, Peer, Script, Upstream, answer, chunked, saying, saying_once, until
from tests.wire.stage import Stage

HEAD = b"HTTP/1.1 200 OK\r\n"


def reset_after(*pieces: bytes) -> Script:
    """Send ``pieces`` to a connection's first request, then reset it."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        for piece in pieces:
            await peer.send(piece)
            await asyncio.sleep(0.02)
        peer.reset()

    return script


def refused_with(got: Message) -> Any:
    """The code of an error that Tieline made, after checking its shape."""
    error = json.loads(got.body)["error"]
    assert error["code"] == got.one(b"tieline-error").decode()
    assert error["type"] == "tieline_error"
    assert error["request_id"] == got.one(b"tieline-request-id").decode()
    return error["code"]


async def hang_up(upstream: Upstream, peer: Peer) -> None:
    """Close as soon as the connection is there."""


async def hang_up_in_head(upstream: Upstream, peer: Peer) -> None:
    """Close in the middle of the request's head."""
    await peer.some(10)


@pytest.mark.parametrize(
    "script",
    [
        hang_up,
        hang_up_in_head,
        saying_once(),
        reset_after(),
        saying_once(b"HTTP/1.1 200 OK\r\nX: "),
        reset_after(b"HT"),
    ],
    ids=["at once", "in the request", "after the request", "reset", "in its head", "reset in its head"],
)
async def test_an_upstream_that_hangs_up_before_its_answer_is_a_502(start_stage: StartStage, script: Script) -> None:
    """Nothing of an answer came, so the client gets one from Tieline, and may keep its connection."""
    stage = await start_stage(script)
    client = await stage.connect()
    for _ in range(2):
        await client.send(stage.request(b"POST"))
        got = await client.message()
        assert got.status == 502
        assert refused_with(got) in {"upstream_unreachable", "upstream_protocol_error"}
        assert got.one(b"x-should-retry") == b"true"


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"Content-Length: 9\r\n\r\n"],
        [HEAD + b"Content-Length: 9\r\n\r\nabc"],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n"],
        [HEAD + b"\r\n", b"abc"],
    ],
    ids=["after its head", "in a body", "between chunks", "in a body that ends with the connection"],
)
async def test_an_upstream_that_resets_in_its_answer_is_no_proper_end(
    start_stage: StartStage, pieces: list[bytes]
) -> None:
    """A reset is a cut, also where the end of the connection would have been the end of the body."""
    stage = await start_stage(reset_after(*pieces))
    client = await stage.connect()
    await client.send(stage.request())
    got = await client.head()
    rest = await client.rest()
    assert got.status == 200
    assert not rest.endswith(b"0\r\n\r\n")
    assert len(rest) < 9 + 5


async def test_a_connection_that_ends_as_it_begins_keeps_nobody_waiting(start_stage: StartStage) -> None:
    """However the end and the dial race, every request is answered at once, and nothing is left in the pool."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        peer.reset()

    stage = await start_stage(script, limits={"breaker": False})
    for _ in range(10):
        got = await asyncio.gather(*(stage.get() for _ in range(20)))
        assert {refused_with(each) for each in got} == {"upstream_unreachable"}
    assert stage.worker.service.pool.open_connections == 0


AMBIGUOUS = {
    "length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two equal lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "a list of lengths": HEAD + b"Content-Length: 2, 2\r\n\r\nok",
    "a signed length": HEAD + b"Content-Length: +2\r\n\r\nok",
    "a negative length": HEAD + b"Content-Length: -2\r\n\r\nok",
    "a hexadecimal length": HEAD + b"Content-Length: 0x2\r\n\r\nok",
    "an empty length": HEAD + b"Content-Length: \r\n\r\n",
    "an endless length": HEAD + b"Content-Length: 99999999999999999999\r\n\r\n",
    "gzip coding": HEAD + b"Transfer-Encoding: gzip\r\n\r\nok",
    "gzip, chunked": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity coding": HEAD + b"Transfer-Encoding: identity\r\n\r\nok",
    "identity, then chunked": HEAD + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF after the status": b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok",
    "bare LF after a field": HEAD + b"Content-Length: 2\n\r\nok",
    "bare CR in a field": HEAD + b"X: a\rY: b\r\nContent-Length: 2\r\n\r\nok",
    "a folded field": HEAD + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "space before a colon": HEAD + b"Content-Length : 2\r\n\r\nok",
    "a field without a name": HEAD + b": x\r\nContent-Length: 2\r\n\r\nok",
    "a field without a colon": HEAD + b"nonsense\r\nContent-Length: 2\r\n\r\nok",
    "NUL in a field": HEAD + b"X: a\x00b\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/0.9": b"ok then\n",
    "status 000": b"HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n",
    "status 099": b"HTTP/1.1 099 No\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 No\r\nContent-Length: 2\r\n\r\nok",
    "two spaces": b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
    "no HTTP": b"SSH-2.0-OpenSSH_9.0\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "101 unasked": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nframes",
    "101 without a protocol": b"HTTP/1.1 101 Switching\r\n\r\nframes",
    "a 103 with a length": b"HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\nhello" + answer(),
    "a 104 with a length": b"HTTP/1.1 104 Resume\r\nContent-Length: 5\r\n\r\nhello" + answer(),
    "a 100 with chunks": b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n" + answer(),
    "a bad chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "an endless chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "endless interim answers": b"HTTP/1.1 103 Hints\r\nX: y\r\n\r\n" * 20 + answer(),
    "201 fields": HEAD + b"X: y\r\n" * 201 + b"Content-Length: 2\r\n\r\nok",
    "a head of 70 KiB": HEAD + b"X: " + b"y" * 70_000 + b"\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("raw", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_an_ambiguous_answer_is_a_502_and_its_connection_ends(start_stage: StartStage, raw: bytes) -> None:
    """Nothing of it reaches the client, and the next request gets a connection of its own."""
    stage = await start_stage(saying(raw))
    for count in (1, 2):
        got = await stage.get()
        assert got.status == 502
        assert refused_with(got) == "upstream_protocol_error"
        assert got.interim == [] or raw.startswith(b"HTTP/1.1 103")
        assert stage.upstream.accepted == count


async def test_endless_trailers_are_a_cut(start_stage: StartStage) -> None:
    """A body whose trailers have no end has none either."""
    raw = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n" + b"X: y\r\n" * 300
    stage = await start_stage(saying_once(raw[:60], raw[60:]))
    client = await stage.connect()
    await client.send(stage.request())
    await client.head()
    assert not (await client.rest()).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("piece", [b"X-Endless: yes\r\n", b"HTTP/1.1 103 Hints\r\nX: y\r\n\r\n"], ids=["fields", "103"])
async def test_an_endless_head_ends_at_its_limit(start_stage: StartStage, piece: bytes) -> None:
    """However slowly it grows, a head has an end."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        if piece.startswith(b"X"):
            await peer.send(HEAD)
        while True:
            await peer.send(piece)
            await asyncio.sleep(0)

    stage = await start_stage(script)
    assert refused_with(await stage.get()) == "upstream_protocol_error"
    await stage.upstream.until(lambda upstream: upstream.open == 0)


STRAY = {
    "a second answer": answer(b"stolen"),
    "nonsense": b"nonsense",
    "half an answer": b"HTTP/1.1 200 OK\r\n",
    "an interim answer": b"HTTP/1.1 103 Hints\r\n\r\n",
    "a switch": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nframes",
}


@pytest.mark.parametrize("stray", STRAY.values(), ids=STRAY)
@pytest.mark.parametrize("pause", [0.0, 0.05], ids=["at once", "later"])
async def test_what_follows_an_answer_reaches_nobody(start_stage: StartStage, stray: bytes, pause: float) -> None:
    """An upstream that says more than it was asked loses its connection; the next client gets its own answer."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        while True:
            seen = await upstream.read(peer)
            await peer.send(answer(seen.target))
            await asyncio.sleep(pause)
            await peer.send(stray)

    stage = await start_stage(script)
    for name in (b"/one", b"/two", b"/three"):
        assert (await stage.get(name)).body == b"/v1" + name
        await stage.upstream.until(lambda upstream: upstream.open == 0)
    assert stage.upstream.accepted == 3


async def test_a_body_longer_than_its_length_reaches_nobody(start_stage: StartStage) -> None:
    """What is beyond the length is not the next answer."""
    stage = await start_stage(saying(answer(b"okHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", length=2)))
    for _ in range(3):
        assert (await stage.get()).body == b"ok"
    assert stage.upstream.accepted == 3


async def test_a_body_on_a_bodyless_answer_reaches_nobody(start_stage: StartStage) -> None:
    """An answer to HEAD with a body, or a 204 with one, ends its connection."""
    stage = await start_stage(saying(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")))
    client = await stage.connect()
    await client.send(stage.request(b"HEAD"))
    assert (await client.message(method=b"HEAD")).status == 200
    await client.send(stage.request(b"HEAD", b"/other"))
    assert (await client.message(method=b"HEAD")).status == 200
    assert stage.upstream.accepted == 2


async def test_an_answer_before_the_question_spoils_the_connection(start_stage: StartStage) -> None:
    """An upstream that speaks first can only confuse whoever dialled; its second answer reaches nobody."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await peer.send(answer(b"unasked"))
        await upstream.read(peer)
        await peer.send(answer(b"asked"))
        await peer.gone()

    stage = await start_stage(script)
    for count in (1, 2, 3):
        assert (await stage.get()).body != b"asked"
        await stage.upstream.until(lambda upstream: upstream.open == 0)
        assert stage.upstream.accepted == count


async def test_refused_connections_are_a_502(start_stage: StartStage) -> None:
    """Nobody listens: the client is told so, and which host."""
    stage = await start_stage()
    await stage.upstream.stop()
    got = await stage.get()
    assert got.status == 502
    assert refused_with(got) == "upstream_unreachable"
    assert b"connection refused" in got.body


async def slow(upstream: Upstream, peer: Peer) -> None:
    """Read the request and say nothing."""
    await upstream.read(peer)
    await peer.gone()


async def stall_in_head(upstream: Upstream, peer: Peer) -> None:
    """Begin an answer and say no more."""
    await upstream.read(peer)
    await peer.send(HEAD)
    await peer.gone()


async def dripping_head(upstream: Upstream, peer: Peer) -> None:
    """Begin an answer and never get on with it."""
    await upstream.read(peer)
    await peer.send(HEAD)
    while True:
        await peer.send(b"X: y\r\n")
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("script", [slow, stall_in_head, dripping_head])
@pytest.mark.parametrize("limit", ["first_byte", "total"])
async def test_an_upstream_without_an_answer_in_time_is_a_504(
    start_stage: StartStage, script: Script, limit: str
) -> None:
    """The whole head has to be there within ``first_byte``, and within ``total``."""
    stage = await start_stage(script, limits={"timeout": {limit: "100ms"}})
    got = await stage.get()
    assert got.status == 504
    assert refused_with(got) == "upstream_timeout"
    await stage.upstream.until(lambda upstream: upstream.open == 0)


@pytest.mark.parametrize("limit", ["idle", "total"])
async def test_a_stalled_body_is_cut(start_stage: StartStage, limit: str) -> None:
    """A body has to go on within ``idle`` and to end within ``total``."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(HEAD + b"Content-Length: 1000\r\n\r\nabc")
        while limit == "total":
            await asyncio.sleep(0.1)
            await peer.send(b"x")
        await peer.gone()

    stage = await start_stage(script, limits={"timeout": {limit: "300ms"}})
    client = await stage.connect()
    await client.send(stage.request())
    await client.head()
    assert len(await client.rest()) < 50
    await stage.upstream.until(lambda upstream: upstream.open == 0)


async def test_an_upstream_that_answers_late_but_in_time_is_waited_for(start_stage: StartStage) -> None:
    """No deadline ends early: 600 ms of 800 are fine, whenever the clock last ticked.

    A machine that stalls in the wrong moment may spoil a round, but not three in a row.
    """

    async def script(upstream: Upstream, peer: Peer) -> None:
        while True:
            await upstream.read(peer)
            await asyncio.sleep(0.6)
            await peer.send(answer())

    stage = await start_stage(script, limits={"timeout": {"first_byte": "800ms"}})

    async def get(number: int) -> int:
        await asyncio.sleep(number * 0.0125)
        return (await stage.get()).status

    rounds = [set(await asyncio.gather(*(get(number) for number in range(20)))) for _ in range(3)]
    assert {200} in rounds


async def test_an_upstream_that_reads_nothing_holds_the_client_up_to_the_end(start_stage: StartStage) -> None:
    """A body that nobody takes ends with ``total``, and the client is told."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await asyncio.sleep(3)

    stage = await start_stage(script, limits={"timeout": {"total": "400ms"}})
    client = await stage.connect()
    upload = asyncio.create_task(client.send(stage.request(b"POST", body=b"x" * 30_000_000)))
    got = await client.message()
    assert refused_with(got) == "upstream_timeout"
    upload.cancel()
    await asyncio.wait([upload])


Check = Callable[[Stage], Awaitable[None]]


async def test_an_early_refusal_reaches_a_client_that_still_sends(start_stage: StartStage) -> None:
    """A 413 of the upstream in the middle of an upload is read by the client, and the connection ends."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await peer.head()
        await peer.some(1000)
        await peer.send(answer(b"too large", status=b"413 Content Too Large"))
        await asyncio.sleep(1)

    stage = await start_stage(script)
    client = await stage.connect()
    await client.send(stage.request(b"POST", b"/thing", b"Content-Length: 50000000") + b"x" * 200_000)
    got = await client.message()
    assert (got.status, got.body) == (413, b"too large")
    assert got.one(b"connection") == b"close"
    assert await client.is_over()


async def test_an_early_answer_does_not_spoil_the_upstreams_connection(start_stage: StartStage) -> None:
    """After an early refusal, the rest of the body arrives and is dropped; nobody else's request takes its place."""
    heads: list[bytes] = []

    async def script(upstream: Upstream, peer: Peer) -> None:
        heads.append((await peer.head()).raw)
        if b"POST" in heads[-1]:
            await peer.send(HEAD.replace(b"200 OK", b"400 Bad Request") + b"Transfer-Encoding: chunked\r\n\r\n")
            await until(lambda: body_sent)
            await peer.send(chunked(b"no"))
        else:
            await peer.send(answer())
        heads.append((await peer.head()).raw)

    body_sent = False
    stage = await start_stage(script)
    client = await stage.connect()
    await client.send(stage.request(b"POST", b"/thing", b"Content-Length: 10"))
    await client.head()
    await client.send(b"0123456789")
    body_sent = True
    await client.rest()
    assert (await stage.get()).body == b"hello"
    assert stage.upstream.accepted == 2
    assert [head[:4] for head in heads] == [b"POST", b"GET "]


async def test_an_upload_goes_on_under_an_early_success(start_stage: StartStage) -> None:
    """An upstream may answer while it reads, longer than ``idle``, as long as bytes flow."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await peer.head()
        await peer.send(HEAD + b"Content-Length: 2\r\n\r\n")
        await peer.some(10)
        await peer.send(b"ok")

    stage = await start_stage(script, limits={"timeout": {"idle": "1500ms"}})
    client = await stage.connect()
    await client.send(stage.request(b"POST", b"/thing", b"Content-Length: 10"))
    await client.head()
    for _ in range(10):
        await asyncio.sleep(0.25)
        await client.send(b"x")
    assert await client.some(2) == b"ok"
