"""Tieline's own errors are found by an API's own clients: in the shape that its definition names, at both doors."""

from typing import Any

import orjson
import pytest
from botocore.parsers import create_parser

from tests.wire import calling
from tests.wire.conftest import StartStage
from tests.wire.raw import Message
from tests.wire.stage import Stage
from tieline.core.error_shapes import ERROR_SHAPES, ErrorFacts
from tieline.core.errors import ANSWERS, TielineError

AREAS = [{"area": "files", "title": "Files", "levels": ["read", "write"], "match": ["* /*"]}]
_AWS = {"aws_xml": ("rest-xml", "query"), "aws_json": ("json", "rest-json")}
NOTHING = {"mode": "restricted", "grants": {"api": {}}}


async def start(start_stage: StartStage, shape: str) -> tuple[Stage, bytes]:
    """A stage whose API has this shape of errors, and an app key that may do nothing there."""
    stage = await start_stage(errors=shape, areas=AREAS, calls={"it": {"path": "/it"}})
    key = stage.worker.source.put_key("api", permissions=NOTHING)
    await stage.worker.caught_up()
    return stage, key.encode()


async def refused(stage: Stage, key: bytes, door: bytes) -> Message:
    """The answer to a request that is refused."""
    method = b"POST" if door == b"/call/api/it" else b"GET"
    lines = [method + b" " + door + b" HTTP/1.1", b"Host: tieline.test", b"Authorization: Bearer " + key]
    return await stage.ask(b"\r\n".join([*lines, b"Content-Length: 0"]) + b"\r\n\r\n")


def said(shape: str, found: Message) -> tuple[str, str]:
    """Where SDKs of that shape find the message and what kind of error it is."""
    if shape.startswith("aws"):
        headers = {name.decode(): value.decode() for name, value in found.headers}
        answer = {"status_code": found.status, "headers": headers, "body": found.body}
        read = [create_parser(protocol).parse(answer, None)["Error"] for protocol in _AWS[shape]]
        assert len({(each["Message"], each["Code"]) for each in read}) == 1
        return read[0]["Message"], read[0]["Code"]
    body: dict[str, Any] = orjson.loads(found.body)
    if shape == "problem":
        assert body["status"] == found.status
        assert body["message"] == body["detail"]
        return body["detail"], body["code"]
    error = body["error"]
    return error["message"], error["status"] if shape == "google" else error["type"]


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ("tieline", "tieline_error"),
        ("openai", "tieline_error"),
        ("anthropic", "permission_error"),
        ("google", "PERMISSION_DENIED"),
        ("aws_json", "AccessDeniedException"),
        ("aws_xml", "AccessDenied"),
        ("problem", "missing_permission"),
    ],
)
@pytest.mark.parametrize("door", [b"/relay/api/files", b"/call/api/it"], ids=["relay", "call"])
async def test_an_error_has_the_shape_of_its_api(start_stage: StartStage, shape: str, kind: str, door: bytes) -> None:
    """Message and kind are where the API's SDKs look; the code stands in a field whatever the shape."""
    stage, key = await start(start_stage, shape)
    found = await refused(stage, key, door)
    message, told = said(shape, found)
    assert (found.status, found.one(b"tieline-error"), told) == (403, b"missing_permission", kind)
    assert "Files" in message
    assert int(found.one(b"content-length")) == len(found.body)


async def test_an_unknown_key_is_refused_in_that_shape(start_stage: StartStage) -> None:
    """Before anything else is known than which API is asked for."""
    stage, _ = await start(start_stage, "anthropic")
    found = await refused(stage, b"tl_live_" + b"x" * 40, b"/relay/api/files")
    assert orjson.loads(found.body)["error"]["type"] == "authentication_error"


async def test_an_api_that_is_none_has_tielines_own(start_stage: StartStage) -> None:
    """There is no other."""
    stage, key = await start(start_stage, "aws_xml")
    found = await refused(stage, key, b"/relay/other/files")
    assert calling.error(found)["code"] == "unknown_api"


async def test_a_stream_that_is_cut_ends_in_that_shape(start_stage: StartStage) -> None:
    """As Anthropic's streams do."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def cut(upstream: Any, peer: Any) -> None:
        await upstream.read(peer)
        await peer.send(head + b"9\r\ndata: 1\n\n\r\n")

    stage = await start_stage(cut, errors="anthropic")
    found = await stage.get()
    event = found.body.rpartition(b"event: error\ndata: ")[2]
    assert orjson.loads(event)["type"] == "error"


@pytest.mark.parametrize("shape", ERROR_SHAPES)
@pytest.mark.parametrize("code", ANSWERS)
def test_every_error_can_be_written_in_every_shape(shape: str, code: str) -> None:
    """Whatever stands in its text."""
    error = type("Any", (TielineError,), {"code": code})('<&>"\ud83d\u2028', param="a")
    for status in (ANSWERS[code].status, 299, 599):
        body = ERROR_SHAPES[shape].body(ErrorFacts(error, status, "req_1"))
        assert "req_1" in body or shape == "aws_json"
