"""16 MiB of hostile text in any field that is parsed: whoever else is served meanwhile waits 50 ms at most.

The suite sends 4 MiB, the soak (`make soak`) 16. What stops a loop does so each time; a machine that gives out memory
slowly, or has other work, does not: so the least of a few tries counts.

Whether what is sent is refused or answered is told elsewhere.
"""

import asyncio
import gc
import gzip
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from tests.conftest import SOAK
from tests.heartbeat import Heartbeat, spend
from tests.wire import calling
from tests.wire.conftest import StartStage
from tests.wire.raw import Peer, Script, Upstream
from tests.wire.stage import PROVIDER_KEY, Stage
from tieline.app.worker import TURN

_WHOLE = 16 * 1024 * 1024 - 64
SIZE = _WHOLE if SOAK else _WHOLE // 4
MOST = 0.05
"""Seconds that a loop may stand still for anything that an outsider sends."""
_TRIES = 3
_PIECE = 64 * 1024


@pytest.fixture(autouse=True)
def as_a_worker() -> Iterator[None]:
    """What is loaded is left out of garbage collection, and threads take turns, as a worker has it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    sys.setswitchinterval(before)


def filled(piece: bytes, *, start: bytes = b"", end: bytes = b"", most: int = SIZE) -> bytes:
    """``start``, then ``piece`` again and again, then ``end``."""
    return start + piece * ((min(SIZE, most) - len(start) - len(end)) // len(piece)) + end


def numbered(template: bytes, *, start: bytes, end: bytes, many: int) -> bytes:
    """``template`` with ``many`` different numbers, fewer where less is sent than 16 MiB."""
    found = start + b"".join(template % each for each in range(many * SIZE // _WHOLE)) + end
    assert len(found) <= SIZE
    return found


DRESSED = PROVIDER_KEY.replace("-", "\\u002d").encode()
JSON: Mapping[str, bytes] = {
    "text": filled(b"x", start=b'"', end=b'"'),
    "quotes": filled(b'\\"', start=b'"', end=b'"'),
    "backslashes": filled(b"\\\\", start=b'"', end=b'"'),
    "feeds": filled(b"\\n", start=b'"', end=b'"'),
    "escapes": filled(b"\\u0001", start=b'"', end=b'"'),
    "halves": filled(b"\\ud83d", start=b'"', end=b'"'),
    "wide": filled("é\U0001f600".encode(), start=b'"', end=b'"'),
    "percents": filled(b"%2525", start=b'["', end=b'"]'),
    "entities": filled(b"&amp;", start=b'["', end=b'"]'),
    "never closed": filled(b'\\"', start=b'["'),
    "numbers": filled(b"1,", start=b"[", end=b"1]"),
    "few numbers": filled(b"1,", start=b"[", end=b"1]", most=7_900_000),
    "long numbers": filled(b"0.1234567890123456789,", start=b"[", end=b"1]"),
    "exponents": filled(b"1e5,", start=b"[", end=b"1]"),
    "one number": filled(b"1"),
    "lists": filled(b"[],", start=b"[", end=b"1]"),
    "objects": filled(b'{"a":1},', start=b"[", end=b"1]", most=7_900_000),
    "members": numbered(b'"k%d":1,', start=b"{", end=b'"k":1}', many=390_000),
    "many members": numbered(b'"key%d":1,', start=b"{", end=b'"k":1}', many=900_000),
    "depth": filled(b"["),
    "depth of objects": filled(b'{"a":'),
    "blanks": filled(b" ", start=b"[", end=b"]"),
    "feeds between": filled(b"\n", start=b'{"a":1,', end=b'"b":2}'),
    "commas": filled(b","),
    "a secret": filled(b'{"a":"\\u00e9"},', start=b'["' + DRESSED + b'",', end=b"1]", most=7_900_000),
    "a secret in text": filled(b'\\"', start=b'["' + DRESSED + b'","', end=b'"]'),
    "secrets": filled(b'"' + DRESSED + b'",', start=b"[", end=b"1]"),
    "no bytes of text": filled(b"\xff", start=b'["', end=b'"]'),
}
XML: Mapping[str, bytes] = {
    "elements": filled(b"<a/>", start=b"<r>", end=b"</r>"),
    "fewer elements": filled(b"<a>x</a>", start=b"<r>", end=b"</r>", most=3_900_000),
    "text": filled(b"x", start=b"<r>", end=b"</r>"),
    "entities": filled(b"&lt;", start=b"<r>", end=b"</r>"),
    "an attribute": filled(b"x", start=b'<r a="', end=b'"/>'),
    "a comment": filled(b"-x", start=b"<r><!--", end=b"--></r>"),
    "tags": filled(b"<"),
    "cdata": filled(b"]", start=b"<r><![CDATA[", end=b"]]></r>"),
}
CSV: Mapping[str, bytes] = {
    "commas": filled(b","),
    "rows": filled(b"a\n"),
    "cells": filled(b"a,b,c,d\n", most=3_900_000),
    "quotes": filled(b'"'),
    "quoted": filled(b'"",'),
    "a line": filled(b"x"),
}
OTHERS: Mapping[tuple[str, str], tuple[bytes, bytes]] = {
    ("text", "quotes"): (b"text/plain", filled(b'"')),
    ("text", "controls"): (b"text/plain", filled(b"\x01")),
    ("text", "bytes"): (b"text/plain", filled(b"\xff")),
    ("text", "utf-16"): (b"text/plain; charset=utf-16", filled(b"\x00\xd8")),
    ("text", "punycode"): (b"text/plain; charset=punycode", filled(b"a0", start=b"x-")),
    ("text", "utf-7"): (b"text/plain; charset=utf-7", filled(b"+AGE-")),
    ("json", "utf-16"): (b"application/json; charset=utf-16", filled(b"1\x00,\x00", start=b"[\x00", end=b"1\x00]\x00")),
    ("number", "digits"): (b"text/plain", filled(b"1")),
    ("number", "blanks"): (b"text/plain", filled(b" ")),
    ("boolean", "text"): (b"text/plain", filled(b"true")),
    ("file", "text"): (b"text/plain", filled(PROVIDER_KEY.encode()[:-1])),
}
STREAMS: Mapping[tuple[str, str], bytes] = {
    ("sse", "an event of quotes"): filled(b'\\"', start=b'data: {"t":"', end=b'"}\n\n'),
    ("sse", "a delta of feeds"): filled(b"\\n", start=b'data: {"text":"', end=b'"}\n\n'),
    ("sse", "an event of members"): numbered(b'"k%d":1,', start=b'data: {"a":{', end=b'"k":1}}\n\n', many=390_000),
    ("sse", "an event of lists"): filled(b"[],", start=b'data: {"a":[', end=b"1]}\n\n", most=590_000),
    ("sse", "lines"): filled(b"data: x\n", end=b"\n"),
    ("sse", "comments"): filled(b":\n"),
    ("sse", "a line"): filled(b"x", start=b"data: "),
    ("sse", "events"): filled(b"data: {}\n\n", most=1_000_000),
    ("ndjson", "a line"): filled(b"\\u0001", start=b'{"t":"', end=b'"}\n'),
    ("ndjson", "JSON in text"): filled(b"[],", start=b'{"t":"[', end=b'1]"}\n'),
    ("ndjson", "a secret"): filled(b"\\n", start=b'{"t":"' + DRESSED, end=b'"}\n'),
    ("json_array", "an item"): filled(b"\\\\", start=b'["', end=b'"]'),
    ("json_array", "brackets"): filled(b"["),
    ("json_concatenated", "a value"): filled(b"1,", start=b"[", end=b"1]", most=700_000),
    ("text", "text"): filled(b"x"),
}
HEADS: Mapping[str, bytes] = {
    "a status": filled(b"9", start=b"HTTP/1.1 "),
    "a reason": filled(b"x", start=b"HTTP/1.1 200 "),
    "a name": filled(b"x", start=b"HTTP/1.1 200 OK\r\n"),
    "a value": filled(b"x", start=b"HTTP/1.1 200 OK\r\nX: "),
    "fields": filled(b"a: b\r\n", start=b"HTTP/1.1 200 OK\r\n"),
    "links": filled(b'<a>;rel="', start=b"HTTP/1.1 200 OK\r\nLink: "),
    "cookies": filled(b"Set-Cookie: a=b; c\r\n", start=b"HTTP/1.1 200 OK\r\n"),
    "interim answers": filled(b"HTTP/1.1 103 Early\r\nLink: <a>\r\n\r\n"),
    "a chunk's size": filled(b"0", start=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "a chunk's extension": filled(b"x", start=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"),
    "chunks": filled(b"1\r\n1\r\n", start=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", most=2_000_000),
    "trailers": filled(b"a: b\r\n", start=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"),
    "an error": filled(b"<a<b", start=b"HTTP/1.1 500 No\r\nConnection: close\r\n\r\n"),
    "a page": filled(b"<script>", start=b"HTTP/1.1 500 No\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"),
    "punycode": filled(
        b"a0",
        start=b"HTTP/1.1 500 No\r\nContent-Type: text/plain; charset=punycode\r\nConnection: close\r\n\r\nx-",
        most=60_000,
    ),
    "gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
    + gzip.compress(filled(b"[],", start=b"[", end=b"1]"), 1),
    "members of gzip": filled(
        gzip.compress(b"", 1), start=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
    ),
}
FORM = b"Content-Type: multipart/form-data; boundary=edge"
PART = b"--edge\r\nContent-Disposition: form-data; name="
BODIES: Mapping[str, tuple[bytes, bytes]] = {
    "text": (b"", filled(b'\\"', start=b'{"text":"', end=b'"}')),
    "a secret's look": (b"", filled(b"\\u002d", start=b'{"text":"', end=b'"}')),
    "numbers": (b"", filled(b"1.5,", start=b'{"json":[', end=b"1]}", most=1_900_000)),
    "too many numbers": (b"", filled(b"1.5,", start=b'{"json":[', end=b"1]}")),
    "members": (b"", numbered(b'"k%d":1,', start=b'{"json":{', end=b'"k":1}}', many=90_000)),
    "depth": (b"", filled(b"[", start=b'{"json":')),
    "blanks": (b"", filled(b" ")),
    "digits": (b"", filled(b"1", start=b'{"json":')),
    "bytes": (b"", filled(b"\xff", start=b'{"text":"')),
    "a field of a form": (FORM, filled(b"x", start=PART + b'"text"\r\n\r\n', end=b"\r\n--edge--\r\n")),
    "JSON in a form": (FORM, filled(b"1,", start=PART + b'"json"\r\n\r\n[', end=b"1]\r\n--edge--\r\n")),
    "edges": (FORM, filled(b"\r\n--edg", start=PART + b'"text"\r\n\r\n', end=b"\r\n--edge--\r\n")),
    "a part's name": (FORM, filled(b"x", start=PART + b'"')),
    "a part's header": (FORM, filled(b"x: y\r\n", start=PART + b'"a"\r\n')),
    "parts": (FORM, filled(PART + b'"a"\r\n\r\n\r\n')),
    "before the parts": (FORM, filled(b"-")),
}
REQUESTS: Mapping[str, bytes] = {
    "a method": filled(b"G"),
    "a target": filled(b"/..", start=b"GET /relay/api/"),
    "a query": filled(b"a=%2525&", start=b"GET /relay/api/thing?"),
    "a name": filled(b"x", start=b"GET /relay/api/thing HTTP/1.1\r\n"),
    "fields": filled(b"a: b\r\n", start=b"GET /relay/api/thing HTTP/1.1\r\n"),
    "a key": filled(b"tl_", start=b"GET /relay/api/thing HTTP/1.1\r\nAuthorization: Bearer "),
    "cookies": filled(b"a=b; ", start=b"GET /relay/api/thing HTTP/1.1\r\nCookie: "),
    "feeds": filled(b"\r\n"),
    "requests": filled(b"GET /call/api/it HTTP/1.1\r\nHost: a\r\n\r\n", most=1_000_000),
}
RESPONSES: Mapping[str, dict[str, Any]] = {
    "as it came": {},
    "by its fields": {"fields": [{"path": "[].a", "type": "text"}]},
    "beside its status": {"include_errors": True},
}
SECRETIVE = ("a secret", "a secret in text", "secrets")
ANSWERS = {
    **{("by its fields", name): body for name, body in JSON.items()},
    **{("as it came", name): JSON[name] for name in (*SECRETIVE, "objects", "quotes", "exponents", "no bytes of text")},
    **{("beside its status", name): JSON[name] for name in (*SECRETIVE, "feeds", "never closed")},
}


async def pour(peer: Peer, data: bytes) -> None:
    """Write ``data`` as fast as it is taken."""
    for at in range(0, len(data), _PIECE):
        peer.writer.write(data[at : at + _PIECE])
        await peer.writer.drain()


def answering(raw: bytes) -> Script:
    """A script that answers with these bytes and closes."""

    async def say(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await pour(peer, raw)

    return say


def whole(body: bytes, content_type: bytes = b"application/json") -> Script:
    """A script that answers with ``body`` and closes."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return answering(head % (content_type, len(body)) + body)


async def checked(stage: Stage, raw: bytes) -> None:
    """Send ``raw``, take whatever comes, and see that the loop went on all the time."""
    beats: list[Heartbeat] = []
    while len(beats) < _TRIES and (not beats or beats[-1].longest > MOST):
        beats.append(await beaten(stage, raw))
    assert min(beat.longest for beat in beats) <= MOST, [f"{beat.longest:.3f} ({beat.own:.3f})" for beat in beats]


async def beaten(stage: Stage, raw: bytes) -> Heartbeat:
    """The heartbeat of the loop while it takes ``raw`` from a client and the client takes whatever comes."""
    client = await stage.connect()

    async def drain() -> None:
        with suppress(ConnectionError):
            while await client.reader.read(_PIECE):
                pass

    async with Heartbeat() as beat:
        reading = asyncio.create_task(drain())
        with suppress(ConnectionError):
            await pour(client, raw)
            client.end()
        async with asyncio.timeout(250):
            await reading
    return beat


async def check_call(stage: Stage) -> None:
    """As ``checked``, of a run of the call ``it``."""
    await checked(stage, calling.request(stage, "it", {}, b"Connection: close"))


@pytest.mark.parametrize("place", ["on the loop", "in a thread that holds the interpreter's lock"])
async def test_a_stall_is_seen(start_stage: StartStage, place: str) -> None:
    """One of 60 ms of work, each time: else nothing here would prove anything."""

    async def stall(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        if place == "on the loop":
            spend(0.1)
        else:
            await asyncio.to_thread(spend, 0.1)
        await pour(peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    stage = await start_stage(stall, calls={"it": {"path": "/it"}})
    with pytest.raises(AssertionError, match=r"0\.(0[5-9]|[1-9])"):
        await check_call(stage)


@pytest.mark.parametrize(("shape", "name"), ANSWERS)
async def test_json_of_an_answer(start_stage: StartStage, shape: str, name: str) -> None:
    """Read, shaped, masked and written in parts; freed in parts."""
    calls = {"it": {"path": "/it", "response": RESPONSES[shape]}}
    await check_call(await start_stage(whole(ANSWERS[shape, name]), calls=calls))


@pytest.mark.parametrize(
    ("kind", "name"), [*(("xml", name) for name in XML), *(("csv", name) for name in CSV), *OTHERS], ids=str
)
async def test_an_answer_of_another_type(start_stage: StartStage, kind: str, name: str) -> None:
    """In whatever charset it says."""
    known = {"xml": XML, "csv": CSV}.get(kind, {})
    content_type, body = (b"text/plain", known[name]) if name in known else OTHERS[kind, name]
    await check_call(
        await start_stage(whole(body, content_type), calls={"it": {"path": "/it", "response": {"type": kind}}})
    )


@pytest.mark.parametrize(("format", "name"), STREAMS)
async def test_a_stream(start_stage: StartStage, format: str, name: str) -> None:
    """Its events are read and written elsewhere where they are large."""
    stream = {"format": format, "text": {"path": "text"}} if format != "text" else {"format": format}
    response = {"type": "stream", "stream": stream, "fields": [{"path": "t", "type": "json", "parse": True}]}
    await check_call(
        await start_stage(whole(STREAMS[format, name]), calls={"it": {"path": "/it", "response": response}})
    )


@pytest.mark.parametrize("name", ["one item", "items", "strange items"])
async def test_a_page(start_stage: StartStage, name: str) -> None:
    """Its items are written some at a time."""
    bodies = {"one item": JSON["quotes"], "items": JSON["objects"], "strange items": JSON["a secret"]}
    body = bodies[name] if name != "one item" else b"[" + bodies[name] + b"]"
    pagination = {"kind": "page", "parameter": "page"}
    calls = {
        "it": {"path": "/it", "parameters": {"page": {"in": "query", "type": "integer"}}, "pagination": pagination}
    }
    stage = await start_stage(whole(body), calls=calls)
    await checked(stage, calling.request(stage, "it", {}, b"Connection: close", b"Tieline-Pages: all"))


@pytest.mark.parametrize("door", ["relay", "call"])
@pytest.mark.parametrize("name", HEADS)
async def test_whatever_an_upstream_sends(start_stage: StartStage, door: str, name: str) -> None:
    """Its head, its framing, its errors and its codings."""
    stage = await start_stage(answering(HEADS[name]), calls={"it": {"path": "/it"}})
    if door == "call":
        await check_call(stage)
    else:
        await checked(stage, stage.request(b"GET", b"/thing", b"Connection: close"))


@pytest.mark.parametrize("name", BODIES)
async def test_what_a_caller_sends_to_a_call(start_stage: StartStage, name: str) -> None:
    """As JSON or as a form."""
    it = {
        "path": "/it",
        "method": "POST",
        "parameters": {"text": {"optional": True}, "json": {"type": "json", "optional": True}},
        "body": {"type": "json", "template": {"text": "<text>", "json": "<json>"}},
    }
    stage = await start_stage(whole(b"{}"), calls={"it": it})
    field, body = BODIES[name]
    fields = (field,) if field else ()
    await checked(stage, calling.request(stage, "it", None, *fields, b"Connection: close", body=body))


@pytest.mark.parametrize("door", ["relay", "call"])
async def test_a_body_in_very_many_chunks(start_stage: StartStage, door: str) -> None:
    """Each is six bytes on the wire and a step of its own."""
    it = {"path": "/it", "method": "POST", "parameters": {"text": {"in": "query", "optional": True}}}
    stage = await start_stage(whole(b"{}"), calls={"it": it})
    target = b"/relay/api/thing" if door == "relay" else b"/call/api/it"
    lines = (
        b"POST %b HTTP/1.1" % target,
        b"Host: a",
        stage.bearer,
        b"Transfer-Encoding: chunked",
        b"Connection: close",
    )
    await checked(
        stage, filled(b"1\r\n \r\n", start=b"\r\n".join(lines) + b"\r\n\r\n", end=b"0\r\n\r\n", most=2_000_000)
    )


@pytest.mark.parametrize("name", REQUESTS)
async def test_whatever_a_client_sends(start_stage: StartStage, name: str) -> None:
    """Its head, endless or not."""
    await checked(await start_stage(), REQUESTS[name])
