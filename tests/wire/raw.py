"""HTTP by hand: peers that send exactly the bytes they are told, and read messages without forgiving anything.

Written apart from the product: no parser of its is used here.
"""

import asyncio
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

SECONDS = 30.0  # nothing is proved by it but that nothing hangs


@dataclass
class Message:
    """A request or an answer as it was read; ``raw`` is its head, ``chunks`` the pieces of a chunked body."""

    raw: bytes
    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    interim: list["Message"] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.line.split(b" ")[1])

    @property
    def target(self) -> bytes:
        return self.line.split(b" ")[1]

    @property
    def names(self) -> list[bytes]:
        return [name.lower() for name, _ in self.headers]

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    def every(self, name: bytes) -> list[bytes]:
        """The values of every field called ``name``."""
        return [value for each, value in self.headers if each.lower() == name.lower()]

    def one(self, name: bytes) -> bytes:
        """The value of the only field called ``name``; AssertionError unless there is exactly one."""
        values = self.every(name)
        assert len(values) == 1, f"{name!r}: {values} in {self.raw!r}"
        return values[0]


def parse_head(raw: bytes) -> Message:
    """The message whose head is ``raw``, empty line included."""
    assert raw.endswith(b"\r\n\r\n"), raw
    line, *fields = raw[:-4].split(b"\r\n")
    headers = []
    for each in fields:
        name, colon, value = each.partition(b": ")
        assert colon, each
        assert name.strip() == name, each
        headers.append((name, value))
    return Message(raw, line, headers)


class Peer:
    """One end of a TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, *, buffer: int | None = None) -> "Peer":
        """A client of 127.0.0.1:``port``; ``buffer`` makes the kernel keep only so much that was not read yet."""
        sock = socket.socket()
        if buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        return cls(*await asyncio.open_connection(sock=sock, limit=64 * 1024))

    async def send(self, data: bytes) -> None:
        """Write ``data`` and wait until the kernel has most of it."""
        if self.writer.is_closing():
            raise ConnectionResetError("the other side ended")
        self.writer.write(data)
        async with asyncio.timeout(SECONDS):
            await self.writer.drain()

    async def send_bytewise(self, data: bytes, step: int = 1) -> None:
        """Write ``data`` in pieces of ``step`` bytes, each of its own."""
        for start in range(0, len(data), step):
            await self.send(data[start : start + step])
            await asyncio.sleep(0)

    def end(self) -> None:
        """Send no more, but go on reading."""
        self.writer.write_eof()

    def close(self) -> None:
        """Close in the ordinary way."""
        self.writer.close()

    def reset(self) -> None:
        """Close so that the other side gets a reset at once."""
        if self.writer.is_closing():
            return
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def duplicate(self) -> socket.socket:
        """A second handle on the socket, for what is done behind the loop's back."""
        return socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno()))

    async def head(self) -> Message:
        """Read a head."""
        async with asyncio.timeout(SECONDS):
            return parse_head(await self.reader.readuntil(b"\r\n\r\n"))

    async def message(self, *, method: bytes = b"GET") -> Message:
        """Read a whole message; for an answer, its interim answers before it. ``method`` is what the answer is to."""
        interim = []
        message = await self.head()
        while message.line.startswith(b"HTTP/1.1 1") and message.status != 101:
            interim.append(message)
            message = await self.head()
        message.interim = interim
        async with asyncio.timeout(SECONDS):
            await self._read_body(message, method)
        return message

    async def _read_body(self, message: Message, method: bytes) -> None:
        answer = message.line.startswith(b"HTTP/")
        lengths = message.every(b"content-length")
        codings = message.every(b"transfer-encoding")
        assert len(lengths) + len(codings) <= 1, message.raw
        if answer and (method == b"HEAD" or message.status in {101, 204, 304}):
            return
        if codings:
            assert codings[0].lower() == b"chunked"
            await self._read_chunks(message)
        elif lengths:
            message.body = await self.reader.readexactly(int(lengths[0]))
        elif answer:
            message.body = await self.reader.read()

    async def _read_chunks(self, message: Message) -> None:
        while size := int((await self._line()).split(b";")[0], 16):
            piece = await self.reader.readexactly(size)
            message.chunks.append(piece)
            assert await self._line() == b""
        while line := await self._line():
            name, _, value = line.partition(b": ")
            message.trailers.append((name, value))
        message.body = b"".join(message.chunks)

    async def _line(self) -> bytes:
        line = await self.reader.readuntil(b"\r\n")
        return line[:-2]

    async def some(self, count: int) -> bytes:
        """Read exactly ``count`` bytes."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.readexactly(count)

    async def rest(self) -> bytes:
        """Read until the other side ends, whether properly or by a reset; see ``was_reset`` for which."""
        got = b""
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    piece = await self.reader.read(65536)
                except ConnectionError:
                    return got
                if not piece:
                    return got
                got += piece

    async def gone(self) -> None:
        """Say nothing until the other side ends."""
        await self.reader.read()

    async def is_over(self) -> bool:
        """Whether nothing more comes and the other side has ended."""
        return await self.rest() == b""

    async def is_reset(self) -> bool:
        """Whether the other side ends by a reset rather than properly; what comes before it is passed over."""
        async with asyncio.timeout(SECONDS):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionError:
                return True
            return False

    async def is_quiet(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes, not even an end, for ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False


Script = Callable[["Upstream", Peer], Awaitable[None]]


class Upstream:
    """A server on loopback that does what its script says with each connection, and counts."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.accepted = 0
        self.ended = 0
        self.seen: list[Message] = []
        self._peers: set[Peer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def open(self) -> int:
        """How many connections the script has not ended and the product has not closed."""
        return self.accepted - self.ended

    async def start(self, **options: object) -> None:
        """Listen; ``options`` go to the server, such as ``ssl``."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, **options)  # type: ignore[arg-type]

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await drop(self._peers)

    async def read(self, peer: Peer) -> Message:
        """Read a request and note it in ``seen``."""
        message = await peer.message()
        self.seen.append(message)
        return message

    async def until(self, true: Callable[["Upstream"], bool], seconds: float = SECONDS) -> None:
        """Wait until something is ``true`` of this server."""
        await until(lambda: true(self), seconds)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        peer = Peer(reader, writer)
        self._peers.add(peer)
        task = asyncio.get_running_loop().create_task(self._run(peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, peer: Peer) -> None:
        try:
            await self.script(self, peer)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            self.ended += 1
            peer.close()


async def drop(peers: Iterable[Peer]) -> None:
    """Cut connections, and let the loop notice."""
    for peer in peers:
        peer.writer.transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def until(true: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait until ``true()``; TimeoutError when it never becomes so."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  # the product tells nobody when
            await asyncio.sleep(0.005)


def answer(body: bytes = b"hello", *fields: bytes, status: bytes = b"200 OK", length: int | None = None) -> bytes:
    """A whole answer with a Content-Length, which is true unless ``length`` says otherwise."""
    lines = [b"HTTP/1.1 " + status, *fields, b"Content-Length: %d" % (len(body) if length is None else length)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*pieces: bytes, trailers: bytes = b"") -> bytes:
    """``pieces`` as a chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


async def greet(upstream: Upstream, peer: Peer) -> None:
    """Answer every request of a connection with ``hello``."""
    while True:
        await upstream.read(peer)
        await peer.send(answer())


def saying(*answers: bytes) -> Script:
    """A script that gives each request of a connection the next of ``answers``, the last one for ever."""

    async def say(upstream: Upstream, peer: Peer) -> None:
        count = 0
        while True:
            await upstream.read(peer)
            await peer.send(answers[min(count, len(answers) - 1)])
            count += 1

    return say


def saying_once(*pieces: bytes) -> Script:
    """A script that answers a connection's first request with ``pieces``, each a segment of its own, and closes."""

    async def say(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        for piece in pieces:
            await peer.send(piece)
            await asyncio.sleep(0.01)

    return say
