"""The body of a call, whatever its type: one compiled form with one way to fill it."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tieline.definitions import template
from tieline.definitions.fill.json_body import JsonTemplate
from tieline.definitions.fill.multipart import Field, Multipart, refuse_repeated_files
from tieline.definitions.fill.pairs import FormPair, render_pairs
from tieline.definitions.fill.request import FilePart, FilledBody, Piece, body_of
from tieline.definitions.fill.scope import BODY_MOST, SlotScope, ValueForms, body_too_large, slots_of, whole
from tieline.definitions.fill.xml_body import XmlTemplate
from tieline.definitions.model import Body, BodyField
from tieline.definitions.template import Slot

BodyMaker = Callable[[ValueForms], FilledBody | None]
_JSON = "application/json"
_XML = "application/xml"
_FORM = b"application/x-www-form-urlencoded"
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)
# Types whose structure a value inserted as it is could change; each has a body type that escapes.
_STRUCTURED = re.compile(
    r"(?:application|text)/(?:json|xml|x-www-form-urlencoded|[^;]*\+(?:json|xml))\s*(?:;.*)?", re.IGNORECASE
)


def compile_body(body: Body, named: Sequence[str], scope: SlotScope) -> BodyMaker | None:
    """What makes the body of a run, None for a call without one.

    ``named`` are the parameters that go into it under their own names, without a slot; so do the API's shared values,
    where the body has no such member. Raises ValueError for a template that cannot be filled.
    """
    charset = _CHARSET.search(body.content_type or "")
    if charset is not None and charset[1].lower() != "utf-8":
        raise ValueError(f"the body's content type says charset {charset[1]}, but bodies are sent in UTF-8; correct it")
    match body.type:
        case "none":
            return None
        case "json":
            return _whole(body.content_type or _JSON, _json(_with_named(body.template, named), scope))
        case "graphql":
            return _whole(_JSON, _json(_graphql(body, named), scope))
        case "xml":
            return _whole(body.content_type or _XML, XmlTemplate(body.template, scope))
        case "form":
            return _form(_fields(body, named, scope), scope)
        case "multipart":
            return Multipart(_fields(body, named, scope), scope).render
        case _:
            return _raw(body, scope)


def _whole(content_type: str, compiled: JsonTemplate | XmlTemplate) -> BodyMaker:
    kind = content_type.encode()

    def make(run: ValueForms) -> FilledBody | None:
        content = compiled.render(run)
        return FilledBody(kind, (content,), len(content)) if content is not None else None

    return make


def _json(data: Any, scope: SlotScope) -> JsonTemplate:
    if data is not None and not isinstance(data, Mapping):
        return JsonTemplate(data, scope)
    shared = {each.parameter.name: each.key for each in scope.surroundings.members}
    return JsonTemplate(data, scope, {name: key for name, key in shared.items() if name not in (data or {})})


def _with_named(data: Any, named: Sequence[str]) -> Any:
    if not named:
        return data
    if data is not None and not isinstance(data, Mapping):
        raise ValueError(
            f"the body's template is no mapping, so {named[0]} has no place in it; write <{named[0]}> there"
        )
    for name in named:
        if name in (data or {}):
            raise ValueError(
                f"the body has a member {name}, and the parameter {name} adds another; write <{name}> there"
            )
    return {**(data or {}), **{name: f"<{name}>" for name in named}}


def _graphql(body: Body, named: Sequence[str]) -> dict[str, Any]:
    """GraphQL over HTTP: the document is fixed, the variables are a JSON template."""
    data: dict[str, Any] = {"query": template.escape(body.query or "")}
    if body.operation_name is not None:
        data["operationName"] = template.escape(body.operation_name)
    variables = _with_named(body.variables, named)
    return data | ({"variables": variables} if variables is not None else {})


def _fields(body: Body, named: Sequence[str], scope: SlotScope) -> list[Field]:
    fields = [(field, scope.split(field.value, files=body.type == "multipart")) for field in body.fields]
    fields += [(BodyField(name, ""), (Slot(name),)) for name in named]
    taken = {field.name for field, _ in fields}
    shared = [each for each in scope.surroundings.members if each.parameter.name not in taken]
    return fields + [(BodyField(each.parameter.name, ""), (Slot(each.key),)) for each in shared]


def _form(fields: list[Field], scope: SlotScope) -> BodyMaker:
    pairs = tuple(FormPair(field.name, pieces, scope) for field, pieces in fields)

    def make(run: ValueForms) -> FilledBody:
        content = render_pairs(pairs, run, BODY_MOST, body_too_large)
        return FilledBody(_FORM, (content,), len(content))

    return make


def _raw(body: Body, scope: SlotScope) -> BodyMaker:
    """Text as it is, or a file. An optional value that is the whole body takes it along; within a text it is empty."""
    pieces = scope.split(body.template, files=True)
    names = slots_of(pieces)
    content_type = (body.content_type or "").encode()
    needed = scope.needs(pieces) if whole(pieces) is not None else ()
    refuse_repeated_files([piece.name for piece in pieces if isinstance(piece, Slot)], scope)
    if names and whole(pieces) is None and _STRUCTURED.fullmatch(body.content_type or "") is not None:
        raise ValueError(
            f"a raw body escapes nothing, so that a value could change the structure of {body.content_type}; "
            "use a body of type json, xml or form"
        )

    def make(run: ValueForms) -> FilledBody | None:
        if needed and run.lacks(needed):
            return None
        made: list[Piece] = []
        for piece in pieces:
            if isinstance(piece, str):
                made.append(piece.encode())
                continue
            value = run.values.get(piece.name)
            made.append(value if isinstance(value, FilePart) else run.utf8(piece.name))
        if sum(len(piece) for piece in made if isinstance(piece, bytes)) > BODY_MOST:
            raise body_too_large()
        return body_of(content_type, made)

    return make
