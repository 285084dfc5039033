"""Errors as answers, and the only blanket ``except`` of the control plane.

Owns the shape of an error answer, what is said about input that does not fit, and what is logged when something breaks.
What was sent is never repeated, as it may be a secret: not by validation, not by a failure, not in the log.
"""

import math
import re
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tieline.core.errors import (
    ANSWERS,
    BodyTooLarge,
    InvalidInput,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    TielineError,
)
from tieline.core.ids import new_id
from tieline.telemetry.logs import Log
from tieline.telemetry.metrics import families
from tieline.telemetry.metrics.counting import Counts
from tieline.telemetry.metrics.families import OTHER

REQUEST_ID = "Tieline-Request-Id"
UNFIT = "unfit_body"
"""The type of a validation error whose text says what is wrong with the body as a whole."""


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PROBLEMS_MOST = 5
_SAFE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,23}")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_BROKEN = "Something went wrong inside Tieline. Try again; if it stays, look for the request id in Tieline's log."

# What is wrong by kind of error; what stands in braces comes from our own models, never from the input.
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is no field of this request; leave it out",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "literal_error": "must be {expected}",
    "too_long": "must have at most {max_length} members",
    "too_short": "must have at least {min_length} members",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "value_error": "cannot be used",
}


class Problems:
    """Gives every request an id and every answer its safe headers, and answers every error that got this far.

    The outermost layer. An error after the answer began can only end the connection.
    """

    def __init__(self, app: ASGIApp, log: Log, counts: Counts | None = None) -> None:
        self._app = app
        self._log = log
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        scope.setdefault("state", {}).update(request_id=request_id, log=self._log)
        began = time.perf_counter()
        status = 0

        async def send_safe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_safe)
        except TielineError as error:
            if not status:
                await answer(error, request_id)(scope, receive, send_safe)
        except Exception as error:  # noqa: BLE001 -- the last resort: nothing about the error may reach the client
            route = getattr(scope.get("route"), "path", None)
            self._log.error("admin.failed", request_id=request_id, method=scope["method"], path=route, error=error)
            if not status:
                await answer(TielineError(_BROKEN), request_id)(scope, receive, send_safe)
        finally:
            if self._counts is not None:
                _count(self._counts, scope, status, time.perf_counter() - began)


def _count(counts: Counts, scope: Scope, status: int, seconds: float) -> None:
    """Count a request of an operator, by its route's pattern; what has no route is one."""
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in _METHODS else OTHER
    counts.add(families.ADMIN_REQUESTS, 1, method, route, f"{status // 100}xx" if status else "none")
    counts.observe(families.ADMIN_DURATION, round(seconds * 1_000_000), route)


def answer(error: TielineError, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to ``error`` in the contract's shape (section 4, with the type of section 5)."""
    code = error.code if error.code in ANSWERS else "internal_error"
    fields = dict(headers or {})
    fields["Tieline-Error"] = code
    if error.retry_after is not None:
        fields["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if code == "invalid_token":
        fields["WWW-Authenticate"] = 'Bearer realm="tieline"'
    content = {
        "message": error.public,
        "type": "admin_error",
        "code": code,
        "param": error.param,
        "request_id": request_id,
    }
    return JSONResponse({"error": content}, ANSWERS[code].status, fields)


def request_id_of(request: Request) -> str:
    """The id that ``Problems`` gave this request."""
    return cast("str", request.scope["state"]["request_id"])


async def on_error(request: Request, error: Exception) -> Response:
    """Answer an error that Tieline raised on purpose."""
    failure = cast("TielineError", error)
    if failure.detail:
        log: Log = request.scope["state"]["log"]
        log.warning("admin.refused", request_id=request_id_of(request), code=failure.code, detail=failure.detail)
    return answer(failure, request_id_of(request))


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses by itself: an unknown route or method, a body it cannot read."""
    refusal = cast("HTTPException", error)
    headers = {"Allow": _allowed(request)} if refusal.status_code == HTTPStatus.METHOD_NOT_ALLOWED else refusal.headers
    return answer(_as_ours(refusal), request_id_of(request), headers)


async def on_invalid(request: Request, error: Exception) -> Response:
    """Answer input that does not fit the models, naming what is wrong without repeating what was sent."""
    errors = cast("RequestValidationError", error).errors()
    if any(each["type"] == "json_invalid" for each in errors):
        return answer(InvalidRequest("The body is no valid JSON. Send one JSON object."), request_id_of(request))
    problems = [_sentence(each) for each in errors[:_PROBLEMS_MOST]]
    if len(errors) > _PROBLEMS_MOST:
        problems.append(f"and {len(errors) - _PROBLEMS_MOST} more")
    problem = InvalidInput("; ".join(problems) + ".", param=_field(errors[0]["loc"]) or None)
    return answer(problem, request_id_of(request))


def _allowed(request: Request) -> str:
    """Every method that the path takes; the framework tells those of its first route only (RFC 9110 section 10.2.1).

    ``app.state.methods`` holds the methods of every route with the pattern of its path.
    """
    path = request.scope["path"]
    found = {method for pattern, methods in request.app.state.methods if pattern.match(path) for method in methods}
    return ", ".join(sorted(found))


def _as_ours(refusal: HTTPException) -> TielineError:
    match refusal.status_code:
        case 404:
            return NotFound("There is no such route. /api/docs lists those there are.")
        case 405:
            return MethodNotAllowed("This route does not take this method. Its Allow header says which it takes.")
        case 413:
            return BodyTooLarge(refusal.detail)
        case status if 400 <= status < 500:
            return InvalidRequest("The request could not be read. Send one JSON object of moderate depth.")
        case _:
            return TielineError(_BROKEN)


def _sentence(error: Mapping[str, Any]) -> str:
    location: Sequence[str | int] = error["loc"]
    if error["type"] == UNFIT:
        return f"The body {error['msg']}"
    if location == ("body",):
        return "This needs a body: one JSON object, sent with Content-Type: application/json"
    words = _WORDS.get(error["type"], "is not valid").format(**error.get("ctx", {}))
    return f"{_field(location)} {words}"


def _field(location: Sequence[str | int]) -> str:
    """The field's path such as ``from_ip[2]``. A long or odd name is not repeated: it may be a secret."""
    path = ""
    for step in location[1:]:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            name = step if _SAFE_NAME.fullmatch(step) else "…"
            path += f".{name}" if path else name
    return path
