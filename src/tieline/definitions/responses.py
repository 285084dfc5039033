"""How a call's response is written: its type, fields and stream."""

from collections.abc import Mapping
from typing import Any

from tieline.definitions import values
from tieline.definitions.infer import paths
from tieline.definitions.model import Field, Response, Spot, Stream, StreamEvent
from tieline.definitions.problems import shown
from tieline.definitions.schema import Choice, Cursor, Data, Flag, Key, Many, Record, Text
from tieline.definitions.sections import HEADER_NAME, TITLE


def _path(text: str) -> str:
    if not paths.is_path(text):
        raise ValueError(f"{shown(text)} is no path; write it like choices[0].message, items[].id or $ (the whole)")
    if paths.LAST in paths.split(text):
        raise ValueError("[-1], the last item, is for pagination.next only; write [] for every item")
    return text


def _path_to_one(text: str) -> str:
    if not paths.is_path(text):
        raise ValueError(f"{shown(text)} is no path; write it like meta.next_cursor or data[-1].id (the last item's)")
    if None in paths.split(text) or paths.ANY_KEY in paths.split(text):
        raise ValueError("leads to many values, and one is needed; write [-1] for the last item's, as in data[-1].id")
    return text


def _field(found: Mapping[str, Any], place: Cursor) -> Field:
    if (found["object"] is not None) != (found["type"] == "object"):
        place.problem("type: object and object (the name of the object type) go together; give both or neither")
    if found["parse"] and not (found["list"] or found["type"] in {"json", "object", "map"}):
        place.key("parse").problem("only json, objects and lists are parsed from text; remove it")
    if found["undecided"] and found["type"] not in {"json", "object", "text"}:
        place.key("undecided").problem("a field of a type is decided; remove it")
    return Field(**found)


def _response(found: Mapping[str, Any], place: Cursor) -> Response:
    kind = found["type"]
    if (found["stream"] is not None) and kind != "stream":
        place.key("stream").problem("goes with type: stream only; remove it")
    if found["fields"] and kind not in {"json", "xml", "csv", "stream"}:
        place.key("fields").problem(f"an answer of type {kind} has no fields; remove them")
    paths = [field.path for field in found["fields"]]
    if len(set(paths)) < len(paths):
        place.key("fields").problem("names a path twice; keep one of them")
    stream = found["stream"] or (Stream() if kind == "stream" else None)
    headers = tuple(name.lower() for name in found["capture_headers"])
    return Response(kind, found["fields"], found["include_errors"], headers, stream, found["unknown"])


def _stream(found: Mapping[str, Any], place: Cursor) -> Stream:
    if found["preset"] is not None and place.has("format"):
        place.key("format").problem("comes with the preset; remove one of the two")
    return Stream(**found)


PATH = Text("path in the answer", _path, most=1000)
PATH_TO_ONE = Text("path to one value in the answer", _path_to_one, most=1000)
FIELD_TYPES = (
    "text", "number", "integer", "boolean", "date", "datetime", "unix_time", "duration", "url", "email", "image",
    "file", "json", "object", "map",
)  # fmt: skip
FIELD = Record(
    "field",
    (
        Key("path", PATH),
        Key("type", Choice(FIELD_TYPES)),
        Key("list", Flag(), default=False),
        Key("include", Flag(), default=True),
        Key("name", TITLE, None),
        Key("object", TITLE, None),
        Key("parse", Flag(), default=False),
        Key("optional", Flag(), default=False),
        Key("undecided", Flag(), default=False),
        Key("pinned", Flag(), default=False),
        Key("sample", Data(), None),
    ),
    _field,
    like="{path: name, type: text}",
)
_FIELDS = Many(FIELD, 5000)
_EVENT = Text("text of 1–200 characters", values.pair_name)
SPOT = Record(
    "spot",
    (Key("path", PATH), Key("event", _EVENT, None, shows="all events"), Key("parse", Flag(), default=False)),
    lambda found, _: Spot(**found),
    like="{path: delta.text}",
)
EVENT = Record(
    "event",
    (Key("name", _EVENT, None, shows="events without a name"), Key("fields", _FIELDS, ())),
    lambda found, _: StreamEvent(**found),
    like="{name: done}",
)
STREAM_FORMATS = ("sse", "ndjson", "json_array", "json_concatenated", "text")
STREAM_PRESETS = (
    "openai_chat", "openai_responses", "anthropic_messages", "gemini", "gemini_array", "ollama", "ollama_generate",
)  # fmt: skip
STREAM = Record(
    "stream",
    (
        Key("preset", Choice(STREAM_PRESETS), None),
        Key("format", Choice(STREAM_FORMATS), "sse"),
        Key("text", SPOT, None),
        Key("usage", SPOT, None),
        Key("done", SPOT, None),
        Key("error", SPOT, None),
        Key("end", Text("text of 1–200 characters", values.pair_name), None, shows="the end of the answer"),
        Key("events", Many(EVENT, 200), ()),
    ),
    _stream,
    like="{preset: openai_chat}",
)
RESPONSE_TYPES = ("json", "xml", "text", "number", "boolean", "csv", "image", "file", "empty", "stream")
RESPONSE = Record(
    "response",
    (
        Key("type", Choice(RESPONSE_TYPES), "json"),
        Key("fields", _FIELDS, ()),
        Key("include_errors", Flag(), default=False),
        Key("capture_headers", Many(HEADER_NAME, 100), ()),
        Key("stream", STREAM, None, shows="all defaults with `type: stream`"),
        Key("unknown", Choice(("keep", "drop")), "keep"),
    ),
    _response,
    like="{type: json}",
)
