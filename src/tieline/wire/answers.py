"""The answers that Tieline itself makes on the app listener, in the contract's shape (section 4)."""

from email.utils import formatdate
from http import HTTPStatus
from math import ceil
from typing import Protocol

from tieline.core.error_shapes import ERROR_SHAPES, ErrorFacts
from tieline.core.errors import ANSWERS, TielineError

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_INTERNAL = "Something went wrong inside Tieline. Report the request id to whoever runs it."


class Refusable(Protocol):
    """What an error answer has to know of the request it answers."""

    method: bytes
    error_shape: str

    @property
    def closes(self) -> bool: ...


def error_body(error: TielineError, request_id: str, shape: str = "tieline") -> bytes:
    """What an error answer or an ``event: error`` says, in one of ``ERROR_SHAPES``."""
    return ERROR_SHAPES[shape].body(ErrorFacts(error, ANSWERS[error.code].status, request_id)).encode()


def error_answer(error: TielineError, request: Refusable, request_id: str, *, status: int | None = None) -> bytes:
    """A whole error answer to ``request``, in the shape of its API: head and body, no body for HEAD.

    ``status`` is that of an upstream whose error this repeats, else the one of the error's code. The request id stands
    in ``x-request-id`` too, where SDKs look for it; upstreams put their own there.
    """
    rule = ANSWERS[error.code]
    shape = ERROR_SHAPES[request.error_shape]
    facts = ErrorFacts(error, status or rule.status, request_id)
    fields = [f"tieline-error: {error.code}", f"x-request-id: {request_id}"]
    fields += [f"{name}: {value}" for name, value in shape.fields(facts).items()]
    if rule.retry is not None:
        fields.append(f"x-should-retry: {'true' if rule.retry else 'false'}")
    if error.retry_after is not None:
        fields.append(f"retry-after: {max(1, ceil(error.retry_after))}")
    if request.closes:
        fields.append("connection: close")
    body = shape.body(facts).encode("utf-8", "backslashreplace")
    head = _head(facts.status, shape.media_type, len(body), request_id, fields)
    if error.fields:
        head = head[:-2] + error.fields + b"\r\n"
    return head if request.method == b"HEAD" else head + body


def internal_error() -> TielineError:
    """What an unexpected failure becomes; its own text never leaves the process."""
    return TielineError(_INTERNAL)


def text_answer(text: str, request_id: str, *, close: bool, head_only: bool) -> bytes:
    """A whole answer of Tieline's own that is no error, such as a health check's."""
    body = text.encode()
    head = _head(200, "text/plain; charset=utf-8", len(body), request_id, ["connection: close"] if close else [])
    return head if head_only else head + body


def json_answer(data: bytes, request_id: str, *, close: bool) -> bytes:
    """A whole answer of Tieline's own in JSON."""
    return _head(200, "application/json", len(data), request_id, ["connection: close"] if close else []) + data


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
