"""Refusals in the shape of OpenAI's errors, and answers that a request ends with early. Knows no endpoint.

The shape is ``Error`` and ``ErrorResponse`` of OpenAI's published document; the texts follow the real service's.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class JSON(Response):
    """``content`` as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


class Refusal(Exception):
    """An error that a client gets in OpenAI's shape: status, message, type, parameter and code."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.kind = kind
        self.headers: dict[str, str] = {"retry-after": "1", "retry-after-ms": "1000"} if status == 429 else {}

    def body(self) -> dict[str, Any]:
        """The error as the JSON that OpenAI answers."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}

    def answer(self) -> Response:
        """The error as an answer."""
        return JSON(self.body(), self.status, self.headers)


class Answered(Exception):
    """Ends a request with ``response``, whatever the endpoint would have answered."""

    def __init__(self, response: Response) -> None:
        super().__init__("answered")
        self.response = response


def missing(name: str) -> Refusal:
    """The refusal for a required parameter that is not there."""
    if name == "model":
        return Refusal(400, "You must provide a model parameter.", param=name, code="missing_required_parameter")
    return Refusal(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def not_found(what: str, identity: str) -> Refusal:
    """The refusal for a stored thing that does not exist, such as ``No such File object: file-1``."""
    return Refusal(404, f"No such {what}: {identity}", param="id")


async def refuse(_request: Request, error: Exception) -> Response:
    """Answer a :class:`Refusal`."""
    assert isinstance(error, Refusal)
    return error.answer()


async def conclude(_request: Request, error: Exception) -> Response:
    """Answer with what :class:`Answered` carries."""
    assert isinstance(error, Answered)
    return error.response


async def refuse_address(request: Request, error: Exception) -> Response:
    """Answer an unknown path (404) or method (405) as OpenAI does."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        message = f"Not allowed to {request.method} on {request.url.path}."
        refusal = Refusal(405, message, code="method_not_supported")
        refusal.headers.update(error.headers or {})
        return refusal.answer()
    return Refusal(error.status_code, f"Invalid URL ({request.method} {request.url.path})").answer()


class Raw(Response):
    """Bytes written past the server's own framing, after which the connection closes: malformed HTTP on purpose.

    Without the sandbox's own server there is no way to the connection; then a plain 501 says so.
    """

    def __init__(self, message: bytes) -> None:
        super().__init__(b"this server gives the sandbox no way to its connection", 501)
        self.message = message

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = transport_of(scope)
        if transport is None:
            await super().__call__(scope, receive, send)
            return
        transport.write(self.message)
        transport.close()
        while not (await receive())["type"].endswith(".disconnect"):
            pass


def transport_of(scope: Scope) -> Any:
    """The connection's transport, which the sandbox's own server puts into the scope; None under another server."""
    extensions: Mapping[str, Any] = scope.get("extensions") or {}
    return extensions.get("tieline.sandbox.transport")
