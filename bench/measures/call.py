"""A run of a call beside a relayed call: the same upstream, worker, key and size, in the same rounds."""

import http.client
import json
from collections.abc import Mapping
from typing import Any

from bench.figures import TIELINE, Goal, Table
from bench.load import wrk
from bench.load.request import BODY
from bench.process import BenchError
from bench.rounds import Entrant, held_up, saturate
from bench.run import Run
from bench.systems.nginx import PROVIDER_KEY
from bench.systems.product import Serving, serving
from bench.systems.system import bearer

RELAYED = "Tieline's relay"
_API = "asked"
PARAMETERS = json.dumps({"prompt": "Say hello to everybody in the room, please, and be brief about it."}).encode()
_FIELDS: list[dict[str, Any]] = [
    {"path": "id", "type": "text"},
    {"path": "created", "type": "unix_time"},
    {"path": "model", "type": "text"},
    {"path": "choices", "type": "object", "object": "Choice", "list": True},
    {"path": "choices[].index", "type": "integer"},
    {"path": "choices[].message", "type": "object", "object": "Message"},
    {"path": "choices[].message.role", "type": "text"},
    {"path": "choices[].message.content", "type": "text"},
    {"path": "choices[].finish_reason", "type": "text"},
    {"path": "usage", "type": "object", "object": "Usage"},
    {"path": "usage.prompt_tokens", "type": "integer"},
    {"path": "usage.completion_tokens", "type": "integer"},
    {"path": "usage.total_tokens", "type": "integer"},
    {"path": "object", "type": "text", "include": False},
]
_CALL: dict[str, Any] = {
    "method": "POST",
    "path": "/chat/completions",
    "parameters": {"prompt": {}, "model": {"default": "gpt-4.1", "private": True}},
    "body": {"type": "json", "template": {"model": "<model>", "messages": [{"role": "user", "content": "<prompt>"}]}},
    "response": {"type": "json", "fields": _FIELDS},
}
_AREAS = (
    {"area": "chat_completions", "title": "Chat", "levels": ["request"], "match": ["* /chat/completions"]},
    {"area": "files", "title": "Files", "levels": ["read", "write"], "match": ["* /files/*"]},
)
DEFINITION: Mapping[str, Any] = {
    "tieline": "v1",
    "auth": {"scheme": "bearer"},
    "areas": list(_AREAS),
    "calls": {"ask": _CALL},
}
"""An API with one call, but for its name and base URL."""


def measure(run: Run) -> Table:
    """One Tieline, loaded by turns through its two doors."""
    lineup = run.lineup
    folder = run.folder / "call"
    folder.mkdir()
    with serving(folder) as server:
        key = _furnish(server, lineup.answers.port)
        others = (server.supervisor, server.control)
        doors = (
            (RELAYED, server.url(_API), BODY),
            (TIELINE, f"http://127.0.0.1:{server.app_port}/call/{_API}/ask", PARAMETERS),
        )
        entrants: list[Entrant] = []
        for name, url, body in doors:
            script = wrk.script(folder / f"{len(entrants)}.lua", bearer(key), body)
            entrants.append(Entrant(name, url, script, server.workers, others, lineup.answers.pid))
        figures = saturate(entrants, run.scale)
    table = Table("call", "CPU per run of a call", "µs", figures, notes=held_up(figures))
    table.goals.append(Goal(f"{table.title}, against a relayed call", table.ratio(RELAYED), 2.0, "×"))
    return table


def _furnish(server: Serving, port: int) -> str:
    """An API with one call, and a key that may run it and chat by the relay."""
    base_url = f"http://127.0.0.1:{port}/v1"
    definition = {**DEFINITION, "api": _API, "base_url": base_url}
    server.send("POST", "/apis", {"name": _API, "definition": definition})
    server.send("PUT", f"/apis/{_API}/credentials/live", {"fields": {"key": PROVIDER_KEY}})
    key = server.add_app((_API,))
    answer = _run_once(server, key)
    if set(answer) != {"id", "created", "model", "choices", "usage"}:
        raise BenchError(f"the call answers other fields than it should: {answer}")
    return key


def _run_once(server: Serving, key: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.app_port, timeout=20)
    try:
        connection.request("POST", f"/call/{_API}/ask", PARAMETERS, bearer(key))
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise BenchError(f"the call was answered {answer.status}: {text[:200]!r}")
        found: dict[str, Any] = json.loads(text)
        return found
    finally:
        connection.close()
