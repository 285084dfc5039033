"""Moderations: a list of words decides, the same for equal input."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.fields import Fields, read_json
from tieline.sandbox.refusal import JSON, Refusal
from tieline.sandbox.state import new_id
from tieline.sandbox.switches import begin
from tieline.sandbox.words import digest, text_of

_CATEGORIES: Mapping[str, str] = {  # the words that flag, as patterns
    "harassment": r"idiot|stupid|loser",
    "harassment/threatening": r"hurt you|kill you",
    "hate": r"hate (?:them|those people)",
    "hate/threatening": r"wipe (?:them|those people) out",
    "illicit": r"steal|forge|smuggle",
    "illicit/violent": r"build a bomb",
    "self-harm": r"hurt myself|kill myself",
    "self-harm/intent": r"i (?:will|want to) (?:hurt|kill) myself",
    "self-harm/instructions": r"how to (?:hurt|kill) myself",
    "sexual": r"porn",
    "sexual/minors": r"sexual minors",
    "violence": r"kill|murder|stab|bomb",
    "violence/graphic": r"gore|blood everywhere",
}


async def create(request: Request) -> Response:
    """``POST /v1/moderations``."""
    fields = await read_json(request)
    await begin(request, fields.maybe("model") or "")
    return JSON(complete(fields))


def complete(fields: Fields) -> dict[str, Any]:
    """The whole answer: one result for each text, and one for an array of parts."""
    given = fields.any("input")
    texts: list[str]
    if isinstance(given, str):
        texts = [given]
    elif isinstance(given, list) and given and all(isinstance(one, str) for one in given):
        texts = given
    elif isinstance(given, list) and given and all(isinstance(one, dict) for one in given):
        texts = [text_of(given)]
    else:
        message = "Invalid type for 'input': expected a string, an array of strings or an array of parts."
        raise Refusal(400, message, param="input", code="invalid_type")
    model = fields.maybe("model") or "omni-moderation-latest"
    return {"id": new_id("modr-"), "model": model, "results": [_result(text) for text in texts]}


def _result(text: str) -> dict[str, Any]:
    flags = {name: bool(re.search(rf"\b(?:{words})", text, re.IGNORECASE)) for name, words in _CATEGORIES.items()}
    scores = {name: _score(name, text, flagged=flagged) for name, flagged in flags.items()}
    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": scores,
        "category_applied_input_types": {name: ["text"] for name in flags},
    }


def _score(name: str, text: str, *, flagged: bool) -> float:
    noise = digest("moderation", name, text)[0] / 25_600
    return round(0.95 + noise if flagged else noise, 6)


ROUTES = [Route("/v1/moderations", create, methods=["POST"])]
