"""A definition as a request body, in any of the forms that it may come in, and which form an answer should have."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from tieline.core.errors import InvalidInput, InvalidRequest
from tieline.web.api.shared import unfit

YAML = "application/yaml"

_YAMLS = frozenset({YAML, "application/x-yaml", "text/yaml", "text/x-yaml", "text/plain"})
_AS_YAML = {"schema": {"type": "object", "description": "A definition, tieline/v1."}}  # what the YAML is read as
_OBJECT = {
    "schema": {
        "type": "object",
        "description": 'A definition, tieline/v1, or {"definition": a definition as text or object}.',
    }
}

DEFINITION_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {YAML: _AS_YAML, "application/json": _OBJECT}}
}


async def definition_sent(request: Request) -> str | Mapping[str, Any]:
    """The definition in the body: YAML text, a JSON definition, or ``{"definition": …}`` holding either.

    Raises:
        InvalidRequest: the body is no UTF-8 or no JSON.
        InvalidInput: it has another form, type or depth.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind in _YAMLS:
        return _text(body)
    if kind != "application/json":
        msg = f"Send the definition with Content-Type: {YAML} or application/json."
        raise InvalidInput(msg, param="Content-Type")
    try:
        value = json.loads(_text(body))
    except (ValueError, RecursionError) as error:
        msg = "The body is no valid JSON. Send one JSON object of moderate depth."
        raise InvalidRequest(msg) from error
    problem = unfit(value)
    if problem is not None:
        msg = f"The body {problem}."
        raise InvalidInput(msg, param="definition")
    if isinstance(value, dict) and value.keys() == {"definition"}:
        value = value["definition"]
    return checked_definition(value)


def checked_definition(value: object) -> str | Mapping[str, Any]:
    """``value`` if it is text or an object. Raises ``InvalidInput``."""
    if not isinstance(value, str | dict):
        msg = "definition must be text (YAML or JSON) or an object."
        raise InvalidInput(msg, param="definition")
    return value


def wants_json(accept: str) -> bool:
    """Whether ``Accept`` (RFC 9110 section 12.5.1) prefers JSON; otherwise YAML, which people edit."""
    weights = {"json": -1.0, "yaml": -1.0}
    for item in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in item.split(";"))
        weight = _weight(parameters)
        if kind == "application/json":
            weights["json"] = max(weights["json"], weight)
        elif kind in _YAMLS:
            weights["yaml"] = max(weights["yaml"], weight)
    return weights["json"] > max(weights["yaml"], 0.0)


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        msg = "The body is not UTF-8. Send it as UTF-8."
        raise InvalidRequest(msg) from error
