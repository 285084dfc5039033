"""A head that comes again is not parsed again, and whatever it comes with is read as if it had never come."""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tieline.core.errors import RequestError
from tieline.wire.deadlines import Deadlines, Patience
from tieline.wire.ingress import IngressConnection
from tieline.wire.proxies import TrustedProxies
from tieline.wire.request import Request

BODY = b"\r\n\r\nGET / HT"  # twelve bytes that would show if they were taken for anything else
GOOD = [
    b"POST /relay/api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nAccept: a\r\n\r\n" + BODY,
    b"PUT /x?content-length: HTTP/1.1\r\nHost: h\r\nIdempotency-Key: 7\r\nContent-Length:12\r\n\r\n" + BODY,
    b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nX: content-length: 12\r\ncontent-length: 0012\r\n\r\n" + BODY,
    b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 12\r\n\r\n" + BODY,
    b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n" + BODY,
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
]
PIECES = [b"", b"\r\n", b"\r\n\r\n", b"\n", b" ", b"0", b"5", b"-", b"1,2", b"GET / HTTP/1.1\r\n", b"Host: h\r\n"]


class Line(asyncio.Transport):
    """A client's connection, fed by hand."""

    closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody reads it."""

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    def resume_reading(self) -> None:
        """Nothing comes by itself."""

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close


@dataclass
class Door:
    """A listener that answers at once and notes what it was asked."""

    deadlines: Deadlines = field(default_factory=Deadlines)
    patience: Patience = field(default_factory=Patience)
    proxies: TrustedProxies | None = None
    notable: frozenset[bytes] = frozenset({b"idempotency-key"})
    requests: list[Request] = field(default_factory=list)
    asked: list[tuple[object, ...]] = field(default_factory=list)

    def opened(self, connection: IngressConnection) -> None:
        """It is not kept."""

    def closed(self, connection: IngressConnection) -> None:
        """It was not kept."""

    def run(self, request: Request, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        raise NotImplementedError

    def serve(self, request: Request) -> None:
        self.requests.append(request)
        line = (request.method, request.target, request.minor, request.headers, request.noted)
        frame = (request.length, request.chunked, request.expects, request.complete, request.keep_alive)
        fields = (request.protocol, request.connection_field)
        fault = request.fault.public if isinstance(request.fault, RequestError) else None
        self.asked.append((line, frame, fields, b"".join(request.pieces), fault))
        request.send(b"answer")
        request.finish()


def served(*reads: bytes) -> tuple[Door, bool]:
    """The door after ``reads`` came on one connection, and whether that is closed then."""
    door, line = Door(), Line()
    connection = IngressConnection(door)
    connection.connection_made(line)
    for read in reads:
        connection.data_received(read)
    return door, line.closed


def changed(good: bytes) -> Iterator[bytes]:
    """``good`` itself, cut short anywhere, and with up to two bytes anywhere replaced by a piece."""
    yield good
    for at in range(1, len(good) + 1):
        yield good[:at]
        for cut in range(3):
            yield from (good[:at] + piece + good[at + cut :] for piece in PIECES)


def test_a_head_that_comes_again_is_not_parsed_again() -> None:
    """Its fields are the very objects of the time before, whatever the length of the body."""
    head = b"POST /relay/api/x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
    door, _ = served(*(head % size + b"x" * size for size in (3, 3, 3, 12, 0)))
    assert all(request.headers is door.requests[1].headers for request in door.requests[2:])


@pytest.mark.parametrize("good", GOOD)
def test_whatever_comes_is_read_as_if_nothing_were_recognised(good: bytes) -> None:
    """After the same head and before it, changed by a few bytes at any place, over and over."""
    for read in changed(good):
        reads = [good, good, good, read, read, read, good, good]
        parsed, ended = served(*(part for each in reads for part in (each[:1], each[1:])))  # a head in parts is parsed
        door, closed = served(*reads)
        assert (door.asked, closed) == (parsed.asked, ended), read
