"""One Tieline in front of one sandbox, both programs of their own, for every test with an official SDK.

``stage`` is shared by the whole session; ``client`` is the Python SDK with base URL and key changed and nothing else,
synchronous and asynchronous in turn. Upstreams that are down, slow or strange are here too. It knows no test.
"""

import asyncio
import inspect
import json
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import openai
import pytest
import trustme

from tests.e2e.conftest import PROVIDER_KEY, Program, Server, Starter
from tests.e2e.sdk.cases import BODY_MOST
from tieline.access import appkey

APP = "sdks"


class Admin:
    """The admin API, for what an operator does before a test."""

    def __init__(self, server: Server) -> None:
        self._base = f"{server.console}/api/v1/"
        self._headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}

    def __call__(self, method: str, path: str, body: object = None) -> Any:
        """Send one request; the answer's JSON. Raises ``HTTPError`` for a refusal."""
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self._base + path, data, self._headers, method=method), timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")


class Tap:
    """Stands before a listener, passes bytes both ways and counts the requests that go in.

    With ``tls`` it ends TLS, as a reverse proxy in front of Tieline does. It lives on a loop and thread of its own.
    """

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        self.requests = 0
        self.port = 0
        self._address = address
        self._tls = tls
        self._over = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(ready),))
        self._thread.start()
        assert ready.wait(10)

    async def _serve(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._over.wait()
        server.close()
        passing = asyncio.all_tasks() - {asyncio.current_task()}
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._address)
        ways = [
            asyncio.create_task(self._pump(reader, far_writer, counted=True)),
            asyncio.create_task(self._pump(far_reader, writer, counted=False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, far_writer):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if counted:
                    self.requests += data.count(b" HTTP/1.1\r\n")
                writer.write(data)
                await writer.drain()

    def stop(self) -> None:
        """End it and the connections through it."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()


@dataclass
class Stage:
    """The running programs, and what an operator can do to them."""

    server: Server
    sandbox: str
    tap: Tap
    admin: Admin
    key: str = ""
    added: list[str] = field(default_factory=list)

    def base(self, api: str = "openai") -> str:
        """The base URL that an app uses for ``api``."""
        return f"{self.server.app}/relay/{api}"

    def add(self, name: str, credential: dict[str, str] | None = None, **settings: Any) -> None:
        """Add an API, as POST /apis takes it, put its credential and let the app use it."""
        hosts = settings.pop("credential_hosts", None)
        self.admin("POST", "apis", {"name": name, **settings})
        if credential is not None:
            body = {"fields": credential} if hosts is None else {"fields": credential, "hosts": hosts}
            self.admin("PUT", f"apis/{name}/credentials/live", body)
        self.added.append(name)
        self.admin("PATCH", f"apps/{APP}", {"apis": self.added})
        while self._answered(name) != "invalid_request":
            time.sleep(0.02)

    def add_failing(self, name: str, base: str | None = None, **limits: Any) -> None:
        """Add OpenAI again, at ``base``: however often it fails in a row, it is asked."""
        definition = {**self.admin("GET", "apis/openai")["definition"], "api": name}
        definition |= {"limits": {**limits, "breaker": False}} | ({} if base is None else {"base_url": base})
        self.add(name, {"key": PROVIDER_KEY}, definition=definition)

    def _answered(self, name: str) -> str | None:
        """The code of a request that only a worker that knows of the app's new API finds wrong in itself."""
        headers = {"Authorization": f"Bearer {self.key}", "X-HTTP-Method-Override": "GET"}
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(self.base(name), headers=headers), timeout=30)  # noqa: S310
        with refused.value as answer:
            return answer.headers["tieline-error"]

    def mint(self, **settings: Any) -> dict[str, Any]:
        """A new key of the app, with its secret."""
        minted: dict[str, Any] = self.admin("POST", f"apps/{APP}/keys", settings)
        return minted

    def stats(self) -> dict[str, Any]:
        """What the sandbox counts."""
        with urlopen(self.sandbox.removesuffix("/v1") + "/sandbox/stats", timeout=30) as answer:  # noqa: S310
            stats: dict[str, Any] = json.load(answer)
        return stats

    def upstream_requests(self) -> int:
        """How many requests the upstream has had so far."""
        return sum(count for path, count in self.stats()["requests"].items() if path.startswith("/v1"))


@pytest.fixture(scope="session", autouse=True)
def no_proxy() -> Iterator[None]:
    """No proxy named in the environment comes between an SDK and this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.delenv(name, raising=False)
        for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, no_proxy: None) -> Iterator[Stage]:
    """Tieline with OpenAI from the catalogue at the sandbox's address, an app, and a key that may do everything."""
    sandbox = Program(("sandbox", "--listen", "127.0.0.1:0"))
    starter = Starter(tmp_path_factory.mktemp("sdk"))
    try:
        server = starter("--allow-destination", "127.0.0.1")
        tap = Tap(_place(server.app))
        base = sandbox.line(r"ready sandbox=(\S+)")[1] + "/v1"
        admin = Admin(server)
        admin("POST", "apps", {"name": APP, "apis": []})
        stage = Stage(server, base, tap, admin)
        stage.key = stage.mint()["secret"]
        stage.add("openai", {"key": PROVIDER_KEY}, from_catalogue="openai", base_url=base)
        yield stage
        tap.stop()
    finally:
        starter.stop()
        sandbox.stop()


def _place(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


async def eventually(holds: Callable[[], bool], seconds: float = 5) -> bool:
    """Whether ``holds`` within ``seconds``."""
    for _ in range(round(seconds / 0.02)):
        if holds():
            return True
        await asyncio.sleep(0.02)
    return holds()


# --- Clients -----------------------------------------------------------------------------------------------------


class Both:
    """The Python SDK in one of its two colours; calls of either are awaited."""

    def __init__(self, kind: type[openai.OpenAI] | type[openai.AsyncOpenAI], stack: AsyncExitStack) -> None:
        self.kind = kind
        self._stack = stack

    async def open(self, base_url: str, api_key: str, **options: Any) -> Any:
        """A client, closed with the test."""
        client: Any = self.kind(base_url=base_url, api_key=api_key, **options)
        if isinstance(client, openai.OpenAI):
            return self._stack.enter_context(client)
        return await self._stack.enter_async_context(client)


async def settled(answer: Any) -> Any:
    """What a call of either colour returns."""
    return await answer if inspect.isawaitable(answer) else answer


async def pieces(stream: Any) -> list[Any]:
    """Everything that a stream or list of either colour brings."""
    stream = await settled(stream)
    if hasattr(stream, "__aiter__"):
        return [piece async for piece in stream]
    return list(stream)


@pytest.fixture(params=[openai.OpenAI, openai.AsyncOpenAI], ids=["sync", "async"])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    """Opens clients of one colour, then of the other."""
    async with AsyncExitStack() as stack:
        yield Both(request.param, stack)


@pytest.fixture
async def client(both: Both, stage: Stage) -> Any:
    """The SDK with base URL and key changed, nothing else."""
    return await both.open(stage.base(), stage.key)


@pytest.fixture(scope="session")
def keys(stage: Stage) -> dict[str, str]:
    """App keys that are good, and app keys that are not."""
    chat = {"mode": "restricted", "grants": {"openai": {"chat_completions": "request"}}}
    nothing = {"mode": "restricted", "grants": {"openai": {"models": "read"}}}
    minted = {
        "expired": stage.mint(expires_in=1),
        "revoked": stage.mint(),
        "chat": stage.mint(permissions=chat),
        "models": stage.mint(permissions=nothing),
        "reader": stage.mint(permissions={"mode": "read_only"}),
        "development": stage.mint(environment="development"),
        "elsewhere": stage.mint(from_ip=["192.0.2.0/24"]),
    }
    stage.admin("DELETE", f"keys/{minted['revoked']['id']}")
    secrets = {name: key["secret"] for name, key in minted.items()}
    typo = "A" if stage.key[20] != "A" else "B"
    secrets |= {
        "live": stage.key,
        "mistyped": stage.key[:20] + typo + stage.key[21:],
        "unknown": appkey.mint("live").reveal_bytes().decode(),
        "provider's": "sk-" + "proj-not-a-real-key-of-the-provider",
    }
    time.sleep(1.1)
    return secrets


# --- Upstreams ---------------------------------------------------------------------------------------------------


@contextmanager
def answering(server: socketserver.TCPServer) -> Iterator[str]:
    """An upstream in a thread of its own; its base URL."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class WholeAnswers(BaseHTTPRequestHandler):
    """Answers GET, HEAD, POST, PUT and DELETE with JSON: ``answer`` of the test's own says what."""

    protocol_version = "HTTP/1.1"

    def answer(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """The answer to a request with ``body``: its body, and fields beside those of JSON."""
        raise NotImplementedError

    def _answer(self) -> None:
        content, fields = self.answer(self.rfile.read(int(self.headers.get("content-length", 0))))
        self.send_response(200)
        for name, value in {"Content-Type": "application/json", **fields, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815  # the interface

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def quick(stage: Stage) -> str:
    """OpenAI again, with little patience and small bodies."""
    timeout = {"connect": "2s", "first_byte": "600ms", "idle": "600ms", "total": "20s"}
    stage.add_failing("quick", timeout=timeout, body=f"{BODY_MOST}B", retry={"attempts": 2})
    return "quick"


@pytest.fixture(scope="session")
def down(stage: Stage) -> Iterator[str]:
    """OpenAI at a port that is taken and that nobody accepts at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        stage.add_failing("down", f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        yield "down"


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that nobody trusts unless told to."""
    return trustme.CA()


@pytest.fixture(scope="session")
def certified(authority: trustme.CA) -> ssl.SSLContext:
    """TLS as a server at 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def untrusted(stage: Stage, certified: ssl.SSLContext) -> Iterator[str]:
    """The sandbox behind TLS whose authority Tieline does not know."""
    tap = Tap(_place(stage.sandbox.removesuffix("/v1")), certified)
    stage.add_failing("untrusted", f"https://127.0.0.1:{tap.port}/v1")
    yield "untrusted"
    tap.stop()


@pytest.fixture(scope="session")
def secure(stage: Stage, certified: ssl.SSLContext) -> Iterator[str]:
    """Tieline's address behind a reverse proxy that ends TLS."""
    tap = Tap(_place(stage.server.app), certified)
    yield f"https://127.0.0.1:{tap.port}/relay/openai"
    tap.stop()


@pytest.fixture(scope="session")
def unbound(stage: Stage) -> str:
    """OpenAI whose credential may go elsewhere only."""
    given: dict[str, Any] = {"from_catalogue": "openai", "base_url": stage.sandbox}
    stage.add("unbound", {"key": PROVIDER_KEY}, credential_hosts=["api.openai.com"], **given)
    return "unbound"


@pytest.fixture(scope="session")
def circle(stage: Stage) -> str:
    """An API that is Tieline's own address."""
    stage.add("circle", {"key": PROVIDER_KEY}, from_catalogue="openai", base_url=stage.base())
    return "circle"


@pytest.fixture(scope="session")
def bare(stage: Stage) -> str:
    """OpenAI without a credential."""
    stage.add("bare", from_catalogue="openai", base_url=stage.sandbox)
    return "bare"


@pytest.fixture(scope="session")
def unsigned(stage: Stage) -> str:
    """OpenAI as each end user's own, to which nobody has signed in."""
    issuer = "https://issuer.example.com"
    auth = {"scheme": "oauth2", "grant": "authorization_code", "connections": "per_user"}
    auth |= {"authorize_url": f"{issuer}/authorize", "token_url": f"{issuer}/token"}
    definition = {"tieline": "v1", "api": "unsigned", "title": "OpenAI", "base_url": stage.sandbox, "auth": auth}
    client = {"client_id": "tieline", "client_secret": "not-a-real-secret"}
    stage.add("unsigned", client, definition=definition)
    return "unsigned"


@pytest.fixture(scope="session")
def torn(stage: Stage) -> Iterator[str]:
    """An upstream that hangs up in the middle of its second event."""
    whole = b'data: {"id":"whole","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    class Tearing(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(head)
            for piece in (whole, whole[:20]):
                self.request.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))

    with answering(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tearing)) as base:
        stage.add("torn", {"key": PROVIDER_KEY}, from_catalogue="openai", base_url=f"{base}/v1")
        yield "torn"


@dataclass
class Mirror:
    """An upstream that remembers the last request it saw."""

    base: str = ""
    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@pytest.fixture(scope="session")
def mirror() -> Iterator[Mirror]:
    """A plain HTTP server whose answer says nothing of the request; the test asks it."""
    seen = Mirror()

    class Remembering(WholeAnswers):
        def answer(self, body: bytes) -> tuple[bytes, dict[str, str]]:
            seen.method, seen.path, seen.body = self.command, self.path, body
            seen.headers = {name.lower(): value for name, value in self.headers.items()}
            return b'{"ok": true}', {}

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Remembering)) as seen.base:
        yield seen


@pytest.fixture(scope="session")
def authority_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authority's certificate in PEM."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path
