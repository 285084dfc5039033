"""Vector stores: made, listed, changed, deleted; filled with files; searched by the sandbox's own embeddings."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.embeddings import closeness, vector
from tieline.sandbox.fields import Fields, read_json, read_query
from tieline.sandbox.refusal import JSON, missing, not_found
from tieline.sandbox.state import Sandbox, new_id, page, sandbox_of

_CHUNK = 1_200  # characters
_MOST_READ = 1024 * 1024  # bytes of one file
_SIZE = 256


async def create(request: Request) -> Response:
    """``POST /v1/vector_stores``."""
    fields = await read_json(request, optional=True)
    fields.only(("file_ids", "name", "description", "expires_after", "chunking_strategy", "metadata"))
    sandbox = sandbox_of(request)
    now = sandbox.now()
    shown = {
        "id": new_id("vs_"),
        "object": "vector_store",
        "created_at": now,
        "last_active_at": now,
        "name": fields.maybe("name") or "",
        "status": "completed",
        "metadata": fields.metadata(),
    }
    kept: dict[str, Any] = {"shown": shown, "files": {}}
    for identity in fields.texts("file_ids"):
        _put(sandbox, kept, identity, {})
    sandbox.vector_stores.put(str(shown["id"]), kept)
    return JSON(_shown(kept))


def _shown(kept: dict[str, Any]) -> dict[str, Any]:
    files = kept["files"].values()
    counts = {"in_progress": 0, "completed": len(files), "failed": 0, "cancelled": 0, "total": len(files)}
    return {**kept["shown"], "usage_bytes": sum(file["usage_bytes"] for file in files), "file_counts": counts}


def _put(sandbox: Sandbox, kept: dict[str, Any], identity: str, attributes: dict[str, Any]) -> dict[str, Any]:
    file = sandbox.files.get(identity)
    entry = {
        "id": identity,
        "object": "vector_store.file",
        "created_at": sandbox.now(),
        "usage_bytes": file.shown["bytes"],
        "vector_store_id": kept["shown"]["id"],
        "status": "completed",
        "last_error": None,
        "chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 0}},
        "attributes": attributes,
    }
    kept["files"][identity] = entry
    return entry


def _kept(request: Request) -> dict[str, Any]:
    return sandbox_of(request).vector_stores.get(request.path_params["vector_store_id"])


async def list_stores(request: Request) -> Response:
    """``GET /v1/vector_stores``."""
    return JSON(page(read_query(request), [_shown(kept) for kept in sandbox_of(request).vector_stores]))


async def retrieve(request: Request) -> Response:
    """``GET /v1/vector_stores/{vector_store_id}``."""
    return JSON(_shown(_kept(request)))


async def update(request: Request) -> Response:
    """``POST /v1/vector_stores/{vector_store_id}``: new name or metadata."""
    kept, fields = _kept(request), await read_json(request)
    if fields.has("name"):
        kept["shown"]["name"] = fields.text("name")
    if fields.has("metadata"):
        kept["shown"]["metadata"] = fields.metadata()
    return JSON(_shown(kept))


async def delete(request: Request) -> Response:
    """``DELETE /v1/vector_stores/{vector_store_id}``."""
    identity = request.path_params["vector_store_id"]
    sandbox_of(request).vector_stores.remove(identity)
    return JSON({"id": identity, "object": "vector_store.deleted", "deleted": True})


async def add_file(request: Request) -> Response:
    """``POST /v1/vector_stores/{vector_store_id}/files``."""
    kept, fields = _kept(request), await read_json(request)
    fields.only(("file_id", "chunking_strategy", "attributes"))
    return JSON(_put(sandbox_of(request), kept, fields.text("file_id"), fields.object("attributes") or {}))


async def list_files(request: Request) -> Response:
    """``GET /v1/vector_stores/{vector_store_id}/files``."""
    return JSON(page(read_query(request), list(_kept(request)["files"].values())))


def _file(request: Request) -> dict[str, Any]:
    identity = request.path_params["file_id"]
    found = _kept(request)["files"].get(identity)
    if found is None:
        raise not_found("file in this vector store", identity)
    return dict(found)


async def retrieve_file(request: Request) -> Response:
    """``GET /v1/vector_stores/{vector_store_id}/files/{file_id}``."""
    return JSON(_file(request))


async def remove_file(request: Request) -> Response:
    """``DELETE /v1/vector_stores/{vector_store_id}/files/{file_id}``: the file itself stays."""
    identity = _file(request)["id"]
    del _kept(request)["files"][identity]
    return JSON({"id": identity, "object": "vector_store.file.deleted", "deleted": True})


async def file_content(request: Request) -> Response:
    """``GET /v1/vector_stores/{vector_store_id}/files/{file_id}/content``."""
    data = [{"type": "text", "text": text} for text in _chunks(sandbox_of(request), _file(request)["id"])]
    return JSON({"object": "vector_store.file_content.page", "data": data, "has_more": False, "next_page": None})


def _chunks(sandbox: Sandbox, identity: str) -> list[str]:
    file = sandbox.files.find(identity)
    if file is None:
        return []
    with file.path.open("rb") as source:
        text = source.read(_MOST_READ).decode("utf-8", "replace")
    return [text[at : at + _CHUNK] for at in range(0, len(text), _CHUNK)]


async def search(request: Request) -> Response:
    """``POST /v1/vector_stores/{vector_store_id}/search``: the chunks closest to the query, the closest first."""
    kept, fields = _kept(request), await read_json(request)
    if not fields.has("query"):
        raise missing("query")
    queries = fields.texts("query")
    wanted = vector(" ".join(queries), _SIZE)
    sandbox = sandbox_of(request)
    found = [
        {
            "file_id": identity,
            "filename": sandbox.files.get(identity).shown["filename"],
            "score": closeness(wanted, vector(chunk, _SIZE)),
            "attributes": entry["attributes"],
            "content": [{"type": "text", "text": chunk}],
        }
        for identity, entry in kept["files"].items()
        if sandbox.files.find(identity)
        for chunk in _chunks(sandbox, identity)
    ]
    least = (
        Fields(fields.object("ranking_options") or {}, place="ranking_options.").number("score_threshold", 0, 1) or 0
    )
    best = sorted((one for one in found if one["score"] >= least), key=lambda one: -one["score"])
    shown = best[: fields.integer("max_num_results", 1, 50) or 10]
    head = {"object": "vector_store.search_results.page", "search_query": queries}
    return JSON({**head, "data": shown, "has_more": len(best) > len(shown), "next_page": None})


_ONE = "/v1/vector_stores/{vector_store_id}"
ROUTES = [
    Route("/v1/vector_stores", create, methods=["POST"]),
    Route("/v1/vector_stores", list_stores, methods=["GET"]),
    Route(_ONE, retrieve, methods=["GET"]),
    Route(_ONE, update, methods=["POST"]),
    Route(_ONE, delete, methods=["DELETE"]),
    Route(_ONE + "/search", search, methods=["POST"]),
    Route(_ONE + "/files", add_file, methods=["POST"]),
    Route(_ONE + "/files", list_files, methods=["GET"]),
    Route(_ONE + "/files/{file_id}", retrieve_file, methods=["GET"]),
    Route(_ONE + "/files/{file_id}", remove_file, methods=["DELETE"]),
    Route(_ONE + "/files/{file_id}/content", file_content, methods=["GET"]),
]
