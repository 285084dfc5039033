"""Clients that leave at any moment of any call leave nothing behind; a call costs the same however many there are."""

import asyncio
import random
from typing import Any

from tests.wire import calling
from tests.wire.calling import json_answer
from tests.wire.conftest import StartStage
from tests.wire.raw import Message, Peer, Upstream, chunked
from tests.wire.stage import Stage
from tests.wire.test_call_files import FORM, file, form
from tests.wire.test_call_streams import HEAD, delta

CALLS: dict[str, Any] = {
    "json": {"path": "/json", "cache": {"ttl": "1s"}},
    "keyed": {"method": "POST", "path": "/json", "idempotency": {}, "retry": {"attempts": 3}},
    "stream": {"path": "/stream", "response": {"type": "stream", "stream": {"preset": "openai_chat"}}},
    "file": {"path": "/file", "response": {"type": "file"}},
    "pages": {
        "path": "/pages",
        "parameters": {"page": {"in": "query", "type": "integer", "default": 1}},
        "pagination": {"kind": "page", "parameter": "page"},
    },
    "put": {
        "method": "PUT",
        "path": "/put",
        "parameters": {"data": {"type": "file"}},
        "body": {"type": "raw", "content_type": "text/plain", "template": "<data>"},
    },
}


async def answer_slowly(upstream: Upstream, peer: Peer) -> None:
    """Answers whatever is asked, with pauses in between."""
    while True:
        message = await peer.message()
        for piece in pieces(message):
            await asyncio.sleep(random.random() / 200)
            await peer.send(piece)


def pieces(message: Message) -> list[bytes]:
    """An answer in pieces."""
    if message.target.startswith(b"/v1/stream"):
        return [HEAD, *(chunked(delta("x"))[:-5] for _ in range(5)), chunked(b"data: [DONE]\n\n")]
    if message.target.startswith(b"/v1/file"):
        return [b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n", *[b"x" * 50_000] * 10]
    if message.target.startswith(b"/v1/json") and random.random() < 0.3:
        return [json_answer({}, b"Retry-After: 0", status=b"503 Busy")]
    return [json_answer([1, 2])]


def requests(stage: Stage) -> list[bytes]:
    """One request of each kind."""
    upload = form(file("data", b"y" * 5_000_000))
    return [
        calling.request(stage, "json"),
        calling.request(stage, "json", None, b"Idempotency-Key: same"),
        calling.request(stage, "keyed", None, b"Idempotency-Key: other"),
        calling.request(stage, "stream"),
        calling.request(stage, "file"),
        calling.request(stage, "pages", None, b"Tieline-Pages: all"),
        calling.request(stage, "put", None, FORM, body=upload),
    ]


async def leave(stage: Stage, raw: bytes) -> None:
    """Send some of ``raw``, read some of the answer, go in one of three ways."""
    client = await stage.connect()
    try:
        await client.send(raw[: random.randrange(1, len(raw) + 1)] if random.random() < 0.3 else raw)
        await asyncio.sleep(random.random() / 20)
        if random.random() < 0.5:
            async with asyncio.timeout(0.05):
                await client.reader.read(1000)
    except (OSError, TimeoutError):
        pass
    random.choice((client.close, client.reset, client.end))()


async def test_nothing_is_left_of_clients_that_left(start_stage: StartStage, soak: bool) -> None:
    """No socket, no task, no slot."""
    random.seed(7)
    stage = await start_stage(answer_slowly, calls=CALLS)
    tasks = len(asyncio.all_tasks())
    for _ in range(200 if soak else 6):
        await asyncio.gather(*[leave(stage, raw) for raw in requests(stage) for _ in range(4)])
    for client in stage.clients:
        client.reset()
    await stage.settled(10)
    await stage.upstream.until(lambda upstream: upstream.open == stage.worker.service.pool.open_connections, 10)
    assert not stage.worker.service.calls.runner.idempotency._running
    assert len(asyncio.all_tasks()) <= tasks + stage.upstream.open


async def test_only_calls_that_are_run_are_made_ready(start_stage: StartStage) -> None:
    """An API may have thousands."""
    calls = {f"call{number}": {"path": f"/{number}"} for number in range(1_000)}
    stage = await start_stage(answer_slowly, calls=calls)
    await calling.run(stage, "call7")
    await calling.run(stage, "call7")
    api = stage.worker.service.snapshot.apis.get(b"api")
    assert api is not None
    assert len(api.plans["live"].calls._ready) == 1
