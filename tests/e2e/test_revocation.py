"""What is taken away stops working within a second, on two workers under load, and never comes back.

The numbers are those of design/security.md section 3. One session per database drives every kind of end at once.
"""

import asyncio
import contextlib
import math
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.e2e.load import Caller, Use, accepted
from tests.e2e.stage import Admin, Line, Node, admin_of, definition, serving
from tests.e2e.upstream import Upstream, upstream
from tests.stopwatch import Stopwatch

pytestmark = pytest.mark.alone  # it puts both cores under load, and measures
SEED = 20261123
WAVE = 10
MOST_SECONDS = 1.0
P99_SECONDS = 0.25
CHANNEL_DOWN_SECONDS = 5.0
OVERLAP = 5
OLD, NEW = "sk-sandbox-" + "the-old-credential", "sk-sandbox-" + "the-new-credential"
API = "service"


@dataclass
class Ended:
    """Something that was taken away: by what, when it had to stop, who used it, and which uses count as its use."""

    kind: str
    moment: float
    caller: Caller
    counts: Callable[[Use], bool] = accepted
    resurrected: int = 0

    @property
    def lateness(self) -> float:
        """Seconds by which the last use came too late."""
        return self.caller.lateness(self.moment, self.counts)

    @property
    def codes(self) -> set[str]:
        """What those were told who came a second after the end, or after the last use where that came later."""
        over = self.moment + max(MOST_SECONDS, self.lateness)
        return {use.code for use in self.caller.uses if use.sent > over}


@dataclass
class Session:
    """A node with two workers under load, two upstreams, and everything that ended meanwhile."""

    node: Node
    admin: Admin
    here: Upstream
    there: Upstream
    watch: Stopwatch
    ended: list[Ended] = field(default_factory=list)
    randomness: random.Random = field(default_factory=lambda: random.Random(SEED))

    @property
    def most(self) -> float:
        """How late a use may come, in seconds: a second, and what the machine made everybody wait on top."""
        return MOST_SECONDS + self.watch.worst

    async def caller(
        self, api: str = API, request: tuple[str, str] = ("GET", "/things"), app: str = ""
    ) -> tuple[Caller, str, str]:
        """A key of an app of its own in use on both workers, with the key's id and the app's."""
        owner = app or (await self.admin.app(f"app {self.randomness.randrange(1 << 60)}", api))["id"]
        key = await self.admin.key(owner)
        method, path = request
        caller = Caller(self.node, key["secret"], (method, f"/relay/{api}{path}"), [self.here, self.there])
        await caller.begin()
        return caller, key["id"], owner

    async def take(
        self, kind: str, caller: Caller, change: tuple[str, str, object], after: float = 0.0, **more: Any
    ) -> Any:
        """Send the admin request that ends ``kind`` at a random moment; it must have ended ``after`` seconds later."""
        await asyncio.sleep(self.randomness.uniform(0.2, 1.5))
        async with admin_of(self.node) as admin:
            made = await admin.made(*change)
            self.ended.append(Ended(kind, time.monotonic() + after, caller, **more))
        return made


@asynccontextmanager
async def session(home: Path, *options: str) -> AsyncIterator[Session]:
    """Two workers with an API that has a credential."""
    async with (
        upstream(keeps=False) as here,
        upstream(keeps=False) as there,
        Stopwatch() as watch,
        serving(home, "--workers", "2", *options) as node,
        admin_of(node) as admin,
    ):
        await admin.api(API, here.url)
        await admin.credential(API, key=OLD)
        yield Session(node, admin, here, there, watch)


async def revocations(stage: Session, count: int) -> None:
    """``count`` keys, each revoked at a moment of its own while all are in use."""
    for start in range(0, count, WAVE):
        callers = [await stage.caller() for _ in range(min(WAVE, count - start))]
        await asyncio.gather(
            *(stage.take("revoked", caller, ("DELETE", f"/keys/{key}", None)) for caller, key, _ in callers)
        )
        await asyncio.sleep(stage.most + 0.3)
        await asyncio.gather(*(caller.end() for caller, *_ in callers))


async def other_ends(stage: Session) -> None:
    """Every other way in which something ends, each once, at the same time."""
    for api in ("rotating", "retiring", "moving", "leaving"):
        await stage.admin.api(api, stage.here.url)
        await stage.admin.credential(api, key=OLD)
    await stage.admin.credential("rotating", key=NEW, activate=False)
    callers, changes = [], []

    async def plan(kind: str, change: tuple[str, str, object], caller: Caller, **more: Any) -> None:
        callers.append(caller)
        changes.append(stage.take(kind, caller, change, **more))

    for kind, build in KEY_ENDS.items():
        posts = ("POST", "/work") if kind == "narrowed" else ("GET", "/things")
        caller, key, app = await stage.caller(request=posts)
        change, after = build(key, app)
        await plan(kind, change, caller, after=after)
    for kind, api, change, counts in API_ENDS:
        body = change[2] if change[0] != "PUT" else definition(api, stage.there.url)
        caller, _, _ = await stage.caller(api)
        await plan(kind, (change[0], change[1], body), caller, counts=counts)
    made = await asyncio.gather(*changes)
    renewed = [Caller(stage.node, new["secret"], callers[0].request, [stage.here]) for new in made if _has_secret(new)]
    for caller in renewed:
        await caller.begin()
    await asyncio.sleep(OVERLAP + stage.most + 0.3)
    await asyncio.gather(*(caller.end() for caller in (*callers, *renewed)))
    assert all(use.status == 200 for caller in renewed for use in caller.uses), "a new secret of a rotated key failed"


def _has_secret(made: Any) -> bool:
    return isinstance(made, dict) and "secret" in made


def _uses(secret: str) -> Callable[[Use], bool]:
    return lambda use: use.arrival is not None and use.arrival.secret == secret


Change = tuple[str, str, object]

KEY_ENDS: dict[str, Callable[[str, str], tuple[Change, float]]] = {
    "rotated": lambda key, _: (("POST", f"/keys/{key}/rotate", {"overlap": 0}), 0.0),
    "rotated with an overlap": lambda key, _: (("POST", f"/keys/{key}/rotate", {"overlap": OVERLAP}), OVERLAP),
    "expired": lambda key, _: (("PATCH", f"/keys/{key}", {"expires_in": 1}), 1.0),
    "narrowed": lambda key, _: (("PATCH", f"/keys/{key}", {"permissions": {"mode": "read_only"}}), 0.0),
    "elsewhere": lambda key, _: (("PATCH", f"/keys/{key}", {"from_ip": ["192.0.2.0/24"]}), 0.0),
    "app removed": lambda _, app: (("DELETE", f"/apps/{app}", None), 0.0),
    "API taken from the app": lambda _, app: (("PATCH", f"/apps/{app}", {"apis": []}), 0.0),
}
API_ENDS: list[tuple[str, str, Change, Callable[[Use], bool]]] = [
    ("credential replaced", "rotating", ("POST", "/apis/rotating/credentials/2/activate", None), _uses(OLD)),
    ("credential retired", "retiring", ("DELETE", "/apis/retiring/credentials/1", None), accepted),
    ("base URL moved", "moving", ("PUT", "/apis/moving", None), lambda use: accepted(use) and use.place == 0),
    ("API removed", "leaving", ("DELETE", "/apis/leaving", None), accepted),
]
TOLD = {
    "revoked": "revoked_app_key",
    "rotated": "expired_app_key",
    "rotated with an overlap": "expired_app_key",
    "expired": "expired_app_key",
    "narrowed": "missing_permission",
    "elsewhere": "address_not_allowed",
    "app removed": "invalid_app_key",
    "API taken from the app": "missing_permission",
    "credential replaced": "",
    "credential retired": "credential_missing",
    "base URL moved": "",
    "API removed": "unknown_api",
}


async def after_a_restart(stage: Session) -> None:
    """Kill a worker, which comes back with a snapshot of its own, and try everything that ended on both once more."""
    known = {use.worker for each in stage.ended for use in each.caller.uses}
    os.kill(stage.node.children("data")[0], signal.SIGKILL)
    lines: dict[str, Line] = {}
    end = time.monotonic() + 30
    while (len(lines) < 2 or not set(lines) - known) and time.monotonic() < end:
        line = Line(stage.node.app)
        with contextlib.suppress(OSError, EOFError):
            worker = (await stage.ended[0].caller.use(line)).worker
            line, lines[worker] = lines.get(worker, Line(stage.node.app)), line
        await line.close()
        await asyncio.sleep(0.02)
    assert set(lines) - known, "the killed worker did not come back"
    for each in stage.ended:
        for line in lines.values():
            each.resurrected += each.counts(await each.caller.use(line))
    for line in lines.values():
        await line.close()


async def _driven(home: Path, count: int, *options: str) -> Session:
    async with session(home, *options) as stage:
        await asyncio.gather(revocations(stage, count), other_ends(stage))
        await after_a_restart(stage)
    return stage


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def driven(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, soak: bool) -> Session:
    """A session in which everything has ended."""
    count = 400 if soak else WAVE
    home = tmp_path_factory.mktemp("revocation") / "node"
    if request.param == "sqlite":
        return asyncio.run(_driven(home, count))
    return asyncio.run(_on_postgres(home, count, request.getfixturevalue("postgres")))


async def _on_postgres(home: Path, count: int, server: str) -> Session:
    async with database(server) as url:
        return await _driven(home, count, "--database-url", url)


@asynccontextmanager
async def database(server: str) -> AsyncIterator[str]:
    """The URL of a database of its own while the block lasts."""
    name = f"tieline_revocation_{random.SystemRandom().randrange(1 << 40):x}"
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {name}")
    try:
        yield f"{server.rpartition('/')[0]}/{name}"
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


def test_a_revoked_key_stops_within_a_second(
    driven: Session, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    """No use is accepted later than 1 s after the answer; the 99th percentile is 250 ms.

    At the reduced count, on a machine that is shared, its stalls are allowed for and the percentile is not asserted.
    """
    late = sorted(each.lateness for each in driven.ended if each.kind == "revoked")
    p99 = late[math.ceil(len(late) * 0.99) - 1]
    figures = f"{len(late)} keys: p50 {late[len(late) // 2] * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms"
    record_property("revocation", figures)
    sys.stdout.write(f"{figures}, most {late[-1] * 1000:.0f} ms\n")
    assert late[-1] <= (MOST_SECONDS if soak else driven.most)
    assert not soak or p99 <= P99_SECONDS


def test_every_other_end_comes_within_a_second(driven: Session) -> None:
    """Rotation, expiry, removal, narrowing, another credential, another base URL: as quick as a revocation."""
    late = {each.kind: each.lateness for each in driven.ended if each.kind != "revoked"}
    assert set(late) == set(TOLD) - {"revoked"}
    assert {kind: seconds for kind, seconds in late.items() if seconds > driven.most} == {}


def test_nothing_worked_again_later(driven: Session) -> None:
    """No worker accepts a use after it refused one, and a worker that starts anew accepts none either."""
    for each in driven.ended:
        assert list(each.caller.resurrections(each.counts, each.moment)) == [], each.kind
        assert each.resurrected == 0, each.kind


def test_everyone_is_told_what_happened(driven: Session) -> None:
    """The code says what ended; where something took the old one's place, the requests just go on.

    Who goes on with the key of an app that is gone is a stranger, and is slowed down as strangers are.
    """
    slowed = {"app removed": {"rate_limited"}}
    told = [(each.kind, each.codes - slowed.get(each.kind, set())) for each in driven.ended]
    assert [kind for kind, codes in told if codes != {TOLD[kind]}] == []


def test_it_was_under_load(driven: Session) -> None:
    """Every key was accepted again and again on both workers until shortly before its end."""
    for each in driven.ended:
        before = [use for use in each.caller.uses if use.sent < each.moment and each.counts(use)]
        assert len({use.worker for use in before}) == 2, each.kind
        assert each.moment - max(use.sent for use in before) < driven.most, each.kind


def test_an_overlap_lets_both_secrets_work(driven: Session) -> None:
    """The old secret of a key rotated with an overlap of five seconds is still accepted after the first of them."""
    each = next(each for each in driven.ended if each.kind == "rotated with an overlap")
    assert any(accepted(use) and use.sent > each.moment - OVERLAP + MOST_SECONDS for use in each.caller.uses)


LISTENING = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1 AND query LIKE 'LISTEN%'"
EVERYONE = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1"


async def _cut(server: str, statement: str, url: str) -> int:
    """End the connections to the database of ``url`` that ``statement`` chooses; how many they were."""
    connection = await asyncpg.connect(server)
    try:
        return int(await connection.fetchval(statement, url.rpartition("/")[2]))
    finally:
        await connection.close()


async def test_revocation_arrives_without_the_notification_channel(tmp_path: Path, postgres: str) -> None:
    """While nobody can listen, because the connections that did are cut and no new ones are let in: 5 s at most."""
    async with database(postgres) as url, session(tmp_path / "node", "--database-url", url) as stage:
        callers = [await stage.caller() for _ in range(4)]
        await asyncio.sleep(0.5)
        connection = await asyncpg.connect(postgres)
        await connection.execute(f"ALTER DATABASE {url.rpartition('/')[2]} ALLOW_CONNECTIONS false")
        await connection.close()
        assert await _cut(postgres, LISTENING, url) == 2
        for caller, key, _ in callers:
            await stage.take("revoked", caller, ("DELETE", f"/keys/{key}", None))
        await asyncio.sleep(CHANNEL_DOWN_SECONDS + 0.5)
        await asyncio.gather(*(caller.end() for caller, *_ in callers))
        late = [each.lateness for each in stage.ended]
        sys.stdout.write(f"channel down: {[round(seconds * 1000) for seconds in late]} ms\n")
        assert max(late) <= CHANNEL_DOWN_SECONDS
        assert [each.codes for each in stage.ended] == [{"revoked_app_key"}] * len(callers)
        assert [list(each.caller.resurrections(accepted, each.moment)) for each in stage.ended] == [[]] * 4


async def test_revocation_arrives_after_the_database_dropped_everyone(tmp_path: Path, postgres: str) -> None:
    """Connections are cut again and again for a while; afterwards keys work, and revocations arrive as before."""
    async with database(postgres) as url, session(tmp_path / "node", "--database-url", url) as stage:
        kept, *_ = await stage.caller()
        for _ in range(12):
            await _cut(postgres, EVERYONE, url)
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)
        calm = time.monotonic()
        caller, key, _ = await stage.caller()
        await stage.take("revoked", caller, ("DELETE", f"/keys/{key}", None))
        await asyncio.sleep(stage.most + 0.3)
        await asyncio.gather(kept.end(), caller.end())
        assert [use for use in kept.uses if use.sent > calm and use.status != 200] == []
        assert {use.status for use in kept.uses} <= {200, 503}
        assert stage.ended[0].lateness <= stage.most
        assert stage.ended[0].codes == {"revoked_app_key"}
