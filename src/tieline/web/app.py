"""The ASGI app of the console listener: layers, routes and the OpenAPI document put together."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route, compile_path

from tieline.controlplane.services import Services
from tieline.core.errors import TielineError
from tieline.telemetry.logs import Log
from tieline.telemetry.metrics.counting import Counts
from tieline.web import metrics, pages, signin
from tieline.web.api import (
    apis,
    apps,
    audit,
    budgets,
    calls,
    catalogue,
    connections,
    credentials,
    keys,
    prices,
    requests,
    tokens,
    usage,
    webhooks,
)
from tieline.web.api.shared import ErrorDocument
from tieline.web.gate import API, BodyGate, HostGate, TokenGate
from tieline.web.problems import Problems, on_error, on_http_error, on_invalid

DESCRIPTION = """\
Everything that an operator can do, for scripts and machines.

Send an admin token as `Authorization: Bearer tla_…`. Bodies are JSON; unknown fields are refused (422). Lists come in
pages: `{"items": […], "next": cursor or null}`, asked for with `limit` (1–200) and `after`. Times are RFC 3339 in UTC.
Errors are `{"error": {"message", "type": "admin_error", "code", "param", "request_id"}}`.
"""

# The framework can export spans and logs with bodies and the texts of exceptions: switched off, whatever is installed.
_NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


_ERRORS: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorDocument, "description": "An error."}}


def create_app(
    services: Services,
    *,
    allowed_hosts: Iterable[str],
    version: str,
    log: Log | None = None,
    counts: Counts | None = None,
) -> FastAPI:
    """The ASGI app that serves the admin API, its documentation, health, metrics and a start page.

    ``allowed_hosts`` are the names, beside those of this machine's loopback, that requests may ask for: the listen host
    and those from the settings. ``version`` is the product's. What breaks goes to ``log``, standard error by default.
    Requests are counted in ``counts``. While ``app.state.leaving`` is true it says that it is not ready.
    """
    app = FastAPI(
        title="Tieline admin API",
        description=DESCRIPTION,
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
        middleware=[
            Middleware(Problems, log=log or Log(), counts=counts),
            Middleware(HostGate, allowed=tuple(allowed_hosts)),
            Middleware(TokenGate, services=services),
            Middleware(BodyGate),
        ],
        exception_handlers={
            TielineError: on_error,
            HTTPException: on_http_error,
            RequestValidationError: on_invalid,
        },
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    app.state.version = version
    app.state.leaving = False
    parts = (
        *(catalogue, apis, prices, calls, credentials, apps, keys, requests, usage, budgets, webhooks, connections),
        *(tokens, audit),
    )
    for part in parts:
        app.include_router(part.router, prefix=API, responses=_ERRORS)
    app.include_router(pages.router)
    app.include_router(metrics.router)
    app.include_router(signin.router)
    app.state.methods = [
        (compile_path(prefix + route.path)[0], route.methods)
        for prefix, part in (*((API, part) for part in parts), ("", pages), ("", signin), ("", metrics))
        for route in part.router.routes
        if isinstance(route, Route)
    ]
    return app
