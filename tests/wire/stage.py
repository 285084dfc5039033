"""A worker in front of one raw upstream, with one API, one provider key and one app key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.wire.raw import SECONDS, Message, Peer, Upstream, until
from tieline.testing.dataplane import Worker

PROVIDER_KEY = "sk-sandbox-" + "provider-key-not-real"
BASE = b"/v1"


def definition(port: int, **changes: Any) -> dict[str, Any]:
    """The API called ``api``, whose upstream listens on ``port``."""
    return {
        "tieline": "v1",
        "api": "api",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "auth": {"scheme": "bearer"},
        **changes,
    }


@dataclass
class Stage:
    """Everything that one test plays with."""

    worker: Worker
    upstream: Upstream
    key: str
    clients: list[Peer] = field(default_factory=list)

    @property
    def bearer(self) -> bytes:
        return b"Authorization: Bearer " + self.key.encode()

    def request(
        self,
        method: bytes = b"GET",
        path: bytes = b"/thing",
        *fields: bytes,
        body: bytes | None = None,
        version: bytes = b"1.1",
        key: bool = True,
    ) -> bytes:
        """A request to the API: ``Host`` and the app key, then ``fields``, then ``body`` with its Content-Length."""
        lines = [method + b" /relay/api" + path + b" HTTP/" + version, b"Host: tieline.test"]
        if key:
            lines.append(self.bearer)
        lines += fields
        if body is not None:
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")

    async def connect(self, **options: Any) -> Peer:
        """A new connection of a client; it is cut when the test ends."""
        client = await Peer.connect(self.worker.port, **options)
        self.clients.append(client)
        return client

    async def ask(self, raw: bytes, *, method: bytes = b"GET") -> Message:
        """Send ``raw`` on a connection of its own and read one answer."""
        client = await self.connect()
        try:
            await client.send(raw)
            return await client.message(method=method)
        finally:
            client.close()

    async def get(self, path: bytes = b"/thing", *fields: bytes) -> Message:
        """The answer to an ordinary GET."""
        return await self.ask(self.request(b"GET", path, *fields))

    async def configure(self, **changes: Any) -> None:
        """Change the API's definition and wait until it is served."""
        self.worker.source.put_api(definition(self.upstream.port, **changes))
        await self.worker.caught_up()

    async def settled(self, seconds: float = SECONDS) -> None:
        """Wait until nothing is under way: no client, no busy lane."""
        service = self.worker.service
        await until(lambda: service.listener.open_connections == 0 and service.pool.busy_connections == 0, seconds)

    def limits(self, **timeout: str) -> Mapping[str, Any]:
        """``limits`` of a definition with these timeouts."""
        return {"timeout": timeout}
