"""Errors of Tieline's own in the shapes that APIs have, so that an API's own SDK finds message and code in them.

One table, for the relay and for calls. A definition says which shape is its API's (``errors``); Tieline's own is the
default, and the one of OpenAI. Whatever the shape, the fields ``Tieline-Error`` and ``X-Request-Id`` say the same.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from xml.sax.saxutils import escape

from tieline.core.errors import TielineError


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """What an error answer says: its error, the HTTP status it is answered with, and the request's id."""

    error: TielineError
    status: int
    request_id: str

    @property
    def phrase(self) -> str:
        return HTTPStatus(self.status).phrase if self.status in _STATUSES else "Error"


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """How errors are written: the media type, the body, and header fields beside those of every error."""

    media_type: str
    body: Callable[[ErrorFacts], str]
    fields: Callable[[ErrorFacts], Mapping[str, str]] = lambda _: {}


_STATUSES: Final = frozenset(status.value for status in HTTPStatus)
_ANTHROPIC: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_GOOGLE: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    424: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_AWS: Final = {
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    409: "ConflictException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
    504: "GatewayTimeoutException",
}
_AWS_XML: Final = {
    400: "InvalidRequest",
    401: "InvalidAccessKeyId",
    403: "AccessDenied",
    404: "NoSuchBucket",
    413: "EntityTooLarge",
    429: "SlowDown",
    500: "InternalError",
    503: "ServiceUnavailable",
}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _tieline(facts: ErrorFacts) -> str:
    error = facts.error
    told = {"message": error.public, "type": "tieline_error", "code": error.code, "param": error.param}
    return _json({"error": told | {"request_id": facts.request_id}})


def _anthropic(facts: ErrorFacts) -> str:
    kind = _ANTHROPIC.get(facts.status, "invalid_request_error" if facts.status < 500 else "api_error")
    told = {"type": kind, "message": facts.error.public, "code": facts.error.code}
    return _json({"type": "error", "error": told, "request_id": facts.request_id})


def _google(facts: ErrorFacts) -> str:
    """``google.rpc.Status`` in JSON (AIP-193)."""
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": facts.error.code.upper(),
        "domain": "tieline",
        "metadata": {"request_id": facts.request_id},
    }
    status = _GOOGLE.get(facts.status, "INVALID_ARGUMENT" if facts.status < 500 else "UNAVAILABLE")
    told = {"code": facts.status, "message": facts.error.public, "status": status, "details": [info]}
    return _json({"error": told})


def _aws_kind(facts: ErrorFacts) -> str:
    return _AWS.get(facts.status, "ValidationException" if facts.status < 500 else "ServiceUnavailableException")


def _aws_json(facts: ErrorFacts) -> str:
    """AWS JSON 1.0, 1.1 and REST JSON: the type in the body and in a field, ``message`` in lower case."""
    return _json({"__type": _aws_kind(facts), "message": facts.error.public, "code": facts.error.code})


def _aws_json_fields(facts: ErrorFacts) -> Mapping[str, str]:
    return {"x-amzn-errortype": _aws_kind(facts), "x-amzn-requestid": facts.request_id}


def _aws_xml(facts: ErrorFacts) -> str:
    """As S3 has it, and once more within, where SDKs of the query protocol (SQS, STS, EC2) look."""
    code = _AWS_XML.get(facts.status, "InvalidRequest" if facts.status < 500 else "InternalError")
    told = f"<Code>{code}</Code><Message>{escape(facts.error.public)}</Message>"
    ids = f"<RequestId>{escape(facts.request_id)}</RequestId>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{told}{ids}<Error>{told}</Error></Error>'


def _problem(facts: ErrorFacts) -> str:
    """Problem details (RFC 9457); ``message`` is a member of its own for those who look there (PostgREST's clients)."""
    error = facts.error
    told = {"type": "about:blank", "title": facts.phrase, "status": facts.status, "detail": error.public}
    own = {"message": error.public, "code": error.code, "param": error.param, "request_id": facts.request_id}
    return _json(told | own)


ERROR_SHAPES: Final[Mapping[str, ErrorShape]] = {
    "tieline": ErrorShape("application/json", _tieline),
    "openai": ErrorShape("application/json", _tieline),
    "anthropic": ErrorShape("application/json", _anthropic),
    "google": ErrorShape("application/json", _google),
    "aws_json": ErrorShape("application/json", _aws_json, _aws_json_fields),
    "aws_xml": ErrorShape("application/xml", _aws_xml),
    "problem": ErrorShape("application/problem+json", _problem),
}
