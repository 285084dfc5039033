"""What a tunnel's messages say is counted, and held to the key's list of models; bytes pass as they came."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Upstream
from tests.wire.stage import Stage
from tests.wire.test_budgets import EVERY_KEY, MODEL, NANO, budget, spent
from tests.wire.test_websocket import AGREE, ASK, opened

Converse = Callable[[ServerConnection], Awaitable[None]]
StartRealtime = Callable[..., Awaitable["Realtime"]]
SESSION = {"type": "session.created", "session": {"model": "m"}}
LIST = {"models": ("gpt-4.1*",)}


def done(turn: str, read: int, written: int) -> str:
    """The event that ends an answer."""
    usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    return json.dumps({"type": "response.done", "response": {"id": turn, "status": "completed", "usage": usage}})


class Realtime:
    """A stage whose upstream is a WebSocket server, and what that heard."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.heard: list[str | bytes] = []
        self.sockets: list[ServerConnection] = []

    @asynccontextmanager
    async def connected(self, path: str = "/realtime?model=gpt-4.1", **options: Any) -> AsyncIterator[ClientConnection]:
        """A client's WebSocket."""
        headers = {"Authorization": f"Bearer {self.stage.key}"}
        address = f"ws://127.0.0.1:{self.stage.worker.port}/relay/api{path}"
        async with connect(address, additional_headers=headers, proxy=None, **options) as socket:
            yield socket

    async def record(self) -> Any:
        """The record of the one request that there was."""
        (record,) = await self.stage.worker.recorded(1)
        return record


async def told(socket: ServerConnection) -> None:
    """A session in which each message of the client's gets an answer."""
    await socket.send(json.dumps(SESSION))
    turn = 0
    async for _ in socket:
        turn += 1
        await socket.send(done(f"resp_{turn}", 10 * turn, turn))


@pytest.fixture
def start_realtime(stack: AsyncExitStack, start_stage: StartStage) -> StartRealtime:
    """Starts a worker before a WebSocket server; ``key`` are changes to the app key, ``tells``: usage is read."""

    async def start(
        converse: Converse = told, key: dict[str, Any] | None = None, *, tells: bool = True, **changes: Any
    ) -> Realtime:
        async def heard(socket: ServerConnection) -> None:
            realtime.sockets.append(socket)
            recv = socket.recv

            async def noted(*given: Any, **named: Any) -> Any:
                message = await recv(*given, **named)
                realtime.heard.append(message)
                return message

            socket.recv = noted  # type: ignore[method-assign]
            await converse(socket)

        server = await stack.enter_async_context(serve(heard, "127.0.0.1", 0))
        port = next(iter(server.sockets)).getsockname()[1]
        given = {"usage": {"kind": "openai"}, **changes} if tells else changes
        stage = await start_stage(base_url=f"http://127.0.0.1:{port}/v1", **given)
        realtime = Realtime(stage)
        if key is not None:
            stage.worker.source.change_key(stage.key, **key)
            await stage.worker.caught_up()
        return realtime

    return start


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """Why the connection was closed, once it is."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            await socket.recv()
    got = caught.value.rcvd
    assert got is not None, "no closing frame came"
    return got.code, got.reason


async def test_what_a_session_used_is_in_its_record(start_realtime: StartRealtime) -> None:
    """The sum of its answers, by the model that the session tells, with its cost."""
    realtime = await start_realtime(prices=MODEL)
    async with realtime.connected() as socket:
        assert json.loads(await socket.recv()) == SESSION
        for turn in (1, 2):
            await socket.send("{}")
            assert await socket.recv() == done(f"resp_{turn}", 10 * turn, turn)
    record = await realtime.record()
    assert (record.status, record.outcome, record.used.model) == (101, "complete", "m")
    assert record.used.quantities == {"input_tokens": 30, "output_tokens": 3}
    assert record.used.cost_nano == 60 * NANO
    assert not record.used.estimated


async def test_compression_is_agreed_on_only_where_nobody_reads(start_realtime: StartRealtime) -> None:
    """An API without usage keeps it; with usage it is taken out of the handshake, and both sides go on without."""
    read = await start_realtime()
    async with read.connected() as socket:
        assert not socket.protocol.extensions
        assert json.loads(await socket.recv()) == SESSION
    unread = await start_realtime(tells=False)
    async with unread.connected() as socket:
        assert socket.protocol.extensions
        await socket.recv()


async def test_a_session_that_is_cut_is_estimated(start_realtime: StartRealtime) -> None:
    """What was told stays exact; the answer that was under way counts by its text."""

    async def cut(socket: ServerConnection) -> None:
        await socket.send(json.dumps(SESSION))
        await socket.send(done("a", 10, 5))
        for _ in range(3):
            await socket.send(json.dumps({"type": "response.output_text.delta", "delta": "word"}))
        socket.transport.abort()

    realtime = await start_realtime(cut)
    async with realtime.connected() as socket:
        with pytest.raises(ConnectionClosed):
            while True:
                await socket.recv()
    used = (await realtime.record()).used
    assert (used.quantities, used.estimated) == ({"input_tokens": 10, "output_tokens": 8}, True)


async def test_a_session_in_which_nothing_was_told_used_nothing(start_realtime: StartRealtime) -> None:
    """Not 0, and no guess."""
    realtime = await start_realtime()
    async with realtime.connected() as socket:
        await socket.recv()
    assert not (await realtime.record()).used.quantities


@pytest.mark.parametrize("how", [4001, 1000, 1011])
async def test_the_upstreams_closing_reaches_the_client(start_realtime: StartRealtime, how: int) -> None:
    """With its code and reason; what was used until then counts."""

    async def closes(socket: ServerConnection) -> None:
        await socket.send(done("a", 10, 5))
        await socket.close(how, "that is all")

    realtime = await start_realtime(closes, key=LIST)
    async with realtime.connected() as socket:
        assert await closed(socket) == (how, "that is all")
    assert (await realtime.record()).used.quantities == {"input_tokens": 10, "output_tokens": 5}


async def test_responses_over_a_websocket_count_with_their_parts(start_realtime: StartRealtime) -> None:
    """What was cached and reasoned too, of each response, in a frame of bytes as well as of text."""
    usage = {
        "input_tokens": 100, "input_tokens_details": {"cached_tokens": 60},
        "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 8}, "total_tokens": 120,
    }  # fmt: skip

    async def answers(socket: ServerConnection) -> None:
        for turn, each in enumerate(("completed", "incomplete")):
            response = {"id": f"r{turn}", "object": "response", "model": "m", "status": each, "usage": usage}
            event = json.dumps({"type": f"response.{each}", "response": response})
            await socket.send(event.encode() if turn else event)
        await socket.recv()

    realtime = await start_realtime(answers)
    async with realtime.connected("/responses") as socket:
        await socket.recv()
        await socket.recv()
    used = (await realtime.record()).used
    assert used.model == "m"
    assert used.quantities == {
        "input_tokens": 200, "cached_input_tokens": 120, "output_tokens": 40, "reasoning_tokens": 16,
    }  # fmt: skip


async def test_answers_that_were_cancelled_or_failed_count_and_so_does_what_was_written_down(
    start_realtime: StartRealtime,
) -> None:
    """The transcription is another model's, whose price nobody knows: it is never 0."""
    heard = {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": "i",
        "usage": {"type": "duration", "seconds": 2.5},
    }

    async def answers(socket: ServerConnection) -> None:
        await socket.send(json.dumps(SESSION))
        for turn in ("cancelled", "failed"):
            await socket.send(done(turn, 10, 1).replace("completed", turn))
        await socket.send(json.dumps(heard))
        await socket.recv()

    realtime = await start_realtime(answers, prices=MODEL)
    async with realtime.connected() as socket:
        for _ in range(4):
            await socket.recv()
    used = (await realtime.record()).used
    assert used.quantities == {"input_tokens": 20, "output_tokens": 2, "audio_ms": 2_500}
    assert (used.cost_nano, used.unpriced) == (40 * NANO, {"audio_ms"})


async def test_a_model_without_a_price_is_not_free(start_realtime: StartRealtime) -> None:
    """A dated name that the prices do not have: what it used is counted as unpriced."""

    async def dated(socket: ServerConnection) -> None:
        await socket.send(json.dumps({"type": "session.created", "session": {"model": "other-2025-12-15"}}))
        await socket.send(done("a", 10, 5))
        await socket.recv()

    realtime = await start_realtime(dated, prices=MODEL)
    async with realtime.connected() as socket:
        await socket.recv()
        await socket.recv()
    used = (await realtime.record()).used
    assert (used.model, used.cost_nano) == ("other-2025-12-15", None)
    assert used.unpriced == {"input_tokens", "output_tokens"}


async def test_a_large_message_that_is_not_read_passes_and_is_said_to_be_unread(start_realtime: StartRealtime) -> None:
    """What follows counts."""

    async def large(socket: ServerConnection) -> None:
        await socket.send("x" * 2_000_000)
        await socket.send(done("a", 10, 5))
        await socket.recv()

    realtime = await start_realtime(large)
    async with realtime.connected(max_size=None) as socket:
        assert await socket.recv() == "x" * 2_000_000
        assert await socket.recv() == done("a", 10, 5)
        await socket.send("thanks")
    used = (await realtime.record()).used
    assert (used.quantities, used.unread) == ({"input_tokens": 10, "output_tokens": 5}, {"a message that is too large"})
    assert used.model == "gpt-4.1"  # that was asked for, as none was told


async def test_an_upstream_that_sends_no_frames_is_passed_on_and_said_to_be_unread(start_stage: StartStage) -> None:
    """Nothing is changed for the client."""

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(AGREE + b"welcome")
        await peer.gone()

    stage = await start_stage(script, usage={"kind": "openai"})
    client, _ = await opened(stage)
    assert await client.some(7) == b"welcome"
    client.close()
    (record,) = await stage.worker.recorded(1)
    assert record.used.unread == {"frames that cannot be read"}


async def test_what_a_budget_has_left_is_settled_by_what_a_session_used(start_realtime: StartRealtime) -> None:
    """One at a time, as nobody knows its bound; under a hard budget alone it is refused as before."""
    realtime = await start_realtime(prices=MODEL)
    await budget(realtime.stage, 1_000, target=EVERY_KEY, unbounded="one_at_a_time")
    async with realtime.connected() as socket:
        await socket.recv()
        with pytest.raises(InvalidStatus) as second:
            async with realtime.connected():
                pass
        assert second.value.response.status_code == 429
        await socket.send("{}")
        await socket.recv()
    await realtime.stage.worker.recorded(2)
    assert await spent(realtime.stage) == 20 * NANO
    await budget(realtime.stage, 1_000, target=EVERY_KEY)
    with pytest.raises(InvalidStatus) as refused:
        async with realtime.connected():
            pass
    assert b"budget_exceeded" in (refused.value.response.body or b"")


async def test_a_key_with_a_list_may_converse_with_what_it_may_use(start_realtime: StartRealtime) -> None:
    """In text, in fragments, in sound."""
    realtime = await start_realtime(key=LIST)
    sent: list[Any] = [
        '{"type":"session.update","session":{"model":"gpt-4.1-mini"}}',
        b"\0\1\2\3",
        '{"a":"' + "b" * 9 + '"}',
    ]
    async with realtime.connected() as socket:
        await socket.recv()
        for each in sent:
            await socket.send(each)
            await socket.recv()
        await socket.send(iter(["{", '"type"', ':"response.create"}']))
        await (await socket.ping())
        await socket.recv()
    assert realtime.heard == [*sent, '{"type":"response.create"}']


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        ('{"type":"session.update","session":{"model":"gpt-5"}}', 1008, "model gpt-5. It may use gpt-4.1*."),
        ('{"type":"response.create","response":{"Model":"gpt-5"}}', 1008, "may not use the model gpt-5"),
        (["{", '"model":"gp', 't-5"}', ""], 1008, "may not use the model gpt-5"),
        (b'{"model":"gpt-5"}', 1008, "may not use the model gpt-5"),
        ('{"model":"gpt-4.1"', 1008, "a message cannot be read"),
        ('{"model":"gpt-4.1","audio":"' + "b" * 300_000 + '"}', 1009, "larger than the 128 KiB"),
    ],
)  # fmt: skip
async def test_a_message_that_may_not_be_sent_never_reaches_the_upstream(
    start_realtime: StartRealtime, message: Any, code: int, says: str
) -> None:
    """The client is told why; what it said before was heard, and counts."""
    realtime = await start_realtime(key=LIST)
    async with realtime.connected() as socket:
        await socket.recv()
        await socket.send("{}")
        await socket.recv()
        await socket.send(iter(message) if isinstance(message, list) else message)
        found = await closed(socket)
    assert found[0] == code
    assert says in found[1]
    record = await realtime.record()
    assert (record.outcome, record.code) == ("refused", "model_not_allowed")
    assert record.used.quantities == {"input_tokens": 10, "output_tokens": 1}
    assert realtime.heard == ["{}"]


async def test_the_model_in_the_query_is_held_to_the_list(start_realtime: StartRealtime) -> None:
    """As for any request."""
    realtime = await start_realtime(key=LIST)
    with pytest.raises(InvalidStatus) as refused:
        async with realtime.connected("/realtime?model=gpt-5"):
            pass
    assert refused.value.response.status_code == 403
    assert b"may not use the model gpt-5" in (refused.value.response.body or b"")
    assert not realtime.sockets


def text(payload: bytes, *, masked: bool = True) -> bytes:
    """A frame of text."""
    return Frame(Opcode.TEXT, payload).serialize(mask=masked, extensions=[])


@pytest.mark.parametrize(
    "data",
    [b"\xc1" + text(b"x")[1:], text(b'{"model":"gpt-5"}', masked=False), b"GET / HTTP/1.1\r\n"],
    ids=["compressed", "not masked", "no frame"],
)
async def test_frames_that_cannot_be_read_end_a_tunnel_under_a_list(start_stage: StartStage, data: bytes) -> None:
    """Compressed though nobody agreed to it, without a mask, or none at all: servers differ in what they make of it."""
    got = bytearray()

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(AGREE.replace(b"X-Theirs: 1", b"Sec-WebSocket-Extensions: permessage-deflate"))
        while some := await peer.reader.read(65536):
            got.extend(some)

    stage = await start_stage(script, usage={"kind": "openai"})
    stage.worker.source.change_key(stage.key, **LIST)
    await stage.worker.caught_up()
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/realtime?model=gpt-4.1", *ASK))
    await client.head()
    await client.send(text(b"first") + data)
    assert (await client.some(4))[:1] == b"\x88"
    (record,) = await stage.worker.recorded(1)
    assert record.code == "model_not_allowed"
    assert len(got) == len(text(b"first"))


@pytest.mark.parametrize("more", [b"y" * 10, b"y" * 5, b"y" * 10 + text(b"{}", masked=False)])
async def test_the_reason_comes_between_frames(start_stage: StartStage, more: bytes) -> None:
    """A frame of the upstream's that has begun goes on to its end, and nothing behind it."""
    refused = asyncio.Event()

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(AGREE + text(b"x" * 10 + b"y" * 10, masked=False)[:-10])
        await refused.wait()
        for at in range(0, len(more), 5):
            await peer.send(more[at : at + 5])
            await asyncio.sleep(0.01)
        await peer.gone()

    stage = await start_stage(script, usage={"kind": "openai"})
    stage.worker.source.change_key(stage.key, **LIST)
    await stage.worker.caught_up()
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/realtime?model=gpt-4.1", *ASK))
    await client.head()
    assert await client.some(12) == b"\x81\x14" + b"x" * 10
    await client.send(text(b'{"model":"gpt-5"}') + text(b"more"))
    await asyncio.sleep(0.05)
    refused.set()
    if len(more) < 10:
        assert await client.some(5) == b"y" * 5
        client.close()
    else:
        assert await client.some(10) == b"y" * 10
        assert (await client.some(4))[:1] == b"\x88"
    (record,) = await stage.worker.recorded(1)
    assert record.code == "model_not_allowed"


@pytest.mark.parametrize("side", ["client", "upstream"])
async def test_a_flood_of_the_smallest_messages_keeps_nobody_waiting(start_stage: StartStage, side: str) -> None:
    """A hundred thousand in a MiB are read in slices, and all go on in their order."""
    flood = (text(b"{}", masked=side == "client") * 130_000)[: 1 << 20]

    async def script(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(AGREE)
        if side == "client":
            assert await peer.some(len(flood)) == flood
            await peer.send(text(b"all", masked=False))
        else:
            await peer.send(flood)
        await peer.gone()

    stage = await start_stage(script, usage={"kind": "openai"})
    stage.worker.source.change_key(stage.key, **LIST)
    await stage.worker.caught_up()
    client = await stage.connect()
    await client.send(stage.request(b"GET", b"/realtime?model=gpt-4.1", *ASK))
    await client.head()
    longest, loop = 0.0, asyncio.get_running_loop()
    if side == "client":
        sending = asyncio.create_task(client.send(flood))
        reading = asyncio.create_task(client.some(5))
    else:
        sending = asyncio.create_task(asyncio.sleep(0))
        reading = asyncio.create_task(client.some(len(flood)))
    while not reading.done():
        before = loop.time()
        await asyncio.sleep(0)
        longest = max(longest, loop.time() - before)
    await sending
    assert await reading == (text(b"all", masked=False) if side == "client" else flood)
    assert longest < 0.15, longest  # of one turn, tests beside it included
