"""Images: generated, edited and varied; as base64, as an address on the sandbox itself, or as a stream."""

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.fields import Fields, read_json
from tieline.sandbox.forms import read_form
from tieline.sandbox.pictures import draw
from tieline.sandbox.refusal import JSON, Refusal, missing
from tieline.sandbox.state import sandbox_of
from tieline.sandbox.streams import Stream, event
from tieline.sandbox.switches import begin
from tieline.sandbox.words import count

_USUAL_SIZE = "1024x1024"
_NAMED_SIZES = ("1024x1024", "1024x1536", "1536x1024")
_SIZE = re.compile(r"([1-9]\d{1,3})x([1-9]\d{1,3})", re.ASCII)
_LARGEST = 2_048  # pixels on a side
_LONGEST_PROMPT_IN_ADDRESS = 200
_IMAGE_TOKENS = 272


async def generate(request: Request) -> Response:
    """``POST /v1/images/generations``."""
    fields = await read_json(request)
    return await _answer(request, fields, fields.text("prompt"), "image_generation")


async def edit(request: Request) -> Response:
    """``POST /v1/images/edits``: a form with files, or JSON with references to them."""
    if request.headers.get("content-type", "").startswith("application/json"):
        fields = await read_json(request)
        images = fields.objects("images")
        if not images:
            raise missing("images")
        return await _answer(request, fields, f"{fields.text('prompt')} ({len(images)} images)", "image_edit")
    form = await read_form(request)
    try:
        form.file("image")
        given = " ".join(f"{upload.filename}:{upload.size}" for upload in form.files["image"])
        return await _answer(request, form.fields, f"{form.fields.text('prompt')} ({given})", "image_edit")
    finally:
        form.discard()


async def vary(request: Request) -> Response:
    """``POST /v1/images/variations``."""
    form = await read_form(request)
    try:
        upload = form.file("image")
        return await _answer(request, form.fields, f"variation of {upload.filename}:{upload.size}", "image_variation")
    finally:
        form.discard()


async def _answer(request: Request, fields: Fields, prompt: str, kind: str) -> Response:
    model = fields.maybe("model") or "gpt-image-1"
    streamed = fields.flag("stream")
    course = await begin(request, model, streamed=streamed)
    number = fields.integer("n", 1, 10) or 1
    size = fields.maybe("size") or "auto"
    size = _USUAL_SIZE if size == "auto" else size
    width, height = _sides(size)
    prompts = [prompt if at == 0 else f"{prompt} #{at + 1}" for at in range(number)]
    settings = _settings(fields, size)
    tokens = count(prompt)
    usage = {
        "input_tokens": tokens,
        "output_tokens": _IMAGE_TOKENS * number,
        "total_tokens": tokens + _IMAGE_TOKENS * number,
        "input_tokens_details": {"text_tokens": tokens, "image_tokens": 0},
    }
    sandbox = sandbox_of(request)
    if streamed:
        picture = b64encode(draw(prompt, width, height)).decode()
        head = {**settings, "b64_json": picture, "created_at": sandbox.now()}
        partial = fields.integer("partial_images", 0, 3) or 0
        return Stream(_events(kind, head, partial, usage), course, sandbox.stats)
    usual = "url" if model.startswith("dall-e") else "b64_json"
    if fields.choice("response_format", ("url", "b64_json"), usual) == "url":
        data = [{"url": _address(request, one, size), "revised_prompt": one} for one in prompts]
    else:
        data = [{"b64_json": b64encode(draw(one, width, height)).decode()} for one in prompts]
    if size not in _NAMED_SIZES:
        del settings["size"]
    return JSON({"created": sandbox.now(), "data": data, **settings, "usage": usage})


def _sides(size: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(size)
    if not found or max(int(found[1]), int(found[2])) > _LARGEST:
        message = f"Invalid value: '{size}'. Supported values are: '1024x1024', '1024x1536', '1536x1024', and 'auto'."
        raise Refusal(400, message, param="size", code="invalid_value")
    return int(found[1]), int(found[2])


def _settings(fields: Fields, size: str) -> dict[str, Any]:
    quality = fields.choice("quality", ("standard", "hd", "low", "medium", "high", "auto"), "auto")
    background = fields.choice("background", ("transparent", "opaque", "auto"), "auto")
    fields.choice("output_format", ("png", "jpeg", "webp"), "png")
    return {
        "size": size,
        "quality": quality if quality in ("low", "medium", "high") else "high",
        "background": "opaque" if background == "auto" else background,
        "output_format": "png",
    }


def _events(kind: str, head: dict[str, Any], partial: int, usage: dict[str, Any]) -> Iterator[bytes]:
    for index in range(partial):
        yield event({"type": f"{kind}.partial_image", **head, "partial_image_index": index}, named=True)
    yield event({"type": f"{kind}.completed", **head, "usage": usage}, named=True)


def _address(request: Request, prompt: str, size: str) -> str:
    name = quote(prompt[:_LONGEST_PROMPT_IN_ADDRESS], safe="")
    return f"{request.url.scheme}://{request.url.netloc}/sandbox/images/{size}.png?prompt={name}"


async def picture(request: Request) -> Response:
    """``GET /sandbox/images/{size}.png?prompt=``: where the addresses of images lead; needs no key."""
    width, height = _sides(request.path_params["size"])
    return Response(draw(request.query_params.get("prompt", ""), width, height), media_type="image/png")


ROUTES = [
    Route("/v1/images/generations", generate, methods=["POST"]),
    Route("/v1/images/edits", edit, methods=["POST"]),
    Route("/v1/images/variations", vary, methods=["POST"]),
    Route("/sandbox/images/{size}.png", picture, methods=["GET"]),
]
