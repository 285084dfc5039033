"""A stage for tests of the whole product: nodes that can be killed, connections that say what they sent, an admin.

Everything is asynchronous, so that a test's clients, its upstream and its clock share one loop. A node's two output
streams go to files beside its data directory, where a test can search them. Knows nothing of what is tested.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-P", "-m", "tieline")
START_SECONDS = 60.0
ANSWER_SECONDS = 30.0
LINE_BYTES = 1 << 20
KEY_FIELDS = (("key", "sk-sandbox-" + "not-a-real-key-0123456789"),)


@dataclass
class Node:
    """A running ``tieline serve`` and its files. ``app`` and ``console`` are host and port of its listeners."""

    home: Path
    process: subprocess.Popen[bytes]
    output: Path
    app: tuple[str, int] = ("", 0)
    console: tuple[str, int] = ("", 0)

    @property
    def data_dir(self) -> Path:
        """The data directory."""
        return self.home / "data"

    @property
    def token(self) -> str:
        """The local command line's admin token."""
        return (self.data_dir / "admin.token").read_text().strip()

    @property
    def environment(self) -> dict[str, str]:
        """What a client command needs to find it."""
        return {"TIELINE_URL": "http://{}:{}".format(*self.console), "TIELINE_DATA_DIR": str(self.data_dir)}

    def said(self) -> str:
        """Everything it has written to standard output and standard error so far."""
        return self.output.read_text(errors="replace")

    def children(self, plane: str = "") -> list[int]:
        """The process ids of its planes, or of those of one ``plane``."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = [int(pid) for pid in path.read_text().split()] if path.exists() else []
        return [pid for pid in pids if not plane or plane_of(pid) == plane]

    def kill(self) -> None:
        """kill -9 of all its processes, the planes first, so that none has time to notice that another ended."""
        pids = [*self.children(), self.process.pid]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    async def stop(self) -> int:
        """End it as an operator would; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            if not await until(lambda: self.process.poll() is not None, 45):
                self.kill()
        return self.process.wait()


def plane_of(pid: int) -> str:
    """Which plane the process is, empty where it is none or gone."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return words[words.index(b"serve-worker") + 1].decode()
    return ""


def is_gone(pid: int) -> bool:
    """Whether no process has this id; one that ended with all its threads and waits to be noticed is gone too."""
    try:
        ended = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return ended and len(list(Path(f"/proc/{pid}/task").iterdir())) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether ``condition`` comes true within ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        await asyncio.sleep(0.02)
    return condition()


def spawn(home: Path, *options: str, env: Mapping[str, str] | None = None) -> Node:
    """Start ``tieline serve`` on the data directory below ``home``, without waiting for it."""
    scratch = home / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    output = home / f"output.{len(list(home.glob('output.*')))}"
    words = ["serve", "--data-dir", str(home / "data")]
    for listener in ("--app-listen", "--console-listen"):
        if listener not in options:
            words += [listener, "127.0.0.1:0"]
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [*COMMAND, *words, "--allow-destination", "127.0.0.1", *options],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env={**os.environ, "TMPDIR": str(scratch), **(env or {})},
            start_new_session=True,
        )
    return Node(home, process, output)


async def start(home: Path, *options: str, env: Mapping[str, str] | None = None) -> Node:
    """Start ``tieline serve`` and wait until it is ready."""
    node = spawn(home, *options, env=env)
    await until(lambda: node.process.poll() is not None or "\nready " in "\n" + node.said(), START_SECONDS)
    found = dict(re.findall(r"(app|console)=http://(\S+)", node.said()))
    if not found:
        node.kill()
    assert found, f"the server did not become ready: {node.said()}"
    for name, address in found.items():
        host, _, port = address.rpartition(":")
        setattr(node, name, (host, int(port)))
    return node


@asynccontextmanager
async def serving(home: Path, *options: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Node]:
    """A ready node while the block lasts."""
    node = await start(home, *options, env=env)
    try:
        yield node
    finally:
        await node.stop()


@dataclass
class Reply:
    """An answer as it came: header names in lower case; ``whole`` says that it had its proper end."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    whole: bool = False
    raw: bytes = b""

    def header(self, name: str) -> str:
        """The first field of this name, empty where there is none."""
        return next((value for each, value in self.headers if each == name), "")

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error that Tieline made, empty where it made none."""
        return self.header("tieline-error")

    @property
    def worker(self) -> str:
        """What tells the worker that answered from the others: the part of its request ids that stays the same."""
        return self.header("tieline-request-id")[-8:]


class Line:
    """One client's connection, opened when it is first used and again after it was closed."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        """Send a request and read its answer. Raises OSError or EOFError where none comes."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        length = "" if body is None else f"content-length: {len(body)}\r\n"
        head = f"{method} {target} HTTP/1.1\r\nhost: {self._address[0]}:{self._address[1]}\r\n{lines}{length}\r\n"
        return await self.ask(head.encode("utf-8", "surrogateescape") + (body or b""), bodyless=method == "HEAD")

    async def ask(self, message: bytes, *, bodyless: bool = False) -> Reply:
        """Send these bytes and read one answer. A connection that the server closed while it idled is opened anew."""
        for _ in range(2):
            used = self._streams is not None
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await self._ask(message, bodyless)
            except (OSError, EOFError) as error:
                await self.close()
                if not used or (isinstance(error, asyncio.IncompleteReadError) and error.partial):
                    raise
            except BaseException:
                await self.close()
                raise
        raise EOFError

    async def _ask(self, message: bytes, bodyless: bool) -> Reply:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=LINE_BYTES)
        reader, writer = self._streams
        writer.write(message)
        with contextlib.suppress(ConnectionError):  # a server that refuses early may close before it has read all
            await writer.drain()
        reply = await read_reply(reader, bodyless=bodyless)
        if not reply.whole or reply.header("connection").lower() == "close" or reply.status == 101:
            await self.close()
        return reply

    async def close(self) -> None:
        """Close the connection."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()


async def read_reply(reader: asyncio.StreamReader, *, bodyless: bool = False) -> Reply:
    """One answer, interim ones left out but for their bytes. Raises EOFError where there is no whole head."""
    raw = b""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        raw += head
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        status = int(first.split(" ")[1])
        if status >= 200 or status == 101:
            break
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    reply = Reply(status, pairs, raw=raw)
    if bodyless or status in {101, 204, 304}:
        reply.whole = True
        return reply
    try:
        await _read_body(reader, reply)
        reply.whole = True
    except asyncio.IncompleteReadError as cut:
        reply.body += cut.partial
        reply.raw += cut.partial
    except ConnectionError:
        pass
    return reply


async def _read_body(reader: asyncio.StreamReader, reply: Reply) -> None:
    if reply.header("transfer-encoding") == "chunked":
        while True:
            line = await reader.readuntil(b"\r\n")
            reply.raw += line
            size = int(line.split(b";")[0], 16)
            if not size:
                while line != b"\r\n":
                    line = await reader.readuntil(b"\r\n")
                    reply.raw += line
                return
            piece = await reader.readexactly(size + 2)
            reply.body += piece[:-2]
            reply.raw += piece[:-2]  # without what stands between two pieces of one text
    length = reply.header("content-length")
    body = await reader.readexactly(int(length)) if length else await reader.read(-1)
    reply.body += body
    reply.raw += body


@dataclass
class Admin:
    """A client of the admin API; ``replies`` remembers every answer of it where ``keep`` is set."""

    node: Node
    token: str = ""
    keep: bool = False
    replies: list[Reply] = field(default_factory=list)
    line: Line = field(init=False)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.line = Line(self.node.console)
        self.token = self.token or self.node.token

    async def __call__(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send one request; a ``path`` that does not begin with ``/api`` is below ``/api/v1``."""
        fields = {"authorization": f"Bearer {self.token}", **(headers or {})}
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if content is not None:
            fields.setdefault("content-type", "application/json")
        target = path if path.startswith(("/api/", "/healthz", "/readyz")) or path == "/" else f"/api/v1{path}"
        async with self.turn:
            reply = await self.line.send(method, target, fields, content)
        if self.keep:
            self.replies.append(reply)
        return reply

    async def made(self, method: str, path: str, body: object = None) -> Any:
        """Send one request that must succeed; its JSON, None where it has none. Raises EOFError where it is cut."""
        reply = await self(method, path, body)
        assert reply.status in {200, 201, 204}, reply.raw
        if not reply.whole:
            raise EOFError
        return reply.json if reply.body else None

    async def events(self) -> list[Any]:
        """The last audit events, newest first, without what processes do by themselves: that comes when it comes."""
        events = (await self.made("GET", "/audit?limit=200"))["items"]
        return [event for event in events if event["kind"] not in {"vault.opened", "prices.replaced"}]

    async def api(self, name: str, base_url: str, **more: object) -> Any:
        """Add an API whose key goes into ``Authorization: Bearer``; ``more`` are further members of its definition."""
        wanted = definition(name, base_url, **more)
        return await self.made("POST", "/apis", {"name": name, "definition": wanted})

    async def credential(self, api: str, *, activate: bool = True, **fields: str) -> Any:
        """Put a live credential; without ``fields`` a fixed key."""
        query = "?activate=true" if activate else ""
        return await self.made(
            "PUT", f"/apis/{api}/credentials/live{query}", {"fields": dict(fields or dict(KEY_FIELDS))}
        )

    async def app(self, name: str, *apis: str) -> Any:
        """Add an app that may use ``apis``."""
        return await self.made("POST", "/apps", {"name": name, "apis": list(apis)})

    async def key(self, app: str, **more: object) -> Any:
        """Mint a key; ``more`` are members of the request."""
        return await self.made("POST", f"/apps/{app}/keys", more)

    async def close(self) -> None:
        """Close the connection."""
        await self.line.close()


@asynccontextmanager
async def admin_of(node: Node, token: str = "", *, keep: bool = False) -> AsyncIterator[Admin]:
    """A client of the node's admin API while the block lasts."""
    admin = Admin(node, token, keep)
    try:
        yield admin
    finally:
        await admin.close()


_SHELL = """
import contextlib, http.client, io, json, os, sys
import tieline.app.doctor, tieline.app.vault, tieline.cli.client, tieline.cli.commands
from tieline.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    tieline.cli.commands.invoke(["api", "list", "--help"])  # what is loaded at the first command stays loaded
for line in sys.stdin:
    words, variables, stdin, said = json.loads(line)
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(stdin, os.O_RDONLY), 0)
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(1, 2)
        sys.stdin = open(0)
        os.environ.update(variables)
        try:
            main(words)
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code)  # without the slow end of an interpreter
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Shell:
    """Runs ``tieline`` commands, each in a process of its own that is forked from one which has loaded them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, *words: str, stdin: str = "", env: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """The exit code of one command and what it said on both streams."""
        if self._process is None:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-c", _SHELL, stdin=pipe, stdout=pipe
            )
        given, said = self._node.home.parent / "stdin", self._node.home.parent / "said"
        given.write_text(stdin)
        job = [words, {**self._node.environment, **(env or {})}, str(given), str(said)]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        code = int(await self._process.stdout.readline())
        given.unlink()
        return code, said.read_bytes()

    async def close(self) -> None:
        """End the process that forks."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()


def definition(name: str, base_url: str, **more: object) -> dict[str, Any]:
    """A definition with two areas, ``things`` (read, write) and ``work`` (request), and a verify request."""
    return {
        "tieline": "v1",
        "api": name,
        "title": name.title(),
        "base_url": base_url,
        "auth": {"scheme": "bearer"},
        "verify": {"method": "GET", "path": "/things"},
        "areas": [
            {"area": "things", "title": "Things", "levels": ["read", "write"], "match": ["* /things", "* /things/*"]},
            {"area": "work", "title": "Work", "levels": ["request"], "match": ["* /work"]},
        ],
        **more,
    }
