"""JSON Schema (2020-12) of what a call takes and gives, for documents, generated clients and tools. Knows no document.

``format`` is an annotation there: ``date-time`` is also said of times without an offset.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tieline.definitions.infer.outline import FieldNode, Lift, outline
from tieline.definitions.model import Call, Field, Parameter, Response

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_BYTES: Mapping[str, Any] = {"type": "string", "contentMediaType": "application/octet-stream"}
_TYPES: Mapping[str, Mapping[str, Any]] = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "unix_time": {"type": "number", "title": "Unix time"},
    "duration": {"type": "string", "title": "Duration"},
    "url": {"type": "string", "format": "uri-reference"},
    "email": {"type": "string", "format": "email"},
    "image": {"type": "string", "format": "uri-reference", "title": "Image"},
    "file": {"type": "string", "format": "uri-reference", "title": "File"},
    "json": {},
    "object": {"type": "object"},
    "map": {"type": "object"},
}
_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    **{name: _TYPES[name] for name in ("text", "number", "integer", "boolean", "date", "datetime", "json", "object")},
    "list": {"type": "array"},
    "file": _BYTES,
}
_ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "image": _BYTES,
    "file": _BYTES,
    "empty": {"type": "null"},
}
# What Python's re reads and ECMA-262, which JSON Schema names, does not.
_PYTHON_ONLY = re.compile(r"\(\?[^:=!<]|\(\?<[^=!]|\\[AZ]|[*+?}]\+")


def schema_of_input(call: Call) -> dict[str, Any]:
    """The object of parameters that a caller gives: private ones left out, no others allowed.

    A pattern that only Python reads is left out.
    """
    given = {name: one for name, one in call.parameters.items() if not one.private}
    found: dict[str, Any] = {
        "$schema": DIALECT,
        "type": "object",
        "properties": {name: _parameter(one) for name, one in given.items()},
        "additionalProperties": False,
    }
    required = [name for name, one in given.items() if one.required]
    return found | ({"required": required} if required else {}) | _said(call.title, call.notes)


def schema_of_output(call: Call) -> dict[str, Any]:
    """What the call answers: its included fields in their shape, wrapped where errors or headers are handed on.

    Without fields any JSON. Optional fields may be missing or null. Of a stream it is what ``event: done`` holds.
    """
    answer = call.response
    found = _answer(answer)
    if answer.include_errors or answer.capture_headers:
        found = {
            "type": "object",
            "properties": {
                "status": {"type": "integer"},
                "body": found,
                "error": {},
                "headers": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["status", "body", "error", "headers"],
        }
    return {"$schema": DIALECT, **found}


def schema_of_fields(fields: Iterable[Field]) -> dict[str, Any]:
    """What ``Shaper(fields).apply`` gives, as a schema without its dialect."""
    fields = tuple(fields)
    tree = outline(fields)
    if not fields:
        return {}
    root = tree.root
    if not tree.lifts:
        return _node(root) if root.is_included or root.members else {"type": "null"}
    found = _node(root) if root.members and root.field is None else _object({}, [])
    lifts = [lift for lift in tree.lifts if lift.node.is_included]
    properties = found["properties"] | {lift.name: _lift(lift) for lift in lifts}
    required = [name for name in found.get("required", ()) if name not in {lift.name for lift in lifts}]
    return _object(properties, required + [lift.name for lift in lifts if lift.several])


def _parameter(one: Parameter) -> dict[str, Any]:
    found = dict(_PARAMETERS[one.type])
    if one.choices:
        found["enum"] = list(one.choices)
    if one.pattern is not None and _PYTHON_ONLY.search(one.pattern) is None:
        found["pattern"] = f"^(?:{one.pattern})$"
    if one.type == "text" and not one.allow_blank and not one.choices:
        found["minLength"] = 1
    if one.default is not None:
        found["default"] = one.default
    return found | _said(one.title, one.notes)


def _said(title: str | None, notes: str | None) -> dict[str, str]:
    said = {"title": title, "description": notes}
    return {name: text for name, text in said.items() if text is not None}


def _answer(answer: Response) -> dict[str, Any]:
    if answer.type != "stream":
        return dict(_ANSWERS[answer.type]) if answer.type in _ANSWERS else schema_of_fields(answer.fields)
    stream = answer.stream
    events = stream.events if stream is not None else ()
    fields = {one.name or "message": schema_of_fields(one.fields) for one in events}
    properties = {"text": {"type": "string"}, "fields": _object(fields, []), "usage": {}}
    return _object(properties, ["text"])


def _object(properties: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": dict(properties)}
    return found | ({"required": required} if required else {})


def _lift(lift: Lift) -> dict[str, Any]:
    return {"type": "array", "items": _nullable(_node(lift.node))} if lift.several else _node(lift.node)


def _node(node: FieldNode) -> dict[str, Any]:
    """What stands at a node, null aside."""
    own = node.field
    if own is None:
        return _below(node)
    found = _below(node.inner) if node.is_open else dict(_TYPES[own.type])
    if own.type == "object" and own.object is not None:
        found["title"] = own.object
    return {"type": "array", "items": found} if own.list else found


def _below(node: FieldNode) -> dict[str, Any]:
    if node.item is not None:
        return {"type": "array", "items": _node(node.item)}
    if node.places:
        chosen = [_node(below) for _, below in sorted(node.places.items()) if below.is_included]
        return {"type": "array", "maxItems": len(chosen), "prefixItems": [_nullable(one) for one in chosen]}
    properties, required = {}, []
    for key, below in node.members.items():
        if not below.is_included:
            continue
        name = below.called(key)
        always = _is_always_there(below)
        properties[name] = _node(below) if always else _nullable(_node(below))
        if always:
            required.append(name)
    found = _object(properties, required)
    if node.value is not None and node.value.is_included:
        found["additionalProperties"] = _nullable(_node(node.value))
    return found


def _is_always_there(node: FieldNode) -> bool:
    """Whether samples always had a value here, as far as the fields know."""
    while node.field is None and node.item is not None:
        node = node.item
    return node.field is not None and not node.field.optional and not node.field.undecided


def _nullable(found: dict[str, Any]) -> dict[str, Any]:
    kind = found.get("type")
    return found if kind is None else found | {"type": [kind, "null"]}
