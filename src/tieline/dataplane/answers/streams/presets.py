"""The streams of five providers: where the text is, what ends them, what failed, what else a caller may want.

Each function takes an event's name and value and never raises, whatever the value is. A path stands where a path says
it all, a function where a provider needs a choice. docs/streams.md has the table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tieline.definitions.getters import Get, getter

Read = Callable[[str | None, Any], Any]


@dataclass(frozen=True, slots=True)
class Preset:
    """How one provider's stream is read.

    ``whole`` recognises an event after which the stream may end, ``done`` one that ends it; ``end`` is data that does.
    ``event`` gives what is handed out of an event beside the text, None for nothing; ``around`` what many events
    repeat, which is handed out where it is new: whatever the provider's documentation does not name. ``kept`` are the
    fields of the end.
    """

    format: str
    fits: Callable[[str | None, Any], bool]
    text: Read
    usage: Read
    error: Read
    event: Read
    around: Read
    kept: Mapping[str, Get]
    end: bytes | None = None
    done: Callable[[str | None, Any], bool] | None = None
    whole: Callable[[str | None, Any], bool] | None = None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _of(path: str) -> Read:
    get = getter(path)
    return lambda _name, value: get(value)


def _paths(**paths: str) -> Mapping[str, Get]:
    return {name: getter(path) for name, path in paths.items()}


def nothing(_name: str | None, _value: Any) -> None:
    """For streams that have no such thing."""


def error_of(name: str | None, value: Any) -> Any:
    """What most providers do: a member ``error``, or all of an event that is named so, or calls itself one.

    Where ``error`` is a word beside a message, it is all of the event too.
    """
    found = value.get("error") if isinstance(value, dict) else None
    if isinstance(found, str) and isinstance(value.get("message"), str):
        return value
    return found if found is not None else (value or {}) if name == "error" or is_error_object(value) else None


def is_error_object(value: Any) -> bool:
    """Whether an event says of itself that it is an error (vLLM: ``{"object": "error", "message": …}``)."""
    return isinstance(value, dict) and "error" in (value.get("object"), value.get("type"))


def _beyond(value: Any, known: frozenset[str]) -> dict[str, Any] | None:
    """The members of an object whose names are not among the ``known`` ones, and that say something."""
    if not isinstance(value, dict) or value.keys() <= known:
        return None
    return {key: each for key, each in value.items() if key not in known and each not in (None, "", [], {})} or None


# --- OpenAI chat completions: n > 1 sends several choices, told apart by index; the text is that of the first. Services
# that speak its language add members of their own, beside the choices and in them; some send content in parts ---------

_CHAT_KNOWN = frozenset(
    "id object created model choices usage system_fingerprint service_tier obfuscation error".split()  # noqa: SIM905
)
_CHOICE_KNOWN = frozenset({"index", "delta", "finish_reason", "message"})  # some repeat the whole message so far


def _chat_text(_: str | None, value: Any) -> Any:
    for choice in _dicts(value.get("choices") if isinstance(value, dict) else None):
        delta = choice.get("delta")
        if isinstance(delta, dict) and not choice.get("index"):
            return delta.get("content")
    return None


def _chat_event(_: str | None, value: Any) -> Any:
    fields: dict[str, Any] = {}
    for choice in _dicts(value.get("choices") if isinstance(value, dict) else None):
        index, delta = choice.get("index"), choice.get("delta")
        found = {"finish_reason": choice["finish_reason"]} if choice.get("finish_reason") else {}
        found |= _beyond(choice, _CHOICE_KNOWN) or {}
        if isinstance(delta, dict):
            found |= {
                key: each for key, each in delta.items() if each and (index or key != "content") and key != "role"
            }
            others = _parts_without_text(delta.get("content")) if not index else []
            found |= {"content": others} if others else {}
        if found:
            fields.update({"index": index, **found} if index else found)
    return fields or None


def _chat_error(name: str | None, value: Any) -> Any:
    """An error as it is customary, or an object without choices that has a message and a code, or a detail alone."""
    found = error_of(name, value)
    if found is not None or not isinstance(value, dict) or "choices" in value:
        return found
    is_coded = isinstance(value.get("message"), str) and not {"code", "status", "status_code"}.isdisjoint(value)
    return value if is_coded or value.keys() == {"detail"} else None


def text_in(value: Any) -> str:
    """Text that stands there itself, in a list of texts, or in one of parts such as ``{"type": "text", "text": …}``."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    return "".join([each if isinstance(each, str) else each["text"] for each in value if _is_text_part(each)])


def _is_text_part(part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(part.get("text"), str) and part.get("type", "text") in {"text", "output_text"}
    return isinstance(part, str)


def _parts_without_text(content: Any) -> list[Any]:
    return [part for part in content if not _is_text_part(part)] if isinstance(content, list) else []


def _chat_fits(_: str | None, value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return value.get("object") == "chat.completion.chunk" or any(
        "delta" in each for each in _dicts(value.get("choices"))
    )


# --- OpenAI Responses: every event is named; whole items repeat what deltas said and are not handed out again --------

_RESPONSES_SILENT = {
    "response.created", "response.in_progress", "response.queued", "response.completed", "response.incomplete",
    "response.output_text.done", "response.content_part.added", "response.content_part.done",
}  # fmt: skip


def _responses_text(name: str | None, value: Any) -> Any:
    return value.get("delta") if name == "response.output_text.delta" and isinstance(value, dict) else None


def _responses_error(name: str | None, value: Any) -> Any:
    if name == "response.failed":
        response = value.get("response") if isinstance(value, dict) else None
        return (response.get("error") if isinstance(response, dict) else None) or {}
    return error_of(name, value) if name == "error" or name is None else None


_TEXT_DELTA_KNOWN = frozenset(
    "type delta item_id output_index content_index sequence_number obfuscation".split()  # noqa: SIM905
)


def _responses_event(name: str | None, value: Any) -> Any:
    if _responses_text(name, value) is not None:
        return _beyond(value, _TEXT_DELTA_KNOWN)
    return None if name in _RESPONSES_SILENT else value


# --- Anthropic messages: usage comes in two parts, at the start and with the end -------------------------------------

_ANTHROPIC_SILENT = {"message_start", "message_stop", "content_block_stop", "ping"}
_MESSAGE_DELTA_KNOWN = frozenset({"type", "delta", "usage"})
_TEXT_BLOCK_KNOWN = frozenset({"type", "index", "delta"})


def _anthropic_text(name: str | None, value: Any) -> Any:
    if name != "content_block_delta" or not isinstance(value, dict):
        return None
    delta = value.get("delta")
    return delta.get("text") if isinstance(delta, dict) and delta.get("type", "text_delta") == "text_delta" else None


def _anthropic_event(name: str | None, value: Any) -> Any:
    if name in _ANTHROPIC_SILENT or not isinstance(value, dict):
        return None
    if _anthropic_text(name, value) is not None:
        return _beyond(value, _TEXT_BLOCK_KNOWN)
    if name == "message_delta":
        delta = value.get("delta")
        told = {key: part for key, part in delta.items() if part is not None} if isinstance(delta, dict) else {}
        return told | (_beyond(value, _MESSAGE_DELTA_KNOWN) or {}) or None
    if name == "content_block_start":
        block = value.get("content_block")
        if isinstance(block, dict) and block.get("type") == "text" and not block.get("text"):
            return None
    return {key: part for key, part in value.items() if key != "type"}


def _anthropic_usage(name: str | None, value: Any) -> Any:
    if name == "message_start":
        return _MESSAGE_USAGE(value)
    return value.get("usage") if isinstance(value, dict) else None


_MESSAGE_USAGE = getter("message.usage")
_ANTHROPIC_NAMES = _ANTHROPIC_SILENT - {"ping"} | {"message_delta", "content_block_start", "content_block_delta"}


# --- Gemini: thoughts are parts of the text that are marked; a blocked prompt has no candidate -----------------------

_GEMINI_PARTS = getter("candidates[0].content.parts")
_GEMINI_FIRST = getter("candidates[0]")
_GEMINI_FINISH = getter("candidates[0].finishReason")
_GEMINI_BLOCK = getter("promptFeedback.blockReason")
_CANDIDATE_KNOWN = frozenset({"content", "finishReason", "index"})
_GEMINI_KNOWN = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "createTime", "error"})


def _gemini_text(_: str | None, value: Any) -> Any:
    parts = _dicts(_GEMINI_PARTS(value))
    return "".join([_text_in(part) for part in parts]) if parts else None


def _text_in(part: Mapping[str, Any]) -> str:
    text = part.get("text")
    return text if isinstance(text, str) and not part.get("thought") else ""


def _gemini_event(_: str | None, value: Any) -> Any:
    """Parts of the first candidate that are no text, and whole candidates beside it."""
    parts = [part for part in _dicts(_GEMINI_PARTS(value)) if "text" not in part or part.get("thought")]
    fields: dict[str, Any] = {"parts": parts} if parts else {}
    others = _dicts(value.get("candidates") if isinstance(value, dict) else None)[1:]
    return fields | ({"candidates": others} if others else {}) or None


def _gemini_around(_: str | None, value: Any) -> Any:
    """What the candidate says of itself (grounding, citations, safety), and what stands beside the candidates."""
    beside = _beyond(value, _GEMINI_KNOWN) or {}
    feedback = beside.pop("promptFeedback", None)
    told = {key: each for key, each in feedback.items() if key != "blockReason"} if isinstance(feedback, dict) else {}
    beside |= {"promptFeedback": told} if told else {}
    return (_beyond(_GEMINI_FIRST(value), _CANDIDATE_KNOWN) or {}) | beside or None


def _gemini_whole(_: str | None, value: Any) -> bool:
    return _GEMINI_FINISH(value) is not None or _GEMINI_BLOCK(value) is not None


def _gemini_fits(_: str | None, value: Any) -> bool:
    return isinstance(value, dict) and (
        "usageMetadata" in value or any("content" in c for c in _dicts(value.get("candidates")))
    )


# --- Ollama: /api/chat and /api/generate -----------------------------------------------------------------------------


_OLLAMA_KNOWN = frozenset(
    "model created_at message response done done_reason context error total_duration load_duration prompt_eval_count "  # noqa: SIM905
    "prompt_eval_duration eval_count eval_duration".split()
)
_MESSAGE_KNOWN = frozenset({"role", "content"})


def _ollama_event(_: str | None, value: Any) -> Any:
    """What the message holds beside its text, or in ``/api/generate`` the answer: thoughts, calls of tools, images."""
    message = value.get("message") if isinstance(value, dict) else None
    if isinstance(message, dict):
        return _beyond(message, _MESSAGE_KNOWN)
    return _beyond(value, _OLLAMA_KNOWN)


def _ollama_around(_: str | None, value: Any) -> Any:
    chats = isinstance(value, dict) and isinstance(value.get("message"), dict)
    return _beyond(value, _OLLAMA_KNOWN) if chats else None


def _ollama_usage(_: str | None, value: Any) -> Any:
    if not isinstance(value, dict) or "eval_count" not in value:
        return None
    return {key: value[key] for key in ("prompt_eval_count", "eval_count") if key in value}


def _ollama(text: str, sign: str, sort: type) -> Preset:
    return Preset(
        "ndjson",
        fits=lambda _, value: isinstance(value, dict) and "done" in value and isinstance(value.get(sign), sort),
        text=_of(text),
        usage=_ollama_usage,
        error=error_of,
        event=_ollama_event,
        around=_ollama_around,
        kept=_paths(model="model", finish_reason="done_reason"),
        done=lambda _, value: isinstance(value, dict) and value.get("done") is True,
    )


def _gemini(format: str) -> Preset:
    return Preset(
        format,
        fits=_gemini_fits,
        text=_gemini_text,
        usage=_of("usageMetadata"),
        error=error_of,
        event=_gemini_event,
        around=_gemini_around,
        kept=_paths(
            id="responseId",
            model="modelVersion",
            finish_reason="candidates[0].finishReason",
            block_reason="promptFeedback.blockReason",
        ),
        whole=_gemini_whole if format == "sse" else None,
    )


PRESETS: Mapping[str, Preset] = {
    "openai_responses": Preset(
        "sse",
        fits=lambda name, value: name is not None and name.startswith("response.") and isinstance(value, dict),
        text=_responses_text,
        usage=_of("response.usage"),
        error=_responses_error,
        event=_responses_event,
        around=nothing,
        kept=_paths(
            id="response.id",
            model="response.model",
            status="response.status",
            finish_reason="response.incomplete_details.reason",
        ),
        done=lambda name, _: name in {"response.completed", "response.incomplete"},
    ),
    "anthropic_messages": Preset(
        "sse",
        fits=lambda name, value: name in _ANTHROPIC_NAMES and isinstance(value, dict),
        text=_anthropic_text,
        usage=_anthropic_usage,
        error=error_of,
        event=_anthropic_event,
        around=nothing,
        kept=_paths(id="message.id", model="message.model", finish_reason="delta.stop_reason"),
        done=lambda name, _: name == "message_stop",
    ),
    "openai_chat": Preset(
        "sse",
        fits=_chat_fits,
        text=_chat_text,
        usage=_of("usage"),
        error=_chat_error,
        event=_chat_event,
        around=lambda _, value: _beyond(value, _CHAT_KNOWN),
        kept=_paths(id="id", model="model", finish_reason="choices[0].finish_reason"),
        end=b"[DONE]",
    ),
    "gemini": _gemini("sse"),
    "gemini_array": _gemini("json_array"),
    "ollama": _ollama("message.content", "message", dict),
    "ollama_generate": _ollama("response", "response", str),
}
"""By name, the surest to recognise first."""
