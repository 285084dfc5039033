"""Conversations: made, read, changed, deleted; their items added, listed and taken away."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.fields import Fields, read_json, read_query
from tieline.sandbox.refusal import JSON, Refusal, missing
from tieline.sandbox.state import new_id, page, sandbox_of


def shown_item(item: dict[str, Any]) -> dict[str, Any]:
    """An input item as the API shows it later: with id, type and status, and a message's content as parts."""
    kind = item.get("type") or "message"
    shown: dict[str, Any] = {
        "id": new_id("msg_" if kind == "message" else "item_"),
        "status": "completed",
        **item,
        "type": kind,
    }
    if kind == "message" and isinstance(item.get("content"), str):
        said = "output_text" if item.get("role") == "assistant" else "input_text"
        part = {"type": said, "text": item["content"]}
        shown["content"] = [{**part, "annotations": [], "logprobs": []} if said == "output_text" else part]
    return shown


def _items(fields: Fields) -> list[dict[str, Any]]:
    items = fields.objects("items")
    if len(items) > 20:
        message = f"Invalid 'items': array too long. Expected an array with maximum length 20, but got {len(items)}."
        raise Refusal(400, message, param="items", code="array_above_max_length")
    return [shown_item(item) for item in items]


async def create(request: Request) -> Response:
    """``POST /v1/conversations``."""
    fields = await read_json(request, optional=True)
    sandbox = sandbox_of(request)
    shown = {
        "id": new_id("conv_"),
        "object": "conversation",
        "created_at": sandbox.now(),
        "metadata": fields.metadata(),
    }
    sandbox.conversations.put(str(shown["id"]), {"shown": shown, "items": _items(fields)})
    return JSON(shown)


def _kept(request: Request) -> dict[str, Any]:
    return sandbox_of(request).conversations.get(request.path_params["conversation_id"])


async def retrieve(request: Request) -> Response:
    """``GET /v1/conversations/{conversation_id}``."""
    return JSON(_kept(request)["shown"])


async def update(request: Request) -> Response:
    """``POST /v1/conversations/{conversation_id}``: new metadata."""
    kept, fields = _kept(request), await read_json(request)
    fields.any("metadata")
    kept["shown"]["metadata"] = fields.metadata()
    return JSON(kept["shown"])


async def delete(request: Request) -> Response:
    """``DELETE /v1/conversations/{conversation_id}``."""
    identity = request.path_params["conversation_id"]
    sandbox_of(request).conversations.remove(identity)
    return JSON({"id": identity, "object": "conversation.deleted", "deleted": True})


async def add_items(request: Request) -> Response:
    """``POST /v1/conversations/{conversation_id}/items``."""
    kept, fields = _kept(request), await read_json(request)
    if not fields.has("items"):
        raise missing("items")
    added = _items(fields)
    kept["items"].extend(added)
    return JSON(page(Fields({"limit": 100, "order": "asc"}), added))


async def list_items(request: Request) -> Response:
    """``GET /v1/conversations/{conversation_id}/items``."""
    return JSON(page(read_query(request), _kept(request)["items"]))


def _item(request: Request) -> dict[str, Any]:
    identity = request.path_params["item_id"]
    for item in _kept(request)["items"]:
        if item["id"] == identity:
            return dict(item)
    raise Refusal(404, f"Item with id '{identity}' not found.", param="item_id")


async def retrieve_item(request: Request) -> Response:
    """``GET /v1/conversations/{conversation_id}/items/{item_id}``."""
    return JSON(_item(request))


async def delete_item(request: Request) -> Response:
    """``DELETE /v1/conversations/{conversation_id}/items/{item_id}``."""
    gone, kept = _item(request), _kept(request)
    kept["items"] = [item for item in kept["items"] if item["id"] != gone["id"]]
    return JSON(kept["shown"])


_ONE = "/v1/conversations/{conversation_id}"
ROUTES = [
    Route("/v1/conversations", create, methods=["POST"]),
    Route(_ONE, retrieve, methods=["GET"]),
    Route(_ONE, update, methods=["POST"]),
    Route(_ONE, delete, methods=["DELETE"]),
    Route(_ONE + "/items", add_items, methods=["POST"]),
    Route(_ONE + "/items", list_items, methods=["GET"]),
    Route(_ONE + "/items/{item_id}", retrieve_item, methods=["GET"]),
    Route(_ONE + "/items/{item_id}", delete_item, methods=["DELETE"]),
]
