"""The floor: the least that a relay in Python can be. What Tieline costs above it is not Python's cost but ours.

uvloop and llhttp on both sides, one known key by its hash, fields of one hop dropped, a secret put in, connections
reused. No permission, limit, deadline, record or check of an address: it is no product, and nothing in it is safe.
Run as a program (``python -m bench.systems.floor``); ``proxying`` starts it for the line-up.
"""

import argparse
import asyncio
import hashlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import httptools
import uvloop

from bench.process import free_ports, python, running
from bench.systems.nginx import PROVIDER_KEY
from bench.systems.system import System, Upstreams, bearer

NAME = "bare prototype"
_ONE_HOP = frozenset({b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"})
_REPLACED = _ONE_HOP | {b"host", b"content-length"}
_BEARER = len(b"Bearer ")
_REFUSAL = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"


class Relay:
    """What all connections share: the upstream's port, the hash of the one key, and idle upstream connections."""

    def __init__(self, upstream: int, key: str) -> None:
        self.upstream = upstream
        self.known = frozenset({hashlib.sha256(key.encode()).digest()})
        self.idle: deque[Upstream] = deque()

    async def dial(self, client: "Client", message: bytes) -> None:
        """Send ``message`` over a new connection."""
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(lambda: Upstream(self), "127.0.0.1", self.upstream)
        upstream.send(client, message)


class Upstream(asyncio.Protocol):
    """A connection to the upstream; its answer is gathered and written to the client at once."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._client: Client | None = None
        self._out: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def send(self, client: "Client", message: bytes) -> None:
        """Send a request whose answer goes to ``client``."""
        self._client = client
        self._transport.write(message)

    def on_message_begin(self) -> None:
        self._out = [b""]

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() not in _ONE_HOP:
            self._out.append(name + b": " + value + b"\r\n")

    def on_headers_complete(self) -> None:
        self._out[0] = b"HTTP/1.1 %d OK\r\n" % self._parser.get_status_code()
        self._out.append(b"\r\n")

    def on_body(self, body: bytes) -> None:
        self._out.append(body)

    def on_message_complete(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.write(b"".join(self._out))
        if self._parser.should_keep_alive():
            self._relay.idle.append(self)


class Client(asyncio.Protocol):
    """A client's connection; its request is gathered and sent on at once."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._url = self._key = b""
        self._lines: list[bytes] = []
        self._body: list[bytes] = []
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def write(self, data: bytes) -> None:
        """Write an answer."""
        self._transport.write(data)

    def on_message_begin(self) -> None:
        self._url = self._key = b""
        self._lines, self._body = [], []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower == b"authorization":
            self._key = value[_BEARER:]
        elif lower not in _REPLACED:
            self._lines.append(name + b": " + value + b"\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        relay = self._relay
        if hashlib.sha256(self._key).digest() not in relay.known:
            self._transport.write(_REFUSAL)
            return
        body = b"".join(self._body)
        line = b"%b %b HTTP/1.1\r\nhost: 127.0.0.1\r\n" % (self._parser.get_method(), self._url)
        added = b"authorization: Bearer %b\r\ncontent-length: %d\r\n\r\n" % (PROVIDER_KEY.encode(), len(body))
        message = b"".join((line, *self._lines, added, body))
        if relay.idle:
            relay.idle.pop().send(self, message)
        else:
            self._dialling = asyncio.ensure_future(relay.dial(self, message))


@contextmanager
def proxying(folder: Path, upstreams: Upstreams, key: str) -> Iterator[System]:
    """Run it in front of the calls' upstream while the block lasts."""
    (port,) = free_ports(1)
    words = ("--port", str(port), "--upstream", str(upstreams.calls), "--key", key)
    with running("floor", python("bench.systems.floor", *words), folder, ports=(port,)) as process:
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        yield System(NAME, {"calls": url}, bearer(key), (process.pid,))


async def _serve(port: int, relay: Relay) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Client(relay), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Listen until the process is ended."""
    parser = argparse.ArgumentParser(description="The least that a relay in Python can be.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--key", required=True)
    given = parser.parse_args()
    uvloop.run(_serve(given.port, Relay(given.upstream, given.key)))


if __name__ == "__main__":
    main()
