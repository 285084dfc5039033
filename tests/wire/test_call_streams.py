"""Stream calls end to end: events as they come, both ways of ending, and a client that leaves."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.stopwatch import Stopwatch
from tests.wire import calling
from tests.wire.calling import error
from tests.wire.conftest import StartStage
from tests.wire.raw import SECONDS, Message, Peer, Script, Upstream, answer, chunked, saying, saying_once, until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CALLS: dict[str, Any] = {
    "ask": {"method": "POST", "path": "/chat", "response": {"type": "stream", "stream": {"preset": "openai_chat"}}},
    "tell": {"path": "/tell", "response": {"type": "stream", "stream": {"format": "ndjson", "text": {"path": "t"}}}},
}


def delta(text: str) -> bytes:
    """One event of OpenAI's, whose text is ``text``."""
    return b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}) + b"\n\n"


def events(message: Message) -> list[tuple[str, Any]]:
    """The events of an answer by name."""
    assert message.status == 200, message.body
    found = []
    for block in message.body.decode().removesuffix("\n\n").split("\n\n"):
        name, _, data = block.partition("\ndata: ")
        found.append((name.removeprefix("event: "), orjson.loads(data)))
    return found


def framed(*pieces: bytes) -> bytes:
    """A streamed answer in these chunks."""
    return HEAD + chunked(*pieces)


async def test_a_stream_becomes_the_events_of_calls(start_stage: StartStage) -> None:
    """Deltas, then the whole text."""
    stage = await start_stage(
        saying(framed(delta("hel"), delta("lo")[:9], delta("lo")[9:], b"data: [DONE]\n\n")), calls=CALLS
    )
    found = await calling.run(stage, "ask")
    assert found.one(b"content-type") == b"text/event-stream; charset=utf-8"
    assert b"server-timing" not in found.names
    told = events(found)
    assert told[:2] == [("delta", {"text": "hel"}), ("delta", {"text": "lo"})]
    assert (told[2][0], told[2][1]["text"]) == ("done", "hello")


async def test_a_stream_by_get_is_a_stream_too(start_stage: StartStage) -> None:
    """A data call's."""
    stage = await start_stage(saying(answer(b'{"t":"a"}\n{"t":"b"}\n')), calls=CALLS)
    told = events(await calling.run(stage, "tell", method=b"GET"))
    assert [name for name, _ in told] == ["delta", "delta", "done"]


async def test_the_connection_is_used_again_after_a_stream(start_stage: StartStage) -> None:
    """Though its end mark came before its end."""
    stage = await start_stage(saying(framed(delta("a"), b"data: [DONE]\n\n")), calls=CALLS)
    for _ in range(2):
        assert events(await calling.run(stage, "ask"))[-1][0] == "done"
        await until(lambda: stage.worker.service.pool.busy_connections == 0)
    assert stage.upstream.accepted == 1


async def test_an_event_is_passed_on_before_the_next_comes(start_stage: StartStage) -> None:
    """Nothing waits for the end."""
    go = asyncio.Event()

    async def slow(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(HEAD + chunked(delta("first"))[:-5])
        await go.wait()
        await peer.send(chunked(b"data: [DONE]\n\n"))

    stage = await start_stage(slow, calls=CALLS)
    client = await stage.connect()
    await client.send(calling.request(stage, "ask"))
    async with asyncio.timeout(SECONDS):
        assert b"first" in await client.reader.readuntil(b"first")
    go.set()
    async with asyncio.timeout(SECONDS):
        await client.reader.readuntil(b"event: done")


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (saying(framed(delta("a"), b'data: {"error": {"message": "overloaded"}}\n\n')), "upstream_error"),
        (saying(framed(delta("a"), b"data: {nonsense\n\n")), "upstream_protocol_error"),
        (saying(framed(delta("a"))), "upstream_protocol_error"),
    ],
    ids=["reported", "malformed", "cut"],
)
async def test_a_stream_that_fails_says_so(start_stage: StartStage, script: Script, code: str) -> None:
    """What came before stands; the record tells."""
    stage = await start_stage(script, calls=CALLS)
    found = await calling.run(stage, "ask")
    told = events(found)
    assert [name for name, _ in told] == ["delta", "error"]
    assert (told[1][1]["error"]["code"], told[1][1]["error"]["request_id"]) == (
        code, found.one(b"tieline-request-id").decode()
    )  # fmt: skip
    (record,) = await stage.worker.recorded(1)
    assert (record.outcome, record.code, record.status) == ("upstream_cut", code, 200)


async def test_a_connection_that_breaks_ends_the_stream_with_an_error(start_stage: StartStage) -> None:
    """As every other failure after the first byte."""

    async def breaking(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(HEAD + chunked(delta("a"))[:-5])
        peer.reset()

    stage = await start_stage(breaking, calls=CALLS)
    assert [name for name, _ in events(await calling.run(stage, "ask"))][-1] == "error"


async def test_an_upstream_that_refuses_has_no_stream(start_stage: StartStage) -> None:
    """Its error is answered as any other."""
    stage = await start_stage(saying(answer(b'{"message": "no"}', status=b"400 Bad")), calls=CALLS)
    found = await calling.run(stage, "ask")
    assert (found.status, error(found)["message"]) == (400, "The upstream answered 400: no")


async def test_a_stream_is_replayed_under_its_key(start_stage: StartStage) -> None:
    """All of its events at once."""
    stage = await start_stage(saying(framed(delta("a"), b"data: [DONE]\n\n")), calls=CALLS)
    key = b"Idempotency-Key: once"
    first, again = await calling.run(stage, "ask", {}, key), await calling.run(stage, "ask", {}, key)
    assert events(first) == events(again)
    assert len(stage.upstream.seen) == 1


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_leaves_cancels_the_upstream(start_stage: StartStage, how: str) -> None:
    """Within a second; nothing is left of it."""
    left = asyncio.Event()

    async def endless(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(HEAD + chunked(delta("a"))[:-5])
        await peer.gone()
        left.set()

    stage = await start_stage(endless, calls=CALLS)
    client = await stage.connect()
    await client.send(calling.request(stage, "ask"))
    async with asyncio.timeout(SECONDS):
        await client.reader.readuntil(b"\n\n")
    async with Stopwatch() as watch:
        getattr(client, how)()
        await left.wait()
    assert watch.seconds < 1.0
    await stage.settled()
    (record,) = await stage.worker.recorded(1)
    assert record.outcome == "client_gone"


async def test_a_client_that_leaves_before_the_answer_cancels_the_upstream(start_stage: StartStage) -> None:
    """Whatever type of call it was."""

    async def silent(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.gone()

    stage = await start_stage(silent, calls={"it": {"path": "/it"}})
    client = await stage.connect()
    await client.send(calling.request(stage, "it"))
    await stage.upstream.until(lambda upstream: len(upstream.seen) == 1)
    client.reset()
    await stage.upstream.until(lambda upstream: upstream.open == 0, 1.5)
    await stage.settled()


async def test_a_slow_client_slows_the_upstream_down(start_stage: StartStage) -> None:
    """A stream is not gathered in Tieline."""
    sent = 0

    async def flood(upstream: Upstream, peer: Peer) -> None:
        nonlocal sent
        await upstream.read(peer)
        await peer.send(HEAD)
        piece = chunked(delta("x" * 50_000))[:-5]
        for _ in range(2_000):
            peer.writer.write(piece)
            await peer.writer.drain()
            sent += len(piece)

    stage = await start_stage(flood, calls=CALLS)
    client = await stage.connect(buffer=4096)
    await client.send(calling.request(stage, "ask"))
    await stage.upstream.until(lambda _: sent > 0)
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.5)
    assert sent < 20_000_000
    client.reset()
    await stage.settled()


@pytest.mark.parametrize(("unknown", "names"), [("keep", ["event", "event", "done"]), ("drop", ["event", "done"])])
async def test_undeclared_events_are_handed_out_and_counted(
    start_stage: StartStage, unknown: str, names: list[str]
) -> None:
    """As drift of the stream; with ``unknown: drop`` counted only."""
    stream = {"text": {"path": "t"}, "events": [{"name": "known", "fields": [{"path": "a", "type": "text"}]}]}
    calls = {"it": {"path": "/it", "response": {"type": "stream", "stream": stream, "unknown": unknown}}}
    body = b'event: known\ndata: {"a": "1"}\n\nevent: odd\ndata: {"b": 1}\n\n'
    stage = await start_stage(saying(answer(body)), calls=calls)
    assert [name for name, _ in events(await calling.run(stage, "it"))] == names
    await stage.worker.service.drift_flush.flush()
    (told,) = stage.worker.source.drifts
    assert (told.call, told.path, told.kind, told.found) == ("it", "odd", "new", "event")


async def test_a_picture_of_two_megabytes_in_one_event_passes(start_stage: StartStage) -> None:
    """Up to 16 MiB of an event are read, in a thread, so that others do not wait."""
    picture = "x" * 2_000_000
    calls = {"it": {"path": "/it", "response": {"type": "stream"}}}
    stage = await start_stage(saying(answer(b'data: {"b64_json":"%b"}\n\n' % picture.encode())), calls=calls)
    (name, told), (end, _) = events(await calling.run(stage, "it"))
    assert (name, told["fields"], end) == ("event", {"b64_json": picture}, "done")


@pytest.mark.parametrize(
    ("script", "sure"),
    [
        (saying_once(b"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n" + b'{"t":"a"}\n'), False),
        (saying(answer(b'{"t":"a"}\n', b"Content-Type: application/x-ndjson")), None),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
                + chunked(b'{"t":"a"}\n')), None),
    ],
    ids=["connection", "length", "chunks"],
)  # fmt: skip
async def test_an_end_that_nothing_but_the_connection_tells_is_not_sure(
    start_stage: StartStage, script: Script, sure: bool | None
) -> None:
    """A process that dies closes its connections as one that is done does."""
    stage = await start_stage(script, calls=CALLS)
    told = events(await calling.run(stage, "tell"))
    assert [name for name, _ in told] == ["delta", "done"]
    assert told[1][1].get("sure") is sure
