"""Files: uploaded to the sandbox's temporary folder as they arrive, listed, read back, deleted."""

from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from tieline.sandbox.fields import Fields, read_query
from tieline.sandbox.forms import fields_of, read_form
from tieline.sandbox.refusal import JSON, Refusal
from tieline.sandbox.state import Sandbox, StoredFile, new_id, page, sandbox_of

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_LARGEST = 512 * 1024 * 1024


async def create(request: Request) -> Response:
    """``POST /v1/files``."""
    form = await read_form(request)
    try:
        form.fields.only(("purpose", "expires_after"))
        form.fields.text("purpose")
        purpose = form.fields.choice("purpose", PURPOSES, "")
        upload = form.file("file")
        if upload.size > _LARGEST:
            raise Refusal(413, "File is too large. Maximum size is 512 MB.", param="file", code="file_too_large")
        seconds = _lifetime(form.fields)
    except Refusal:
        form.discard()
        raise
    sandbox = sandbox_of(request)
    shown = shown_file(sandbox, upload.filename, upload.size, purpose)
    if seconds:
        shown["expires_at"] = shown["created_at"] + seconds
    sandbox.files.put(shown["id"], StoredFile(shown, upload.path))
    return JSON(shown)


def _lifetime(fields: Fields) -> int | None:
    wanted = fields.object("expires_after")
    if wanted is None:
        return None
    inner = fields_of(wanted)
    inner.choice("anchor", ("created_at",), "created_at")
    return inner.integer("seconds", 3_600, 2_592_000)


def shown_file(sandbox: Sandbox, filename: str, size: int, purpose: str) -> dict[str, Any]:
    """``OpenAIFile`` of a new file; ``size`` in bytes."""
    return {
        "id": new_id("file-"),
        "object": "file",
        "bytes": size,
        "created_at": sandbox.now(),
        "filename": filename,
        "purpose": purpose,
        "status": "processed",
    }


def store(sandbox: Sandbox, filename: str, content: bytes, purpose: str) -> str:
    """Keep a file that the sandbox made; its id."""
    path = sandbox.new_path()
    path.write_bytes(content)
    shown = shown_file(sandbox, filename, len(content), purpose)
    sandbox.files.put(shown["id"], StoredFile(shown, path))
    return str(shown["id"])


async def list_files(request: Request) -> Response:
    """``GET /v1/files``."""
    query = read_query(request)
    purpose = query.maybe("purpose")
    return JSON(
        page(query, [file.shown for file in sandbox_of(request).files if purpose in (None, file.shown["purpose"])])
    )


async def retrieve(request: Request) -> Response:
    """``GET /v1/files/{file_id}``."""
    return JSON(_kept(request).shown)


async def content(request: Request) -> Response:
    """``GET /v1/files/{file_id}/content``."""
    file = _kept(request)
    return FileResponse(file.path, media_type="application/octet-stream", filename=file.shown["filename"])


async def delete(request: Request) -> Response:
    """``DELETE /v1/files/{file_id}``."""
    identity = request.path_params["file_id"]
    sandbox_of(request).files.remove(identity)
    return JSON({"id": identity, "object": "file", "deleted": True})


def _kept(request: Request) -> StoredFile:
    return sandbox_of(request).files.get(request.path_params["file_id"])


ROUTES = [
    Route("/v1/files", create, methods=["POST"]),
    Route("/v1/files", list_files, methods=["GET"]),
    Route("/v1/files/{file_id}", retrieve, methods=["GET"]),
    Route("/v1/files/{file_id}", delete, methods=["DELETE"]),
    Route("/v1/files/{file_id}/content", content, methods=["GET"]),
]
