"""The answers that Tieline itself makes on the app listener, in the contract's shape (section 4)."""

import json
from http import HTTPStatus

from tieline.core.errors import ANSWERS, TielineError

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


def error_answer(error: TielineError, request_id: str, *, close: bool, head_only: bool = False) -> bytes:
    """A whole error answer: head and body. ``close`` adds ``Connection: close``; ``head_only`` is for HEAD."""
    rule = ANSWERS[error.code]
    body = error_body(error, request_id)
    lines = [
        f"HTTP/1.1 {rule.status} {HTTPStatus(rule.status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "cache-control: no-store",
        f"tieline-request-id: {request_id}",
        f"tieline-error: {error.code}",
    ]
    if rule.retry is not None:
        lines.append(f"x-should-retry: {'true' if rule.retry else 'false'}")
    if error.retry_after is not None:
        lines.append(f"retry-after: {max(1, round(error.retry_after))}")
    if close:
        lines.append("connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head if head_only else head + body


def internal_error() -> TielineError:
    """What an unexpected failure becomes; its own text never leaves the process."""
    return TielineError(_INTERNAL)


def plain_answer(status: int, body: bytes, *, close: bool, content_type: str = "text/plain; charset=utf-8") -> bytes:
    """A whole answer of Tieline's own that is no error, such as a health check's."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"content-type: {content_type}",
        f"content-length: {len(body)}",
        "cache-control: no-store",
    ]
    if close:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
