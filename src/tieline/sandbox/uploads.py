"""Uploads in parts: made, filled, completed to a file, cancelled."""

import shutil
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.fields import read_json
from tieline.sandbox.files import PURPOSES, shown_file
from tieline.sandbox.forms import read_form
from tieline.sandbox.refusal import JSON, Refusal
from tieline.sandbox.state import StoredFile, new_id, sandbox_of

_LIFETIME = 3_600  # seconds
_LARGEST_UPLOAD = 8 * 1024**3


async def create(request: Request) -> Response:
    """``POST /v1/uploads``."""
    fields = await read_json(request)
    fields.only(("filename", "purpose", "bytes", "mime_type", "expires_after"))
    sandbox = sandbox_of(request)
    now = sandbox.now()
    fields.text("mime_type")
    fields.text("purpose")
    fields.any("bytes")
    shown = {
        "id": new_id("upload_"),
        "object": "upload",
        "bytes": fields.integer("bytes", 0, _LARGEST_UPLOAD),
        "created_at": now,
        "expires_at": now + _LIFETIME,
        "filename": fields.text("filename"),
        "purpose": fields.choice("purpose", PURPOSES, ""),
        "status": "pending",
    }
    sandbox.uploads.put(str(shown["id"]), {"shown": shown, "parts": {}})
    return JSON(shown)


def _pending(request: Request) -> dict[str, Any]:
    kept = sandbox_of(request).uploads.get(request.path_params["upload_id"])
    if kept["shown"]["status"] != "pending":
        raise Refusal(400, f"Upload is {kept['shown']['status']} and can no longer be changed.", param="upload_id")
    return kept


async def add_part(request: Request) -> Response:
    """``POST /v1/uploads/{upload_id}/parts``."""
    kept = _pending(request)
    part = (await read_form(request)).file("data")
    identity = new_id("part_")
    kept["parts"][identity] = part.path
    shown = kept["shown"]
    created = sandbox_of(request).now()
    return JSON({"id": identity, "object": "upload.part", "created_at": created, "upload_id": shown["id"]})


async def complete(request: Request) -> Response:
    """``POST /v1/uploads/{upload_id}/complete``: the parts, in the order that is asked for, become a file."""
    kept, fields = _pending(request), await read_json(request)
    fields.any("part_ids")
    names = fields.texts("part_ids")
    for name in names:
        if name not in kept["parts"]:
            raise Refusal(400, f"No such part: {name}", param="part_ids")
    paths: list[Path] = [kept["parts"][name] for name in names]
    size, wanted = sum(path.stat().st_size for path in paths), kept["shown"]["bytes"]
    if size != wanted:
        raise Refusal(400, f"Expected {wanted} bytes, but the parts have {size}.", param="part_ids")
    sandbox = sandbox_of(request)
    whole = sandbox.new_path()
    with whole.open("wb") as target:
        for path in paths:
            with path.open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
    _forget_parts(kept)
    file = shown_file(sandbox, kept["shown"]["filename"], size, kept["shown"]["purpose"])
    sandbox.files.put(file["id"], StoredFile(file, whole))
    kept["shown"].update(status="completed", file=file)
    return JSON(kept["shown"])


async def cancel(request: Request) -> Response:
    """``POST /v1/uploads/{upload_id}/cancel``."""
    kept = _pending(request)
    _forget_parts(kept)
    kept["shown"]["status"] = "cancelled"
    return JSON(kept["shown"])


def _forget_parts(kept: dict[str, Any]) -> None:
    for path in kept["parts"].values():
        path.unlink(missing_ok=True)
    kept["parts"].clear()


_ONE = "/v1/uploads/{upload_id}"
ROUTES = [
    Route("/v1/uploads", create, methods=["POST"]),
    Route(_ONE + "/parts", add_part, methods=["POST"]),
    Route(_ONE + "/complete", complete, methods=["POST"]),
    Route(_ONE + "/cancel", cancel, methods=["POST"]),
]
