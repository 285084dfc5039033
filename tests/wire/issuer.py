"""An issuer of tokens on loopback with a protocol of its own, and the scheme that speaks it.

The issuer rotates refresh tokens and forgets the old one, as strict ones do. It counts what it gives, can be told to
hold its answers, to fail, and to revoke what it gave. Nothing of the product is in it.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tieline.access.appkey import KeyPlaces
from tieline.core.secret import Secret
from tieline.schemes.base import Applier, Options, Outgoing, SchemeField
from tieline.schemes.flow import DeviceSignIn, Flow, IssuerAnswer, IssuerRefused, IssuerRequest, Pending, SignIn, Token
from tieline.schemes.signal import Signal


@dataclass
class Issuer:
    """A running issuer: ``given`` counts tokens, ``asked`` holds the forms it was sent."""

    port: int = 0
    expires_in: float | None = 3600.0
    status: int = 200
    odd: dict[str, Any] | None = None
    hold: asyncio.Event | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    given: int = 0
    refresh: set[str] = field(default_factory=set)
    access: set[str] = field(default_factory=set)
    approved: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    def grant(self) -> dict[str, Any]:
        """A new pair of tokens."""
        self.given += 1
        pair = {"access": f"access-{secrets.token_hex(8)}", "refresh": f"refresh-{secrets.token_hex(8)}"}
        self.access.add(pair["access"])
        self.refresh.add(pair["refresh"])
        return {**pair, "expires_in": self.expires_in, "scope": "read write", "account": "ann@example.com"}

    def revoke(self) -> None:
        """Forget everything that was given."""
        self.refresh.clear()
        self.access.clear()

    def answer(self, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """What a form is answered with."""
        if self.odd is not None:
            return 200, self.odd
        if self.status != 200:
            return self.status, {"error": "broken"}
        if form.get("grant") == "device":
            return (200, self.grant()) if self.approved else (400, {"error": "pending"})
        if form.get("grant") == "refresh":
            if form["refresh"] not in self.refresh:
                return 400, {"error": "invalid_grant"}
            self.refresh.discard(form["refresh"])
            return 200, self.grant()
        return (200, self.grant()) if form.get("code", "good") == "good" else (400, {"error": "invalid_grant"})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one question."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
            form = dict(parse_qsl(body.decode()))
            self.asked.append(form)
            if self.hold is not None:
                await self.hold.wait()
            status, content = self.answer(form)
            text = json.dumps(content).encode()
            writer.write(b"HTTP/1.1 %d OK\r\ncontent-length: %d\r\n\r\n" % (status, len(text)) + text)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def issuing(**changes: Any) -> AsyncIterator[Issuer]:
    """An issuer while the block lasts."""
    issuer = Issuer(**changes)
    server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0)
    issuer.port = server.sockets[0].getsockname()[1]
    try:
        yield issuer
    finally:
        server.close()


class Bound(Applier):
    """Puts the access token into a header."""

    replaces = frozenset({b"authorization"})

    def __init__(self, token: Token) -> None:
        self.token = token

    def apply(self, outgoing: Outgoing) -> None:
        outgoing.headers.append((b"Authorization", b"Bearer " + self.token.values["access"].reveal_bytes()))

    def secrets(self) -> Sequence[Secret]:
        return (self.token.values["access"],)


class Loopback:
    """The scheme: ``options`` hold the issuer's ``url``, and ``sign_in`` where a person must sign in first."""

    name = "loopback"
    sentence = "Tokens of the tests' own issuer"

    def fields(self, options: Options) -> Sequence[SchemeField]:
        return (SchemeField("client", "Client id", secret=False), SchemeField("secret", "Client secret"))

    def check(self, options: Options) -> list[str]:
        return []

    def places(self, options: Options) -> KeyPlaces:
        return KeyPlaces()

    def renews(self, options: Options) -> bool:
        return True

    def needs_sign_in(self, options: Options) -> bool:
        return bool(options.get("sign_in"))

    def hosts(self, options: Options) -> Sequence[str]:
        return (urlsplit(options["url"]).hostname or "",)

    def signal(self, options: Options) -> Signal:
        return Signal()

    def renew(self, options: Options, secrets: Mapping[str, Secret], token: Token | None, now: float) -> Flow[Token]:
        if token is None or "refresh" not in token.values:
            return (yield from self._token(options, {"grant": "client", **_texts(secrets)}, now))
        form = {"grant": "refresh", "refresh": token.values["refresh"].reveal_bytes().decode()}
        return (yield from self._token(options, form, now))

    def bind_token(self, options: Options, secrets: Mapping[str, Secret], token: Token) -> Applier:
        return Bound(token)

    def begin(self, options: Options, secrets: Mapping[str, Secret], back: str, state: str) -> Flow[SignIn]:
        if False:
            yield
        return SignIn(f"{options['url']}/sign-in?state={state}&back={back}", {"verifier": Secret(b"kept")})

    def finish(
        self, options: Options, secrets: Mapping[str, Secret], context: Mapping[str, Secret], answer: Mapping[str, str]
    ) -> Flow[Token]:
        if "code" not in answer:
            raise IssuerRefused("The person did not agree.", final=True)
        form = {"code": answer["code"], "verifier": context["verifier"].reveal_bytes().decode()}
        return (yield from self._token(options, form, 0.0))

    def begin_device(self, options: Options, secrets: Mapping[str, Secret]) -> Flow[DeviceSignIn]:
        if False:
            yield
        return DeviceSignIn("ABCD-EFGH", options["url"], None, 5.0, 300.0, {"device": Secret(b"device-code")})

    def poll_device(
        self, options: Options, secrets: Mapping[str, Secret], context: Mapping[str, Secret]
    ) -> Flow[Token | Pending]:
        told = yield _ask(options, {"grant": "device", "device": context["device"].reveal_bytes().decode()})
        return Pending(5.0) if b"pending" in told.body else _read(told, 0.0)

    def _token(self, options: Options, form: Mapping[str, str], now: float) -> Flow[Token]:
        return _read((yield _ask(options, form)), now)


def _texts(secrets: Mapping[str, Secret]) -> dict[str, str]:
    return {name: value.reveal_bytes().decode() for name, value in secrets.items()}


def _ask(options: Options, form: Mapping[str, str]) -> IssuerRequest:
    body = "&".join(f"{name}={value}" for name, value in form.items())
    return IssuerRequest(
        "POST", options["url"], (("Content-Type", "application/x-www-form-urlencoded"),), body.encode()
    )


def _read(told: IssuerAnswer, now: float) -> Token:
    content = json.loads(told.body)
    if told.status != 200:
        raise IssuerRefused(f"The issuer said {content['error']}.", final=told.status == 400)
    values = {name: Secret.from_text(content[name]) for name in ("access", "refresh")}
    ends = None if content["expires_in"] is None else now + content["expires_in"]
    return Token(values, ends, tuple(content["scope"].split()), content["account"])
