"""The upstream of streams and files: a small event server, cheap enough not to be what is measured.

``POST …/chat/completions`` gets a server-sent event stream that does not end: one chunk, made once, so many times a
second. ``POST …/files`` swallows a body and says how long it was; ``GET …/files/{bytes}/content`` gives so many bytes.
With ``Bench-Stall: 1`` the server stops reading a body for a second in the middle. Run as a program of its own; knows
just enough HTTP for the benchmark's own requests.
"""

import argparse
import asyncio
import re
from typing import cast

import uvloop

_DATA = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4.1",'
    b'"choices":[{"index":0,"delta":{"content":" and"},"logprobs":null,"finish_reason":null}]}\n\n'
)
CHUNK = b"%x\r\n%s\r\n" % (len(_DATA), _DATA)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STALL = re.compile(rb"\r\nbench-stall: *1", re.IGNORECASE)
_CONTENT = re.compile(rb"GET \S*/files/(\d+)/content")
_PIECE = bytes(256 * 1024)
_SLOTS_MOST = 100
_TICK = 0.001
STALL_SECONDS = 1.0


class Clock:
    """Sends each open stream its chunk ``rate`` times a second, a part of the streams at a time, evenly."""

    def __init__(self, rate: float) -> None:
        count = max(1, min(_SLOTS_MOST, int(1 / rate / _TICK)))
        self._pause = 1 / rate / count
        self._slots: list[set[Connection]] = [set() for _ in range(count)]
        self._next = 0

    def add(self, stream: "Connection") -> None:
        """Serve a stream, in the slot that has fewest."""
        min(self._slots, key=len).add(stream)

    def remove(self, stream: "Connection") -> None:
        """Serve it no more."""
        for slot in self._slots:
            slot.discard(stream)

    async def run(self) -> None:
        """Tick until cancelled. A late tick is followed by the next at once, so that the rate holds on average."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            for stream in self._slots[self._next]:
                stream.send_event()
            self._next = (self._next + 1) % len(self._slots)
            due += self._pause
            await asyncio.sleep(max(0.0, due - loop.time()))


class Connection(asyncio.Protocol):
    """One client: its request is read whole, then answered; the next may follow unless the answer was a stream."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._transport: asyncio.Transport
        self._head = b""
        self._due = 0  # bytes of the body still to come
        self._length = 0
        self._stall_at = -1
        self._to_send = 0
        self._streams = False
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, though of no common class

    def connection_lost(self, exc: Exception | None) -> None:
        self._to_send = 0
        if self._streams:
            self._clock.remove(self)

    def data_received(self, data: bytes) -> None:
        if self._due:
            self._body(len(data))
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return
        head, rest = self._head[: end + 4], self._head[end + 4 :]
        self._head = b""
        length = _LENGTH.search(head)
        self._length = self._due = int(length[1]) if length else 0
        self._stall_at = self._length * 7 // 8 if _STALL.search(head) else -1
        self._route(head)
        if rest:
            self._body(len(rest))

    def _route(self, head: bytes) -> None:
        content = _CONTENT.match(head)
        if content is not None:
            self._to_send = int(content[1])
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
                % self._to_send
            )
            self._send_more()
        elif b"/chat/completions " in head[: head.find(b"\r\n")]:
            self._streams = True
            self._clock.add(self)
            self._transport.write(_STREAM_HEAD + CHUNK)
        elif not self._due:
            self._swallowed()

    def _body(self, count: int) -> None:
        self._due -= count
        if self._due <= self._stall_at:
            self._stall_at = -1
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(STALL_SECONDS, self._transport.resume_reading)
        if not self._due and not self._streams:
            self._swallowed()

    def _swallowed(self) -> None:
        body = b'{"bytes":%d}' % self._length
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )

    def send_event(self) -> None:
        """The next event, unless the client does not keep up."""
        if not self._full:
            self._transport.write(CHUNK)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._send_more()

    def _send_more(self) -> None:
        while self._to_send and not self._full:
            piece = _PIECE[: self._to_send]
            self._to_send -= len(piece)
            self._transport.write(piece)


async def serve(port: int, rate: float) -> None:
    """Serve on a port of the loopback address until the process is told to end."""
    clock = Clock(rate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(clock), "127.0.0.1", port, backlog=4096)
    async with server:
        await clock.run()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.upstreams.events", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="events per second on each stream")
    given = parser.parse_args()
    uvloop.run(serve(given.port, given.rate))


if __name__ == "__main__":
    main()
