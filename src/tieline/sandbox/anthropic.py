"""Messages in the shape of Anthropic's API: plain and streamed, with what is read from a cache beside the input.

A system text that is marked with ``cache_control`` is taken to come from the cache.
"""

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.assistant import Turn, answer
from tieline.sandbox.fields import read_json
from tieline.sandbox.refusal import JSON
from tieline.sandbox.state import new_id, sandbox_of
from tieline.sandbox.streams import Stream, event
from tieline.sandbox.switches import begin
from tieline.sandbox.words import count, text_of


async def create(request: Request) -> Response:
    """``POST /anthropic/v1/messages``."""
    fields = await read_json(request)
    model, streamed = fields.text("model"), fields.flag("stream")
    course = await begin(request, model, streamed=streamed)
    messages = fields.objects("messages")
    last = messages[-1] if messages else {}
    limit = fields.integer("max_tokens", 1, 2**31)
    reply = answer(Turn(text_of(last.get("content")), limit=limit, tokens=course.tokens))
    system = fields.values.get("system")
    kept = [part for part in system if "cache_control" in part] if isinstance(system, list) else []
    cached = sum(count(text_of([part])) for part in kept)
    asked = sum(count(text_of(message.get("content"))) + 3 for message in messages) + count(text_of(system)) - cached
    usage = {"input_tokens": asked, "cache_creation_input_tokens": 0, "cache_read_input_tokens": cached}
    whole = {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": reply.text}],
        "stop_reason": "max_tokens" if reply.finish == "length" else "end_turn",
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": reply.length},
    }
    used = {"input_tokens": asked + cached, "cached_input_tokens": cached, "output_tokens": reply.length}
    sandbox = sandbox_of(request)
    line = sandbox.ledger.charge(request, "anthropic", model, used, told=not streamed)
    if not streamed:
        return JSON(whole)
    return Stream(_events(whole, reply.tokens), course, sandbox.stats, noted=line.sent)


def _events(whole: dict[str, Any], tokens: list[str]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    yield event({"type": "message_start", "message": begun}, named=True), {"text": "", "input_told": True}
    block = {"type": "text", "text": ""}
    yield event({"type": "content_block_start", "index": 0, "content_block": block}, named=True), {"text": ""}
    for token in tokens:
        delta = {"type": "text_delta", "text": token}
        yield event({"type": "content_block_delta", "index": 0, "delta": delta}, named=True), {"text": token}
    yield event({"type": "content_block_stop", "index": 0}, named=True), {"text": ""}
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    usage = {"output_tokens": whole["usage"]["output_tokens"]}
    yield event({"type": "message_delta", "delta": ended, "usage": usage}, named=True), {"text": "", "told": True}
    yield event({"type": "message_stop"}, named=True), {"text": ""}


ROUTES = [Route("/anthropic/v1/messages", create, methods=["POST"])]
