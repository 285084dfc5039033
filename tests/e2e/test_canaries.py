"""Canary secrets (design/security.md section 3): driven through everything there is, and found nowhere afterwards."""

import asyncio
import contextlib
import random
import re
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import typer

from tests.e2e.canaries import Hunt, disguises, mint
from tests.e2e.stage import Admin, Line, Node, admin_of, serving
from tests.e2e.tour import Tour
from tests.e2e.upstream import Upstream, upstream

NO_CLIENTS = {("serve",), ("sandbox",), ("demo",)}
SEED = 20261123


@dataclass
class Left:
    """What a tour left behind: the hunt, what was driven, and everything that can be searched, by kind."""

    tour: Tour
    files: list[str] = field(default_factory=list)
    tables: dict[str, bytes] = field(default_factory=dict)
    said: str = ""
    processes: dict[str, bytes] = field(default_factory=dict)
    metrics: bytes = b""
    telemetry: list[bytes] = field(default_factory=list)
    journals: dict[bytes, None] = field(default_factory=dict)
    openapi: Any = None

    @property
    def hunt(self) -> Hunt:
        """The hunt for the tour's canaries."""
        return self.tour.hunt


@pytest.fixture(scope="module", params=["sqlite-text", "postgresql-json"])
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, soak: bool) -> Left:
    """What remains of a tour at log level debug: with SQLite and all commands, and with PostgreSQL and JSON logs."""
    database, _, form = request.param.partition("-")
    home = tmp_path_factory.mktemp(database) / "node"
    options = ["--log-level", "debug", "--log-format", form]
    if database == "postgresql":
        return asyncio.run(_on_postgres(home, request.getfixturevalue("postgres"), options, 1000 if soak else 60))
    return asyncio.run(_toured(home, options, 1000 if soak else 60, ""))


async def _on_postgres(home: Path, server: str, options: list[str], count: int) -> Left:
    """A tour on a database of its own."""
    name = f"tieline_canaries_{random.SystemRandom().randrange(1 << 40):x}"
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {name}")
    url = re.sub(r"/[^/]*$", f"/{name}", server)
    try:
        return await _toured(home, [*options, "--database-url", url], count, url)
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


async def _toured(home: Path, options: list[str], count: int, url: str) -> Left:
    randomness = random.Random(SEED)
    for_collector = mint("the collector's field", randomness)
    home.mkdir(parents=True, exist_ok=True)
    (told := home.parent / "collector-fields").write_text(f"authorization=Bearer%20{for_collector.text}")
    async with upstream() as collector:
        options = [*options, "--otlp-endpoint", collector.url.removesuffix("/v1"), "--trace-sample", "1"]
        env = {"TIELINE_OTLP_HEADERS_FILE": str(told)}
        async with upstream() as provider, serving(home, *options, env=env) as node, admin_of(node) as admin:
            left = Left(Tour(node, admin, provider, randomness, count))
            left.hunt.add(for_collector)
            await _tour(left, url)
        for arrival in collector.arrivals:  # the collector alone gets its field
            assert arrival.secret == for_collector.text
            left.telemetry.append(arrival.raw.replace(for_collector.text.encode(), b""))
    left.files = left.hunt.search_files(node.data_dir) + left.hunt.search_files(node.home / "scratch")
    left.said = node.said()
    return left


async def _tour(left: Left, url: str) -> None:
    node, admin = left.tour.node, left.tour.admin
    async with _watching(node, left):
        await left.tour.everything()
        if not url:
            await left.tour.all_commands()
    left.openapi = (await admin("GET", "/api/openapi.json")).json
    for pid in [node.process.pid, *node.children()]:
        for place in ("cmdline", "environ"):
            left.processes[f"{place} of {pid}"] = Path(f"/proc/{pid}/{place}").read_bytes()
    await asyncio.sleep(1.5)  # request records are saved four times a second, and counted once a second
    line = Line(node.console)
    left.metrics = (await line.send("GET", "/metrics")).body
    await line.close()
    if url:
        left.tables = await _tables(url)


@asynccontextmanager
async def _watching(node: Node, left: Left) -> AsyncIterator[None]:
    """Meanwhile keep what stands in journals, which come and go."""

    async def watch() -> None:
        while True:
            for path in node.data_dir.rglob("*.db-*"):
                with contextlib.suppress(FileNotFoundError):
                    left.journals[path.read_bytes()] = None
            await asyncio.sleep(0.05)

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()


async def _tables(url: str) -> dict[str, bytes]:
    """Every table of the database as COPY writes it: bytes in hex, text escaped."""
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = {}
        for row in names:
            pieces: list[bytes] = []

            async def keep(piece: bytes, pieces: list[bytes] = pieces) -> None:
                pieces.append(piece)

            await connection.copy_from_table(row["tablename"], output=keep)
            found[row["tablename"]] = b"".join(pieces)
        return found
    finally:
        await connection.close()


def test_no_canary_is_in_a_file_or_journal(left: Left) -> None:
    """Neither in the data directory when all has ended, nor in a journal meanwhile, nor in a temporary file."""
    journals = [each for data in left.journals for each in left.hunt.search("a journal", data)]
    assert not (hits := left.files + journals), "\n".join(hits)


def test_no_canary_is_in_a_table(left: Left) -> None:
    """Whoever has a dump of PostgreSQL has no secret."""
    found = [each for name, data in left.tables.items() for each in left.hunt.search(f"table {name}", data)]
    assert not found, "\n".join(found)


def test_no_canary_is_in_what_it_said(left: Left) -> None:
    """Standard output and standard error at log level debug, of every process."""
    found = left.hunt.search("the log", left.said.encode())
    assert not found, "\n".join(found)


def test_no_canary_is_in_metrics(left: Left) -> None:
    """What anybody on the machine may read has none, and nothing else that a client chose."""
    assert left.hunt.search("the metrics", left.metrics) == []
    assert b"tieline_requests_total" in left.metrics
    assert b"sk-" not in left.metrics
    assert b"tl_live_" not in left.metrics


def test_no_canary_is_in_traces(left: Left) -> None:
    """Nothing that a collector got has one, but for the field that is its own: in raw, base64, hex and URL forms."""
    found = [each for raw in left.telemetry for each in left.hunt.search("what the collector got", raw)]
    assert not found, "\n".join(found)
    everything = b"".join(left.telemetry)
    assert everything.count(b'"traceId"') > left.tour.count
    assert b"POST /v1/metrics" in everything


def test_no_canary_is_in_an_answer_or_export(left: Left) -> None:
    """No answer, export or output of a command has one, but for the field that shows a new secret once."""
    found = [each for asked, raw in left.tour.answers for each in left.hunt.search(f"the answer to {asked}", raw)]
    assert not found, "\n".join(found)
    assert left.tour.shown > left.tour.count // 3
    hunted = f"{len(left.tour.canaries)} secrets, {len(left.hunt.windows)} parts of them looked for"
    sys.stdout.write(f"{hunted} in {left.hunt.places} places and {left.hunt.bytes_searched} bytes\n")


def test_no_canary_is_in_a_process(left: Left) -> None:
    """Neither in the arguments nor in the environment of a process of the server."""
    assert [each for name, data in left.processes.items() for each in left.hunt.search(name, data)] == []


def test_no_app_key_reached_the_upstream(left: Left) -> None:
    """The provider gets its own secrets and never an app key, wherever it stood in the request."""
    provider: Upstream = left.tour.upstream
    keys = Hunt()
    for canary in left.tour.canaries:
        if canary.prefix.startswith("tl_"):
            keys.add(canary)
    arrived = [each for each in provider.arrivals if each.headers.get("x-mark") != "misplaced"]
    assert [hit for each in arrived for hit in keys.search(f"{each.method} {each.target}", each.raw)] == []


def test_the_canaries_were_alive(left: Left) -> None:
    """Secrets of every scheme did their work at the upstream, so the search is for something that was there."""
    arrived = b"\n".join(each.raw for each in left.tour.upstream.arrivals)
    hits = left.hunt.search("the upstream", arrived)
    for what in ("bearer's key", "header's key", "coded's key", "query's key", "cookie's key", "basic's password"):
        assert any(hit.startswith(what) for hit in hits), what
    for what in ("shared's key", "shared's header.X-Team-Key", "shared's parameter.team", "openai's key"):
        assert any(hit.startswith(what) for hit in hits), what
    assert len(left.tour.canaries) >= left.tour.count


def test_every_admin_route_was_driven(left: Left) -> None:
    """A route that is added belongs on the tour."""
    missed = [
        f"{method.upper()} {path}"
        for path, item in left.openapi["paths"].items()
        for method in item
        if not any(
            method.upper() == driven and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), f"/api/v1{target}")
            for driven, target in left.tour.driven
        )
    ]
    assert missed == []


@pytest.mark.parametrize("left", ["sqlite-text"], indirect=True)  # commands are clients: driven once will do
def test_every_command_was_driven(left: Left) -> None:
    """A command that is added belongs on the tour; those that are servers themselves are what it runs against."""
    from tieline.cli.commands import root

    def walk(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, (*path, name))
            else:
                yield (*path, name)

    assert sorted(set(walk(typer.main.get_command(root))) - left.tour.commands - NO_CLIENTS) == []


def test_the_hunt_finds_every_disguise() -> None:
    """The search itself: each form of a canary is found in noise, a part of it too, and nothing is found in noise."""
    randomness = random.Random(SEED)
    hunt, canary = Hunt(), mint("this", randomness, odd=True)
    hunt.add(canary)
    noise = randomness.randbytes(2_000)
    assert hunt.search("noise", noise) == []
    for name, form in disguises(canary):
        assert hunt.search(name, noise + form[3:30] + noise), name


async def _key_and_api(admin: Admin, provider: Upstream, *names: str) -> str:
    """APIs with a credential in both environments, and a key for all of them."""
    for name in names:
        await admin.api(name, provider.url)
        for environment in ("live", "development"):
            fields = {"key": mint(name, random.Random(f"{name} {environment}")).text}
            await admin.made("PUT", f"/apis/{name}/credentials/{environment}", {"fields": fields})
    app = await admin.app("app", *names)
    secret: str = (await admin.key(app["id"]))["secret"]
    return secret


SEALED = (
    "SELECT s.nonce, s.ciphertext, s.data_key_id, s.credential_id FROM secrets s JOIN credentials c ON"
    " c.id = s.credential_id JOIN apis a ON a.id = c.api_id WHERE a.name = ? AND c.environment = ?"
)


@dataclass
class Thief:
    """Somebody who can write to the database file, and knows how to make the data plane look again."""

    file: sqlite3.Connection

    def sealed(self, api: str, environment: str) -> tuple[Any, ...]:
        """Nonce, ciphertext, data key and credential of an API's secret."""
        row: tuple[Any, ...] = self.file.execute(SEALED, (api, environment)).fetchone()
        return row

    def put(self, value: tuple[Any, ...], credential: str) -> None:
        """Put a sealed value in a credential's place, and say that its API changed."""
        change = "UPDATE secrets SET nonce = ?, ciphertext = ?, data_key_id = ? WHERE credential_id = ?"
        self.file.execute(change, (*value[:3], credential))
        api = self.file.execute("SELECT api_id FROM credentials WHERE id = ?", (credential,)).fetchone()
        self.file.execute("UPDATE apis SET revision = revision + 1 WHERE id = ?", api)
        self.file.execute("INSERT INTO changes (kind, ref, at) SELECT 'api', ?, max(at) FROM changes", api)


def _tamperings(thief: Thief, soak: bool) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The ways in which a sealed value can be touched, by name."""
    nonce, ciphertext, data_key, _ = thief.sealed("one", "live")
    yield "another API's", thief.sealed("two", "live")
    yield "another environment's", thief.sealed("one", "development")
    yield "another's nonce", (thief.sealed("two", "live")[0], ciphertext, data_key)
    yield "without its tag", (nonce, ciphertext[:-16], data_key)
    yield "cut", (nonce, ciphertext[:20], data_key)
    yield "longer", (nonce, ciphertext + b"\0", data_key)
    for place in range(0, len(ciphertext), 1 if soak else 20):
        flipped = ciphertext[:place] + bytes([ciphertext[place] ^ 1]) + ciphertext[place + 1 :]
        yield f"flipped at {place}", (nonce, flipped, data_key)


async def test_a_sealed_value_that_was_touched_is_never_served(tmp_path: Path, soak: bool) -> None:
    """In the real file: values moved between APIs and environments, flipped, cut; nothing goes to the upstream."""
    async with upstream() as provider, serving(tmp_path / "node") as node, admin_of(node) as admin:
        key = await _key_and_api(admin, provider, "one", "two")
        line, other, fields = Line(node.app), Line(node.app), {"authorization": f"Bearer {key}"}
        assert (await line.send("GET", "/relay/one/things", fields)).status == 200
        with contextlib.closing(sqlite3.connect(node.data_dir / "tieline.db", isolation_level=None)) as file:
            thief = Thief(file)
            good = thief.sealed("one", "live")
            for kind, value in list(_tamperings(thief, soak)):
                thief.put(value, good[3])
                assert await _turns(line, fields, served=False), f"{kind}: still served"
                before = len(provider.arrivals)
                assert (await line.send("GET", "/relay/one/things", fields)).status >= 400
                assert (await other.send("GET", "/relay/two/things", fields)).status == 200
                assert len(provider.arrivals) == before + 1, kind
                thief.put(good, good[3])
                assert await _turns(line, fields, served=True), f"not served again after {kind}"
        await line.close()
        await other.close()
        expected = {mint(name, random.Random(f"{name} live")).text for name in ("one", "two")}
        assert {each.secret for each in provider.arrivals} == expected


async def _turns(line: Line, fields: dict[str, str], *, served: bool) -> bool:
    """Whether the API comes to be served, or not to be, within a few seconds."""
    for _ in range(150):
        if ((await line.send("GET", "/relay/one/things", fields)).status == 200) is served:
            return True
        await asyncio.sleep(0.03)
    return False
