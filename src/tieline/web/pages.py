"""What needs no token: health, the start page, and the admin API's documentation as one page without script.

The documentation is rendered here from the OpenAPI document. The framework's own page loads scripts from elsewhere,
which the content security policy forbids and which would need the Internet.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from tieline.controlplane.services import Services
from tieline.core.errors import NotReady
from tieline.web.problems import answer, request_id_of

router = APIRouter(include_in_schema=False)

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; } h3 { margin-bottom: 0; overflow-wrap: anywhere; }
code, pre { font: 0.9rem/1.45 ui-monospace, monospace; }
pre { padding: 0.75rem; overflow-x: auto; border: 1px solid #8886; border-radius: 6px; }
table { border-collapse: collapse; } td { padding: 0.1rem 1rem 0.1rem 0; vertical-align: top; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REFERENCE = "#/components/schemas/"
_METHODS = ("get", "post", "put", "patch", "delete")
_NESTING_MOST = 3


@router.api_route("/healthz", methods=["GET", "HEAD"])
async def show_health() -> Response:
    """The process is alive."""
    return JSONResponse({"status": "ok"})


@router.api_route("/readyz", methods=["GET", "HEAD"])
async def show_readiness(request: Request) -> Response:
    """The store can be reached, and the server is not about to end."""
    services: Services = request.app.state.services
    if request.app.state.leaving:
        failure = NotReady("This server is about to end. Use another.", retry_after=1)
    elif await services.store.reachable():
        return JSONResponse({"status": "ready"})
    else:
        failure = NotReady("The store cannot be reached. Check the database, then try again.", retry_after=1)
    return answer(failure, request_id_of(request))


@router.get("/")
async def show_start(request: Request) -> Response:
    """What this is and where to go."""
    return page(
        "Tieline",
        f"<h1>Tieline</h1><p>A self-hosted API connector, version {escape(request.app.state.version)}. This is the "
        "listener for operators; apps call the other one.</p><ul>"
        '<li><a href="/api/docs">Documentation of the admin API</a></li>'
        '<li><a href="/api/openapi.json">The same as an OpenAPI document</a></li>'
        "<li>On the command line: <code>tieline --help</code></li></ul>",
    )


@router.get("/api/docs")
async def show_documentation(request: Request) -> Response:
    """The admin API, operation by operation."""
    document = request.app.openapi()
    return page(document["info"]["title"], "".join(_documentation(document)))


def page(title: str, body: str, status: int = HTTPStatus.OK) -> Response:
    """A page of ours around ``body``, which is HTML: no script, no frame, nothing from elsewhere."""
    html = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><main>{body}</main></html>'
    )
    return HTMLResponse(html, status, headers={"Content-Security-Policy": _POLICY})


def _documentation(document: Mapping[str, Any]) -> Iterator[str]:
    info = document["info"]
    yield f"<h1>{escape(info['title'])}</h1>"
    for paragraph in info["description"].strip().split("\n\n"):
        yield f"<p>{_prose(paragraph)}</p>"
    yield '<p>As a document for tools: <a href="/api/openapi.json">OpenAPI 3.1</a>.</p>'
    tag = None
    for path, item in document["paths"].items():
        for method in (each for each in _METHODS if each in item):
            operation = item[method]
            if operation["tags"][0] != tag:
                tag = operation["tags"][0]
                yield f"<h2>{escape(tag)}</h2>"
            yield f"<h3><code>{method.upper()} {escape(path)}</code></h3><p>{_prose(operation['description'])}</p>"
            yield from _operation(operation, document["components"]["schemas"])


def _operation(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    parameters = [each for each in operation.get("parameters", ()) if each["in"] != "path"]
    if parameters:
        rows = "".join(
            f"<tr><td><code>{escape(each['name'])}</code><td>{escape(each['in'])}"
            f"<td>{_prose(each.get('description') or each['schema'].get('description', ''))}"
            for each in parameters
        )
        yield f"<table>{rows}</table>"
    for title, part in (("Body", operation.get("requestBody")), ("Answer", _success(operation))):
        for kind, content in (part or {}).get("content", {}).items():
            if content.get("schema"):
                sketch = json.dumps(_sketch(content["schema"], schemas), indent=2, ensure_ascii=False)
                yield f"<p>{title}, <code>{escape(kind)}</code></p><pre>{escape(sketch)}</pre>"


def _success(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    answers: Mapping[str, Mapping[str, Any]] = operation["responses"]
    return next(each for status, each in answers.items() if status.startswith("2"))


def _sketch(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int = 0) -> Any:
    """What values of ``schema`` look like: its example where there is one, otherwise types in place of values."""
    if "$ref" in schema:
        return _sketch(schemas[schema["$ref"].removeprefix(_REFERENCE)], schemas, depth)
    if schema.get("examples"):
        return schema["examples"][0]
    if "anyOf" in schema:
        return _sketch(schema["anyOf"][0], schemas, depth)
    if "enum" in schema or "const" in schema:
        return " | ".join(schema.get("enum") or [schema["const"]])
    if "properties" in schema:
        if depth > _NESTING_MOST:
            return {}
        return {name: _sketch(each, schemas, depth + 1) for name, each in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_sketch(schema["items"], schemas, depth + 1)]
    return schema.get("description", schema.get("format", schema.get("type", "any")))


def _prose(text: str) -> str:
    """Escaped text with code in backticks set as code."""
    pieces = escape(text.replace("``", "`")).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))
