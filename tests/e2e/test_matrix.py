"""The permission matrix over real sockets: what arrives at the upstream is what the oracle allows, and nothing else.

Requests and oracle are those of ``tests/contract``; here they go through a running relay, over connections that carry
many requests of many keys, and what counts is whether and how they arrive.
"""

import asyncio
import json
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract import oracle
from tests.contract.oracle import Ask, Needs
from tests.contract.test_permission_matrix import DOCUMENT, METHODS, Key, asks, keys
from tests.e2e.stage import Admin, Line, Node, Reply, admin_of, serving
from tests.e2e.upstream import Arrival, Upstream, upstream
from tieline.access.areas import AreaTable
from tieline.definitions.catalogue import load
from tieline.definitions.parse import parse

SEED = 20261123
LINES = 6
REFUSALS = {"missing_permission", "invalid_request", "method_not_allowed", "unknown_api"}


@dataclass(frozen=True)
class Trial:
    """One request of one key, and what the oracle says: whether it may pass, and the path that must then arrive."""

    ask: Ask
    secret: str
    needs: Needs
    allowed: bool

    @property
    def message(self) -> bytes:
        """The request as it is sent, but for its mark."""
        lines = [f"{self.ask.method} /relay/openai{self.ask.target} HTTP/1.1", "host: relay"]
        lines += [f"authorization: Bearer {self.secret}", *(f"{name}: {value}" for name, value in self.ask.headers)]
        if self.ask.upgrade:
            lines += ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"]
            lines += ["sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="]
        if self.ask.method in {"POST", "PUT", "PATCH"}:
            lines.append("content-length: 0")
        return "\r\n".join(lines).encode("latin-1")


def trials(operations: list[tuple[str, str]], holders: list[tuple[Key, str]], count: int) -> list[Trial]:
    """``count`` requests drawn at random, half of which may pass."""
    randomness, every = random.Random(SEED), asks(operations)
    halves: dict[bool, list[Trial]] = {True: [], False: []}
    while min(map(len, halves.values())) < count // 2:
        ask, (key, secret) = randomness.choice(every), randomness.choice(holders)
        # Only a GET can ask for a WebSocket (RFC 6455 section 4.1); any other request arrives without the wish.
        upgrade = ask.upgrade and ask.method == "GET"
        needs = oracle.needs(Ask(ask.method, ask.target, ask.headers, upgrade))
        mode = key.permissions.mode.value
        allowed = not (needs.refused or needs.never) and all(
            oracle.allows(mode, key.held, ask.method, upgrade, need) for need in needs.every
        )
        if len(halves[allowed]) < count // 2:
            halves[allowed].append(Trial(ask, secret, needs, allowed))
    drawn = halves[True] + halves[False]
    randomness.shuffle(drawn)
    return drawn


async def minted(admin: Admin, provider: Upstream) -> list[tuple[Key, str]]:
    """OpenAI from the catalogue, and a key of each kind."""
    await admin.made("POST", "/apis", {"name": "openai", "from_catalogue": "openai", "base_url": provider.url})
    await admin.credential("openai")
    app = await admin.app("matrix", "openai")
    table = AreaTable(parse(load("openai")).areas)
    return [(key, (await admin.key(app["id"], permissions=key.permissions.to_json()))["secret"]) for key in keys(table)]


async def tried(node: Node, provider: Upstream, every: list[Trial]) -> list[tuple[Trial, Reply, Arrival | None]]:
    """Send everything over a few connections."""
    queue = list(enumerate(every))
    results = []

    async def send() -> None:
        line = Line(node.app)
        while queue:
            mark, trial = queue.pop()
            message = trial.message + f"\r\nx-mark: {mark}\r\n\r\n".encode()
            reply = await line.ask(message, bodyless=trial.ask.method == "HEAD")
            results.append((trial, reply, provider.by_mark.pop(str(mark), None)))
        await line.close()

    await asyncio.gather(*(send() for _ in range(LINES)))
    return results


def is_right(trial: Trial, reply: Reply, arrival: Arrival | None) -> bool:
    """Whether the request arrived if it may, as the method and path that were sent, and was refused otherwise."""
    if not trial.allowed:
        return arrival is None and 400 <= reply.status < 500 and (reply.code in REFUSALS or not reply.code)
    if arrival is None or reply.status != 200:
        return False
    return (arrival.method, arrival.target) == (trial.ask.method, f"/v1{trial.ask.target}")


def published() -> list[tuple[str, str]]:
    """Method and path template of every published operation; without the document the test is skipped."""
    if not DOCUMENT.exists():
        pytest.skip("the OpenAPI document of OpenAI is not beside this checkout (../shared/data/openai-openapi.json)")
    paths = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item if method in METHODS]


async def test_only_what_the_oracle_allows_arrives(tmp_path: Path, soak: bool) -> None:
    """Every kind of key, every operation, every trick: 0 mismatches; what arrives is the very path that was sent."""
    count, operations = 30_000 if soak else 2_000, published()
    async with upstream(keeps=False) as provider, serving(tmp_path / "node") as node:
        async with admin_of(node) as admin:
            holders = await minted(admin, provider)
        await asyncio.sleep(1)
        results = await tried(node, provider, trials(operations, holders, count))
    wrong = [result for result in results if not is_right(*result)]
    assert not wrong, f"{len(wrong)} of {len(results)}, such as {wrong[0]}"
    assert len(results) == count


@pytest.mark.parametrize("trick", ["/models//files", "/files%2Fx", "/models;x=/files", "//files", "/files?"])
def test_the_matrix_has_teeth(trick: str) -> None:
    """A trial that arrived elsewhere than at its own path, or although it may not, is told apart."""
    trial = Trial(Ask("GET", trick), "", Needs(), allowed=True)
    reply = Reply(200, [])

    def arrived(target: str) -> Arrival:
        return Arrival("GET", target, {}, b"", b"", 0.0)

    assert is_right(trial, reply, arrived(f"/v1{trick}"))
    assert not is_right(trial, reply, arrived("/v1/files"))
    assert not is_right(trial, reply, None)
    assert not is_right(Trial(trial.ask, "", trial.needs, allowed=False), reply, arrived("/v1/files"))
