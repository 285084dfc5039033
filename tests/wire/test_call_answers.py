"""What a caller gets for an upstream's answer: every response type, errors, and answers with everything beside them."""

import gzip
from typing import Any

import pytest

from tests.wire import calling
from tests.wire.calling import error, json_answer, result
from tests.wire.conftest import StartStage
from tests.wire.raw import answer, chunked, saying, saying_once
from tests.wire.stage import PROVIDER_KEY

FIELD = {"path": "name", "type": "text"}


def call(type: str = "json", **response: Any) -> dict[str, Any]:
    """One call named ``it`` that answers with ``type``."""
    return {"it": {"path": "/it", "response": {"type": type, **response}}}


@pytest.mark.parametrize(
    ("type", "content_type", "body", "value"),
    [
        ("json", b"application/json", b'{"name": "a", "x": 1}', {"name": "a", "x": 1}),
        ("json", b"application/json", b'\xef\xbb\xbf  {"a": 1}', {"a": 1}),
        ("json", b"application/json; charset=ISO-8859-1", b'{"a": "\xe9"}', {"a": "é"}),
        ("json", b"application/json", b"", None),
        ("xml", b"application/xml", b"<a><b>1</b><b>2</b></a>", {"a": {"b": ["1", "2"]}}),
        ("xml", b"text/xml", b'<?xml version="1.0" encoding="latin-1"?><a>\xe9</a>', {"a": "é"}),
        ("text", b"text/plain", "hei ✓".encode(), "hei ✓"),
        ("text", b"text/plain; charset=latin-1", b"\xe9", "é"),
        ("text", b"text/plain", b"", ""),
        ("number", b"text/plain", b" 12.5\n", 12.5),
        ("boolean", b"text/plain", b"True", True),
        ("csv", b"text/csv", b"a,b\n1,2\n", [{"a": "1", "b": "2"}]),
    ],
)
async def test_an_answer_is_the_value_of_its_type(
    start_stage: StartStage, type: str, content_type: bytes, body: bytes, value: Any
) -> None:
    """As JSON, whatever it was."""
    stage = await start_stage(saying(answer(body, b"Content-Type: " + content_type)), calls=call(type))
    assert result(await calling.run(stage, "it")) == value


@pytest.mark.parametrize(("unknown", "rest"), [({}, {"x": {"y": 1}}), ({"unknown": "drop"}, {})])
async def test_what_nobody_excluded_is_handed_out(
    start_stage: StartStage, unknown: dict[str, str], rest: dict[str, Any]
) -> None:
    """Under the names people gave; what no field names too, unless the call drops it."""
    fields = [{"path": "name", "type": "text", "name": "title"}, {"path": "age", "type": "integer", "include": False}]
    stage = await start_stage(
        saying(json_answer({"name": "a", "age": 3, "x": {"y": 1}})), calls=call(fields=fields, **unknown)
    )
    assert result(await calling.run(stage, "it")) == {"title": "a", **rest}


async def test_an_empty_answer_has_no_body(start_stage: StartStage) -> None:
    """Whatever the upstream says."""
    stage = await start_stage(saying(answer(b"lots of words")), calls=call("empty"))
    found = await calling.run(stage, "it")
    assert (found.status, found.body) == (204, b"")


@pytest.mark.parametrize("coding", [b"gzip", b"x-gzip"])
async def test_an_encoded_answer_is_read(start_stage: StartStage, coding: bytes) -> None:
    """It was not asked for, and comes all the same."""
    body = gzip.compress(b'{"name": "a"}')
    stage = await start_stage(saying(answer(body, b"Content-Encoding: " + coding)), calls=call())
    assert result(await calling.run(stage, "it")) == {"name": "a"}
    assert stage.upstream.seen[0].one(b"accept-encoding") == b"identity"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (answer(b"not json", b"Content-Type: application/json"), "upstream_protocol_error"),
        (answer(b"\x1b", b"Content-Encoding: br"), "upstream_protocol_error"),
        (answer(gzip.compress(bytes(40_000_000)), b"Content-Encoding: gzip"), "upstream_response_too_large"),
        (answer(b" " * 17_000_000), "upstream_response_too_large"),
        (answer(b"[" * 300 + b"]" * 300), "upstream_protocol_error"),
        (answer(b"[" * 100_000), "upstream_protocol_error"),
        (b"nonsense\r\n\r\n", "upstream_protocol_error"),
    ],
    ids=["no JSON", "unread coding", "bomb", "too large", "deep", "deeper", "no HTTP"],
)
async def test_an_answer_that_cannot_be_read_is_an_upstream_error(
    start_stage: StartStage, reply: bytes, code: str
) -> None:
    """A bad gateway, and nothing of it is passed on."""
    stage = await start_stage(saying(reply), calls=call())
    found = await calling.run(stage, "it")
    assert (found.status, error(found)["code"]) == (502, code)


@pytest.mark.parametrize(
    ("status", "line"), [(404, b"404 Not Found"), (402, b"402 X"), (503, b"503 Y"), (418, b"418 Z")]
)
async def test_an_upstreams_error_becomes_an_error_answer(start_stage: StartStage, status: int, line: bytes) -> None:
    """With its status, its message and its code."""
    reply = json_answer({"error": {"message": "No such thing.", "code": "gone"}}, b"Retry-After: 60", status=line)
    stage = await start_stage(saying(reply), calls=call(), limits={"retry": {"attempts": 1}})
    found = await calling.run(stage, "it")
    told = error(found)
    assert (found.status, told["code"]) == (status, "upstream_error")
    assert told["message"] == f"The upstream answered {status}: No such thing. (gone)"
    assert found.one(b"retry-after") == b"60"
    (record,) = await stage.worker.recorded(1)
    assert (record.status, record.code, record.outcome) == (status, "upstream_error", "complete")


async def test_an_upstreams_error_shows_no_secret(start_stage: StartStage) -> None:
    """Some APIs repeat the key that they do not like."""
    reply = json_answer({"error": {"message": f"Wrong key {PROVIDER_KEY}."}}, status=b"401 Unauthorized")
    stage = await start_stage(saying(reply), calls=call())
    assert PROVIDER_KEY not in error(await calling.run(stage, "it"))["message"]


async def test_a_redirect_is_told_as_an_error(start_stage: StartStage) -> None:
    """It is followed only where the call says so."""
    stage = await start_stage(saying(answer(b"", b"Location: /else", status=b"302 Found")), calls=call())
    found = await calling.run(stage, "it")
    assert (found.status, error(found)["code"]) == (502, "upstream_error")


async def test_errors_can_be_data(start_stage: StartStage) -> None:
    """With include_errors the caller gets the status, the body and the message."""
    reply = json_answer({"message": "Try later."}, status=b"409 Conflict")
    stage = await start_stage(saying(reply), calls=call(include_errors=True))
    found = result(await calling.run(stage, "it"))
    assert (found["status"], found["body"], found["headers"]) == (409, {"message": "Try later."}, {})
    assert found["error"] == {"message": "Try later.", "code": None}


async def test_headers_can_be_captured(start_stage: StartStage) -> None:
    """Those that are named, masked, beside the shaped body."""
    reply = json_answer({"name": "a"}, b"X-Left: 3", b"X-Left: 4", b"X-Echo: " + PROVIDER_KEY.encode())
    named = ["X-Left", "X-Echo", "X-None"]
    stage = await start_stage(saying(reply), calls=call(fields=[FIELD], capture_headers=named))
    found = result(await calling.run(stage, "it"))
    assert found["headers"] == {"x-left": "3, 4", "x-echo": "*" * len(PROVIDER_KEY)}
    assert (found["status"], found["body"], found["error"]) == (200, {"name": "a"}, None)


async def test_drift_is_counted_and_changes_nothing(start_stage: StartStage) -> None:
    """What no longer fits is handed out as it is."""
    fields = [FIELD, {"path": "age", "type": "integer"}]
    stage = await start_stage(saying(json_answer({"name": "a", "age": "old"})), calls=call(fields=fields))
    assert result(await calling.run(stage, "it")) == {"name": "a", "age": "old"}
    await stage.worker.service.drift_flush.flush()
    (told,) = stage.worker.source.drifts
    assert (told.api, told.call, told.path, told.kind, told.found) == ("api", "it", "age", "type", "text")


async def test_an_image_is_passed_on_as_it_is(start_stage: StartStage) -> None:
    """With its type and length."""
    picture = bytes(range(256)) * 300
    reply = answer(picture, b"Content-Type: image/png", b"ETag: x")
    stage = await start_stage(saying(reply), calls=call("image"))
    found = await calling.run(stage, "it")
    assert (found.body, found.one(b"content-type"), found.one(b"etag")) == (picture, b"image/png", b"x")
    assert int(found.one(b"content-length")) == len(picture)


async def test_what_is_no_image_is_not_passed_on_as_one(start_stage: StartStage) -> None:
    """A page of the provider's could be anything."""
    stage = await start_stage(saying(answer(b"<script>", b"Content-Type: text/html")), calls=call("image"))
    assert error(await calling.run(stage, "it"))["code"] == "upstream_protocol_error"


async def test_a_file_keeps_its_name_or_is_an_attachment(start_stage: StartStage) -> None:
    """No browser shows it in place."""
    named = answer(b"x", b"Content-Type: text/html", b'Content-Disposition: attachment; filename="a.html"')
    stage = await start_stage(saying(named, answer(b"x", b"Content-Type: text/html")), calls=call("file"))
    first, second = await calling.run(stage, "it"), await calling.run(stage, "it")
    assert first.one(b"content-disposition") == b'attachment; filename="a.html"'
    assert second.one(b"content-disposition") == b"attachment"
    assert second.one(b"x-content-type-options") == b"nosniff"


async def test_a_file_of_unknown_length_comes_in_chunks(start_stage: StartStage) -> None:
    """And masked."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = chunked(b"a" + PROVIDER_KEY[:9].encode(), PROVIDER_KEY[9:].encode() + b"b")
    stage = await start_stage(saying(head + body), calls=call("file"))
    found = await calling.run(stage, "it")
    assert found.body == b"a" + b"*" * len(PROVIDER_KEY) + b"b"


async def test_a_file_that_breaks_off_is_not_taken_for_whole(start_stage: StartStage) -> None:
    """The answer has no proper end."""
    stage = await start_stage(saying_once(answer(b"half", length=10)), calls=call("file"))
    client = await stage.connect()
    await client.send(calling.request(stage, "it"))
    rest = await client.rest()
    assert b"content-length: 10" in rest
    assert rest.endswith(b"half")
    (record,) = await stage.worker.recorded(1)
    assert (record.outcome, record.code) == ("upstream_cut", "upstream_protocol_error")


async def test_a_file_call_tells_an_error_as_any_other(start_stage: StartStage) -> None:
    """Its error is no file."""
    stage = await start_stage(saying(json_answer({"message": "Gone."}, status=b"410 Gone")), calls=call("file"))
    found = await calling.run(stage, "it")
    assert (found.status, error(found)["message"]) == (410, "The upstream answered 410: Gone.")


async def test_head_has_no_body_to_read(start_stage: StartStage) -> None:
    """Its value is null, its headers can be captured."""
    calls = {"it": {"method": "HEAD", "path": "/it", "response": {"capture_headers": ["x-size"]}}}
    reply = b"HTTP/1.1 200 OK\r\nX-Size: 9\r\nContent-Length: 9\r\n\r\n"
    stage = await start_stage(saying(reply), calls=calls)
    found = result(await calling.run(stage, "it"))
    assert (found["body"], found["headers"]) == (None, {"x-size": "9"})


async def test_an_old_client_gets_an_answer_too(start_stage: StartStage) -> None:
    """HTTP/1.0 knows no chunks: the end of the connection is the end."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    stage = await start_stage(saying(head + chunked(b"ab", b"cd")), calls=call("file"))
    client = await stage.connect()
    await client.send(calling.request(stage, "it").replace(b"HTTP/1.1", b"HTTP/1.0"))
    found = await client.message()
    assert (found.body, found.one(b"connection")) == (b"abcd", b"close")
