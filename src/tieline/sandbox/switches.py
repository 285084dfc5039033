"""Failures and paces that a request asks for by the name of its model. Knows no endpoint.

``docs/sandbox.md`` lists them; a test holds the list and :data:`SWITCHES` together.
"""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response

from tieline.sandbox.malformed import MESSAGES
from tieline.sandbox.refusal import JSON, Answered, Raw, Refusal
from tieline.sandbox.state import Sandbox, sandbox_of
from tieline.sandbox.streams import BrokenBody

ECHO = "sandbox-echo-headers"
SWITCHES: Mapping[str, str] = {
    "sandbox-401": "401, as for a key that is wrong",
    "sandbox-403": "403, as for a region or project that is not allowed",
    "sandbox-404": "404, as for a model that does not exist",
    "sandbox-429": "429 with Retry-After and retry-after-ms of one second",
    "sandbox-500": "500",
    "sandbox-503": "503",
    "sandbox-flaky-<n>[-<tag>]": "500 for the first n requests with this very name, then a good answer",
    "sandbox-slow-first-byte[-<n>s or -<n>ms]": "waits before the first byte, 5 s unless told",
    "sandbox-stall": "stops in the middle and leaves the connection open",
    "sandbox-cut": "closes the connection in the middle, without the end that the framing needs",
    "sandbox-malformed": "JSON that ends too early; in a stream, one event of broken JSON",
    "sandbox-malformed-http[-<kind>]": "an answer that breaks HTTP: " + ", ".join(MESSAGES),
    ECHO: "answers with the request as it arrived; keys are shown as SHA-256 only",
    "sandbox-stream-<events>x<ms>": "a text of so many tokens, streamed one event at a time with a pause before each",
}

_LONGEST_WAIT = 600.0  # seconds
_MOST_EVENTS = 1_000_000
_FLAKY = re.compile(r"sandbox-flaky-(\d{1,4})(-[\w.-]+)?", re.ASCII)
_SLOW = re.compile(r"sandbox-slow-first-byte(?:-(\d{1,6})(ms|s))?", re.ASCII)
_STREAM = re.compile(r"sandbox-stream-(\d{1,7})x(\d{1,6})", re.ASCII)
_HTTP = re.compile(r"sandbox-malformed-http(?:-([\w-]+))?", re.ASCII)

Breakage = Literal["stall", "cut", "malformed"]


@dataclass(frozen=True, slots=True)
class Course:
    """How an answer is to go: ``tokens`` of made-up text, ``pause`` seconds before each event, ``breakage`` midway."""

    tokens: int | None = None
    pause: float = 0.0
    breakage: Breakage | None = None


def refusal(model: str, attempts: dict[str, int]) -> Refusal | None:
    """The refusal that this model's name asks for. ``attempts`` counts requests by name for ``sandbox-flaky-…``."""
    flaky = _FLAKY.fullmatch(model)
    if flaky:
        while len(attempts) > 10_000:
            del attempts[next(iter(attempts))]
        attempts[model] = attempts.get(model, 0) + 1
        return _refusals("500") if attempts[model] <= int(flaky[1]) else None
    return _refusals(model.removeprefix("sandbox-")) if model.startswith("sandbox-") else None


def _refusals(name: str) -> Refusal | None:
    message = "The server had an error while processing your request. Sorry about that!"
    match name:
        case "401":
            return Refusal(401, "Incorrect API key provided.", code="invalid_api_key")
        case "403":
            message = "Country, region, or territory not supported"
            return Refusal(403, message, code="unsupported_country_region_territory", kind="request_forbidden")
        case "404":
            message = "The model 'sandbox-404' does not exist or you do not have access to it."
            return Refusal(404, message, param="model", code="model_not_found")
        case "429":
            message = "Rate limit reached for sandbox-429 on requests per min (RPM). Please try again in 1s."
            return Refusal(429, message, code="rate_limit_exceeded", kind="requests")
        case "500":
            return Refusal(500, message, kind="server_error")
        case "503":
            message = "The engine is currently overloaded, please try again later"
            return Refusal(503, message, kind="service_unavailable_error", code="service_unavailable")
    return None


async def begin(request: Request, model: str, *, streamed: bool = False) -> Course:
    """Do what the model's name asks for before the answer, and say how the answer is to go.

    Raises :class:`Refusal`, :class:`Answered` for an answer of its own, or ``ClientDisconnect`` when the client left.
    """
    if not model.startswith("sandbox-"):
        return Course()
    sandbox = sandbox_of(request)
    refused = refusal(model, sandbox.attempts)
    if refused:
        raise refused
    if delay(model):
        await wait(request, delay(model))
    if model == ECHO:
        raise Answered(JSON(echo(request)))
    message = malformed(model)
    if message is not None:
        raise Answered(Raw(message))
    chosen = course(model)
    if chosen.breakage and not streamed:
        raise Answered(_broken(chosen.breakage, sandbox))
    return chosen


def course(model: str) -> Course:
    """How an answer of this model goes; a 404 for a switch that does not exist."""
    if model in ("sandbox-stall", "sandbox-cut", "sandbox-malformed"):
        breakages: Mapping[str, Breakage] = {"stall": "stall", "cut": "cut", "malformed": "malformed"}
        return Course(breakage=breakages[model.removeprefix("sandbox-")])
    stream = _STREAM.fullmatch(model)
    if stream and int(stream[1]) <= _MOST_EVENTS:
        return Course(tokens=int(stream[1]), pause=int(stream[2]) / 1000)
    if model.startswith("sandbox-") and not (_SLOW.fullmatch(model) or _FLAKY.fullmatch(model)):
        message = f"The model '{model}' does not exist. The sandbox's switches are: {', '.join(SWITCHES)}."
        raise Refusal(404, message, param="model", code="model_not_found")
    return Course()


async def wait(request: Request, seconds: float) -> None:
    """Wait, unless the client leaves first: then raise ``ClientDisconnect``."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    try:
        await asyncio.wait_for(gone(), seconds)
    except TimeoutError:
        return
    raise ClientDisconnect


def delay(model: str) -> float:
    """Seconds before the first byte that this model's name asks for."""
    slow = _SLOW.fullmatch(model)
    if slow is None:
        return 0.0
    if slow[1] is None:
        return 5.0
    return min(int(slow[1]) / (1000 if slow[2] == "ms" else 1), _LONGEST_WAIT)


def malformed(model: str) -> bytes | None:
    """The bytes that this model's name asks for instead of an answer in HTTP."""
    found = _HTTP.fullmatch(model)
    return MESSAGES.get(found[1] or "status-line") if found else None


def _broken(breakage: Breakage, sandbox: Sandbox) -> Response:
    half = b'{"id":"sandbox","object":"chat.completion","choices":[{"index":0,"message":{"role":"assis'
    if breakage == "malformed":
        return Response(half, media_type="application/json")
    return BrokenBody(half, breakage, sandbox.stats)


def echo(connection: HTTPConnection) -> dict[str, Any]:
    """The request as it arrived. Keys are shown as ``<scheme> sha256:<hex digest of what follows the scheme>`` only."""
    scope = connection.scope
    body = getattr(connection.state, "body", None)
    return {
        "object": "sandbox.echo",
        "method": scope.get("method", "GET"),
        "path": (scope.get("raw_path") or scope["path"].encode()).decode("latin-1"),
        "query": scope["query_string"].decode("latin-1"),
        "headers": [[name, _masked(name, value)] for name, value in Headers(scope=scope).items()],
        "authorization": _authorization(connection.headers.get("authorization", "")),
        "body_bytes": None if body is None else len(body),
        "body_sha256": None if body is None else hashlib.sha256(body).hexdigest(),
    }


def _authorization(value: str) -> dict[str, str]:
    scheme, _, key = value.partition(" ")
    return {"scheme": scheme, "sha256": hashlib.sha256(key.strip().encode("latin-1")).hexdigest()}


def _masked(name: str, value: str) -> str:
    if name == "authorization":
        shown = _authorization(value)
        return f"{shown['scheme']} sha256:{shown['sha256']}"
    if name == "sec-websocket-protocol":
        return re.sub(r"(openai-insecure-api-key\.)([^,\s]+)", _hidden_item, value)
    return value


def _hidden_item(found: re.Match[str]) -> str:
    return f"{found[1]}sha256:{hashlib.sha256(found[2].encode('latin-1')).hexdigest()}"
