"""A provider on loopback: an OAuth 2.0 token endpoint and an API, each on a port, in the test's own loop.

Refresh tokens rotate and the old one is forgotten. It counts, holds its answers on demand, revokes, refuses what is
good, and drops what it was asked by somebody who is gone before it answers. Knows nothing of the product.
"""

import asyncio
import contextlib
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.e2e.stage import Admin, Line, Node, Reply


@dataclass
class Provider:
    """The running provider. ``granted`` counts tokens by grant; ``given`` holds every secret it ever gave."""

    port: int = 0
    token_port: int = 0
    expires_in: float = 3600.0
    held: asyncio.Event | None = None
    waiting: int = 0
    sulks: bool = False
    granted: Counter[str] = field(default_factory=Counter)
    access: dict[str, float] = field(default_factory=dict)
    refresh: set[str] = field(default_factory=set)
    given: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def definition(self, name: str, **more: object) -> dict[str, Any]:
        """An API of this provider that people sign in to."""
        auth = {
            "scheme": "oauth2",
            "grant": "authorization_code",
            "authorize_url": f"{self.url}/authorize",
            "device_url": f"http://127.0.0.1:{self.token_port}/device",
            "token_url": f"http://127.0.0.1:{self.token_port}/token",
            **more,
        }
        areas = [{"area": "things", "title": "Things", "levels": ["read"], "match": ["* /things"]}]
        return {
            "tieline": "v1",
            "api": name,
            "title": "The provider",
            "base_url": self.url,
            "auth": auth,
            "areas": areas,
        }

    def revoke(self) -> None:
        """Forget all that was given, as a person who takes the grant back makes it do."""
        self.access.clear()
        self.refresh.clear()

    def _grant(self, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        grant = form["grant_type"]
        if grant == "refresh_token":
            if form["refresh_token"] not in self.refresh:
                return 400, {"error": "invalid_grant"}
            self.refresh.discard(form["refresh_token"])
        self.granted[grant] += 1
        access, refresh = (f"{kind}-{secrets.token_hex(20)}" for kind in ("access", "refresh"))
        self.access[access] = time.time() + self.expires_in
        self.refresh.add(refresh)
        self.given += [access, refresh]
        return 200, {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
        }

    def _device(self) -> dict[str, Any]:
        """A device's code, which nobody has to enter: the person is quick (RFC 8628 section 3.2)."""
        code = f"device-{secrets.token_hex(20)}"
        self.given.append(code)
        where = {"verification_uri": f"{self.url}/device", "user_code": "ABCD-EFGH"}
        return {"device_code": code, **where, "expires_in": 300, "interval": 1}

    def _thing(self, head: bytes) -> tuple[int, dict[str, Any]]:
        lines = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line]
        given = next((line[1].decode() for line in lines if line[0].lower() == b"authorization"), "")
        if self.sulks or self.access.get(given.removeprefix("Bearer "), 0.0) < time.time():
            return 401, {"error": "the token is not good"}
        return 200, {"thing": 1}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._answered(reader, writer):
                pass
        writer.close()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        body = await reader.readexactly(length)
        if b" /device " in head.split(b"\r\n", 1)[0]:
            status, content = 200, self._device()
        elif b" /token " in head.split(b"\r\n", 1)[0]:
            if not await self._is_patient(reader):
                return False
            status, content = self._grant(dict(parse_qsl(body.decode())))
        else:
            status, content = self._thing(head)
        text = json.dumps(content).encode()
        writer.write(
            b"HTTP/1.1 %d Said\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(text))
            + text
        )
        await writer.drain()
        return True

    async def _is_patient(self, reader: asyncio.StreamReader) -> bool:
        """Whether whoever asked is still there when the answer may go."""
        if self.held is None:
            return True
        self.waiting += 1
        free, gone = asyncio.create_task(self.held.wait()), asyncio.create_task(reader.read(1))
        await asyncio.wait({free, gone}, return_when=asyncio.FIRST_COMPLETED)
        self.waiting -= 1
        is_gone = gone.done()
        free.cancel()
        gone.cancel()
        await asyncio.wait({free, gone})
        return not is_gone


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """A provider while the block lasts."""
    provider = Provider()
    servers = [await asyncio.start_server(provider.serve, "127.0.0.1", 0) for _ in range(2)]
    provider.port, provider.token_port = (server.sockets[0].getsockname()[1] for server in servers)
    try:
        yield provider
    finally:
        for server in servers:
            server.close()


@dataclass
class Visitor:
    """A browser at the console: remembers the cookie it is given."""

    node: Node
    cookie: str = ""

    async def get(self, url: str) -> Reply:
        """What the console answers; ``url`` is whole."""
        line = Line(self.node.console)
        target = "/" + url.split("/", 3)[3]
        reply = await line.send("GET", target, {"cookie": self.cookie} if self.cookie else {})
        await line.close()
        self.cookie = reply.header("set-cookie").partition(";")[0] or self.cookie
        return reply


async def sign_in(admin: Admin, query: str = "", *, api: str = "crm") -> Reply:
    """Go through a sign-in as a browser does that the provider sends straight back."""
    link = await admin.made("GET", f"/oauth/authorize/{api}{query}")
    visitor = Visitor(admin.node)
    away = (await visitor.get(link["url"])).header("location")
    sent = dict(parse_qsl(away.partition("?")[2]))
    return await visitor.get(f"{sent['redirect_uri']}?code=a-code&state={sent['state']}")
