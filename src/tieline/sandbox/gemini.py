"""``generateContent`` in the shape of Gemini's API: plain and streamed, with thoughts beside what is written.

Every answer thinks a token for each two that it writes. Figures of a stream are totals so far, with every event.
"""

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.assistant import Turn, answer
from tieline.sandbox.fields import read_json
from tieline.sandbox.refusal import JSON, Refusal
from tieline.sandbox.state import sandbox_of
from tieline.sandbox.streams import Stream, event
from tieline.sandbox.switches import begin
from tieline.sandbox.words import count, text_of


async def generate(request: Request) -> Response:
    """``POST /gemini/v1beta/models/{model}:generateContent`` and ``:streamGenerateContent`` (``alt=sse``)."""
    model, _, method = request.path_params["model"].partition(":")
    if method not in ("generateContent", "streamGenerateContent"):
        raise Refusal(404, f"No such method: {method}")
    fields = await read_json(request)
    streamed = method == "streamGenerateContent"
    course = await begin(request, model, streamed=streamed)
    contents = fields.objects("contents")
    texts = [text_of(each.get("parts")) for each in contents]
    reply = answer(Turn(texts[-1] if texts else "", tokens=course.tokens))
    asked, thought = sum(count(text) + 3 for text in texts), reply.length // 2
    used = {"input_tokens": asked, "output_tokens": reply.length + thought, "reasoning_tokens": thought}
    sandbox = sandbox_of(request)
    line = sandbox.ledger.charge(request, "gemini", model, used, told=not streamed)
    if not streamed:
        return JSON(_part(model, reply.text, _usage(asked, reply.length, thought), "STOP"))
    pieces = _events(model, reply.tokens, (asked, thought))
    return Stream(pieces, course, sandbox.stats, noted=line.sent)


def _events(model: str, tokens: list[str], beside: tuple[int, int]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    asked, thought = beside
    for place, token in enumerate(tokens, 1):
        last = place == len(tokens)
        usage = _usage(asked, place, thought if last else 0)
        said = {"text": token, "told": last, "input_told": True}
        yield event(_part(model, token, usage, "STOP" if last else None)), said


def _usage(asked: int, written: int, thought: int) -> dict[str, int]:
    found = {"promptTokenCount": asked, "candidatesTokenCount": written, "totalTokenCount": asked + written + thought}
    return found | ({"thoughtsTokenCount": thought} if thought else {})


def _part(model: str, text: str, usage: dict[str, int], finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model}


ROUTES = [Route("/gemini/v1beta/models/{model:path}", generate, methods=["POST"])]
