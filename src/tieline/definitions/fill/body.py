"""The body of a call, whatever its type: one compiled form with one way to fill it."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tieline.core.errors import InvalidParameter
from tieline.definitions import template
from tieline.definitions.fill.json_body import JsonTemplate
from tieline.definitions.fill.json_text import write_json
from tieline.definitions.fill.multipart import Multipart, refuse_repeated_files
from tieline.definitions.fill.pairs import FormPair, form_pair, render_pairs
from tieline.definitions.fill.request import FilledBody, FilePart, Piece, body_of
from tieline.definitions.fill.scope import BODY_MOST, Run, Scope, body_too_large, joined, slots_of, whole
from tieline.definitions.fill.xml_body import XmlTemplate
from tieline.definitions.model import Body, BodyField

FilledBodyMaker = Callable[[Run], FilledBody | None]
_JSON = "application/json"
_XML = "application/xml"
_FORM = b"application/x-www-form-urlencoded"
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)
# Types whose structure a value inserted as it is could change; each has a body type that escapes.
_STRUCTURED = re.compile(r"(?:application|text)/(?:json|xml|x-www-form-urlencoded|[^;]*\+(?:json|xml))\s*(?:;.*)?", re.IGNORECASE)


def compile_body(body: Body, members: Mapping[str, str], scope: Scope) -> FilledBodyMaker | None:
    """What makes the body of a run, None for a call without one.

    ``members`` are the parameters and shared values that go into it without a slot: by name in the body, the slot's name.
    Raises ValueError for a template that cannot be filled.
    """
    _check_charset(body)
    match body.type:
        case "none":
            return None
        case "json":
            return _whole(body.content_type or _JSON, JsonTemplate(body.template, scope, _unnamed(body.template, members, scope)))
        case "graphql":
            return _whole(_JSON, _graphql(body, members, scope))
        case "xml":
            return _whole(body.content_type or _XML, XmlTemplate(body.template, scope))
        case "form":
            return _form(_fields(body, members, scope), scope)
        case "multipart":
            return Multipart(_fields(body, members, scope), scope).render
        case _:
            return _raw(body, scope)


def _check_charset(body: Body) -> None:
    charset = _CHARSET.search(body.content_type or "")
    if charset is not None and charset[1].lower() != "utf-8":
        raise ValueError(f"the body's content type says charset {charset[1]}, but bodies are sent in UTF-8; correct it")


def _unnamed(data: Any, members: Mapping[str, str], scope: Scope) -> dict[str, str]:
    """The members that the template does not name itself; a parameter may not be there twice, a shared value gives way."""
    named = set(data or {}) if isinstance(data, Mapping) or data is None else None
    kept = {}
    for name, slot in members.items():
        if named is None or name in named:
            if slot in scope.rules:
                raise ValueError(f"the body's template has a member {name}, which is a parameter too; write <{name}> there")
            continue
        kept[name] = slot
    return kept


def _whole(content_type: str, compiled: JsonTemplate | XmlTemplate) -> FilledBodyMaker:
    kind = content_type.encode()

    def make(run: Run) -> FilledBody | None:
        content = compiled.render(run)
        return FilledBody(kind, (content,), len(content)) if content is not None else None

    return make


def _graphql(body: Body, members: Mapping[str, str], scope: Scope) -> JsonTemplate:
    """The GraphQL over HTTP request: the document is fixed, variables are a JSON template."""
    parameters = {name: slot for name, slot in members.items() if slot in scope.rules}
    shared = {name: slot for name, slot in members.items() if slot not in scope.rules and name not in _GRAPHQL_KEYS}
    data: dict[str, Any] = {"query": template.escape(body.query or "")}
    if body.operation_name is not None:
        data["operationName"] = template.escape(body.operation_name)
    variables = None
    if body.variables is not None or parameters:
        variables = JsonTemplate(body.variables or {}, scope, _unnamed(body.variables, parameters, scope))
    return JsonTemplate(data, scope, shared, {"variables": variables} if variables is not None else {})


def _fields(body: Body, members: Mapping[str, str], scope: Scope) -> list[BodyField]:
    fields = list(body.fields)
    named = {field.name for field in fields}
    for name, slot in members.items():
        if slot in scope.rules or name not in named:
            fields.append(BodyField(name, f"<{slot}>"))
    return fields


def _form(fields: list[BodyField], scope: Scope) -> FilledBodyMaker:
    pairs: tuple[FormPair, ...] = tuple(form_pair(field.name, field.value, scope) for field in fields)

    def make(run: Run) -> FilledBody:
        content = joined(render_pairs(pairs, run), BODY_MOST, body_too_large).encode("ascii")
        return FilledBody(_FORM, (content,), len(content))

    return make
