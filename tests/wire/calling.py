"""Calls by hand: the request that runs one, and what came to the upstream for it."""

from typing import Any

import orjson

from tests.wire.raw import Message
from tests.wire.stage import Stage


def request(
    stage: Stage,
    call: str,
    values: Any = None,
    *fields: bytes,
    method: bytes = b"POST",
    query: bytes = b"",
    body: bytes | None = None,
    key: str | None = None,
) -> bytes:
    """A request that runs ``call`` of the API with ``values`` as JSON, or with ``body`` as it is."""
    data = orjson.dumps(values if values is not None else {}) if body is None else body
    target = b"/call/api/" + call.encode() + (b"?" + query if query else b"")
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: tieline.test"]
    lines.append(b"Authorization: Bearer " + (key or stage.key).encode())
    lines += fields
    if method != b"GET":
        lines.append(b"Content-Length: %d" % len(data))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (data if method != b"GET" else b"")


async def run(stage: Stage, call: str, values: Any = None, *fields: bytes, **how: Any) -> Message:
    """The answer to a run of ``call``."""
    return await stage.ask(request(stage, call, values, *fields, **how))


def result(message: Message) -> Any:
    """The JSON of a good answer."""
    assert message.status == 200, (message.line, message.body)
    return orjson.loads(message.body)


def error(message: Message) -> dict[str, Any]:
    """The error of an answer that is one."""
    found: dict[str, Any] = orjson.loads(message.body)["error"]
    assert found["type"] == "tieline_error"
    assert message.one(b"tieline-error").decode() == found["code"]
    return found


def json_answer(value: Any, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer of an upstream with ``value`` as JSON."""
    body = orjson.dumps(value)
    lines = [b"HTTP/1.1 " + status, b"Content-Type: application/json", *fields, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
