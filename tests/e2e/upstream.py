"""An upstream on loopback that writes down what arrives and answers as it is told, well or badly.

What it shall do stands in the request's ``x-play`` field, which Tieline passes on, or in a path segment such as
``~reflect`` of an API's base URL: a name from ``PLAYS``, nothing for a plain 200. It keeps every arrival with the
moment it came. It speaks just enough HTTP/1.1 for that.
"""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_END = b"\r\n\r\n"
_TOLD = re.compile(r"/~([a-z_]+)")


@dataclass
class Arrival:
    """A request that arrived; header names in lower case. ``at`` is on the clock of ``time.monotonic``."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    raw: bytes
    at: float

    @property
    def play(self) -> str:
        """The name of what is asked for, empty for nothing special."""
        told = _TOLD.search(self.target)
        return told[1] if told else self.headers.get("x-play", "")

    @property
    def secret(self) -> str:
        """What stands in ``Authorization`` behind the scheme's name."""
        return self.headers.get("authorization", "").partition(" ")[2]


@dataclass
class Upstream:
    """The server and what arrived at it. ``by_mark`` holds arrivals by their ``x-mark`` field."""

    port: int = 0
    keeps: bool = True
    arrivals: list[Arrival] = field(default_factory=list)
    by_mark: dict[str, Arrival] = field(default_factory=dict)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.writers.add(writer)
        try:
            while (arrival := await _read(reader)) is not None:
                self._note(arrival)
                play = PLAYS.get(arrival.play, well)
                await play(arrival, reader, writer)
                await writer.drain()
                if writer.is_closing():
                    break
        except (OSError, EOFError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _note(self, arrival: Arrival) -> None:
        if self.keeps:
            self.arrivals.append(arrival)
        mark = arrival.headers.get("x-mark")
        if mark is not None:
            self.by_mark[mark] = arrival


@asynccontextmanager
async def upstream(*, keeps: bool = True) -> AsyncIterator[Upstream]:
    """A running upstream; without ``keeps`` it remembers marked arrivals only."""
    here = Upstream(keeps=keeps)
    server = await asyncio.start_server(here.serve, "127.0.0.1", 0, limit=1 << 20)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        for writer in list(here.writers):
            writer.transport.abort()
        while here.writers:  # noqa: ASYNC110 -- each connection's task takes itself out
            await asyncio.sleep(0.01)


async def _read(reader: asyncio.StreamReader) -> Arrival | None:
    try:
        raw = await reader.readuntil(_END)
    except asyncio.IncompleteReadError:
        return None
    at = time.monotonic()
    first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        while await reader.readline() != b"\r\n":
            pass
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    return Arrival(method, target, headers, body, raw + body, at)


# --- What it can do. Those that break off close the connection; all others leave it open. ---


async def well(arrival: Arrival, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A small good answer."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n")
    if arrival.method != "HEAD":
        writer.write(b"{}")


def _echoes(arrival: Arrival) -> bytes:
    """Every header that arrived, each under a name of its own."""
    return b"".join(f"x-echo-{name}: {value}\r\n".encode("latin-1") for name, value in arrival.headers.items() if value)


async def reflect(arrival: Arrival, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that arrived comes back: in the reason, in headers and in the body, as text and within JSON."""
    secret = arrival.headers.get("authorization", "none").encode("latin-1")
    echo = json.dumps({"headers": arrival.headers, "url": arrival.target}).encode()
    body = arrival.raw + b"\n" + echo + b"\n"
    writer.write(b"HTTP/1.1 200 saw " + secret + b"\r\n" + _echoes(arrival))
    writer.write(b"content-type: text/plain\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


async def refuse(arrival: Arrival, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A 401 that quotes the key, as careless providers do."""
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {arrival.secret}."}}).encode()
    writer.write(b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer error=" + arrival.secret.encode("latin-1"))
    writer.write(b"\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


async def drip(arrival: Arrival, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What arrived, as a stream that comes three bytes at a time."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    body = b"data: " + arrival.raw.replace(b"\r\n", b" ") + b"\n\n"
    for start in range(0, len(body), 3):
        piece = body[start : start + 3]
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if writer.is_closing():
            return
        if not start % 60:
            await writer.drain()
            await asyncio.sleep(0)
    writer.write(b"0\r\n\r\n")


async def trailers(arrival: Arrival, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What arrived comes back in the fields behind the body."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")
    writer.write(_echoes(arrival) + b"\r\n")


async def interim(arrival: Arrival, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What arrived comes back in an answer before the answer."""
    writer.write(b"HTTP/1.1 103 Early Hints\r\n" + _echoes(arrival) + b"\r\n")
    await well(arrival, reader, writer)


async def cut(arrival: Arrival, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A stream that reflects and breaks off in the middle of the secret's last characters."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    body = b"data: " + arrival.headers.get("authorization", "").encode("latin-1")[:-3]
    writer.write(b"%x\r\n%b\r\n" % (len(body), body))
    await writer.drain()
    writer.close()


async def short(arrival: Arrival, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Fewer bytes than it promised, then nothing more."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n" + arrival.raw)
    await writer.drain()
    writer.close()


async def hang_up(_arrival: Arrival, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """No answer at all."""
    writer.close()


async def malformed(arrival: Arrival, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Something that is no HTTP and quotes what arrived."""
    writer.write(b"HTTP/1.1 2x0 " + arrival.raw + b"\r\n\r\n")
    await writer.drain()
    writer.close()


async def twofold(arrival: Arrival, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Two answers to one request, the second of which reflects."""
    await well(arrival, reader, writer)
    await reflect(arrival, reader, writer)


async def huge_head(arrival: Arrival, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A head that no client should take, made of the secret."""
    writer.write(b"HTTP/1.1 200 OK\r\n" + _echoes(arrival) * 400 + b"content-length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def redirect(arrival: Arrival, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A redirect to a place that has the secret in its address."""
    writer.write(f"HTTP/1.1 302 Found\r\nlocation: https://elsewhere.example/?k={arrival.secret}\r\n".encode("latin-1"))
    writer.write(b"content-length: 0\r\n\r\n")


async def switch(arrival: Arrival, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Agrees to a WebSocket, reflecting in its headers, and hangs up when the client has said something."""
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n")
    writer.write(_echoes(arrival) + b"\r\n")
    await writer.drain()
    await reader.read(1)
    writer.close()


async def stall(_arrival: Arrival, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """No answer for as long as whoever asked waits for one."""
    await reader.read(1)
    writer.close()


Play = Callable[[Arrival, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PLAYS: dict[str, Play] = {
    play.__name__: play
    for play in (
        reflect,
        refuse,
        drip,
        trailers,
        interim,
        cut,
        short,
        hang_up,
        malformed,
        twofold,
        huge_head,
        redirect,
        switch,
        stall,
    )
}
