"""Where OpenAI, and who speaks its language, tells usage: chat, Responses, embeddings, images, audio, realtime.

Sources: the OpenAPI document of 2026-08-21; for other services what their users reported. Never multiplied by ``n``:
the figures are of all choices.
"""

from typing import Any, Final

from tieline.metering.usage.sighting import Sighting, object_at, objects

_TOOLS: Final = {
    "web_search_call": "searches",
    "file_search_call": "file_searches",
    "code_interpreter_call": "code_executions",
}
_OVER: Final = frozenset({"completed", "incomplete", "failed", "cancelled"})
_WRITTEN_DOWN: Final = "conversation.item.input_audio_transcription.completed"


def look(value: Any) -> Sighting | None:
    """As ``sighting.Look`` says."""
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    if kind == _WRITTEN_DOWN:
        return Sighting(usage=object_at(value, "usage"), turn=_text(value.get("item_id")), aside=True)
    if isinstance(kind, str) and kind.startswith("session."):
        return Sighting(model=(object_at(value, "session") or {}).get("model"), final=False)
    response = object_at(value, "response")
    if response is not None:
        return _response(response, _text(response.get("id")))
    if value.get("object") == "response":
        return _response(value, "")
    return _other(value)


def _response(response: dict[str, Any], turn: str) -> Sighting:
    """A response of the Responses API or of a realtime session."""
    usage = object_at(response, "usage")
    final = usage is not None and response.get("status", "completed") in _OVER
    counts: dict[str, int] = {}
    for item in objects(response.get("output")) if final else ():
        quantity = _TOOLS.get(_text(item.get("type")))
        if quantity is not None and (object_at(item, "action") or {}).get("type", "search") == "search":
            counts[quantity] = counts.get(quantity, 0) + 1
    return Sighting(response.get("model"), response.get("service_tier"), usage, turn, final, counts)


def _other(value: dict[str, Any]) -> Sighting:
    """A chat completion or a chunk of one, embeddings, images, a transcription, the end of speech."""
    usage = object_at(value, "usage")
    if not usage:
        usage = object_at(object_at(value, "x_groq") or {}, "usage")
    if usage is None:
        usage = next((each["usage"] for each in objects(value.get("choices")) if object_at(each, "usage")), None)
    if usage is None and "text" in value and isinstance(value.get("duration"), int | float | str):
        usage = {"seconds": value["duration"]}  # a transcription as verbose_json
    made = sum("b64_json" in each or "url" in each for each in objects(value["data"])) if "data" in value else 0
    if value.get("type") in {"image_generation.completed", "image_edit.completed"}:
        made = 1
    found = Sighting(value.get("model"), value.get("service_tier"), usage)
    return found._replace(counts={"images": made}) if made else found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
