"""Legacy completions: a prompt in, a text out, plain and streamed."""

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.assistant import Reply, Turn, answer
from tieline.sandbox.chat import usage
from tieline.sandbox.fields import Fields, read_json
from tieline.sandbox.refusal import JSON, Refusal
from tieline.sandbox.state import Sandbox, new_id, sandbox_of
from tieline.sandbox.streams import DONE, Stream, event
from tieline.sandbox.switches import Course, begin
from tieline.sandbox.words import count


async def create(request: Request) -> Response:
    """``POST /v1/completions``."""
    fields = await read_json(request)
    streamed = fields.flag("stream")
    course = await begin(request, fields.text("model"), streamed=streamed)
    sandbox = sandbox_of(request)
    whole, replies = complete(sandbox, fields, course)
    if not streamed:
        return JSON(whole)
    return Stream(_events(whole, replies, fields), course, sandbox.stats)


def complete(sandbox: Sandbox, fields: Fields, course: Course) -> tuple[dict[str, Any], list[Reply]]:
    """The whole answer and the replies it is made of, ``n`` for each prompt."""
    prompts = text_inputs(fields, "prompt")
    fields.number("temperature", 0, 2)
    limit = fields.integer("max_tokens", 0, 2**31)
    each = fields.integer("n", 1, 128) or 1
    stop = tuple(fields.texts("stop"))
    replies = [
        answer(Turn(prompt, limit=16 if limit is None else limit, stop=stop, tokens=course.tokens), number)
        for prompt in prompts
        for number in range(each)
    ]
    before = [prompt if fields.flag("echo") else "" for prompt in prompts for _ in range(each)]
    choices = [
        {"index": index, "text": start + reply.text, "logprobs": None, "finish_reason": reply.finish}
        for index, (start, reply) in enumerate(zip(before, replies, strict=True))
    ]
    whole = {
        "id": new_id("cmpl-"),
        "object": "text_completion",
        "created": sandbox.now(),
        "model": fields.text("model"),
        "choices": choices,
        "usage": usage(sum(map(count, prompts)), sum(reply.length for reply in replies)),
        "system_fingerprint": "fp_sandbox",
    }
    return whole, replies


def text_inputs(fields: Fields, name: str) -> list[str]:
    """The texts of a parameter that takes a text, texts, token numbers or arrays of those; numbers become words."""
    given = fields.any(name)
    if isinstance(given, str):
        return [given]
    if isinstance(given, list) and given:
        if all(isinstance(one, str) for one in given):
            return given
        if all(_is_number(one) for one in given):
            return [" ".join(map(str, given))]
        if all(isinstance(one, list) and one and all(map(_is_number, one)) for one in given):
            return [" ".join(map(str, one)) for one in given]
    message = f"Invalid type for '{name}': expected a string, an array of strings or arrays of token numbers."
    raise Refusal(400, message, param=name, code="invalid_type")


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _events(whole: dict[str, Any], replies: list[Reply], fields: Fields) -> Iterator[bytes]:
    head = {key: value for key, value in whole.items() if key not in ("choices", "usage")}
    for choice, reply in zip(whole["choices"], replies, strict=True):
        start = choice["text"].removesuffix(reply.text)
        for token in ([start] if start else []) + reply.tokens:
            yield event({**head, "choices": [{**choice, "text": token, "finish_reason": None}]})
        yield event({**head, "choices": [{**choice, "text": ""}]})
    if (fields.object("stream_options") or {}).get("include_usage"):
        yield event({**head, "choices": [], "usage": whole["usage"]})
    yield DONE


ROUTES = [Route("/v1/completions", create, methods=["POST"])]
