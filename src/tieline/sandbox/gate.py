"""What every request passes: its key is checked, OpenAI's headers are added, it is counted. Knows no endpoint."""

import time
from secrets import token_hex
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tieline.sandbox.refusal import Refusal
from tieline.sandbox.stats import Stats
from tieline.sandbox.words import digest

PREFIX = "sk-sandbox"
_SHORT_LIVED = "ek_sandbox"
_GUARDED = ("/v1/", "/anthropic/", "/gemini/", "/rerank/")
_OF_OTHERS = ("x-api-key", "x-goog-api-key")
_IN_PROTOCOL = "openai-insecure-api-key."
_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY)."
)


class Gate:
    """ASGI middleware around the whole sandbox."""

    def __init__(self, app: ASGIApp, stats: Stats) -> None:
        self._app = app
        self._stats = stats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if scope["path"] == "/v1" or scope["path"].startswith(_GUARDED):
            headers = Headers(scope=scope)
            known = not scope["path"].startswith("/v1") and any(
                headers.get(name, "").startswith(PREFIX) for name in _OF_OTHERS
            )
            refused = None if known else check(headers, websocket=scope["type"] == "websocket")
        else:
            refused = None
        answered = _Answer(scope, send, self._stats)
        try:
            if refused is None:
                await self._app(scope, receive, answered.send)
            elif scope["type"] == "websocket":
                await receive()
                await _deny(refused, answered.send)
            else:
                await refused.answer()(scope, receive, answered.send)
        except ClientDisconnect:
            self._stats.cancelled_requests += 1
        finally:
            answered.count()


async def _deny(refused: Refusal, send: Send) -> None:
    answer = refused.answer()
    await send({"type": "websocket.http.response.start", "status": refused.status, "headers": answer.raw_headers})
    await send({"type": "websocket.http.response.body", "body": bytes(answer.body)})


def check(headers: Headers, *, websocket: bool = False) -> Refusal | None:
    """The refusal for a missing or wrong key; None when the key is one of the sandbox's."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if websocket and not key:
        items = [item.strip() for item in headers.get("sec-websocket-protocol", "").split(",")]
        scheme = "bearer"
        key = next((item.removeprefix(_IN_PROTOCOL) for item in items if item.startswith(_IN_PROTOCOL)), "")
    key = key.strip()
    if not key or scheme.lower() != "bearer":
        return Refusal(401, _NO_KEY)
    if key.startswith(PREFIX) or (websocket and key.startswith(_SHORT_LIVED)):
        return None
    message = f"Incorrect API key provided. The sandbox takes every key that begins with {PREFIX}."
    return Refusal(401, message, code="invalid_api_key")


class _Answer:
    """Adds the headers to the start of one answer and counts the request, once."""

    def __init__(self, scope: Scope, send: Send, stats: Stats) -> None:
        self._scope = scope
        self._send = send
        self._stats = stats
        self._began = time.perf_counter()
        self._counted = False

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
            self.count()
            if self._scope["path"].startswith("/v1/"):
                message.setdefault("headers", [])
                self._add(MutableHeaders(raw=message["headers"]))
        await self._send(message)

    def count(self) -> None:
        if not self._counted:
            self._counted = True
            route: Any = self._scope.get("route")
            self._stats.requests[getattr(route, "path", None) or "(no such path, or no good key)"] += 1

    def _add(self, headers: MutableHeaders) -> None:
        took = int((time.perf_counter() - self._began) * 1000)
        left = 9_000 + digest(self._scope["path"])[0]
        for name, value in (
            ("x-request-id", "req_" + token_hex(16)),
            ("openai-organization", "org-sandbox"),
            ("openai-project", "proj_sandbox"),
            ("openai-processing-ms", str(took)),
            ("openai-version", "2020-10-01"),
            ("x-ratelimit-limit-requests", "10000"),
            ("x-ratelimit-remaining-requests", str(left)),
            ("x-ratelimit-reset-requests", "6ms"),
            ("x-ratelimit-limit-tokens", "2000000"),
            ("x-ratelimit-remaining-tokens", "1999000"),
            ("x-ratelimit-reset-tokens", "30ms"),
        ):
            headers.append(name, value)
