"""How a call's body is written: which keys go with which type."""

import re
from collections.abc import Mapping
from typing import Any

from tieline.definitions import template, values
from tieline.definitions.model import Body, BodyField
from tieline.definitions.problems import shown
from tieline.definitions.schema import Choice, Cursor, Data, Key, Many, Record, Text

_TEXT = 1024 * 1024
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(?:;[\x20-\x7e]{1,200})?")
BODY_KEYS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "json": ("template", "content_type"),
    "form": ("fields",),
    "multipart": ("fields",),
    "raw": ("template", "content_type"),
    "xml": ("template", "content_type"),
    "graphql": ("query", "variables", "operation_name"),
}
_NEEDED = {"raw": ("template", "content_type"), "xml": ("template",), "graphql": ("query",)}


def media_type(text: str) -> str:
    """A media type such as ``text/csv`` (RFC 9110 section 8.3)."""
    if _MEDIA_TYPE.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is no media type; write it like application/json")
    return text


def slots(text: str) -> str:
    """Text whose slots have names that can be."""
    template.parse(text)
    return text


def _check_data(value: Any, place: Cursor) -> None:
    try:
        template.names_in(value)
    except ValueError as error:
        place.problem(str(error))


def _body(found: Mapping[str, Any], place: Cursor) -> Body:
    kind = found["type"]
    for key in BODY.keys[1:]:
        if place.has(key.name) and key.name not in BODY_KEYS[kind]:
            takes = ", ".join(BODY_KEYS[kind]) or "no other key"
            place.key(key.name).problem(f"does not go with a body of type {kind}, which takes {takes}; remove it")
    for name in _NEEDED.get(kind, ()):
        if found[name] is None:
            place.problem(f'the key "{name}" is missing; a body of type {kind} needs it')
    if kind in {"raw", "xml"} and not isinstance(found["template"], str | None):
        place.key("template").problem(f"a body of type {kind} is text; write its template as text")
    _check_data(found["template"], place.key("template"))
    _check_data(found["variables"], place.key("variables"))
    for index, field in enumerate(found["fields"]):
        if kind == "form" and (field.filename is not None or field.content_type is not None):
            place.key("fields").item(index).problem("only multipart has files; remove filename and content_type")
    return Body(**found)


BODY_FIELD = Record(
    "body field",
    (
        Key("name", Text("text of 1–200 characters", values.pair_name)),
        Key("value", Text("text", slots, most=_TEXT)),
        Key("filename", Text("text of 1–200 characters", values.pair_name), None),
        Key("content_type", Text("media type", media_type), None),
    ),
    lambda found, _: BodyField(**found),
    like="{name: prompt, value: <prompt>}",
)
BODY = Record(
    "body",
    (
        Key("type", Choice(tuple(BODY_KEYS))),
        Key("template", Data(), None),
        Key("fields", Many(BODY_FIELD, 500), ()),
        Key("content_type", Text("media type", media_type), None, shows="that of the type"),
        Key("query", Text("text", most=_TEXT), None),
        Key("variables", Data("mapping", is_mapping=True), None),
        Key("operation_name", Text("text of 1–200 characters", values.pair_name), None),
    ),
    _body,
    like="{type: json, template: {text: <text>}}",
)
