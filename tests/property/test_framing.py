"""Framing under any input: what arrives is what was sent, once, however TCP cuts it; nothing slips in between.

The upstream reads with a parser of its own that forgives nothing (``tests.wire.raw``).
"""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any, TypeVar

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.raw import Message, Peer, Upstream, answer, chunked, drop
from tests.wire.stage import PROVIDER_KEY, Stage, definition
from tieline.testing.dataplane import serving

T = TypeVar("T")
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class World:
    """A worker and an upstream on a loop of their own, used by one example after the other."""

    def __init__(self, runner: asyncio.Runner, stage: Stage) -> None:
        self._runner = runner
        self.stage = stage
        self.pieces: list[bytes] = [answer()]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work`` on the loop."""
        return self._runner.run(work)

    async def serve(self, upstream: Upstream, peer: Peer) -> None:
        """Answer every request with ``pieces``, each a segment of its own."""
        while True:
            await upstream.read(peer)
            for piece in self.pieces:
                await peer.send(piece)
                await asyncio.sleep(0)

    async def exchange(self, raw: list[bytes]) -> Message:
        """Send ``raw`` in segments and read one answer; what the upstream saw is in ``stage.upstream.seen``."""
        self.stage.upstream.seen.clear()
        client = await self.stage.connect()
        try:
            for piece in raw:
                await client.send(piece)
                await asyncio.sleep(0)
            return await client.message()
        finally:
            client.close()
            self.stage.clients.clear()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Started once."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()

        async def start() -> World:
            async def serve(upstream: Upstream, peer: Peer) -> None:
                await made.serve(upstream, peer)

            upstream = Upstream(serve)
            await upstream.start()
            stack.push_async_callback(upstream.stop)
            worker = await stack.enter_async_context(serving())
            worker.source.put_api(definition(upstream.port))
            worker.source.put_credential("api", {"key": PROVIDER_KEY})
            stage = Stage(worker, upstream, worker.source.put_key("api"))
            await worker.caught_up()
            stack.push_async_callback(drop, stage.clients)
            return World(runner, stage)

        made = runner.run(start())
        yield made
        runner.run(stack.aclose())


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """``data`` cut at ``places``, which may be anywhere."""
    ends = [0, *sorted({place % (len(data) + 1) for place in places} - {0, len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(ends)]


cuts = st.lists(st.integers(0, 100_000), max_size=12)
bodies = st.lists(st.binary(min_size=1, max_size=2000), max_size=5)

INJECTIONS = [
    b"\r\nX-Injected: 1",
    b"\nX-Injected: 1",
    b"\rX-Injected: 1",
    b" HTTP/1.1\r\nX-Injected: 1\r\n",
    b"\r\n\r\nGET /relay/api/injected HTTP/1.1\r\nHost: a\r\nX-Injected: 1\r\n\r\n",
    b"%0d%0aX-Injected:%201",
    b"%0aX-Injected: 1",
    b"\\r\\nX-Injected: 1",
    b"\xe5\x98\x8a\xe5\x98\x8dX-Injected: 1",
    b"\xc4\x8dX-Injected: 1",
    b"\x00X-Injected: 1",
    b"\x0bX-Injected: 1",
    b"\x85X-Injected: 1",
    b"\t\r\n X-Injected: 1",
    b"#\r\nX-Injected: 1",
]


@given(
    injection=st.sampled_from(INJECTIONS),
    place=st.sampled_from(["path", "query", "method", "name", "value", "key", "host"]),
    before=st.text("ab/?&=%20;:", max_size=8),
    after=st.text("ab/?&=%20;:", max_size=8),
    places=cuts,
)
def test_nothing_can_be_injected_into_a_request(
    world: World, injection: bytes, place: str, before: str, after: str, places: list[int]
) -> None:
    """Whatever is put into a part of a request, the upstream sees no field and no request that was smuggled in.

    A CRLF as it stands is no injection: what follows is the client's own next field, if the whole is well formed.
    """
    text = before.encode() + injection + after.encode()
    parts = dict.fromkeys(["path", "query", "method", "name", "value", "key", "host"], b"")
    parts[place] = text
    key = world.stage.key.encode() + parts["key"]
    raw = b"GET%b /relay/api/x%b?q%b HTTP/1.1\r\nHost: a%b\r\nAuthorization: Bearer %b\r\nX-A%b: b%b\r\n\r\n" % (
        parts["method"],
        parts["path"],
        parts["query"],
        parts["host"],
        key,
        parts["name"],
        parts["value"],
    )
    world.pieces = [answer()]
    world.run(world.exchange(cut(raw, places)))
    own = b"\r\nX-Injected" in injection
    for seen in world.stage.upstream.seen:
        assert own or b"x-injected" not in seen.names
        assert seen.one(b"authorization") == b"Bearer " + PROVIDER_KEY.encode()
        assert seen.target.startswith(b"/v1/")
    assert len(world.stage.upstream.seen) <= raw.count(b"HTTP/1.1\r\n")


@given(pieces=bodies, places=cuts, length=st.booleans())
def test_a_request_body_arrives_identical(world: World, pieces: list[bytes], places: list[int], length: bool) -> None:
    """Chunked or of known length, cut at any byte, the head included."""
    body = b"".join(pieces)
    stage = world.stage
    if length:
        raw = stage.request(b"POST", body=body)
    else:
        raw = stage.request(b"POST", b"/thing", b"Transfer-Encoding: chunked") + chunked(
            *pieces, trailers=b"X-T: 1\r\n"
        )
    world.pieces = [answer()]
    got = world.run(world.exchange(cut(raw, places)))
    assert got.status == 200
    assert [seen.body for seen in stage.upstream.seen] == [body]
    assert stage.upstream.seen[0].trailers == ([] if length else [(b"X-T", b"1")])


@given(pieces=bodies, places=cuts, length=st.booleans())
def test_an_answer_body_arrives_identical(world: World, pieces: list[bytes], places: list[int], length: bool) -> None:
    """In the other direction."""
    body = b"".join(pieces)
    raw = answer(body) if length else b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(*pieces)
    world.pieces = cut(raw, places)
    assert world.run(world.exchange([world.stage.request()])).body == body


@given(
    events=st.lists(st.text("ab:\n\r é", max_size=12), max_size=8),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    places=cuts,
)
def test_a_stream_of_events_arrives_identical(world: World, events: list[str], end: str, places: list[int]) -> None:
    """Byte for byte, with any line ending, any comment and any junk, cut at any byte."""
    body = "".join(f"data: {event}{end}{end}: note{end}" for event in events).encode()
    world.pieces = cut(EVENTS + chunked(*cut(body, [place // 7 for place in places]) if body else []), places)
    assert world.run(world.exchange([world.stage.request()])).body == body


@given(
    places=cuts,
    where=st.integers(0, 10_000),
    change=st.one_of(
        st.binary(max_size=3), st.sampled_from([b"\r\n", b"\n", b"\r", b" ", b"\x00", b":", b",", b"\r\n\r\n"])
    ),
    removed=st.integers(0, 4),
)
def test_a_damaged_request_does_no_harm(
    world: World, places: list[int], where: int, change: bytes, removed: int
) -> None:
    """Whatever is changed in the bytes of a good request, no second one comes of it, and the worker goes on."""
    stage = world.stage
    good = stage.request(b"POST", b"/thing?q=1", b"X-A: b", body=b"0123456789")
    where %= len(good)
    raw = good[:where] + change + good[where + removed :]
    world.pieces = [answer()]
    world.run(sent_and_ended(world, cut(raw, places)))
    assert len(stage.upstream.seen) <= 1
    for seen in stage.upstream.seen:
        assert seen.target.startswith(b"/v1")
    assert world.run(world.exchange([stage.request()])).status == 200


async def sent_and_ended(world: World, pieces: list[bytes]) -> None:
    """Send ``pieces``, end, and read whatever comes."""
    world.stage.upstream.seen.clear()
    client = await world.stage.connect()
    try:
        for piece in pieces:
            await client.send(piece)
            await asyncio.sleep(0)
        client.end()
    except (ConnectionError, RuntimeError):
        pass
    await client.rest()
    client.close()
    world.stage.clients.clear()
