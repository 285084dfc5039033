"""Realtime: a WebSocket conversation with the echo-ish assistant, in text or in sound with its transcript.

Speaks the events of the published document's current (GA) version. Turn detection is not imitated: a turn begins when
the client sends ``response.create``, and spoken input becomes an item when the client commits it.
"""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tieline.sandbox.assistant import Call, Reply, Tool, Turn, answer
from tieline.sandbox.fields import Fields, read_json
from tieline.sandbox.refusal import JSON, Raw, Refusal, transport_of
from tieline.sandbox.sound import RATE, speak
from tieline.sandbox.state import Sandbox, new_id, sandbox_of
from tieline.sandbox.switches import ECHO, Course, course, delay, echo, malformed, refusal
from tieline.sandbox.words import count, pieces, text_of

_LIFETIME = 3_600  # seconds
_PIECE = 4_800  # bytes of sound in one event: a tenth of a second


async def converse(socket: WebSocket) -> None:
    """``/v1/realtime?model=…``."""
    model = socket.query_params.get("model") or "gpt-realtime"
    sandbox = sandbox_of(socket)
    try:
        chosen = _chosen(model, sandbox)
    except Refusal as refused:
        await socket.send_denial_response(refused.answer())
        return
    await asyncio.sleep(delay(model))
    message = malformed(model)
    if message is not None:
        await Raw(message)(socket.scope, socket.receive, socket.send)
        return
    offered = socket.scope.get("subprotocols") or []
    await socket.accept("realtime" if "realtime" in offered else None)
    stats = sandbox.stats
    stats.streams += 1
    stats.open_streams += 1
    conversation = Conversation(socket, model, chosen, expires=sandbox.now() + _LIFETIME)
    try:
        await conversation.run()
    except WebSocketDisconnect:
        pass
    finally:
        stats.open_streams -= 1
        if conversation.cancelled:
            stats.cancelled_streams += 1


def _chosen(model: str, sandbox: Sandbox) -> Course:
    refused = refusal(model, sandbox.attempts)
    if refused:
        raise refused
    return Course() if model == ECHO or malformed(model) is not None else course(model)


def session(model: str, expires: int) -> dict[str, Any]:
    """``RealtimeSessionCreateResponseGA`` with the sandbox's settings; ``expires`` in seconds since 1970."""
    sound = {"type": "audio/pcm", "rate": RATE}
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": new_id("sess_"),
        "model": model,
        "expires_at": expires,
        "output_modalities": ["audio"],
        "instructions": "You are the sandbox's echo.",
        "audio": {
            "input": {"format": sound, "turn_detection": None},
            "output": {"format": sound, "voice": "marin", "speed": 1.0},
        },
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
    }


class Conversation:
    """One client's conversation."""

    def __init__(self, socket: WebSocket, model: str, chosen: Course, *, expires: int) -> None:
        self.cancelled = False
        self._socket = socket
        self._model = model
        self._course = chosen
        self._session = session(model, expires)
        self._identity = new_id("conv_")
        self._items: dict[str, dict[str, Any]] = {}
        self._heard = 0  # bytes of sound that are not committed yet, in base64
        self._speaking: asyncio.Task[None] | None = None
        self._doing: Mapping[str, Callable[[Fields], Awaitable[None]]] = {
            "session.update": self._update,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }

    async def run(self) -> None:
        """Greet, then do what each event asks until the client leaves."""
        await self._send("session.created", session=self._session)
        if self._model == ECHO:
            await self._socket.send_text(orjson.dumps({"type": "sandbox.echo", **echo(self._socket)}).decode())
        try:
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                await self._take(message.get("text") or message.get("bytes") or "")
        finally:
            if self._speaking and not self._speaking.done():
                self.cancelled = True
                self._speaking.cancel()
                await asyncio.gather(self._speaking, return_exceptions=True)

    async def _take(self, text: str | bytes) -> None:
        try:
            given = orjson.loads(text)
        except orjson.JSONDecodeError:
            given = None
        fields = Fields(given if isinstance(given, dict) else {})
        try:
            if given is None or not isinstance(given, dict):
                raise Refusal(400, "Could not parse the event: it is no JSON object.", code="invalid_json")
            kind = fields.text("type")
            if kind not in self._doing:
                supported = ", ".join(f"'{name}'" for name in self._doing)
                message = f"Invalid value: '{kind}'. Supported values are: {supported}."
                raise Refusal(400, message, param="type", code="invalid_value")
            await self._doing[kind](fields)
        except Refusal as refused:
            error = {**refused.body()["error"], "event_id": fields.values.get("event_id")}
            await self._send("error", error=error)

    async def _send(self, kind: str, **data: Any) -> None:
        await self._socket.send_text(orjson.dumps({"type": kind, "event_id": new_id("event_"), **data}).decode())

    async def _update(self, fields: Fields) -> None:
        fields.any("session")
        changes = fields.object("session") or {}
        for name in changes.keys() - {"audio", "model", "id", "object", "expires_at"}:
            self._session[name] = changes[name]
        for side, settings in (changes.get("audio") or {}).items():
            if side in self._session["audio"] and isinstance(settings, dict):
                self._session["audio"][side].update(settings)
        await self._send("session.updated", session=self._session)

    async def _add(self, item: dict[str, Any], previous: str | None = None) -> None:
        before = previous or next(reversed(self._items), None)
        self._items[item["id"]] = item
        await self._send("conversation.item.added", previous_item_id=before, item=item)
        await self._send("conversation.item.done", previous_item_id=before, item=item)

    async def _create_item(self, fields: Fields) -> None:
        fields.any("item")
        given = fields.object("item") or {}
        Fields(given, place="item.").text("type")
        if given["type"] == "message":
            Fields(given, place="item.").text("role")
        item = {"id": new_id("item_"), "object": "realtime.item", "status": "completed", **given}
        await self._add(item, fields.maybe("previous_item_id"))

    def _item(self, fields: Fields) -> dict[str, Any]:
        identity = fields.text("item_id")
        if identity not in self._items:
            message = f"Item with item_id '{identity}' does not exist."
            raise Refusal(404, message, param="item_id", code="item_not_found")
        return self._items[identity]

    async def _retrieve_item(self, fields: Fields) -> None:
        await self._send("conversation.item.retrieved", item=self._item(fields))

    async def _delete_item(self, fields: Fields) -> None:
        identity = self._item(fields)["id"]
        del self._items[identity]
        await self._send("conversation.item.deleted", item_id=identity)

    async def _truncate_item(self, fields: Fields) -> None:
        place = {"item_id": self._item(fields)["id"], "content_index": fields.integer("content_index", 0, 100) or 0}
        end = fields.integer("audio_end_ms", 0, 2**31) or 0
        await self._send("conversation.item.truncated", **place, audio_end_ms=end)

    async def _append(self, fields: Fields) -> None:
        self._heard += len(fields.text("audio"))

    async def _clear(self, _fields: Fields) -> None:
        self._heard = 0
        await self._send("input_audio_buffer.cleared")

    async def _commit(self, _fields: Fields) -> None:
        if not self._heard:
            message = "Error committing input audio buffer: buffer is empty."
            raise Refusal(400, message, code="input_audio_buffer_commit_empty")
        length = self._heard * 3 // 4 * 1000 // (RATE * 2)
        self._heard = 0
        said = {"type": "input_audio", "transcript": f"{length} milliseconds of sound"}
        before = next(reversed(self._items), None)
        item: dict[str, Any] = {"id": new_id("item_"), "object": "realtime.item", "type": "message"}
        item |= {"status": "completed", "role": "user", "content": [said]}
        await self._send("input_audio_buffer.committed", previous_item_id=before, item_id=item["id"])
        await self._add(item)

    async def _cancel(self, _fields: Fields) -> None:
        if self._speaking is None or self._speaking.done():
            raise Refusal(400, "Cancellation failed: no active response found.", code="response_cancel_not_active")
        self._speaking.cancel()

    async def _respond(self, fields: Fields) -> None:
        if self._speaking and not self._speaking.done():
            message = "Conversation already has an active response in progress."
            raise Refusal(400, message, code="conversation_already_has_active_response")
        settings = {**self._session, **(fields.object("response") or {})}
        reply = answer(self._turn(settings))
        self._speaking = asyncio.create_task(self._speak(reply, settings))

    def _turn(self, settings: Mapping[str, Any]) -> Turn:
        items = settings.get("input") or list(self._items.values())
        said = [item for item in items if item.get("role") == "user" or item["type"] == "function_call_output"]
        last = said[-1] if said else {"type": "message", "content": ""}
        by_tool = last["type"] == "function_call_output"
        choice = settings.get("tool_choice")
        limit = settings.get("max_output_tokens")
        tools = [tool for tool in settings.get("tools") or () if tool.get("type") == "function" and tool.get("name")]
        return Turn(
            text=text_of(last.get("output") if by_tool else last.get("content")),
            said_by="tool" if by_tool else "user",
            tools=tuple(Tool(tool["name"], tool.get("parameters") or {"type": "object"}) for tool in tools),
            choice=str(choice.get("name")) if isinstance(choice, dict) else str(choice or "auto"),
            limit=limit if isinstance(limit, int) else None,
            tokens=self._course.tokens,
        )

    async def _speak(self, reply: Reply, settings: Mapping[str, Any]) -> None:
        response: dict[str, Any] = {
            "object": "realtime.response",
            "id": new_id("resp_"),
            "status": "in_progress",
            "output": [],
            "conversation_id": self._identity,
            "output_modalities": settings["output_modalities"],
            "max_output_tokens": settings["max_output_tokens"],
            "metadata": settings.get("metadata"),
        }
        status = "incomplete" if reply.finish == "length" else "completed"
        await self._send("response.created", response=response)
        try:
            item = await (self._call(reply.call, response) if reply.call else self._message(reply, response))
            response["output"] = [item]
        except asyncio.CancelledError:
            if self._socket.client_state.name != "CONNECTED":
                raise
            status = "cancelled"
            response["status_details"] = {"type": "cancelled", "reason": "client_cancelled"}
        response.update(status=status, usage=self._usage(reply))
        if status == "incomplete":
            response["status_details"] = {"type": status, "reason": "max_output_tokens"}
        await self._send("response.done", response=response)
        limits = {"name": "requests", "limit": 10_000, "remaining": 9_999, "reset_seconds": 0.006}
        await self._send("rate_limits.updated", rate_limits=[limits])

    def _usage(self, reply: Reply) -> dict[str, Any]:
        asked = sum(count(text_of(item.get("content"))) + 3 for item in self._items.values())
        return {
            "input_tokens": asked,
            "output_tokens": reply.length,
            "total_tokens": asked + reply.length,
            "input_token_details": {"text_tokens": asked, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 0},
            "output_token_details": {"text_tokens": reply.length, "audio_tokens": 0},
        }

    async def _message(self, reply: Reply, response: dict[str, Any]) -> dict[str, Any]:
        spoken = "audio" in response["output_modalities"]
        item: dict[str, Any] = {"id": new_id("item_"), "object": "realtime.item", "type": "message"}
        item |= {"status": "in_progress", "role": "assistant", "content": []}
        at = {"response_id": response["id"], "output_index": 0}
        place = {**at, "item_id": item["id"], "content_index": 0}
        opening = {"type": "audio", "transcript": ""} if spoken else {"type": "text", "text": ""}
        await self._send("response.output_item.added", **at, item=item)
        await self._send("response.content_part.added", **place, part=opening)
        word = "response.output_audio_transcript" if spoken else "response.output_text"
        for number, token in enumerate(reply.tokens):
            await self._pace(number, len(reply.tokens))
            await self._send(word + ".delta", **place, delta=token)
        if spoken:
            await self._sound(reply.text, place)
        whole = {"transcript": reply.text} if spoken else {"text": reply.text}
        await self._send(word + ".done", **place, **whole)
        await self._send("response.content_part.done", **place, part={"type": opening["type"], **whole})
        said = {"type": "output_audio" if spoken else "output_text", **whole}
        done = {**item, "status": "incomplete" if reply.finish == "length" else "completed", "content": [said]}
        await self._add(done)
        await self._send("response.output_item.done", **at, item=done)
        return done

    async def _sound(self, text: str, place: dict[str, Any]) -> None:
        samples = speak(text)
        for at in range(0, len(samples), _PIECE):
            delta = b64encode(samples[at : at + _PIECE]).decode()
            await self._send("response.output_audio.delta", **place, delta=delta)
        await self._send("response.output_audio.done", **place)

    async def _call(self, call: Call, response: dict[str, Any]) -> dict[str, Any]:
        item = {"id": new_id("item_"), "object": "realtime.item", "type": "function_call", "status": "in_progress"}
        item |= {"call_id": new_id("call_"), "name": call.name, "arguments": ""}
        at = {"response_id": response["id"], "output_index": 0}
        place = {**at, "item_id": item["id"], "call_id": item["call_id"]}
        await self._send("response.output_item.added", **at, item=item)
        for piece in pieces(call.given):
            await self._send("response.function_call_arguments.delta", **place, delta=piece)
        await self._send("response.function_call_arguments.done", **place, name=call.name, arguments=call.given)
        done = {**item, "status": "completed", "arguments": call.given}
        await self._add(done)
        await self._send("response.output_item.done", **at, item=done)
        return done

    async def _pace(self, number: int, length: int) -> None:
        await asyncio.sleep(self._course.pause)
        if self._course.breakage is None or number < length // 2:
            return
        if self._course.breakage == "malformed":
            await self._socket.send_text('{"type":"response.output_text.delta","delta":')
            return
        transport = transport_of(self._socket.scope)
        if self._course.breakage == "cut" and transport is not None:
            transport.abort()
        await asyncio.Event().wait()


async def client_secret(request: Request) -> Response:
    """``POST /v1/realtime/client_secrets``: a key that is good for the WebSocket only."""
    fields = await read_json(request, optional=True)
    wanted = fields.object("session") or {}
    seconds = Fields(fields.object("expires_after") or {}, place="expires_after.").integer("seconds", 10, 7_200) or 600
    expires = sandbox_of(request).now() + seconds
    shown = session(str(wanted.get("model") or "gpt-realtime"), expires)
    shown.update({name: wanted[name] for name in wanted.keys() & {"instructions", "output_modalities", "tools"}})
    return JSON({"value": new_id("ek_sandbox_"), "expires_at": expires, "session": shown})


ROUTES = [
    WebSocketRoute("/v1/realtime", converse),
    Route("/v1/realtime/client_secrets", client_secret, methods=["POST"]),
]
