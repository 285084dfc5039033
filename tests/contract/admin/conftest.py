"""The real admin API on a real socket over a real store: what every test of it asks for."""

import asyncio
import io
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.storage.rows import record
from tieline.access.caller import Caller, Role
from tieline.controlplane import tokens
from tieline.controlplane.services import Services
from tieline.core.errors import TielineError
from tieline.core.names import Environment
from tieline.core.secret import Secret
from tieline.dataplane.answers.streams.recognition import recognise_stream
from tieline.definitions.infer.learning import StreamSample
from tieline.definitions.model import Stream
from tieline.ports.connections import ConnectionKey, EndUser
from tieline.ports.operator import OpenedBodies, Posted, RecordedSide, TrialAnswer, TrialRun, VerifyResult
from tieline.ports.requests import RequestRecord
from tieline.ports.signins import SignInRow
from tieline.ports.webhooks import SealedWebhook
from tieline.schemes.flow import DeviceSignIn, Pending, SignIn, Token
from tieline.storage.engine import Database, open_database
from tieline.storage.migrate import migrate
from tieline.storage.outbox import SqlOutbox
from tieline.storage.records import open_records, open_search
from tieline.storage.store import SqlStore
from tieline.storage.vault import SqlDataKeys
from tieline.telemetry.logs import Log
from tieline.vault.intake import Intake
from tieline.vault.keyring import Keyring
from tieline.vault.rootkeys.key import RootKey
from tieline.web.app import create_app
from tieline.wire.guard import Guard

LOCAL = Caller("local", "local", "tests", Role.OWNER)


CRM = {
    "tieline": "v1",
    "api": "crm",
    "title": "The CRM",
    "base_url": "https://api.example.com",
    "auth": {
        "scheme": "oauth2",
        "grant": "authorization_code",
        "authorize_url": "https://id.example.com/authorize",
        "token_url": "https://id.example.com/token",
        "connections": "per_user_or_shared",
    },
}
"""An API that people sign in to."""

RECORDED = record(id="req_0651d9c8a1f2030b5e7d44", at=1_795_000_000.0, bodies_until=2**32)
"""A request that a furnished store has a record of."""


class MovingClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    def pass_time(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class FixedProber:
    """Stands in for the data plane: remembers what it was asked and says what it was told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Environment]] = []
        self.end_users: list[EndUser | None] = []
        self.verdict = VerifyResult(ok=True, status=200, problem=None)

    async def probe(self, api_name: str, environment: Environment, end_user: EndUser | None = None) -> VerifyResult:
        self.asked.append((api_name, environment))
        self.end_users.append(end_user)
        return self.verdict


class FixedIssuers:
    """Stands in for the data plane's way to issuers: remembers what it was asked and gives what it was told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []
        self.fingerprint = b"fingerprint"
        self.token = Token({"access": Secret(b"access-" + b"not-real-0123456789")}, None, ("read",), "ann@example.com")
        self.polled: Token | Pending = Pending(5.0)
        self.problem: TielineError | None = None

    async def begin(self, whose: ConnectionKey, back: str, state: str) -> tuple[SignIn, bytes]:
        self._note("begin", whose)
        url = f"https://id.example.com/authorize?state={state}&redirect_uri={back}"
        return SignIn(url, {"verifier": Secret(b"verifier-" + b"not-real-0123456789")}), self.fingerprint

    async def finish(self, sign_in: SignInRow, answer: Mapping[str, str]) -> Token:
        self._note("finish", dict(answer))
        return self.token

    async def begin_device(self, whose: ConnectionKey) -> tuple[DeviceSignIn, bytes]:
        self._note("begin_device", whose)
        kept = {"device": Secret(b"device-" + b"not-real-0123456789")}
        return DeviceSignIn("ABCD-EFGH", "https://id.example.com/device", None, 5.0, 900.0, kept), self.fingerprint

    async def poll_device(self, sign_in: SignInRow) -> Token | Pending:
        self._note("poll_device", sign_in.id)
        return self.polled

    def _note(self, what: str, value: object) -> None:
        self.asked.append((what, value))
        if self.problem is not None:
            raise self.problem


class FixedPoster:
    """Stands in for the way to webhooks: remembers what it was given, and says what it was told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, bytes]] = []
        self.posted = Posted(200)

    async def post(self, webhook: SealedWebhook, message_id: str, body: bytes) -> Posted:
        self.sent.append((webhook.id, message_id, body))
        return self.posted


class FixedReplayer:
    """Stands in for the data plane: gives the bodies that it was told to, and answers what is sent again."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        request = {"method": "POST", "target": "/chat", "query": "a=1", "headers": [["accept", "*/*"]]}
        answer = {"status": 200, "headers": [["content-type", "text/plain"]], "size": 2, "whole": True}
        self.bodies: OpenedBodies | None = OpenedBodies(
            RecordedSide({**request, "size": 5, "exact": True}, b"hello"), RecordedSide(answer, b"\xff\x00")
        )
        self.answer: TrialAnswer | TielineError = TrialAnswer(
            200, [("content-type", "application/json")], b'{"id": 1}', whole=True
        )

    async def open_bodies(self, record: RequestRecord) -> OpenedBodies | None:
        return self.bodies

    async def replay(self, record: RequestRecord, before: Callable[[], Awaitable[None]]) -> TrialAnswer:
        if isinstance(self.answer, TielineError):
            raise self.answer
        await before()
        self.sent.append(record.id)
        return self.answer


class FixedTrier:
    """Stands in for the data plane: answers a call as it was told to, and looks at answers with the real eyes."""

    def __init__(self) -> None:
        self.asked: list[TrialRun] = []
        self.answer: TrialAnswer | TielineError = TrialAnswer(
            200, [("content-type", "application/json")], b'{"id": 1}', whole=True
        )

    async def run(self, attempt: TrialRun) -> TrialAnswer:
        self.asked.append(attempt)
        if isinstance(self.answer, TielineError):
            raise self.answer
        return self.answer

    def recognise_stream(self, body: bytes, content_type: str, known: Stream | None) -> StreamSample | None:
        return recognise_stream(body, content_type, known)


@dataclass
class Reply:
    """An answer: header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


@dataclass
class Admin:
    """A client that sends what it is told, byte for byte, one connection a request."""

    port: int
    tokens: Mapping[str, str]
    services: Services
    clock: MovingClock
    prober: FixedProber
    issuers: FixedIssuers
    log: io.StringIO
    folder: Path
    replies: list[Reply] = field(default_factory=list)

    async def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        role: str | None = "owner",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request below ``/api/v1``; ``body`` is sent as JSON unless it is bytes."""
        fields = {"Host": f"127.0.0.1:{self.port}", "Connection": "close"}
        if role is not None:
            fields["Authorization"] = f"Bearer {self.tokens.get(role, role)}"
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        if body is not None:
            fields["Content-Type"] = "application/json"
        fields |= {"Content-Length": str(len(content))} | dict(headers or {})
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        target = path if path.startswith(("/api/", "/health", "/ready")) or path == "/" else f"/api/v1{path}"
        return await self.send(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + content)

    async def send(self, request: bytes) -> Reply:
        """Send these bytes and read until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            answer = await reader.read(-1)
        finally:
            writer.close()
        head, _, content = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if fields.get("transfer-encoding") == "chunked":
            content = b"".join(_pieces(content))
        reply = Reply(int(status.split(" ")[1]), fields, content)
        self.replies.append(reply)
        return reply

    @property
    def trier(self) -> FixedTrier:
        """What stands in for the data plane where a call is run."""
        assert isinstance(self.services.trier, FixedTrier)
        return self.services.trier

    @property
    def poster(self) -> FixedPoster:
        """What stands in for the way to webhooks."""
        assert isinstance(self.services.poster, FixedPoster)
        return self.services.poster

    @property
    def replayer(self) -> FixedReplayer:
        """What stands in for the data plane where recorded bodies are opened."""
        assert isinstance(self.services.replayer, FixedReplayer)
        return self.services.replayer

    async def made(self, method: str, path: str, body: object = None) -> Any:
        """Send as owner, expect success, return the JSON."""
        reply = await self(method, path, body)
        assert reply.status in {200, 201}, reply.body
        return reply.json


def _pieces(content: bytes) -> Iterator[bytes]:
    """The pieces of a body that came in chunks."""
    while content:
        size, _, content = content.partition(b"\r\n")
        yield content[: int(size, 16)]
        content = content[int(size, 16) + 2 :]


@dataclass(frozen=True)
class Prepared:
    """A store to copy: it has its schema, a data key, and a token for each role; ``names`` fill in paths."""

    path: Path
    tokens: Mapping[str, str]
    names: Mapping[str, str] = field(default_factory=dict)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """What every test's store begins as, made once because the writes are most of a test's time."""
    path = tmp_path_factory.mktemp("store") / "tieline.db"
    held: dict[str, str] = {}

    async def make() -> None:
        database = await open_database(f"sqlite:///{path}")
        await migrate(database)
        held.update(await mint_tokens(database))
        await database.close()

    asyncio.run(make())
    return Prepared(path, held)


async def mint_tokens(database: Database) -> dict[str, str]:
    """A token for each role, by the role's name."""
    services = await services_on(database, MovingClock(), FixedProber(), FixedIssuers())
    return {
        role.value: (await tokens.create(services, LOCAL, tokens.NewToken(f"the {role}", role)))
        .secret.reveal_bytes()
        .decode()
        for role in Role
    }


async def services_on(database: Database, clock: MovingClock, prober: FixedProber, issuers: FixedIssuers) -> Services:
    """The control plane's services on a real store and vault."""
    keyring = await Keyring.open(RootKey.of(Secret(bytes(range(32)))), SqlDataKeys(database), clock=clock)
    guard = Guard(["10.1.0.0/16"])

    def check_destination(host: str) -> None:
        if host.replace(".", "").isdigit() or ":" in host:
            guard.check_address(host.strip("[]"), 443, host)

    return Services(
        store=SqlStore(database, audit_key=keyring.derive("audit"), clock=clock),
        records=open_search(database),
        intake=Intake(keyring),
        prober=prober,
        trier=FixedTrier(),
        replayer=FixedReplayer(),
        issuers=issuers,
        poster=FixedPoster(),
        outbox=SqlOutbox(database),
        clock=clock,
        check_destination=check_destination,
        app_key_pepper=keyring.derive("app-key"),
        token_pepper=keyring.derive("admin-token"),
        console_url="http://console.example",
        return_origins=("https://app.example.com",),
    )


@asynccontextmanager
async def serving(database: Database, held: Mapping[str, str], folder: Path) -> AsyncIterator[Admin]:
    """The admin API on ``database`` while the block runs."""
    clock, prober, issuers, log = MovingClock(), FixedProber(), FixedIssuers(), io.StringIO()
    services = await services_on(database, clock, prober, issuers)
    app = create_app(services, allowed_hosts=["tieline.example"], version="1.2.3", log=Log(stream=log, clock=clock))
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", ws="none")
    config.load()
    server = uvicorn.Server(config)  # without its main loop, whose only work is a tick that each test would wait for
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Admin(port, held, services, clock, prober, issuers, log, folder)
    finally:
        for listener in server.servers:
            listener.close()
            await listener.wait_closed()
        await database.close()


@pytest.fixture
async def admin(tmp_path: Path, prepared: Prepared) -> AsyncIterator[Admin]:
    """A running admin API with an owner's, an editor's and a viewer's token, on SQLite."""
    shutil.copy(prepared.path, tmp_path / "tieline.db")
    async with serving(await open_database(f"sqlite:///{tmp_path}/tieline.db"), prepared.tokens, tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def furnished(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A store that also has an API with a credential, and an app with a key."""
    path = tmp_path_factory.mktemp("furnished") / "tieline.db"
    shutil.copy(prepared.path, path)

    async def furnish() -> dict[str, str]:
        database = await open_database(f"sqlite:///{path}")
        async with serving(database, prepared.tokens, path.parent) as running:
            return await filled(running)

    return Prepared(path, prepared.tokens, asyncio.run(furnish()))


@pytest.fixture
async def furnished_admin(tmp_path: Path, furnished: Prepared) -> AsyncIterator[Admin]:
    """An admin API that has what ``furnished.names`` names."""
    shutil.copy(furnished.path, tmp_path / "tieline.db")
    database = await open_database(f"sqlite:///{tmp_path}/tieline.db")
    async with serving(database, furnished.tokens, tmp_path) as running:
        records = open_records(database)
        await records.add([RECORDED])
        await records.close()
        yield running


async def filled(admin: Admin) -> dict[str, str]:
    """Add an API, a credential, an app and a key; what to put into paths for them."""
    await admin.made("POST", "/apis", {"name": "openai", "from_catalogue": "openai"})
    await admin.made("PUT", "/apis/openai/credentials/live", {"fields": {"key": "sk-sandbox-0123456789abcdef"}})
    await admin.made("POST", "/apps", {"name": "blog", "apis": ["openai"]})
    key = await admin.made("POST", "/apps/blog/keys", {})
    budget = {"name": "monthly", "amount": {"usd": "10.00"}, "applies_to": {"keys": [key["id"]]}}
    await admin.made("POST", "/budgets", budget)
    await admin.made("POST", "/webhooks", {"name": "ops", "url": "https://hooks.example.com/tieline"})
    names = {"entry": "openai", "api": "openai", "call": "ask", **await signed_in(admin)}
    names |= {
        "environment": "live",
        "version": "1",
        "app": "blog",
        "id": key["id"],
        "budget": "monthly",
        "webhook": "ops",
    }
    return {**names, "request": RECORDED.id}


async def signed_in(admin: Admin) -> dict[str, str]:
    """Add an API that somebody has signed in to and somebody is about to."""
    await admin.made("POST", "/apis", {"name": "crm", "definition": CRM})
    await admin.made("PATCH", "/apps/blog", {"apis": ["openai", "crm"]})
    device = await admin.made("POST", "/oauth/device/crm", {})
    admin.clock.pass_time(device["interval"])
    admin.issuers.polled = admin.issuers.token
    done = await admin.made("POST", f"/oauth/device/crm/{device['id']}")
    waiting = await admin.made("POST", "/oauth/device/crm", {})
    return {"connection": done["connection"]["id"], "sign_in": waiting["id"]}


@pytest.fixture
async def admin_on_postgresql(tmp_path: Path, postgres_url: str) -> AsyncIterator[Admin]:
    """The same on PostgreSQL."""
    database = await open_database(postgres_url)
    await migrate(database)
    held = await mint_tokens(database)
    async with serving(database, held, tmp_path) as running:
        yield running
