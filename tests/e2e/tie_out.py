"""Mixed traffic over the sandbox, and an independent count of it: what each answer used by the provider's own ledger.

Owns the kinds of calls, what clients saw of each, and what the sandbox's ledger says that they cost, priced by
genai-prices itself. Reads nothing of what Tieline counted.
"""

import asyncio
import contextlib
import json
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from genai_prices import Usage, calc_price

from tests.e2e.stage import Admin, Node, Reply, read_reply

NANO = 10**9
PRICED = {"date": "2026-11-30", "source": "https://example.com/prices"}
OWN_RATES = {"input_tokens": 1_000, "output_tokens": 3_000, "rerank_searches": 2_000_000, "characters": 1_000}
"""Nano-dollars for one, of models that are priced by their definitions."""
PROVIDERS = {"gpt": "openai", "claude": "anthropic", "gemini": "google"}
HUNG_AFTER = 6
"""Events after which a client hangs up; the stream has forty, a pause before each."""

SEEN = {"openai": HUNG_AFTER - 1, "claude": HUNG_AFTER - 2}
"""How many of these held text."""
Spent = dict[str, int]
"""Quantities by name, and ``nano``."""


@dataclass
class Attempt:
    """One request of a client: its body's size, what became of it, and which worker answered."""

    mark: str
    kind: str
    size: int = 0
    worker: str = ""
    whole: bool = False
    ended: float = 0.0


@dataclass(frozen=True)
class Kind:
    """A kind of call: where it goes, what it sends (of a number), and how the client behaves."""

    api: str
    target: str
    body: Callable[[int], Mapping[str, Any]]
    ends: str = "whole"
    weight: int = 1
    before: Mapping[str, Any] | None = None


def chat(model: str, **more: Any) -> Callable[[int], dict[str, Any]]:
    """A chat, of a few lengths."""
    return lambda n: {"model": model, "messages": [{"role": "user", "content": "word " * (n % 13 + 1)}], **more}


def message(model: str, **more: Any) -> Callable[[int], dict[str, Any]]:
    """One of Anthropic's, with a system text from the cache."""
    system = [{"type": "text", "text": "You are kind. " * 40, "cache_control": {"type": "ephemeral"}}]
    return lambda n: {**chat(model, **more)(n), "max_tokens": 500, "system": system}


def contents(n: int) -> dict[str, Any]:
    """One of Gemini's."""
    return {"contents": [{"role": "user", "parts": [{"text": "word " * (n % 13 + 1)}]}]}


def asked(n: int) -> dict[str, Any]:
    """A question of Responses."""
    return {"model": "gpt-4.1-mini", "input": "word " * (n % 13 + 1), "store": False}


def ranked(n: int) -> dict[str, Any]:
    """Up to 230 documents to rank."""
    return {"model": "ranker", "query": "q" * (n % 30 + 1), "documents": ["d"] * (n % 230 + 1)}


MARKED = {"mark": "{mark}"}
ASKED = {"stream_options": {"include_usage": True}}
HUNG = "sandbox-stream-40x30"
KINDS: Mapping[str, Kind] = {
    "chat": Kind("openai", "/chat/completions", chat("gpt-4.1"), weight=4),
    "chat-stream": Kind("openai", "/chat/completions", chat("gpt-4.1", stream=True), weight=4),
    "chat-asked": Kind("openai", "/chat/completions", chat("gpt-4.1", stream=True, **ASKED), weight=2),
    "chat-cut": Kind("openai", "/chat/completions", chat("sandbox-cut", stream=True), ends="cut", weight=2),
    "chat-hung": Kind("openai", "/chat/completions", chat(HUNG, stream=True), ends="hung", weight=1),
    "chat-again": Kind(
        "openai", "/chat/completions", chat("gpt-4.1"), before={**chat("sandbox-500")(1)}, weight=2
    ),
    "responses": Kind("openai", "/responses", asked, weight=3),
    "responses-stream": Kind("openai", "/responses", lambda n: {**asked(n), "stream": True}, weight=3),
    "claude": Kind("claude", "/v1/messages", message("claude-sonnet-4-5"), weight=3),
    "claude-stream": Kind("claude", "/v1/messages", message("claude-sonnet-4-5", stream=True), weight=3),
    "claude-cut": Kind("claude", "/v1/messages", message("sandbox-cut", stream=True), ends="cut", weight=1),
    "claude-hung": Kind("claude", "/v1/messages", message(HUNG, stream=True), ends="hung", weight=1),
    "gemini": Kind("gemini", "/models/gemini-2.5-flash:generateContent", contents, weight=3),
    "gemini-stream": Kind("gemini", "/models/gemini-2.5-flash:streamGenerateContent?alt=sse", contents, weight=3),
    "rank": Kind("rank", "/rank", ranked, weight=3),
    "call-cached": Kind("openai", "/call/openai/answer", lambda n: {"prompt": f"word {n % 40}", **MARKED}, weight=3),
    "call-stream": Kind("openai", "/call/openai/ask", lambda n: {"prompt": "w " * (n % 13 + 1), **MARKED}, weight=3),
    "call-retried": Kind("openai", "/call/openai/again", lambda n: {"name": f"sandbox-flaky-1-{n % 8}", **MARKED}),
}  # fmt: skip


async def furnish(admin: Admin, sandbox: str) -> str:
    """The four APIs, an app, and a key for all of them; its secret."""
    rates = {name: {"usd": str(Decimal(nano) / NANO), "per": "1"} for name, nano in OWN_RATES.items()}
    tokens = {**PRICED, "rates": {name: rates[name] for name in ("input_tokens", "output_tokens")}}
    rank = {**PRICED, "rates": {name: rates[name] for name in ("rerank_searches", "characters")}}
    searches = {"rerank_searches": {"path": "meta.billed.searches"}, "characters": {"header": "x-characters"}}
    limits = {"breaker": False}
    marked = [{"name": "x-sandbox-mark", "value": "<mark>"}]
    says = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "<prompt>"}]}

    def call(template: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        parameter = next(name for name in ("prompt", "name") if f"<{name}>" in json.dumps(template))
        return {
            "method": "POST",
            "path": "/chat/completions",
            "use_as": "data",
            "parameters": {parameter: {"in": "body"}, "mark": {"in": "header"}},
            "headers": marked,
            "body": {"type": "json", "template": template},
            **more,
        }

    calls = {
        "answer": call(says, cache={"ttl": "1h", "key": ["prompt"]}),
        "ask": call({**says, "stream": True}, response={"type": "stream", "stream": {"preset": "openai_chat"}}),
        "again": call(
            {**says, "model": "<name>", "messages": [{"role": "user", "content": "word"}]}, retry={"attempts": 2}
        ),
    }
    bearer, key = {"scheme": "bearer"}, {"scheme": "api_key", "in": "header"}
    await admin.api(
        "openai", f"{sandbox}/v1", auth=bearer, usage={"kind": "openai"}, prices_from="openai",
        prices={"sandbox-*": tokens}, limits=limits, calls=calls,
    )  # fmt: skip
    await admin.api(
        "claude", f"{sandbox}/anthropic", auth={**key, "name": "x-api-key"}, usage={"kind": "anthropic"},
        prices_from="anthropic", prices={"sandbox-*": tokens}, limits=limits,
    )  # fmt: skip
    await admin.api(
        "gemini", f"{sandbox}/gemini/v1beta", auth={**key, "name": "x-goog-api-key"}, usage={"kind": "gemini"},
        prices_from="google", limits=limits,
    )  # fmt: skip
    usage = {"kind": "declared", "model": "model", "quantities": searches}
    await admin.api("rank", f"{sandbox}/rerank/v1", auth=bearer, usage=usage, prices={"*": rank}, limits=limits)
    apis = ("openai", "claude", "gemini", "rank")
    for api in apis:
        await admin.credential(api)
    await admin.app("mixed", *apis)
    secret: str = (await admin.key("mixed"))["secret"]
    return secret


@dataclass
class Traffic:
    """So many calls of all kinds, from several clients at once."""

    node: Node
    key: str
    count: int
    clients: int = 24
    seed: int = 20261130
    done: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    _streams: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=dict)

    async def run(self) -> None:
        """All of them."""
        draws = random.Random(self.seed).choices(list(KINDS), [kind.weight for kind in KINDS.values()], k=self.count)
        numbers = iter(enumerate(draws))

        async def client(place: int) -> None:
            for number, name in numbers:
                await self._call(place, number, name)
                self.done += 1
            if place in self._streams:
                self._streams.pop(place)[1].close()

        await asyncio.gather(*(client(place) for place in range(self.clients)))

    async def _call(self, place: int, number: int, name: str) -> None:
        kind = KINDS[name]
        if kind.before is not None:
            await self._ask(place, f"{number}.a", name, kind, kind.before)
        await self._ask(place, f"{number}.b", name, kind, kind.body(number))

    async def _ask(self, place: int, mark: str, name: str, kind: Kind, body: Mapping[str, Any]) -> None:
        target = kind.target if kind.target.startswith("/call/") else f"/relay/{kind.api}{kind.target}"
        content = json.dumps(body).replace("{mark}", mark).encode()
        attempt = Attempt(mark, name, len(content))
        self.attempts.append(attempt)
        head = (
            f"POST {target} HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {self.key}\r\ntieline-tag: {name}\r\n"
            f"x-sandbox-mark: {mark}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(60):
                streams = self._streams.get(place) or await asyncio.open_connection(*self.node.app, limit=1 << 20)
                self._streams[place] = streams
                streams[1].write(head.encode() + content)
                reply = await (_hung(streams[0]) if kind.ends == "hung" else read_reply(streams[0]))
        except (OSError, EOFError, TimeoutError):
            reply = Reply(0, [])
        attempt.worker, attempt.ended = reply.worker, time.time()
        attempt.whole = reply.status != 0 and reply.whole == (kind.ends != "hung")  # a cut is told by an event
        if not reply.whole or reply.header("connection").lower() == "close":
            with contextlib.suppress(KeyError):
                self._streams.pop(place)[1].close()


async def _hung(reader: asyncio.StreamReader) -> Reply:
    """The head and a few events of an answer, after which the client goes."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    for _ in range(HUNG_AFTER):
        size = int(await reader.readuntil(b"\r\n"), 16)
        await reader.readexactly(size + 2)
    return Reply(int(first.split(" ")[1]), pairs)


def spent(line: Mapping[str, Any], attempt: Attempt, *, as_seen: bool = False) -> Spent:
    """What a line of the ledger used and cost, by the rules of docs/usage.md where the figures were not handed out.

    ``as_seen``: as far as a client that hung up saw it, which what was read of the provider lies behind.
    """
    used: Spent = dict(line["used"])
    if not line["told"]:
        written = max(line["events"], math.ceil(line["text_bytes"] / 4))
        if as_seen:
            written = min(written, SEEN[KINDS[attempt.kind].api])
        if line["input_told"]:
            written = max(written, 1)  # Anthropic's first event says that one was written
        else:
            used["input_tokens"] = math.ceil(attempt.size / 4)
        used["output_tokens"] = written
    used = {name: count for name, count in used.items() if count}
    return used | {"nano": nano_of(line["model"], used)}


def nano_of(model: str, used: Mapping[str, int]) -> int:
    """What ``used`` costs, rounded up to a nano-dollar once."""
    provider = next((name for begins, name in PROVIDERS.items() if model.startswith(begins)), None)
    if provider is None:
        return sum(OWN_RATES.get(name, 0) * count for name, count in used.items())
    words = {"cached_input_tokens": "cache_read_tokens", "reasoning_tokens": "output_reasoning_tokens"}
    theirs = Usage(**{words.get(name, name): count for name, count in used.items()})
    return math.ceil(calc_price(theirs, model, provider_id=provider).total_price * NANO)
