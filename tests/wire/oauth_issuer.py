"""An OAuth 2.0 token endpoint on loopback that answers what a test says, and a worker's tokens of it.

Answers are bytes, so that a firewall, a proxy or a broken issuer can stand there. Nothing of the product is in the
endpoint.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.wire.tokens import Clock, Vaulted, planned
from tieline.core.secret import Secret
from tieline.dataplane.snapshot.plan import Plan
from tieline.ports.connections import SealedConnection
from tieline.schemes.flow import Renewal
from tieline.schemes.oauth2.scheme import OAuth2
from tieline.testing.connections import MemoryConnections
from tieline.vault.keyring import Keyring

PERSON = {"grant": "authorization_code", "authorize_url": "http://127.0.0.1:9/authorize"}
FIREWALL = b"<html><title>Request blocked</title></html>"


def reply(body: bytes | dict[str, Any], status: int = 200, *fields: bytes) -> bytes:
    """A whole answer; a mapping is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = b"text/html" if content.startswith(b"<") else b"application/json"
    lines = [b"HTTP/1.1 %d Status" % status, b"Content-Type: " + kind, b"Content-Length: %d" % len(content), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


def granted(access: str = "fresh", refresh: str | None = "refresh-2", **more: Any) -> bytes:
    """A token, and a refresh token that takes the old one's place."""
    return reply({"access_token": access, "refresh_token": refresh, "expires_in": 3600, **more})


@dataclass
class OAuthIssuer:
    """``answers`` are sent in turn, the last one again and again; ``asked`` are the forms that came."""

    answers: list[bytes] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    before_answer: Callable[[], None] = lambda: None
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
            self.asked.append(dict(parse_qsl(body.decode())))
            self.before_answer()
            self.was_asked.set()
            writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
            await writer.drain()
        writer.close()


class Workplace(Vaulted):
    """A store, a clock that stands unless a test moves it, and workers that use tokens of the issuer."""

    def __init__(self, issuer: OAuthIssuer, keyring: Keyring, plan: Plan) -> None:
        self.issuer = issuer
        clock = Clock(lambda: 1_900_000_000.0)
        super().__init__(keyring, plan, clock, MemoryConnections(clock=clock))

    def renewal(self, *, secret: str = "not-real", **options: Any) -> Renewal:
        """``oauth2`` with its options and a credential; a person signs in unless the grant says otherwise."""
        scheme, values = OAuth2(self.clock), {"client_id": "me", "client_secret": secret}
        said = {"token_url": f"http://127.0.0.1:{self.issuer.port}/token", **PERSON, **options}
        assert scheme.check(said) == []
        sealed = {name: Secret.from_text(value) for name, value in values.items()}
        return Renewal(scheme, said, sealed, 0, scheme.signal(said))

    @property
    def row(self) -> SealedConnection:
        """The shared token, as it is kept."""
        return self.store.rows[self.key()]

    def sign_in(self, renewal: Renewal, seconds: float | None = 3600.0, **values: str) -> None:
        """What a person's sign-in leaves in the store: a token that lasts ``seconds``."""
        self.keep(renewal, values or {"access": "first", "refresh": "refresh-1"}, seconds)


@asynccontextmanager
async def workplace(*answers: bytes) -> AsyncIterator[Workplace]:
    """A workplace whose issuer gives ``answers``."""
    issuer = OAuthIssuer(list(answers))
    server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0)
    issuer.port = server.sockets[0].getsockname()[1]
    try:
        async with planned() as (keyring, plan):
            yield Workplace(issuer, keyring, plan)
    finally:
        server.close()
