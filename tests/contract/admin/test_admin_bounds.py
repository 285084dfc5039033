"""The console listener does not wait for ever and does not build whatever it is sent: as the app listener."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from tests.contract.admin.conftest import Admin
from tests.wire.raw import Peer
from tieline.web.bounded import BoundedHttp
from tieline.web.json_bounds import MEMBERS_MOST, WIDTH_MOST, has_too_many_members
from tieline.wire.deadlines import Patience

HEAD = b"POST /api/v1/apps HTTP/1.1\r\nHost: localhost\r\n"


class Hasty(BoundedHttp):
    """The console's HTTP with little patience."""

    patience = Patience(head=0.3, stalled=0.3, body_window=0.3, linger=0.3)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body of ``/read``, nothing of ``/refuse``, and answers ``/much`` with more than anybody's buffers."""
    more = scope["path"] == "/read"
    while more:
        more = (await receive()).get("more_body", False)
    headers = [(b"x-path", scope["path"].encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(1000 if scope["path"] == "/much" else 0):
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": b"answered"})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server with ``application`` behind the console's HTTP."""
    config = uvicorn.Config(application, port=0, http=Hasty, log_config=None, lifespan="off", ws="none")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield server.servers[0].sockets[0].getsockname()[1]
    for listener in server.servers:
        listener.close()
        await listener.wait_closed()


async def drip(client: Peer) -> None:
    """Send a byte now and then until the server has enough."""
    while True:
        await client.send(b"x")
        await asyncio.sleep(0.05)


async def test_a_body_that_comes_a_byte_at_a_time_is_refused(port: int) -> None:
    """Nobody can hold a request for ever."""
    client = await Peer.connect(port)
    await client.send(b"POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")
    dripping = asyncio.create_task(drip(client))
    assert (await client.message()).status == 400
    with pytest.raises(ConnectionError):
        await dripping
    client.close()


async def test_a_request_that_was_answered_does_not_go_on_for_ever(port: int) -> None:
    """A refused client that sends its body a byte at a time is cut after a moment; its answer came."""
    client = await Peer.connect(port)
    await client.send(b"POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")
    dripping = asyncio.create_task(drip(client))
    assert (await client.message()).status == 200
    with pytest.raises(ConnectionError):
        await dripping
    client.close()


async def test_a_body_behind_its_answer_leaves_the_connection_open(port: int) -> None:
    """Where it comes whole, the next request is served."""
    client = await Peer.connect(port)
    for _ in range(2):
        await client.send(b"POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n")
        assert (await client.message()).status == 200
        await client.send(b"hello")
    client.close()


async def test_a_client_that_does_not_read_its_answer_is_cut(port: int) -> None:
    """What it does not take is not kept for ever."""
    client = await Peer.connect(port)
    await client.send(b"GET /much HTTP/1.1\r\nHost: h\r\n\r\n")
    await asyncio.sleep(1.0)
    assert len(await client.rest()) < 1000 * 65536
    client.close()


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b"{%b}" % b",".join(b'"k%d": 1' % number for number in range(400_000)), True),
        (b'{"a": [%b]}' % b",".join([b"[1,2]"] * 70_000), True),
        (b"[%b" % b",".join([b"{}"] * (WIDTH_MOST + 1)), True),
        (b'{"definition": "%b"}' % (b'a: [1, 2, \\"3\\", {}],\\n' * 100_000), False),
        (b"[%b]" % b",".join([b"[1,2]"] * (WIDTH_MOST - 1)), False),
        (b'{"a": "never ends,' + b"," * MEMBERS_MOST, False),
    ],
)
def test_members_are_counted_before_anything_is_built(body: bytes, refused: bool) -> None:
    """In all and in one list or object; commas within text are none."""
    assert has_too_many_members(body) is refused


async def test_a_body_with_very_many_members_is_refused(admin: Admin) -> None:
    """Four hundred thousand unknown keys cost what their bytes cost."""
    body = b"{%b}" % b",".join(b'"k%d": 1' % number for number in range(400_000))
    for method, path in (("POST", "/apps"), ("PUT", "/apis/openai")):
        reply = await admin(method, path, body)
        assert (reply.status, reply.error["code"]) == (413, "body_too_large")
        assert "members" in reply.error["message"]


@pytest.mark.parametrize(
    ("method", "path", "methods"),
    [("OPTIONS", "/apis", "GET, POST"), ("PATCH", "/apis/openai", "DELETE, GET, PUT"), ("PUT", "/catalogue", "GET")],
)
async def test_a_method_that_is_not_taken_is_told_all_that_are(
    admin: Admin, method: str, path: str, methods: str
) -> None:
    """``Allow`` lists every method of the path (RFC 9110 section 10.2.1)."""
    reply = await admin(method, path)
    assert (reply.status, reply.headers["allow"]) == (405, methods)


async def test_a_definition_is_an_object_in_both_forms(admin: Admin) -> None:
    """The document says so too: a YAML schema is about what the YAML is read as."""
    document: dict[str, Any] = (await admin("GET", "/api/openapi.json")).json
    content = document["paths"]["/api/v1/apis/{api}/definition"]["get"]["responses"]["200"]["content"]
    assert {kind: each["schema"]["type"] for kind, each in content.items()} == {
        "application/json": "object",
        "application/yaml": "object",
    }
