"""Bodies of every framing go through in both directions, whole or recognisably not."""

import asyncio

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, answer, chunked, saying, saying_once
from tests.wire.stage import Stage


async def echo(upstream: Upstream, peer: Peer) -> None:
    """Send every request's body back, in the framing it came in."""
    while True:
        seen = await upstream.read(peer)
        if seen.every(b"transfer-encoding"):
            trailers = b"".join(name + b": " + value + b"\r\n" for name, value in seen.trailers)
            body = chunked(seen.body, trailers=trailers) if seen.body else chunked(trailers=trailers)
            await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        else:
            await peer.send(answer(seen.body))


@pytest.mark.parametrize("size", [0, 1, 1000, 65_536, 300_000, 3_000_000])
@pytest.mark.parametrize("method", [b"POST", b"DELETE"])
async def test_a_body_of_known_length_goes_there_and_back(start_stage: StartStage, size: int, method: bytes) -> None:
    """Small, large and empty bodies keep their Content-Length and bytes."""
    stage = await start_stage(echo)
    body = bytes(number * 7 % 251 for number in range(1000)) * (size // 1000) + b"x" * (size % 1000)
    got = await stage.ask(stage.request(method, body=body))
    assert stage.upstream.seen[0].body == body
    assert got.body == body


@pytest.mark.parametrize("pieces", [[], [b"a"], [b"abc", b"d" * 100_000, b"\r\n0\r\n\r\n"]])
async def test_a_chunked_body_goes_there_and_back(start_stage: StartStage, pieces: list[bytes]) -> None:
    """Chunks stay chunks, with the same bytes in them."""
    stage = await start_stage(echo)
    got = await stage.ask(stage.request(b"POST", b"/thing", b"Transfer-Encoding: chunked") + chunked(*pieces))
    assert stage.upstream.seen[0].one(b"transfer-encoding") == b"chunked"
    assert stage.upstream.seen[0].body == got.body == b"".join(pieces)


async def test_a_get_without_a_body_has_none(stage: Stage) -> None:
    """No framing is made up for a GET, and a POST without a body says so."""
    await stage.get()
    await stage.ask(stage.request(b"POST"))
    get, post = stage.upstream.seen
    assert b"content-length" not in get.names
    assert post.one(b"content-length") == b"0"


async def test_a_get_with_a_body_keeps_it(start_stage: StartStage) -> None:
    """Some search APIs read the body of a GET."""
    stage = await start_stage(echo)
    assert (await stage.ask(stage.request(b"GET", body=b'{"q":1}'))).body == b'{"q":1}'


async def test_trailers_go_both_ways(start_stage: StartStage) -> None:
    """Trailer fields pass, less those that route, frame or authenticate."""
    stage = await start_stage(echo)
    trailers = b"X-Sum: abc\r\nAuthorization: Bearer x\r\nTE: gzip\r\nHost: a\r\nTieline-Key: k\r\nX-Two: d\r\n"
    raw = stage.request(b"POST", b"/thing", b"Transfer-Encoding: chunked") + chunked(b"body", trailers=trailers)
    got = await stage.ask(raw)
    assert stage.upstream.seen[0].trailers == [(b"X-Sum", b"abc"), (b"X-Two", b"d")]
    assert got.trailers == [(b"X-Sum", b"abc"), (b"X-Two", b"d")]


@pytest.mark.parametrize(
    ("raw", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", [b"1234"]),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", []),
        (b"HTTP/1.1 200 OK\r\n\r\n", []),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", [b"0"]),
    ],
)
async def test_an_answer_to_head_has_no_body(start_stage: StartStage, raw: bytes, length: list[bytes]) -> None:
    """HEAD keeps the length that GET would have, and the client's connection goes on."""
    stage = await start_stage(saying(raw))
    client = await stage.connect()
    for _ in range(2):
        await client.send(stage.request(b"HEAD"))
        assert (await client.message(method=b"HEAD")).every(b"content-length") == length


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("field", [b"X-Nothing: 1", b"Content-Length: 7", b"Transfer-Encoding: chunked"])
async def test_bodyless_statuses_have_no_body(start_stage: StartStage, status: bytes, field: bytes) -> None:
    """204 and 304 end with their head, whatever it says of a length, and the connection goes on."""
    stage = await start_stage(saying(b"HTTP/1.1 %b\r\n%b\r\n\r\n" % (status, field)))
    client = await stage.connect()
    for _ in range(3):
        await client.send(stage.request())
        got = await client.message()
        assert got.status == int(status[:3])
        assert b"transfer-encoding" not in got.names
        assert status.startswith(b"304") or b"content-length" not in got.names
    assert stage.upstream.accepted == 1


async def test_an_answer_that_ends_with_the_connection_is_whole(start_stage: StartStage) -> None:
    """A body without any length is handed on as chunks and ended properly."""
    stage = await start_stage(saying_once(b"HTTP/1.1 200 OK\r\n\r\nab", b"cd", b"ef"))
    got = await stage.get()
    assert got.body == b"abcdef"
    assert got.one(b"transfer-encoding") == b"chunked"


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    ],
)
async def test_a_body_that_is_cut_has_no_proper_end(start_stage: StartStage, cut: bytes) -> None:
    """A client that gets half of an answer can tell: no last chunk, too few bytes."""
    stage = await start_stage(saying_once(cut))
    client = await stage.connect()
    await client.send(stage.request())
    got = await client.head()
    rest = await client.rest()
    assert b"abc" in rest
    if got.every(b"content-length"):
        assert len(rest) < int(got.one(b"content-length"))
    else:
        assert not rest.endswith(b"0\r\n\r\n")


async def test_a_body_that_is_cut_resets_an_http10_client(start_stage: StartStage) -> None:
    """HTTP/1.0 cannot tell a cut from an end by its framing, so the connection breaks."""
    stage = await start_stage(saying_once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n"))
    client = await stage.connect()
    await client.send(stage.request(version=b"1.0"))
    await client.head()
    assert await client.is_reset()


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_body_beyond_the_limit_is_refused(start_stage: StartStage, framing: str) -> None:
    """``limits.body`` holds for a length that is said and for chunks that are counted."""
    stage = await start_stage(echo, limits={"body": "1KiB"})
    body = b"x" * 1500
    if framing == "length":
        raw = stage.request(b"POST", body=body)
    else:
        raw = stage.request(b"POST", b"/thing", b"Transfer-Encoding: chunked") + chunked(body)
    got = await stage.ask(raw)
    assert got.status == 413
    assert got.one(b"tieline-error") == b"body_too_large"
    assert stage.upstream.seen == []
    await stage.settled()


async def test_a_body_that_grows_too_large_under_its_answer_cuts_it(start_stage: StartStage) -> None:
    """The answer began before the limit was reached: it is not whole, and shows it."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        await peer.gone()

    stage = await start_stage(script, limits={"body": "1KiB"})
    client = await stage.connect()
    await client.send(stage.request(b"POST", b"/thing", b"Transfer-Encoding: chunked") + chunked(b"x" * 900)[:-5])
    await client.head()
    await client.send(chunked(b"y" * 900))
    assert len(await client.rest()) < 9
    assert (await stage.worker.recorded(1))[0].code == "body_too_large"


async def test_a_large_body_waits_for_the_key(start_stage: StartStage) -> None:
    """A key that is seen for the first time is looked up before more than a little of the body is taken."""
    stage = await start_stage(echo)
    source = stage.worker.source
    key_by_hash = source.key_by_hash

    async def slowly(keyed_hash: bytes) -> object:
        await asyncio.sleep(0.2)
        return await key_by_hash(keyed_hash)

    source.key_by_hash = slowly  # type: ignore[method-assign, assignment]
    body = b"x" * 3_000_000
    assert (await stage.ask(stage.request(b"POST", body=body))).body == body


async def test_a_body_of_exactly_the_limit_passes(start_stage: StartStage) -> None:
    """The limit is the largest size that is taken."""
    stage = await start_stage(echo, limits={"body": "1KiB"})
    assert (await stage.ask(stage.request(b"POST", body=b"x" * 1024))).status == 200
