"""Chat completions: plain, streamed, with tools, shapes, choices and logprobs; stored ones can be read again."""

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.assistant import Call, Reply, Tool, Turn, answer
from tieline.sandbox.fields import Fields, read_json, read_query
from tieline.sandbox.refusal import JSON, Refusal, missing
from tieline.sandbox.state import Sandbox, new_id, page, sandbox_of
from tieline.sandbox.streams import DONE, Stream, event
from tieline.sandbox.switches import Course, begin
from tieline.sandbox.words import count, pieces, text_of

_ROLES = ("developer", "system", "user", "assistant", "tool", "function")


async def create(request: Request) -> Response:
    """``POST /v1/chat/completions``."""
    fields = await read_json(request)
    streamed = fields.flag("stream")
    course = await begin(request, fields.text("model"), streamed=streamed)
    sandbox = sandbox_of(request)
    whole, replies = complete(sandbox, fields, course)
    told = whole["usage"]
    used = {"input_tokens": told["prompt_tokens"], "output_tokens": told["completion_tokens"]}
    line = sandbox.ledger.charge(request, "openai_chat", whole["model"], used, told=not streamed)
    if not streamed:
        return JSON(whole)
    return Stream(_events(whole, replies, fields), course, sandbox.stats, noted=line.sent)


def complete(sandbox: Sandbox, fields: Fields, course: Course) -> tuple[dict[str, Any], list[Reply]]:
    """The whole answer and the replies it is made of; kept when ``store`` is true."""
    messages = _messages(fields)
    _check_sampling(fields)
    turn = _turn(fields, messages, course)
    replies = [answer(turn, number) for number in range(fields.integer("n", 1, 128) or 1)]
    asked = sum(count(text_of(message.get("content"))) + 3 for message in messages) + 3
    asked += sum(count(tool.name) + count(str(tool.schema)) for tool in turn.tools)
    whole: dict[str, Any] = {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": sandbox.now(),
        "model": fields.text("model"),
        "choices": [_choice(number, reply, fields) for number, reply in enumerate(replies)],
        "usage": usage(asked, sum(reply.length for reply in replies)),
        "service_tier": "default",
        "system_fingerprint": "fp_sandbox",
    }
    if fields.flag("store"):
        shown = [{"id": f"{whole['id']}-{at}", **message} for at, message in enumerate(messages)]
        whole["metadata"] = fields.metadata()
        sandbox.chats.put(whole["id"], {"whole": whole, "messages": shown})
    return whole, replies


def usage(asked: int, answered: int) -> dict[str, Any]:
    """``CompletionUsage`` for these counts of tokens."""
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _messages(fields: Fields) -> list[dict[str, Any]]:
    if not fields.has("messages"):
        raise missing("messages")
    messages = fields.objects("messages")
    if not messages:
        empty = "Invalid 'messages': empty array. Expected an array with minimum length 1."
        raise Refusal(400, empty, param="messages", code="empty_array")
    for index, message in enumerate(messages):
        inner = Fields(message, place=f"messages[{index}].")
        inner.text("role")
        role = inner.choice("role", _ROLES, "")
        content = inner.values.get("content")
        if role not in ("assistant", "function") and not isinstance(content, str | list):
            given = "null" if content is None else type(content).__name__
            wanted = f"Invalid value for 'content': expected a string or an array, got {given}."
            raise Refusal(400, wanted, param=f"messages[{index}].content", code="invalid_type")
        if role == "tool":
            inner.text("tool_call_id")
    return messages


def _check_sampling(fields: Fields) -> None:
    fields.number("temperature", 0, 2)
    fields.number("top_p", 0, 1)
    fields.number("frequency_penalty", -2, 2)
    fields.number("presence_penalty", -2, 2)
    fields.integer("seed", -(2**63), 2**63 - 1)
    fields.metadata()
    if fields.has("stream_options") and not fields.flag("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refusal(400, message, param="stream_options")


def _turn(fields: Fields, messages: list[dict[str, Any]], course: Course) -> Turn:
    last = next((message for message in reversed(messages) if message["role"] in ("user", "tool")), messages[-1])
    limit = fields.integer("max_completion_tokens", 1, 2**31) or fields.integer("max_tokens", 1, 2**31)
    return Turn(
        text=text_of(last.get("content")),
        said_by="tool" if last["role"] == "tool" else "user",
        tools=_tools(fields),
        choice=_tool_choice(fields),
        shape=_shape(fields),
        limit=limit,
        stop=tuple(fields.texts("stop")),
        tokens=course.tokens,
    )


def _tools(fields: Fields) -> tuple[Tool, ...]:
    tools = []
    for index, tool in enumerate(fields.objects("tools")):
        inner = Fields(tool, place=f"tools[{index}].")
        inner.text("type")
        kind = inner.choice("type", ("function", "custom"), "")
        described = Fields(inner.object(kind) or {}, place=f"tools[{index}].{kind}.")
        schema = (described.object("parameters") or {"type": "object"}) if kind == "function" else None
        tools.append(Tool(described.text("name"), schema))
    return tuple(tools)


def _tool_choice(fields: Fields) -> str:
    choice = fields.values.get("tool_choice")
    if not isinstance(choice, dict):
        return fields.choice("tool_choice", ("none", "auto", "required"), "auto")
    kind = str(choice.get("type"))
    if kind == "allowed_tools":
        return str((choice.get(kind) or {}).get("mode", "auto"))
    return Fields(choice.get(kind) or {}, place=f"tool_choice.{kind}.").text("name")


def _shape(fields: Fields) -> Any:
    wanted = fields.object("response_format")
    if wanted is None:
        return None
    inner = Fields(wanted, place="response_format.")
    inner.text("type")
    kind = inner.choice("type", ("text", "json_object", "json_schema"), "")
    if kind != "json_schema":
        return True if kind == "json_object" else None
    inner.any("json_schema")
    described = Fields(inner.object("json_schema") or {}, place="response_format.json_schema.")
    described.text("name")
    return described.object("schema") or True


def _choice(number: int, reply: Reply, fields: Fields) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []}
    if reply.call:
        message["content"] = None
        message["tool_calls"] = [_tool_call(reply.call)]
    return {
        "index": number,
        "message": message,
        "logprobs": _logprobs(reply.tokens, fields),
        "finish_reason": reply.finish,
    }


def _tool_call(call: Call) -> dict[str, Any]:
    if call.custom:
        return {"id": new_id("call_"), "type": "custom", "custom": {"name": call.name, "input": call.given}}
    return {"id": new_id("call_"), "type": "function", "function": {"name": call.name, "arguments": call.given}}


def _logprobs(tokens: list[str], fields: Fields) -> dict[str, Any] | None:
    if not fields.flag("logprobs"):
        return None
    others = fields.integer("top_logprobs", 0, 20) or 0
    return {"content": [logprob(token, others) for token in tokens], "refusal": None}


def logprob(token: str, others: int) -> dict[str, Any]:
    """``ChatCompletionTokenLogprob`` of a token that the assistant is almost sure of, with ``others`` alternatives."""
    sure = {"token": token, "logprob": -0.01, "bytes": list(token.encode())}
    alternatives = [{"token": f"~{at}", "logprob": -5.0 - at, "bytes": list(b"~%d" % at)} for at in range(1, others)]
    return {**sure, "top_logprobs": [sure, *alternatives] if others else []}


def _events(whole: dict[str, Any], replies: list[Reply], fields: Fields) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Each event, and what the ledger notes once it was sent."""
    options = fields.object("stream_options") or {}
    head = {key: whole[key] for key in ("id", "created", "model", "service_tier", "system_fingerprint")}
    head["object"] = "chat.completion.chunk"
    if options.get("include_usage"):
        head["usage"] = None
    for choice, reply in zip(whole["choices"], replies, strict=True):
        for delta, logprobs in _deltas(choice["message"], reply, fields):
            said = {"text": delta.get("content") or ""}
            yield event({**head, "choices": [_part(choice["index"], delta, logprobs)]}), said
        yield event({**head, "choices": [_part(choice["index"], {}, None, reply.finish)]}), {"text": ""}
    if options.get("include_usage"):
        yield event({**head, "choices": [], "usage": whole["usage"]}), {"text": "", "told": True}
    yield DONE, {"text": ""}


def _part(index: int, delta: Mapping[str, Any], logprobs: Any, finish: str | None = None) -> dict[str, Any]:
    part = {"index": index, "delta": delta, "finish_reason": finish}
    return part if logprobs is None else {**part, "logprobs": logprobs}


def _deltas(message: dict[str, Any], reply: Reply, fields: Fields) -> Iterator[tuple[dict[str, Any], Any]]:
    if reply.call is None:
        yield {"role": "assistant", "content": "", "refusal": None}, None
        for token in reply.tokens:
            logprobs = _logprobs([token], fields)
            yield {"content": token}, logprobs and {**logprobs, "refusal": []}
        return
    call = message["tool_calls"][0]
    kind, given = ("custom", "input") if reply.call.custom else ("function", "arguments")
    opening = {"index": 0, **call, kind: {"name": reply.call.name, given: ""}}
    yield {"role": "assistant", "content": None, "refusal": None, "tool_calls": [opening]}, None
    for piece in pieces(reply.call.given):
        yield {"tool_calls": [{"index": 0, kind: {given: piece}}]}, None


async def list_stored(request: Request) -> Response:
    """``GET /v1/chat/completions``."""
    query = read_query(request)
    model = query.maybe("model")
    found = [kept["whole"] for kept in sandbox_of(request).chats if model in (None, kept["whole"]["model"])]
    return JSON(page(query, found, order="asc"))


async def retrieve(request: Request) -> Response:
    """``GET /v1/chat/completions/{completion_id}``."""
    return JSON(_stored(request)["whole"])


async def update(request: Request) -> Response:
    """``POST /v1/chat/completions/{completion_id}``: new metadata."""
    kept = _stored(request)
    kept["whole"]["metadata"] = (await read_json(request)).metadata()
    return JSON(kept["whole"])


async def delete(request: Request) -> Response:
    """``DELETE /v1/chat/completions/{completion_id}``."""
    identity = request.path_params["completion_id"]
    sandbox_of(request).chats.remove(identity)
    return JSON({"object": "chat.completion.deleted", "id": identity, "deleted": True})


async def list_messages(request: Request) -> Response:
    """``GET /v1/chat/completions/{completion_id}/messages``."""
    shown = [
        {**message, "content": text_of(message.get("content")), "refusal": None, "content_parts": None}
        for message in _stored(request)["messages"]
    ]
    return JSON(page(read_query(request), shown, order="asc"))


def _stored(request: Request) -> dict[str, Any]:
    return sandbox_of(request).chats.get(request.path_params["completion_id"])


_ONE = "/v1/chat/completions/{completion_id}"
ROUTES = [
    Route("/v1/chat/completions", create, methods=["POST"]),
    Route("/v1/chat/completions", list_stored, methods=["GET"]),
    Route(_ONE, retrieve, methods=["GET"]),
    Route(_ONE, update, methods=["POST"]),
    Route(_ONE, delete, methods=["DELETE"]),
    Route(_ONE + "/messages", list_messages, methods=["GET"]),
]
