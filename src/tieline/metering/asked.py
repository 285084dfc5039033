"""What a request asks of a model: which, how much it may write, what it has in store for it, and which tools.

Read from a body of JSON, the fields of a form, a frame of a WebSocket, or the path. Whatever cannot be told for sure
is taken for the dearer case: a body with two members of one name, which upstreams read differently, has no bound, and
text that merely looks like a picture's member is no plain text. Nothing raises.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import orjson

from tieline.core.json_places import NoPlaceError, members
from tieline.metering.reading import name_in, whole

BODY_MOST: Final = 1024 * 1024
"""Bytes of a body up to which it is read at once; of a longer one nothing is said."""
MODELS_MOST: Final = 100
"""Models that one request can name; one that names more names none that is allowed."""
_OUTPUT = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_INPUTS = ("input", "prompt", "texts")
_TOOLS_AT = frozenset({"tools", "web_search_options"})
_STORED = frozenset(
    "previous_response_id conversation prompt_id thread_id assistant_id container cachedContent".split()  # noqa: SIM905
)
BEARING = frozenset(
    (
        *_OUTPUT, *_STORED, "model", "stream", "n", "best_of", "service_tier", "tools", "web_search_options", "input",
        "prompt", "max_tool_calls", "generationConfig", "generation_config", "messages", "voice",
    )
)  # fmt: skip
_WRITTEN: Final = {name: b'"%b"' % name.encode() for name in BEARING}
# Members and types whose content is no text, or is kept elsewhere.
_NOT_TEXT: Final = re.compile(  # most texts begin with none of these letters
    rb'"(?=[acdfisv])(?:file_id|file_data|file_url|file_ids|fileData|file_data|inlineData|inline_data|image_url|image'
    rb"|images|audio|input_audio|input_image|input_file|input_video|video|video_url|document|source|item_reference"
    rb'|vector_store_ids|attachments|container)"'
)
_ESCAPED: Final = b"\\u00"
_ESCAPED_ASCII: Final = re.compile(rb"\\u00[2-7]")
_TOOLS: Final = (
    ("web_search", "searches"),
    ("google_search", "searches"),
    ("googleSearch", "searches"),
    ("file_search", "file_searches"),
    ("code_interpreter", "code_executions"),
    ("code_execution", "code_executions"),
    ("codeExecution", "code_executions"),
)
_CLIENTS_OWN: Final = ("function", "custom", "bash_", "text_editor_", "computer_", "memory_")
_IN_PATH: Final = re.compile(r"/models/([^/:?]+)(?::[A-Za-z]+)?(?:$|\?)")
_NO_TOOLS: Final[Mapping[str, int | None]] = {}
_NOTHING: Final[Mapping[str, int]] = {}
_PLAIN: Final = frozenset({"model", "stream", "messages"})
_BEYOND: Final = BEARING.union(_INPUTS) - _PLAIN
"""What a chat may say beside its model, its messages, and that it is to be a stream."""
UNCLEAR: Final = "unclear"
"""Stands among the tools of a request that cannot be told for sure: nothing covers it, so there is no bound."""


class AskedOfModel(NamedTuple):
    """What a request asks for; as ``bound.Boundable`` says.

    ``models`` are all values that its members ``model`` have, in their order: a list of allowed models has to allow
    each. ``is_stream`` says that a stream is asked for. ``is_stored`` says that the upstream reads what it keeps.
    """

    models: tuple[str, ...] = ()
    is_stream: bool = False
    most_output: int | None = None
    choices: int = 1
    inputs: int = 1
    service_tier: str | None = None
    is_stored: bool = False
    is_whole: bool = False
    tools: Mapping[str, int | None] = _NO_TOOLS
    most: Mapping[str, int] = _NOTHING

    @property
    def model(self) -> str | None:
        """The model, where one alone is named."""
        models = self.models
        return models[0] if len(models) == 1 or len(set(models)) == 1 else None


def asked_in_json(body: bytes) -> AskedOfModel | None:
    """What a body of JSON asks for; None where it is none, or longer than a MiB."""
    if len(body) > BODY_MOST:
        return None
    try:
        value = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    named = None if _is_once(value, body) else _every(body)
    models = (value.get("model"),) if named is None else [each for name, each in named if name == "model"]
    is_clear = named is None or len({name for name, _ in named}) == len(named)
    return _asked(value, models, is_clear=is_clear, is_text=_NOT_TEXT.search(body) is None)


def asked_in_form(fields: Iterable[tuple[str, str]]) -> AskedOfModel:
    """What the fields of a form ask for; its files are never plain text."""
    pairs = [(name.removesuffix("[]"), value) for name, value in fields]
    value = dict(pairs)
    models = [each for name, each in pairs if name == "model"]
    named = [name for name, _ in pairs if name in BEARING]
    is_clear = len(set(named)) == len(named)
    typed: dict[str, Any] = {**value, "stream": value.get("stream") == "true"}
    typed.pop("tools", None)
    return _asked(typed, models, is_clear=is_clear, is_text=False)


def asked_in_frame(data: bytes) -> AskedOfModel | None:
    """What a frame from a client asks for: a session's settings, or an answer; None where it is no JSON."""
    outer = asked_in_json(data)
    if outer is None:
        return None
    models = [*outer.models]
    value = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    for name in ("session", "response"):
        inner = value.get(name)
        if isinstance(inner, dict) and "model" in inner:
            models.append(name_in(inner["model"]) or "")
    if _ESCAPED_ASCII.search(data) or data.count(b'"model"') > len(models):
        return AskedOfModel(tuple(models), tools={UNCLEAR: None})
    return AskedOfModel(tuple(models), outer.is_stream, outer.most_output, is_stored=True, tools=outer.tools)


def model_in_path(path: str) -> str | None:
    """The model that a path names, as Gemini's do: ``/models/gemini-3-pro:generateContent``."""
    found = _IN_PATH.search(path)
    return name_in(found[1]) if found is not None else None


def _is_once(value: Mapping[str, Any], body: bytes) -> bool:
    """Whether a look at ``body`` tells that none of the members of ``value`` that matter is there twice."""
    for name in value:
        written = _WRITTEN.get(name)
        if written is not None and body.count(written) != 1:
            return False
    return _ESCAPED not in body or _ESCAPED_ASCII.search(body) is None


def _every(body: bytes) -> list[tuple[str, Any]]:
    """The members that matter, those of one name too."""
    found: list[tuple[str, Any]] = []
    try:
        for name, begin, end in members(body, 3 if body.startswith(b"\xef\xbb\xbf") else 0):
            if name in BEARING:
                is_model = name == "model" and end - begin < BODY_MOST
                found.append((name, orjson.loads(body[begin:end]) if is_model else None))
    except (NoPlaceError, orjson.JSONDecodeError):
        return [("model", None), ("model", None)]
    return found


def _asked(value: Mapping[str, Any], models: Iterable[Any], *, is_clear: bool, is_text: bool) -> AskedOfModel:
    names = [name_in(each) or "" for each in models if each is not None][: MODELS_MOST + 1]
    if is_clear and _BEYOND.isdisjoint(value):
        return AskedOfModel(tuple(names), value.get("stream") is True, is_whole=is_text)
    tools = {UNCLEAR: None} if not is_clear else _NO_TOOLS if _TOOLS_AT.isdisjoint(value) else _tools(value)
    is_stored = isinstance(value.get("prompt"), dict) or (
        not _STORED.isdisjoint(value) and any(value.get(name) is not None for name in _STORED)
    )
    settings = value.get("generationConfig", value.get("generation_config"))
    settings = settings if isinstance(settings, dict) else _NOTHING
    choices = _choices(value, settings)
    return AskedOfModel(
        tuple(names),
        value.get("stream") is True,
        _most_output(value, settings),
        choices,
        _inputs(value),
        name_in(value.get("service_tier")),
        is_stored,
        is_text and is_clear and not is_stored and not tools,
        tools,
        _most(value, choices),
    )


def _most_output(value: Mapping[str, Any], settings: Mapping[str, Any]) -> int | None:
    """The most that a choice may have; None where nothing says it, or something says it that cannot be read."""
    limits = [value[name] for name in _OUTPUT if name in value and value[name] is not None]
    if settings:
        limits += [settings[name] for name in ("maxOutputTokens", "max_output_tokens") if name in settings]
    read = [most for each in limits if (most := whole(each)) is not None]
    return max(read) if read and len(read) == len(limits) else None


def _choices(value: Mapping[str, Any], settings: Mapping[str, Any]) -> int:
    if "n" not in value and "best_of" not in value and not settings:
        return 1
    counts = (value.get("n"), value.get("best_of"), settings.get("candidateCount"))
    return max([whole(each) or 1 for each in counts if each is not None], default=1)


def _inputs(value: Mapping[str, Any]) -> int:
    """How many texts are answered apart: those of embeddings, and of completions of text."""
    for name in _INPUTS:
        given = value.get(name)
        if isinstance(given, list) and given and isinstance(given[0], str | list):
            return len(given)
    return 1


def _most(value: Mapping[str, Any], choices: int) -> Mapping[str, int]:
    if "voice" in value and isinstance(value.get("input"), str):
        return {"characters": len(value["input"])}
    if "prompt" in value and "messages" not in value and not value.get("max_tokens"):
        return {"images": choices}
    return _NOTHING


def _tools(value: Mapping[str, Any]) -> dict[str, int | None]:
    """The provider's own tools in use, by what they are charged as, and how often they may be."""
    found: dict[str, int | None] = {}
    if value.get("web_search_options") is not None:
        found["searches"] = None
    given = value.get("tools")
    calls = value.get("max_tool_calls")
    for tool in given if isinstance(given, list) else ():
        if not isinstance(tool, dict):
            found[UNCLEAR] = None
            continue
        kind = tool.get("type")
        names = [kind] if isinstance(kind, str) else [] if "name" in tool or "function" in tool else list(tool)
        for name in names:
            quantity = _charged(name)
            if quantity is not None:
                uses = whole(tool.get("max_uses")) if tool.get("max_uses") is not None else whole(calls)
                found[quantity] = None if quantity in found else uses
    return found


def _charged(tool: str) -> str | None:
    """The quantity that a tool is charged as: itself where it is not known, None for one that the client runs."""
    if tool.startswith(_CLIENTS_OWN) or tool in {"functionDeclarations", "function_declarations"}:
        return None
    return next((quantity for begin, quantity in _TOOLS if tool.startswith(begin)), tool)
