"""What a running server does with a full disk, a wrong root key, other people's ids, oversized messages and floods."""

import asyncio
import contextlib
import json
import random
import re
import resource
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import pytest

from tests.e2e.stage import Admin, Line, Node, Reply, admin_of, serving, spawn, start, until
from tests.e2e.test_revocation import database
from tests.e2e.upstream import Upstream, upstream
from tieline.access import appkey

SEED = 20261123
FLOOD = 2_000
FLOOD_LINES = 30
DISK = "24m"
ROOT = "CANARY_ROOT_KEY"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A server shared by the tests that leave it as it was, with JSON logs at level debug."""
    running = asyncio.run(
        start(tmp_path_factory.mktemp("abuse") / "node", "--log-format", "json", "--log-level", "debug")
    )
    yield running
    assert asyncio.run(running.stop()) == 0


async def prepared(admin: Admin, provider: Upstream, name: str, **more: object) -> tuple[str, str]:
    """An API with a credential and an app of that name for it: the app's id, and a key that works."""
    await admin.api(name, provider.url, **more)
    await admin.credential(name)
    app = (await admin.app(f"app of {name}", name))["id"]
    key = await working(admin, app, name)
    return app, key


async def working(admin: Admin, app: str, api: str) -> str:
    """A new key of the app, which the data plane has seen."""
    key: str = (await admin.key(app))["secret"]
    line = Line(admin.node.app)
    for _ in range(100):
        if (await use(line, api, key)).status == 200:
            break
        await asyncio.sleep(0.02)
    await line.close()
    return key


async def use(line: Line, api: str, key: str, method: str = "GET", path: str = "/things") -> Reply:
    """One relayed request."""
    return await line.send(method, f"/relay/{api}{path}", {"authorization": f"Bearer {key}"})


async def uses(node: Node, api: str, key: str, count: int) -> list[int]:
    """The statuses of ``count`` relayed requests on one connection."""
    line = Line(node.app)
    found = [(await use(line, api, key)).status for _ in range(count)]
    await line.close()
    return found


# --- A store that cannot be written


@contextlib.contextmanager
def full_disk(node: Node) -> Iterator[None]:
    """No byte is free where the data directory is."""
    filler = node.data_dir / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def failing_writes(node: Node) -> Iterator[None]:
    """Writes behind the first 4 KiB of any file fail (RLIMIT_FSIZE), so that no journal can take its first page."""
    for pid in node.children():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for pid in node.children():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A place for a node whose data directory is a small disk of its own, where this user may mount one."""
    data = tmp_path / "node" / "data"
    data.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "tmpfs", str(data)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a file system")
    try:
        yield tmp_path / "node"
    finally:
        subprocess.run(["umount", "-l", str(data)], check=True)


async def refuses_writes_and_goes_on(
    node: Node, provider: Upstream, broken: Callable[[Node], contextlib.AbstractContextManager[None]]
) -> None:
    """While ``broken``: every write is refused and says why, reads and the relay go on; afterwards all is well."""
    children = node.children()
    async with admin_of(node) as admin:
        app, key = await prepared(admin, provider, "service")
        cold = (await admin.key(app))["secret"]
        doomed = await admin.key(app)
        reader = (await admin.made("POST", "/tokens", {"name": "reader", "role": "viewer"}))["secret"]
        before = await shown(admin)
        with broken(node):
            for method, path, body in writes(app, doomed["id"]):
                refused = await admin(method, path, body)
                assert (refused.status, refused.code) == (503, "not_ready"), (method, path, refused.raw)
                assert "disk has room" in refused.json["error"]["message"]
                assert refused.header("retry-after")
            assert await uses(node, "service", key, 20) == [200] * 20
            assert await uses(node, "service", cold, 1) == [200]
            assert await uses(node, "service", doomed["secret"], 1) == [200]
            assert await shown(admin) == before
            async with admin_of(node, reader) as looking:
                assert (await looking("GET", "/apps")).status == 200, "who only looks is refused"
        for method, path, body in writes(app, doomed["id"]):
            assert (await admin(method, path, body)).status < 300, (method, path)
        assert (await admin.made("POST", "/audit/verify"))["ok"]
    assert node.children() == children


def writes(app: str, key: str) -> list[tuple[str, str, object]]:
    """A write of every kind."""
    return [
        ("POST", "/apps", {"name": "never"}),
        ("POST", "/apis", {"name": "never", "base_url": "https://example.com"}),
        ("PUT", "/apis/service/credentials/live?activate=true", {"fields": {"key": "sk-sandbox-" + "never" * 5}}),
        ("POST", f"/apps/{app}/keys", {}),
        ("POST", f"/keys/{key}/rotate", {"overlap": 60}),
        ("DELETE", f"/keys/{key}", None),
        ("POST", "/tokens", {"name": "never", "role": "viewer"}),
    ]


async def shown(admin: Admin) -> list[Any]:
    """Everything that the admin API shows, but for the moments of last use."""
    apps = (await admin.made("GET", "/apps"))["items"]
    paths = ["/apis", "/apis/service/credentials", "/tokens", *(f"/apps/{app['id']}/keys" for app in apps)]
    found = [(await admin.made("GET", path))["items"] for path in paths]
    unused = [[{**item, "last_used_at": None} for item in items] for items in found]
    return [apps, await admin.events(), unused]


async def test_a_full_disk_refuses_writes_and_nothing_else(home: Path) -> None:
    """No false acknowledgement, the relay goes on, and with room again all works without a restart.

    On the same disk, which may then only be read, the next start ends with one line.
    """
    async with upstream() as provider, serving(home) as node:
        await refuses_writes_and_goes_on(node, provider, full_disk)
        sent = len(provider.arrivals)
        counted = "SELECT count(*) FROM requests WHERE status = 200"

        def kept() -> bool:
            found = 0
            for day in (node.data_dir / "tieline.requests").glob("*.db"):  # none, where there was no room for it
                with contextlib.closing(sqlite3.connect(day)) as file, contextlib.suppress(sqlite3.OperationalError):
                    found += file.execute(counted).fetchone()[0]  # there may have been no room for its table either
            return found >= sent

        assert await until(kept, 20), "records of requests during the full disk were lost"
    subprocess.run(["mount", "-o", "remount,ro", str(home / "data")], check=True)
    failed = spawn(home)
    assert await until(lambda: failed.process.poll() is not None, 60)
    said = failed.said().strip().split("\n")
    assert (failed.process.returncode, len(said)) == (1, 1), said
    assert said[0].startswith("tieline: ")


async def test_failing_writes_are_told_and_logged(tmp_path: Path) -> None:
    """The same where the disk fails instead; and every line of the log is JSON, as was asked for."""
    async with upstream() as provider, serving(tmp_path / "node", "--log-format", "json") as node:
        await refuses_writes_and_goes_on(node, provider, failing_writes)
        events = [json.loads(line)["event"] for line in logged(node)]
        assert "admin.refused" in events


def logged(node: Node) -> list[str]:
    """The lines of the log, without the one that scripts wait for."""
    plain = re.compile(r"ready app=")
    return [line for line in node.said().split("\n") if line and not plain.match(line)]


async def test_a_read_only_database_refuses_writes_and_nothing_else(tmp_path: Path, postgres: str) -> None:
    """After a failover to a standby the relay and the admin API's reads go on, writes are refused until it ends."""

    async def set_read_only(value: str) -> None:
        name = url.rpartition("/")[2]
        connection = await asyncpg.connect(postgres)
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
        await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        await connection.close()

    async with (
        database(postgres) as url,
        upstream() as provider,
        serving(tmp_path / "node", "--database-url", url) as node,
        admin_of(node) as admin,
    ):
        app, key = await prepared(admin, provider, "service")
        cold = await admin.key(app)
        reader = (await admin.made("POST", "/tokens", {"name": "reader", "role": "viewer"}))["secret"]
        await set_read_only("on")
        await asyncio.sleep(0.5)
        for method, path, body in writes(app, cold["id"]):
            refused = await admin(method, path, body)
            assert (refused.status, refused.code) == (503, "not_ready"), (method, path, refused.raw)
        assert set(await uses(node, "service", key, 20)) == {200}
        assert await uses(node, "service", cold["secret"], 1) == [200]
        async with admin_of(node, reader) as looking:
            assert (await looking("GET", "/apps")).status == 200, "who only looks is refused"
        await set_read_only("off")
        await asyncio.sleep(0.5)
        for method, path, body in writes(app, cold["id"]):
            assert (await admin(method, path, body)).status < 300, (method, path)


# --- Keys of the house


async def test_a_wrong_root_key_names_the_right_one_and_serves_nothing(tmp_path: Path) -> None:
    """From the environment: wrong or missing, the line has the id that was expected; the right one opens everything."""
    home, words = tmp_path / "node", ("--root-key", f"env:{ROOT}")
    right, wrong = bytes(range(32)).hex(), bytes(range(1, 33)).hex()
    async with upstream() as provider:
        async with serving(home, *words, env={ROOT: right}) as node, admin_of(node) as admin:
            _, key = await prepared(admin, provider, "service")
            expected = (await admin.made("GET", "/vault"))["items"][0]["root_key_id"]
        other, missing = spawn(home, *words, env={ROOT: wrong}), spawn(home, *words)
        for failed, told in ((other, expected), (missing, ROOT)):
            assert await until(lambda: other.process.poll() is not None and missing.process.poll() is not None, 60)
            said = failed.said().strip()
            assert failed.process.returncode in {1, 2}
            assert (said.count("\n"), "ready" in said, told in said, wrong in said) == (0, False, True, False), said
        async with serving(home, *words, env={ROOT: right}) as node:
            assert await uses(node, "service", key, 1) == [200]


# --- What belongs to somebody else


async def test_an_app_reaches_nothing_of_another(node: Node) -> None:
    """An app's key has no way to another app's API, in no spelling; the answer is a refusal, and nothing arrives."""
    async with upstream() as provider, admin_of(node) as admin:
        _, mine = await prepared(admin, provider, "mine")
        await prepared(admin, provider, "theirs")
        before, line = len(provider.arrivals), Line(node.app)
        for api in (
            "theirs",
            "THEIRS",
            "mine/../theirs",
            "mine/..%2ftheirs",
            "%74heirs",
            "/theirs",
            "mine/%2e%2e/theirs",
        ):
            reply = await use(line, api, mine)
            assert reply.status in {400, 403, 404}, (api, reply.raw)
        headers = {"authorization": f"Bearer {mine}", "tieline-connection": "theirs", "x-forwarded-host": "theirs"}
        assert (await line.send("GET", "/relay/theirs/things", headers)).status == 403
        await line.close()
        assert len(provider.arrivals) == before


async def test_ids_of_other_things_name_nothing(node: Node) -> None:
    """Ids of another kind, unknown ids and cursors of other lists are refused alike, and change nothing."""
    async with upstream() as provider, admin_of(node) as admin:
        app, _ = await prepared(admin, provider, "first")
        other, _ = await prepared(admin, provider, "second")
        key = (await admin.key(app))["id"]
        unknown = key[:-6] + "zzzzzz"
        for method, path, body, status in (
            ("GET", f"/keys/{app}", None, 404),
            ("GET", f"/keys/{unknown}", None, 404),
            ("DELETE", f"/keys/{unknown}", None, 404),
            ("POST", f"/keys/{unknown}/rotate", {}, 404),
            ("GET", f"/apps/{key}", None, 404),
            ("DELETE", f"/tokens/{key}", None, 404),
            ("POST", "/apis/first/credentials/99/activate", None, 404),
            ("DELETE", "/apis/second/credentials/2", None, 404),
            ("GET", f"/apps/{app}/keys?after={other}", None, 422),
            ("GET", f"/apis?after={key}", None, 422),
            ("PATCH", f"/keys/{key}", grants("second"), 422),
            ("POST", f"/apps/{app}/keys", grants("second"), 422),
        ):
            reply = await admin(method, path, body)
            assert reply.status == status, (method, path, reply.raw)
        assert (await admin.made("GET", f"/keys/{key}"))["state"] == "active"
        asked = f"/keys/{key}/allows?method=GET&path=/things&api=second"
        assert (await admin.made("GET", asked))["allowed"] is False


def grants(api: str) -> dict[str, Any]:
    """Permissions that name one API."""
    return {"permissions": {"mode": "restricted", "grants": {api: {"things": "read"}}}}


async def test_a_viewer_changes_nothing(node: Node) -> None:
    """Every operation of the admin API's own document that is no read: 403, and no audit event."""
    async with upstream() as provider, admin_of(node) as owner:
        app, _ = await prepared(owner, provider, "looked-at")
        key = (await owner.key(app))["id"]
        token = await owner.made("POST", "/tokens", {"name": "viewer", "role": "viewer"})
        paths = (await owner("GET", "/api/openapi.json")).json["paths"]
        events = await owner.events()
        names = {"api": "looked-at", "app": app, "id": key, "version": "1", "environment": "live", "entry": "openai"}
        tried = 0
        async with admin_of(node, token["secret"]) as viewer:
            for path, item in paths.items():
                for method in (
                    set(item) - {"get", "parameters"} - ({"post"} if path.endswith("/audit/verify") else set())
                ):
                    target = re.sub(r"\{(\w+)\}", lambda name: names.get(name[1], "anything"), path)
                    reply = await viewer(method.upper(), target, {})
                    assert reply.status in {403, 422}, (method, path, reply.raw)
                    tried += reply.status == 403
        assert tried >= 8
        assert await owner.events() == events


# --- Too much


RELAY, ADMIN = b"GET /relay/sizes/things", b"GET /api/v1/apps"
FIELDS = b" HTTP/1.1\r\nhost: 127.0.0.1\r\n%b\r\n"


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (413, "body_too_large", b"POST /relay/sizes/work" + FIELDS + b"content-length: 2000\r\n\r\n"),
        (414, "uri_too_long", RELAY + b"?" + b"a" * 8200 + FIELDS + b"\r\n"),
        (431, "headers_too_large", RELAY + FIELDS + b"x: " + b"a" * 33_000 + b"\r\n\r\n"),
        (431, "headers_too_large", RELAY + FIELDS + b"x: y\r\n" * 101 + b"\r\n"),
    ],
    ids=["body", "target", "head", "fields"],
)
async def test_too_much_is_refused_by_its_name(node: Node, status: int, code: str, message: bytes) -> None:
    """Body, target, head and number of fields: each has its code, and nothing arrives."""
    async with upstream() as provider, admin_of(node) as admin:
        if (await admin("GET", "/apis/sizes")).status == 404:
            await admin.api("sizes", provider.url, limits={"body": "1KiB"})
            await admin.credential("sizes")
            await admin.app("app of sizes", "sizes")
        app = (await admin.made("GET", "/apps/app%20of%20sizes"))["id"]
        key = (await admin.key(app))["secret"]
        await asyncio.sleep(0.3)
        line = Line(node.app)
        reply = await line.ask(message.replace(b"%b", b"authorization: Bearer " + key.encode()))
        await line.close()
        assert (reply.status, reply.code) == (status, code)
        assert reply.header("x-should-retry") == "false"
        assert provider.arrivals == []


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (413, "body_too_large", b"POST /api/v1/apps" + FIELDS + b"content-length: 9000000\r\n\r\n"),
        (414, "uri_too_long", ADMIN + b"?" + b"a" * 8200 + FIELDS + b"\r\n"),
        (431, "headers_too_large", ADMIN + FIELDS + b"x: " + b"a" * 70_000 + b"\r\n\r\n"),
        (431, "headers_too_large", ADMIN + FIELDS + b"x: y\r\n" * 101 + b"\r\n"),
        (400, "invalid_request", b"GET /api/v1/apps HTTP/9.9\r\n\r\n"),
        (400, "invalid_request", b"GET /api/v1/apps HTTP/1.1\r\nhost: 127.0.0.1\r\nno colon\r\n\r\n"),
    ],
    ids=["body", "target", "head", "fields", "version", "field"],
)
async def test_too_much_for_the_admin_api_is_refused(node: Node, status: int, code: str, message: bytes) -> None:
    """Bodies, targets and heads without measure, and what is no HTTP, get their refusal; others are served on."""
    line = Line(node.console)
    reply = await line.ask(message.replace(b"%b", f"authorization: Bearer {node.token}".encode()))
    await line.close()
    assert (reply.status, reply.code) == (status, code)
    assert reply.json["error"]["type"] == "admin_error"
    async with admin_of(node) as admin:
        assert (await admin("GET", "/apps")).status == 200


async def test_json_without_a_bottom_is_refused(node: Node) -> None:
    """A body that only opens brackets is an error of whoever sent it."""
    async with admin_of(node) as admin:
        for body in (b"[" * 200_000, b'{"name":' * 20_000, b'{"name": "' + b"a" * 200_000):
            assert (await admin("POST", "/apps", body)).status in {400, 422}


@pytest.mark.parametrize("listener", ["app", "console"])
async def test_a_head_without_an_end_costs_no_memory(node: Node, listener: str) -> None:
    """Whoever goes on sending header fields, or one field, is cut off before the server has kept a megabyte of it."""
    for begun in (b"x: ", b"x: y\r\n"):
        reader, writer = await asyncio.open_connection(*getattr(node, listener))
        writer.write(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n")
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 64 << 20:
                writer.write(begun * (65_536 // len(begun)))
                await writer.drain()
                sent += 65_536
        assert sent < 32 << 20, "the server took it all"
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await reader.read(-1)


def stranger(randomness: random.Random) -> str:
    """A key of good form that nobody minted."""
    body = "tl_live_" + "".join(randomness.choices(appkey._DIGITS.decode(), k=43))
    return body + appkey._checksum(body.encode()).decode()


async def test_a_flood_of_unknown_keys_starves_nobody(node: Node) -> None:
    """While strangers try 2,000 keys of good form, keys in use are served at once, and so is one not seen before."""
    async with upstream(keeps=False) as provider, admin_of(node) as admin:
        app, known = await prepared(admin, provider, "flooded")
        cold = [(await admin.key(app))["secret"] for _ in range(10)]
        randomness = random.Random(SEED)
        strangers = [stranger(randomness) for _ in range(FLOOD)]
        answers: list[tuple[int, str]] = []
        their_waits: list[float] = []

        async def flood() -> None:
            line = Line(node.app)
            while strangers:
                began = time.monotonic()
                reply = await use(line, "flooded", strangers.pop())
                their_waits.append(time.monotonic() - began)
                answers.append((reply.status, reply.code))
            await line.close()

        flooding = [asyncio.create_task(flood()) for _ in range(FLOOD_LINES)]
        line, waits, statuses = Line(node.app), [], []
        while strangers:
            began = time.monotonic()
            statuses.append((await use(line, "flooded", known)).status)
            waits.append(time.monotonic() - began)
            if cold and len(waits) % 5 == 0:
                statuses += await uses(node, "flooded", cold.pop(), 1)
            await asyncio.sleep(0.01)
        await asyncio.gather(*flooding)
        await line.close()
        assert set(answers) <= {(401, "invalid_app_key"), (429, "rate_limited"), (503, "overloaded")}
        assert len(answers) == FLOOD
        assert set(statuses) == {200}
        assert median(waits) < median(their_waits), "keys in use stand in the strangers' queue"
        assert len(waits) > 20


# --- What is written down


async def test_nobody_writes_lines_into_the_log(node: Node) -> None:
    """Line breaks, escapes and other tricks in paths, names and agents: every line stays a JSON object of ours."""
    tricks = ("%0d%0ainjected", "\u2028injected", "\x85injected", "\x1b[2Jinjected", "%1b[31minjected", '"}\\ninjected')
    async with upstream() as provider, admin_of(node) as admin:
        _, key = await prepared(admin, provider, "logged")
        line = Line(node.app)
        for trick in tricks:
            headers = {"user-agent": trick, "authorization": f"Bearer {key}", "referer": trick}
            for path in (f"/relay/logged/{trick}", f"/{trick}", f"/relay/{trick}/x", "/relay/logged/things"):
                with contextlib.suppress(EOFError, OSError):
                    await line.send("GET", path, headers)
            with contextlib.suppress(EOFError, OSError):
                await admin("GET", f"/{trick}", None, {"user-agent": trick})
                await admin("POST", "/apps", {"name": trick}, {"content-type": trick})
        await line.close()
        for each in logged(node):
            assert set(json.loads(each)) >= {"at", "level", "event"}, each
        assert "\x1b" not in node.said()
        await asyncio.sleep(0.6)  # records are saved four times a second
        (day,) = (node.data_dir / "tieline.requests").glob("*.db")
        with contextlib.closing(sqlite3.connect(day)) as file:
            paths = [row[0] for row in file.execute("SELECT path FROM requests")]
        assert [path for path in paths if not path.isprintable()] == []
