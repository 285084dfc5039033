"""The models that the sandbox lists. Any other name is taken as well: one assistant is behind all of them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.refusal import JSON, Refusal
from tieline.sandbox.switches import SWITCHES, begin

_CREATED = 1_735_689_600  # 2025-01-01
NAMES = (
    *("gpt-5.5", "gpt-5", "gpt-5-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini", "o3", "o4-mini"),
    *("gpt-3.5-turbo-instruct", "text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"),
    *("gpt-image-1", "dall-e-3", "tts-1", "gpt-4o-mini-tts", "whisper-1", "gpt-4o-transcribe"),
    *("omni-moderation-latest", "gpt-realtime", "gpt-realtime-mini"),
    *(name for name in SWITCHES if "<" not in name),
)


def _shown(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "tieline-sandbox"}


async def list_models(_request: Request) -> Response:
    """``GET /v1/models``."""
    return JSON({"object": "list", "data": [_shown(name) for name in NAMES]})


async def retrieve(request: Request) -> Response:
    """``GET /v1/models/{model}``; the switches work here too."""
    name = request.path_params["model"]
    await begin(request, name)
    if name not in NAMES and not name.startswith("sandbox-"):
        message = f"The model '{name}' does not exist or you do not have access to it."
        raise Refusal(404, message, param="model", code="model_not_found")
    return JSON(_shown(name))


async def delete(request: Request) -> Response:
    """``DELETE /v1/models/{model}``: none of the sandbox's models is a fine-tuned one of the caller's."""
    raise Refusal(403, f"You have insufficient permissions to delete the model '{request.path_params['model']}'.")


ROUTES = [
    Route("/v1/models", list_models, methods=["GET"]),
    Route("/v1/models/{model:path}", retrieve, methods=["GET"]),
    Route("/v1/models/{model:path}", delete, methods=["DELETE"]),
]
