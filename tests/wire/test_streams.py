"""Streams of events reach the client as they come, and end so that it can tell how."""

import asyncio
import json

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream, chunked, saying, saying_once
from tests.wire.stage import Stage

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
CHUNKED = EVENTS + b"Transfer-Encoding: chunked\r\n\r\n"
FIRST, SECOND = b"data: one\n\n", b"event: two\ndata: 2\n\n"


def events(body: bytes) -> list[tuple[str, str]]:
    """Name and data of every event in ``body``, as the WHATWG's parser sees them."""
    found = []
    name, data = "message", []
    for line in body.decode().replace("\r\n", "\n").split("\n"):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif not line:
            if data:
                found.append((name, "\n".join(data)))
            name, data = "message", []
    return found


async def test_each_event_arrives_when_it_is_sent(start_stage: StartStage) -> None:
    """Nothing waits for more."""
    ask = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(CHUNKED)
        for event in (FIRST, SECOND):
            await ask.wait()
            ask.clear()
            await peer.send(b"%x\r\n%b\r\n" % (len(event), event))
        await peer.send(b"0\r\n\r\n")

    stage = await start_stage(script)
    client = await stage.connect()
    await client.send(stage.request())
    got = await client.head()
    assert got.one(b"content-type") == b"text/event-stream; charset=utf-8"
    assert b"server-timing" not in got.names
    for event in (FIRST, SECOND):
        ask.set()
        assert await client.some(len(event) + 6 - (len(event) < 16)) == b"%x\r\n%b\r\n" % (len(event), event)
    assert await client.some(5) == b"0\r\n\r\n"


@pytest.mark.parametrize(
    "cut",
    [
        b"%x\r\n%b\r\n" % (len(FIRST), FIRST),
        b"%x\r\n%b\r\n5\r\ndata:" % (len(FIRST), FIRST),
        b"%x\r\n%b\r\n" % (len(FIRST) - 1, FIRST[:-1]),
        b"",
    ],
    ids=["after an event", "in an event", "before the empty line", "before any event"],
)
async def test_a_cut_stream_ends_with_an_error_event(start_stage: StartStage, cut: bytes) -> None:
    """``event: error`` with the contract's JSON, then the proper end of the body; half an event is not passed on."""
    stage = await start_stage(saying_once(CHUNKED + cut))
    client = await stage.connect()
    await client.send(stage.request())
    got = await client.message()
    name, data = events(got.body)[-1]
    assert name == "error"
    error = json.loads(data)["error"]
    assert error["code"] == "upstream_protocol_error"
    assert error["request_id"] == got.one(b"tieline-request-id").decode()
    assert [event for event in events(got.body) if event[0] != "error"] == [("message", "one")] * cut.count(FIRST)
    await client.send(stage.request())
    assert (await client.message()).status == 200


async def test_a_malformed_stream_ends_with_an_error_event(start_stage: StartStage) -> None:
    """Bad framing in the middle of a stream is a cut."""
    stage = await start_stage(saying_once(CHUNKED + chunked(FIRST)[:-5], b"nonsense\r\n"))
    got = await stage.get()
    assert [name for name, _ in events(got.body)] == ["message", "error"]


async def test_a_stalled_stream_ends_with_an_error_event(start_stage: StartStage) -> None:
    """A stream that falls silent for longer than ``idle`` ends with ``upstream_timeout``."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(CHUNKED + chunked(FIRST)[:-5])
        await peer.gone()

    stage = await start_stage(script, limits={"timeout": {"idle": "200ms"}})
    (_, first), (name, data) = events((await stage.get()).body)
    assert (first, name) == ("one", "error")
    assert json.loads(data)["error"]["code"] == "upstream_timeout"


async def test_a_stream_that_ends_with_its_connection_has_no_error(start_stage: StartStage) -> None:
    """Without a length the end of the connection is the end."""
    stage = await start_stage(saying_once(EVENTS + b"\r\n", FIRST, SECOND))
    assert (await stage.get()).body == FIRST + SECOND


@pytest.mark.parametrize(
    "field",
    [b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"Content-Length: 90\r\n\r\nabc"],
)
async def test_a_stream_that_cannot_be_added_to_is_cut(start_stage: StartStage, field: bytes) -> None:
    """A packed stream, or one of fixed length, ends like any other body that is cut."""
    stage = await start_stage(saying_once(EVENTS + field))
    client = await stage.connect()
    await client.send(stage.request())
    await client.head()
    assert not (await client.rest()).endswith(b"0\r\n\r\n")


async def test_a_stream_to_an_http10_client_is_cut_by_a_reset(start_stage: StartStage) -> None:
    """Its body ends with the connection, so only a reset tells a cut from an end."""
    stage = await start_stage(saying_once(CHUNKED, chunked(FIRST)[:-5]))
    client = await stage.connect()
    await client.send(stage.request(version=b"1.0"))
    assert await client.is_reset()


@pytest.mark.parametrize("outcome", ["complete", "upstream_cut"])
async def test_the_record_says_how_a_stream_ended(start_stage: StartStage, outcome: str) -> None:
    """Cut and whole streams differ in their records."""
    whole = CHUNKED + chunked(FIRST, SECOND)
    stage = await start_stage(saying(whole) if outcome == "complete" else saying_once(whole[:-5]))
    await stage.get()
    record = (await stage.worker.recorded(1))[0]
    assert (record.outcome, record.status) == (outcome, 200)
    assert record.bytes_out == len(FIRST + SECOND)
    assert record.code == (None if outcome == "complete" else "upstream_protocol_error")


async def test_a_thousand_small_events_arrive_identical(start_stage: StartStage) -> None:
    """However TCP joins or cuts them."""
    body = [b"data: %d\n\n" % number for number in range(1000)]
    stage = await start_stage(saying(CHUNKED + chunked(*body)))
    assert (await stage.get()).body == b"".join(body)


async def test_streams_do_not_wait_for_each_other(stage: Stage, start_stage: StartStage) -> None:
    """A hundred streams at once, each with its own events."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        while True:
            seen = await upstream.read(peer)
            await peer.send(CHUNKED)
            for _ in range(5):
                event = b"data: %b\n\n" % seen.target
                await peer.send(b"%x\r\n%b\r\n" % (len(event), event))
                await asyncio.sleep(0.01)
            await peer.send(b"0\r\n\r\n")

    many = await start_stage(script)
    got = await asyncio.gather(*(many.get(b"/%d" % number) for number in range(100)))
    for number, answered in enumerate(got):
        assert answered.body == b"data: /v1/%d\n\n" % number * 5
