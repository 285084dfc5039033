"""Embeddings: a unit vector from the words of a text, so that texts with words in common lie close together."""

import math
import re
from array import array
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.completions import text_inputs
from tieline.sandbox.fields import Fields, read_json
from tieline.sandbox.refusal import JSON, Refusal
from tieline.sandbox.switches import begin
from tieline.sandbox.words import count, digest

_SIZES: Mapping[str, int] = {"text-embedding-3-large": 3072}
_USUAL_SIZE = 1536
_MOST_INPUTS = 2_048


async def create(request: Request) -> Response:
    """``POST /v1/embeddings``."""
    fields = await read_json(request)
    await begin(request, fields.text("model"))
    return JSON(complete(fields))


def complete(fields: Fields) -> dict[str, Any]:
    """The whole answer."""
    fields.only(("input", "model", "encoding_format", "dimensions", "user"))
    texts = text_inputs(fields, "input")
    if not all(texts):
        raise Refusal(400, "Invalid 'input': input cannot be an empty string.", param="input", code="invalid_value")
    if len(texts) > _MOST_INPUTS:
        message = f"Invalid 'input': array too long. Expected an array with maximum length {_MOST_INPUTS}."
        raise Refusal(400, message, param="input", code="array_above_max_length")
    model = fields.text("model")
    most = _SIZES.get(model, _USUAL_SIZE)
    size = fields.integer("dimensions", 1, most) or most
    encoded = fields.choice("encoding_format", ("float", "base64"), "float") == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _encoded(vector(text, size)) if encoded else vector(text, size),
        }
        for index, text in enumerate(texts)
    ]
    tokens = sum(map(count, texts))
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def vector(text: str, size: int) -> list[float]:
    """A vector of length one with ``size`` numbers: each word pushes eight of them up or down."""
    pushed = [0.0] * size
    for word in re.findall(r"\w+", text.lower()) or [text]:
        source = digest("embedding", word)
        for at in range(0, 32, 4):
            place = int.from_bytes(source[at : at + 3])
            pushed[place % size] += 1.0 if source[at + 3] % 2 else -1.0
    length = math.sqrt(sum(value * value for value in pushed))
    if length == 0.0:
        return [1.0] + [0.0] * (size - 1)
    return [value / length for value in pushed]


def closeness(one: list[float], other: list[float]) -> float:
    """The cosine of two vectors of length one, from 0 (nothing in common, or opposed) to 1."""
    return min(1.0, max(0.0, sum(a * b for a, b in zip(one, other, strict=True))))


def _encoded(numbers: list[float]) -> str:
    return b64encode(array("f", numbers).tobytes()).decode()


ROUTES = [Route("/v1/embeddings", create, methods=["POST"])]
