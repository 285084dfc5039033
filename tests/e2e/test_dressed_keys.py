"""A provider that sends its key back in every dress, to whoever learns from its answers: nothing kept or shown has it.

Beside ``test_canaries``, whose upstream is well-behaved: here it is what is learned (samples, names of members, drift,
the words of errors) that a key could hide in.
"""

import asyncio
import contextlib
import gzip
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.e2e.canaries import Hunt, mint
from tests.e2e.stage import Admin, Line, admin_of, definition, serving

Dress = Callable[[str], bytes]


def said(body: bytes, kind: str = "application/json", status: int = 200, *fields: bytes) -> bytes:
    """A whole answer."""
    head = [b"HTTP/1.1 %d Said" % status, b"content-type: " + kind.encode(), b"content-length: %d" % len(body), *fields]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def document(value: Any) -> bytes:
    """JSON."""
    return said(json.dumps(value).encode())


def escaped(key: str) -> str:
    """Each character as JSON may write it."""
    return "".join(f"\\u{ord(letter):04x}" for letter in key)


DRESSES: dict[str, tuple[str, Dress]] = {
    "value": ("json", lambda key: document({"id": 1, "echo": key})),
    "within": ("json", lambda key: document({"id": 1, "echo": f"Bearer {key}; ok", "list": [{"a": key}] * 3})),
    "name": ("json", lambda key: document({"id": 1, key: 1, "in": {key: {"x": True}}})),
    "unicode": ("json", lambda key: said(f'{{"echo": "{escaped(key)}", "{escaped(key)}": 2}}'.encode())),
    "url": ("json", lambda key: document({"next": f"https://h.example/?key={quote(key, safe='')}"})),
    "page": ("json", lambda key: document({"page": f"<p>{escape(key)}</p>"})),
    "twice": ("json", lambda key: document({"log": json.dumps({"authorization": key})})),
    "gzip": ("json", lambda key: said(gzip.compress(json.dumps({"echo": key}).encode()), "application/json", 200,
                                      b"content-encoding: gzip")),
    "utf16": ("json", lambda key: said(json.dumps({"echo": key}).encode("utf-16"), "application/json; charset=utf-16")),
    "xml": ("xml", lambda key: said(f"<r k='{escape(key)}'><v>{escape(key)}</v></r>".encode(), "application/xml")),
    "csv": ("csv", lambda key: said('id,"{0}"\n1,"{0}"\n'.format(key.replace('"', '""')).encode(), "text/csv")),
    "text": ("text", lambda key: said(f"hello {key}".encode(), "text/plain")),
    "header": ("json", lambda key: said(b'{"id": 1}', "application/json", 200, b"x-echo: " + key.encode())),
    "events": ("stream", lambda key: said(b"".join(
        b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, "delta": {"content": part}}]}).encode()
        for part in (key[:9], key[9:30], key[30:], key)), "text/event-stream")),
    "event": ("stream", lambda key: said(f"event: {key}\ndata: {json.dumps({key: key})}\n\n".encode(),
                                         "text/event-stream")),
    "lines": ("stream", lambda key: said(f"{json.dumps({'echo': key})}\n{json.dumps({key: 1})}\n".encode(),
                                         "application/x-ndjson")),
    "refusal": ("json", lambda key: said(json.dumps({"error": {"message": f"bad key {key}"}}).encode(),
                                         "application/json", 401)),
    "refusal_page": ("json", lambda key: said(f"<h1>{escape(key)}</h1>".encode(), "text/html", 403)),
    "refusal_words": ("json", lambda key: said(escaped(key).encode(), "text/plain", 500)),
}  # fmt: skip


@asynccontextmanager
async def echoing(key: str) -> AsyncIterator[str]:
    """An upstream whose path names a dress; the second answer of a dress has other types, so that there is drift."""
    asked: dict[str, int] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            name = head.split(b" ")[1].decode().rpartition("/")[2].partition("?")[0]
            asked[name] = asked.get(name, 0) + 1
            again = document({"id": "x", "echo": [key], key: {key: [key]}, f"x{key}": key})
            is_json = DRESSES[name][0] == "json" and not name.startswith("refusal")
            writer.write(again if asked[name] > 1 and is_json else DRESSES[name][1](key))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


async def looked_at(admin: Admin) -> AsyncIterator[tuple[str, bytes]]:
    """Everything that the admin API shows of what was learned."""
    paths = ["/apis/echo", "/apis/echo/definition", "/apis/echo/calls?limit=200", "/audit?limit=200"]
    for name in DRESSES:
        paths += [f"/apis/echo/calls/{name}", f"/apis/echo/calls/{name}/schema", f"/apis/echo/calls/{name}/drift"]
    for path in paths:
        yield path, (await admin("GET", path)).raw


async def test_a_key_in_any_dress_is_in_nothing_that_was_learned(tmp_path: Path) -> None:
    """Initialized by a real answer, samples kept whole, run and drifted: not in answers, admin API, files and log."""
    canary = mint("the provider's key", random.Random(20261130), odd=True)
    hunt = Hunt()
    hunt.add(canary)
    found: list[str] = []
    learned = set()
    async with (
        echoing(canary.text) as url,
        serving(tmp_path / "node", "--log-level", "debug") as node,
        admin_of(node) as admin,
    ):
        calls = {
            name: {
                "path": f"/{name}",
                "response": {"type": kind, "capture_headers": ["x-echo"]} if name == "header" else {"type": kind},
            }
            for name, (kind, _) in DRESSES.items()
        }
        await admin.made("POST", "/apis", {"name": "echo", "definition": definition("echo", url, calls=calls)})
        await admin.credential("echo", key=canary.text)
        await admin.app("bot", "echo")
        key = (await admin.key("bot"))["secret"]
        for name in DRESSES:
            wanted = {"parameters": {}, "save": True, "keep_samples": "whole"}
            reply = await admin("POST", f"/apis/echo/calls/{name}/initialize", wanted)
            found += hunt.search(f"initialize {name}", reply.raw)
            if reply.status == 200:
                learned.add(name)
        line = Line(node.app)
        async with asyncio.timeout(60):  # drift is not counted just after a change
            while not (await admin.made("GET", "/apis/echo/calls/name/drift"))["items"]:
                for name in DRESSES:
                    reply = await line.send("POST", f"/call/echo/{name}", {"authorization": f"Bearer {key}"}, b"")
                    found += hunt.search(f"run {name}", reply.raw)
                await asyncio.sleep(0.5)
        await line.close()
        async for where, data in looked_at(admin):
            found += hunt.search(where, data)
        found += hunt.search_files(node.data_dir)
        found += hunt.search("the log", node.said().encode())
    assert found == []
    assert {"value", "name", "xml", "csv", "events"} <= learned
