"""Responses: plain, streamed, in the background, with tools and shapes; kept, to be read, replayed and followed."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.assistant import Reply, Tool, Turn, answer
from tieline.sandbox.conversations import shown_item
from tieline.sandbox.fields import Fields, read_json, read_query
from tieline.sandbox.refusal import JSON, Refusal, missing
from tieline.sandbox.response_events import events, noted_events
from tieline.sandbox.state import Sandbox, new_id, page, sandbox_of
from tieline.sandbox.streams import Stream
from tieline.sandbox.switches import Course, begin
from tieline.sandbox.words import count, text_of


async def create(request: Request) -> Response:
    """``POST /v1/responses``."""
    fields = await read_json(request)
    streamed = fields.flag("stream")
    course = await begin(request, fields.text("model"), streamed=streamed)
    sandbox = sandbox_of(request)
    whole, reply = complete(sandbox, fields, course)
    if fields.flag("background") and not streamed:
        return JSON(_unfinished(whole, "queued"))
    used = {name: whole["usage"][name] for name in ("input_tokens", "output_tokens")}
    line = sandbox.ledger.charge(request, "openai_responses", whole["model"], used, told=not streamed)
    if streamed:
        return Stream(noted_events(whole, reply), course, sandbox.stats, noted=line.sent)
    return JSON(whole)


def complete(sandbox: Sandbox, fields: Fields, course: Course) -> tuple[dict[str, Any], Reply]:
    """The whole response and the reply in it. Kept unless ``store`` is false."""
    items = input_items(fields)
    before = _earlier(sandbox, fields)
    turn = _turn(fields, items, course)
    reply = answer(turn)
    asked = sum(_tokens(item) for item in [*before, *items]) + count(fields.maybe("instructions") or "") + 3
    asked += sum(count(tool.name) + count(str(tool.schema)) for tool in turn.tools)
    whole = _whole(sandbox, fields, reply, asked)
    if fields.flag("store", True):
        kept = {"whole": whole, "reply": reply, "items": [*before, *items], "reads": 0}
        sandbox.responses.put(whole["id"], kept)
    conversation = whole["conversation"]
    if conversation:
        talk = sandbox.conversations.get(conversation["id"])
        talk["items"].extend([*items, *(shown_item(item) for item in whole["output"])])
    return whole, reply


def input_items(fields: Fields, name: str = "input") -> list[dict[str, Any]]:
    """The input as items with ids, as they are shown later."""
    given = fields.values.get(name)
    if given is None:
        if fields.has("previous_response_id") or fields.has("conversation") or fields.has("prompt"):
            return []
        raise missing(name)
    if isinstance(given, str):
        return [shown_item({"role": "user", "content": given})]
    items = fields.objects(name)
    for index, item in enumerate(items):
        if "type" not in item and "role" not in item:
            raise missing(f"{name}[{index}].type")
    return [shown_item(item) for item in items]


def _earlier(sandbox: Sandbox, fields: Fields) -> list[dict[str, Any]]:
    previous = fields.maybe("previous_response_id")
    conversation = _conversation(fields)
    if previous and conversation:
        message = "Mutually exclusive parameters: 'previous_response_id' and 'conversation'."
        raise Refusal(400, message, param="conversation", code="mutually_exclusive_parameters")
    if conversation:
        return list(sandbox.conversations.get(conversation)["items"])
    if not previous:
        return []
    kept = sandbox.responses.find(previous)
    if kept is None:
        message = f"Previous response with id '{previous}' not found."
        raise Refusal(400, message, param="previous_response_id", code="previous_response_not_found")
    return [*kept["items"], *(shown_item(item) for item in kept["whole"]["output"])]


def _conversation(fields: Fields) -> str | None:
    given = fields.values.get("conversation")
    return given.get("id") if isinstance(given, dict) else fields.maybe("conversation")


def _tokens(item: dict[str, Any]) -> int:
    words = text_of(item.get("content")) or item.get("arguments") or item.get("input") or text_of(item.get("output"))
    return count(str(words)) + 3


def _turn(fields: Fields, items: list[dict[str, Any]], course: Course) -> Turn:
    said = [item for item in items if item.get("role") == "user" or str(item["type"]).endswith("_output")]
    last = said[-1] if said else {"type": "message", "content": ""}
    by_tool = last["type"] != "message"
    return Turn(
        text=text_of(last.get("output") if by_tool else last.get("content")),
        said_by="tool" if by_tool else "user",
        tools=_tools(fields),
        choice=_tool_choice(fields),
        shape=_shape(fields),
        limit=fields.integer("max_output_tokens", 16, 2**31),
        tokens=course.tokens,
    )


def _tools(fields: Fields) -> tuple[Tool, ...]:
    tools = []
    for index, tool in enumerate(fields.objects("tools")):
        inner = Fields(tool, place=f"tools[{index}].")
        kind = inner.text("type")
        if kind == "function":
            tools.append(Tool(inner.text("name"), inner.object("parameters") or {"type": "object"}))
        elif kind == "custom":
            tools.append(Tool(inner.text("name"), None))
    return tuple(tools)


def _tool_choice(fields: Fields) -> str:
    choice = fields.values.get("tool_choice")
    if not isinstance(choice, dict):
        return fields.choice("tool_choice", ("none", "auto", "required"), "auto")
    return str(choice.get("name") or choice.get("mode") or "auto")


def _shape(fields: Fields) -> Any:
    wanted = (fields.object("text") or {}).get("format")
    if wanted is None:
        return None
    inner = Fields(wanted, place="text.format.")
    inner.text("type")
    kind = inner.choice("type", ("text", "json_object", "json_schema"), "")
    if kind != "json_schema":
        return True if kind == "json_object" else None
    inner.text("name")
    inner.any("schema")
    return inner.object("schema")


def _whole(sandbox: Sandbox, fields: Fields, reply: Reply, asked: int) -> dict[str, Any]:
    given = fields.values
    conversation = _conversation(fields)
    cut = reply.finish == "length"
    temperature, top = fields.number("temperature", 0, 2), fields.number("top_p", 0, 1)
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": sandbox.now(),
        "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else sandbox.now(),
        "background": fields.flag("background"),
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": fields.maybe("instructions"),
        "max_output_tokens": given.get("max_output_tokens"),
        "max_tool_calls": fields.integer("max_tool_calls", 1, 2**31),
        "model": fields.text("model"),
        "output": [_output_item(reply)],
        "parallel_tool_calls": fields.flag("parallel_tool_calls", True),
        "previous_response_id": fields.maybe("previous_response_id"),
        "conversation": {"id": conversation} if conversation else None,
        "reasoning": {"effort": None, "summary": None, **(fields.object("reasoning") or {})},
        "service_tier": "default",
        "store": fields.flag("store", True),
        "temperature": 1.0 if temperature is None else temperature,
        "text": {"format": {"type": "text"}, "verbosity": "medium", **(fields.object("text") or {})},
        "tool_choice": given.get("tool_choice") or "auto",
        "tools": [_shown_tool(tool) for tool in fields.objects("tools")],
        "top_logprobs": fields.integer("top_logprobs", 0, 20) or 0,
        "top_p": 1.0 if top is None else top,
        "truncation": fields.choice("truncation", ("auto", "disabled"), "disabled"),
        "usage": usage(asked, reply.length),
        "metadata": fields.metadata(),
    }


def _shown_tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {"parameters": None, "strict": True, **tool} if tool.get("type") == "function" else tool


def usage(asked: int, answered: int) -> dict[str, Any]:
    """``ResponseUsage`` for these counts of tokens."""
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + answered,
    }


def _output_item(reply: Reply) -> dict[str, Any]:
    if reply.call is None:
        part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        status = "incomplete" if reply.finish == "length" else "completed"
        return {"id": new_id("msg_"), "type": "message", "role": "assistant", "status": status, "content": [part]}
    call = {"call_id": new_id("call_"), "name": reply.call.name, "status": "completed"}
    if reply.call.custom:
        return {"id": new_id("ctc_"), "type": "custom_tool_call", "input": reply.call.given, **call}
    return {"id": new_id("fc_"), "type": "function_call", "arguments": reply.call.given, **call}


def _unfinished(whole: dict[str, Any], status: str) -> dict[str, Any]:
    return {**whole, "status": status, "output": [], "usage": None, "completed_at": None} | {"usage": usage(0, 0)}


def _kept(request: Request) -> dict[str, Any]:
    identity = request.path_params["response_id"]
    kept = sandbox_of(request).responses.find(identity)
    if kept is None:
        raise Refusal(404, f"Response with id '{identity}' not found.", param="response_id")
    return kept


def _current(kept: dict[str, Any]) -> dict[str, Any]:
    """The response as it stands; one in the background moves on by one status with each reading."""
    whole: dict[str, Any] = kept["whole"]
    if not whole["background"] or whole["status"] == "cancelled":
        return whole
    kept["reads"] += 1
    return _unfinished(whole, "in_progress") if kept["reads"] == 1 else whole


async def retrieve(request: Request) -> Response:
    """``GET /v1/responses/{response_id}``; with ``stream=true`` the events again, from ``starting_after`` on."""
    kept, query = _kept(request), read_query(request)
    if not query.flag("stream"):
        return JSON(_current(kept))
    after = query.integer("starting_after", 0, 2**31)
    replayed = events(kept["whole"], kept["reply"], after=-1 if after is None else after)
    return Stream(replayed, Course(), sandbox_of(request).stats)


async def delete(request: Request) -> Response:
    """``DELETE /v1/responses/{response_id}``."""
    identity = _kept(request)["whole"]["id"]
    sandbox_of(request).responses.remove(identity)
    return JSON({"id": identity, "object": "response", "deleted": True})


async def cancel(request: Request) -> Response:
    """``POST /v1/responses/{response_id}/cancel``: only one in the background that has not ended."""
    kept = _kept(request)
    whole = kept["whole"]
    if not whole["background"]:
        raise Refusal(400, "Only responses created with background: true can be cancelled.", param="response_id")
    if kept["reads"] < 2 and whole["status"] != "cancelled":
        whole.update(status="cancelled", output=[], completed_at=None)
    return JSON(whole)


async def list_input(request: Request) -> Response:
    """``GET /v1/responses/{response_id}/input_items``."""
    return JSON(page(read_query(request), _kept(request)["items"]))


async def count_input(request: Request) -> Response:
    """``POST /v1/responses/input_tokens``."""
    fields = await read_json(request)
    await begin(request, fields.maybe("model") or "")
    items = [*_earlier(sandbox_of(request), fields), *(input_items(fields) if fields.has("input") else [])]
    tools = sum(count(tool.name) + count(str(tool.schema)) for tool in _tools(fields))
    asked = sum(map(_tokens, items)) + count(fields.maybe("instructions") or "") + tools + 3
    return JSON({"object": "response.input_tokens", "input_tokens": asked})


_ONE = "/v1/responses/{response_id}"
ROUTES = [
    Route("/v1/responses", create, methods=["POST"]),
    Route("/v1/responses/input_tokens", count_input, methods=["POST"]),
    Route(_ONE, retrieve, methods=["GET"]),
    Route(_ONE, delete, methods=["DELETE"]),
    Route(_ONE + "/cancel", cancel, methods=["POST"]),
    Route(_ONE + "/input_items", list_input, methods=["GET"]),
]
