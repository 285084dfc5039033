"""Many event streams at once: opened, counted while they run, closed. Runs in the benchmark's own process."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

from bench.load.request import BODY
from bench.process import BenchError

_FIRST_SECONDS = 30.0
_AT_ONCE = 100


class Stream(asyncio.Protocol):
    """One open stream. ``events`` counts what came, ``reads`` in how many pieces; ``ended`` that it is over."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._begun = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport
        self.events = 0
        self.reads = 0
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, though of no common class
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.events += data.count(b"\n\n")
        self.reads += 1
        if not self._begun.done():
            if not data.startswith(b"HTTP/1.1 200"):
                self._begun.set_exception(BenchError(f"a stream was answered: {data[:300].decode('latin-1')}"))
            elif self.events:
                self._begun.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        if not self._begun.done():
            self._begun.set_exception(BenchError("a stream ended before its first event"))

    async def begun(self) -> None:
        """Wait for the first event. Raises BenchError when none comes."""
        try:
            async with asyncio.timeout(_FIRST_SECONDS):
                await self._begun
        except TimeoutError:
            raise BenchError(f"a stream had no event after {_FIRST_SECONDS:g} s") from None

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()


@asynccontextmanager
async def streaming(url: str, headers: Mapping[str, str], count: int) -> AsyncIterator[list[Stream]]:
    """Hold ``count`` streams of ``url`` open while the block lasts; each has had its first event when it begins."""
    request = _request(url, headers)
    streams: list[Stream] = []
    try:
        while len(streams) < count:
            opened = await asyncio.gather(*(_open(url, request) for _ in range(min(_AT_ONCE, count - len(streams)))))
            streams += opened
            await asyncio.gather(*(stream.begun() for stream in opened))
        yield streams
    finally:
        for stream in streams:
            stream.close()
        await asyncio.sleep(0.1)  # let the hang-ups go out


async def _open(url: str, request: bytes) -> Stream:
    parts = urlsplit(url)
    assert parts.hostname is not None
    loop = asyncio.get_running_loop()
    _, stream = await loop.create_connection(lambda: Stream(request), parts.hostname, parts.port or 80)
    return stream


def _request(url: str, headers: Mapping[str, str]) -> bytes:
    parts = urlsplit(url)
    fields = {
        "Host": parts.netloc,
        "Accept": "text/event-stream",
        "Content-Type": "application/json",
        "Content-Length": str(len(BODY)),
        **headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {parts.path} HTTP/1.1\r\n{lines}\r\n".encode("ascii") + BODY
