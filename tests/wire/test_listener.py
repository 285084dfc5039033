"""The listening side by itself, with doors made for the test."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tests.wire.raw import Peer, drop, until
from tieline.core.errors import NotReady
from tieline.wire.answers import text_answer
from tieline.wire.deadlines import Deadlines
from tieline.wire.listener import Listener
from tieline.wire.request import Request

Door = Callable[[Request], None]
Connect = Callable[[Door], Awaitable[Peer]]
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = text_answer("ok", "req_1", close=False, head_only=False)


class Quiet:
    """A sink that takes what comes, and notes what it hears."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.heard: list[str] = []
        request.sink = self

    def body_arrived(self) -> None:
        self.heard.append("body")

    def client_gone(self) -> None:
        self.heard.append("gone")

    def client_paused(self) -> None:
        self.heard.append("paused")

    def client_resumed(self) -> None:
        self.heard.append("resumed")

    def client_bytes(self, data: bytes) -> None:
        self.heard.append("bytes")

    def client_ended(self) -> None:
        self.heard.append("ended")


@pytest.fixture
async def knock() -> AsyncIterator[Connect]:
    """Connects a client to a listener whose requests go to the door that is given."""
    async with AsyncExitStack() as stack:

        async def connect(door: Door) -> Peer:
            deadlines = Deadlines()
            deadlines.start()
            stack.callback(deadlines.stop)
            listener = Listener(door, deadlines, lambda: "req_1")
            sock = socket.create_server(("127.0.0.1", 0))
            sock.setblocking(False)
            await listener.start(sock)
            client = await Peer.connect(sock.getsockname()[1])
            stack.push_async_callback(listener.drain, 0)
            stack.push_async_callback(drop, [client])
            return client

        yield connect


async def test_a_hold_of_one_request_does_not_outlive_it(knock: Connect) -> None:
    """A request that is answered while its sink holds the connection leaves the next one readable."""

    def door(request: Request) -> None:
        request.pause()
        request.send(OK)
        request.finish()

    client = await knock(door)
    for _ in range(3):
        await client.send(GET)
        assert (await client.message()).body == b"ok"


async def test_an_unforeseen_failure_is_a_500_that_tells_nothing(
    knock: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """The text of the exception stays in the process; its log line has the request's id; the connection goes on."""

    def door(request: Request) -> None:
        raise RuntimeError("secret detail")

    client = await knock(door)
    for _ in range(2):
        await client.send(GET)
        got = await client.message()
        assert (got.status, got.one(b"tieline-error")) == (500, b"internal_error")
        assert b"secret detail" not in got.raw + got.body
        assert got.one(b"tieline-request-id").decode() == vars(caplog.records[-1])["request_id"]
    assert "secret detail" in caplog.text


async def test_a_failure_behind_a_sink_tells_the_sink(knock: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever was begun for the request is given up, so that it cannot answer a later one."""
    sinks: list[Quiet] = []

    def door(request: Request) -> None:
        sinks.append(Quiet(request))
        raise RuntimeError("half way")

    client = await knock(door)
    await client.send(GET)
    assert (await client.message()).status == 500
    assert sinks[0].heard == ["gone"]


@pytest.mark.parametrize(("error", "status"), [(RuntimeError("x"), 500), (NotReady("x"), 503)])
async def test_work_that_fails_answers_its_request(
    knock: Connect, caplog: pytest.LogCaptureFixture, error: Exception, status: int
) -> None:
    """No request waits for ever because a task died."""
    tasks = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        raise error

    def door(request: Request) -> None:
        Quiet(request)
        tasks.append(request.run(work()))

    client = await knock(door)
    await client.send(GET)
    assert (await client.message()).status in {500, status}


async def test_work_that_fails_after_its_request_changes_nothing(
    knock: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """A late failure is logged and answers nobody."""
    tasks = []

    async def work() -> None:
        await asyncio.sleep(0.05)
        raise RuntimeError("late")

    def door(request: Request) -> None:
        tasks.append(request.run(work()))
        request.send(OK)
        request.finish()

    client = await knock(door)
    await client.send(GET)
    assert (await client.message()).body == b"ok"
    assert await client.is_quiet(0.2)
    assert "late" in caplog.text


async def test_an_error_after_the_answer_began_cuts_the_connection(knock: Connect) -> None:
    """There is no second answer."""

    def door(request: Request) -> None:
        request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        raise NotReady("too late")

    client = await knock(door)
    await client.send(GET)
    assert await client.is_reset()


async def test_a_client_of_an_event_stream_that_ends_counts_as_gone(knock: Connect) -> None:
    """A stream may be silent for long, and nobody reads it any more."""
    sinks: list[Quiet] = []

    def door(request: Request) -> None:
        sinks.append(Quiet(request))
        request.live = True
        request.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")

    client = await knock(door)
    await client.send(GET)
    await client.head()
    client.end()
    assert await client.is_reset()
    assert sinks[0].heard[-1] == "gone"


async def test_after_a_drain_nothing_is_left(knock: Connect) -> None:
    """Whoever was cut has heard of it when the drain is over."""
    sinks: list[Quiet] = []
    client = await knock(lambda request: sinks.append(Quiet(request)))
    await client.send(GET)
    await until(lambda: bool(sinks))
    listener = sinks[0].request.connection.listener  # type: ignore[attr-defined]
    await listener.drain(0)
    assert listener.open_connections == 0
    assert sinks[0].heard[-1] == "gone"
    assert await client.is_reset()


async def test_draining_lets_a_request_finish_and_says_close(knock: Connect) -> None:
    """What runs ends in its own time; idle connections end at once."""
    held: list[Request] = []
    client = await knock(held.append)
    await client.send(GET)
    await until(lambda: bool(held))
    listener = held[0].connection.listener  # type: ignore[attr-defined]
    draining = asyncio.create_task(listener.drain(5))
    await asyncio.sleep(0.05)
    assert held[0].closes
    held[0].send(text_answer("ok", "req_1", close=held[0].closes, head_only=False))
    held[0].finish()
    assert (await client.message()).one(b"connection") == b"close"
    assert await client.is_over()
    await draining


async def test_what_waits_behind_the_request_that_runs_is_not_begun_when_draining(knock: Connect) -> None:
    """The answer to the one that runs says so, and the client sends the other one elsewhere (RFC 9112 section 9.6)."""
    held: list[Request] = []
    client = await knock(held.append)
    await client.send(GET + GET)
    await until(lambda: bool(held))
    listener = held[0].connection.listener  # type: ignore[attr-defined]
    draining = asyncio.create_task(listener.drain(5))
    await until(lambda: listener.draining)
    assert not held[0].keep_alive
    held[0].send_last(text_answer("ok", "req_1", close=held[0].closes, head_only=False))
    assert (await client.message()).one(b"connection") == b"close"
    assert await client.is_over()
    await draining
    assert len(held) == 1
