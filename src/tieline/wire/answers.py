"""The answers that Tieline itself makes on the app listener, in the contract's shape (section 4)."""

import json
import math
from email.utils import formatdate
from http import HTTPStatus

from tieline.core.errors import ANSWERS, TielineError

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_INTERNAL = "Something went wrong inside Tieline. Report the request id to whoever runs it."


def error_body(error: TielineError, request_id: str) -> bytes:
    """The JSON of an error answer or of an ``event: error``."""
    return json.dumps(
        {
            "error": {
                "message": error.public,
                "type": "tieline_error",
                "code": error.code,
                "param": error.param,
                "request_id": request_id,
            }
        },
        ensure_ascii=False,
    ).encode()


def error_answer(
    error: TielineError, request_id: str, *, close: bool, head_only: bool = False, status: int | None = None
) -> bytes:
    """A whole error answer: head and body. ``close`` adds ``Connection: close``; ``head_only`` is for HEAD.

    ``status`` is that of an upstream whose error this repeats, else the one of the error's code. The request id stands
    in ``x-request-id`` too, where SDKs look for it; upstreams put their own there.
    """
    rule = ANSWERS[error.code]
    fields = [f"tieline-error: {error.code}", f"x-request-id: {request_id}"]
    if rule.retry is not None:
        fields.append(f"x-should-retry: {'true' if rule.retry else 'false'}")
    if error.retry_after is not None:
        fields.append(f"retry-after: {max(1, math.ceil(error.retry_after))}")
    if close:
        fields.append("connection: close")
    body = error_body(error, request_id)
    head = _head(status or rule.status, "application/json", len(body), request_id, fields)
    return head if head_only else head + body


def internal_error() -> TielineError:
    """What an unexpected failure becomes; its own text never leaves the process."""
    return TielineError(_INTERNAL)


def text_answer(text: str, request_id: str, *, close: bool, head_only: bool) -> bytes:
    """A whole answer of Tieline's own that is no error, such as a health check's."""
    body = text.encode()
    head = _head(200, "text/plain; charset=utf-8", len(body), request_id, ["connection: close"] if close else [])
    return head if head_only else head + body


def _head(status: int, content_type: str, length: int, request_id: str, fields: list[str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {_PHRASES.get(status, '')}",
        f"date: {formatdate(usegmt=True)}",
        f"content-type: {content_type}",
        f"content-length: {length}",
        "cache-control: no-store",
        f"tieline-request-id: {request_id}",
        *fields,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
