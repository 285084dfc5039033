"""What a caller gets for an upstream's answer, by the call's response type: JSON of its value, a file, or an error.

Owns the shapes of docs/calls.md. Streams and pages are elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tieline.core.errors import UpstreamFailed, UpstreamProtocolError
from tieline.dataplane.answers.error_text import complaint
from tieline.dataplane.attempt.retry import retry_after
from tieline.dataplane.attempt.send import Reached
from tieline.dataplane.calls.reading import charset_of, document_of, encoded, gather, gather_some, text_of
from tieline.dataplane.calls.reply import Reply, Written
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.definitions.infer.drift import Drift

_FILES = frozenset({"file", "image"})
_JSON_FIELD = b"content-type: application/json\r\n"
_PASSED = (b"content-disposition", b"content-encoding", b"etag", b"last-modified")
_ATTACHMENT = b"content-disposition: attachment\r\n"
_UNTYPED = b"application/octet-stream"


@dataclass(slots=True)
class Made:
    """An answer ready to be written, and how it differs from what its fields say."""

    written: Written
    drifts: tuple[Drift, ...] = ()


def is_file(call: ReadyCall) -> bool:
    """Whether a good answer is passed on as it is."""
    return call.call.response.type in _FILES


async def made(call: ReadyCall, reached: Reached) -> Made:
    """The answer for one that is gathered.

    Raises:
        UpstreamFailed: the upstream refused, and the call does not hand errors out as data.
        UpstreamError: it cannot be read.
    """
    if reached.status >= 300:
        if not call.wrapped:
            raise await failure(reached)
        return Made(_json(call, await _wrapped_error(call, reached)))
    if call.call.response.type == "empty":
        return Made(
            _json(call, _wrapped(call, reached, None)) if call.wrapped else Written(204, b"", [], 0, whole=True)
        )
    document = document_of(call, reached, await gather(reached))
    drifts = call.watch.look(document) if call.watch is not None else ()
    shaped = call.shaper.apply(document)
    return Made(_json(call, _wrapped(call, reached, shaped) if call.wrapped else shaped), drifts)


async def pass_file(reply: Reply, call: ReadyCall, reached: Reached, timing: bytes) -> None:
    """Pass a good answer on as it comes: its bytes, type, length and name.

    Raises UpstreamProtocolError where an image is none, before anything is written.
    """
    content_type = reached.header(b"content-type") or _UNTYPED
    if call.call.response.type == "image" and not content_type.lower().startswith(b"image/"):
        shown = content_type[:60].decode("ascii", "replace")
        raise UpstreamProtocolError(f"The upstream's answer to {call.name} is no image but {shown}. Check the call.")
    names = (*_PASSED, *(name.encode() for name in call.call.response.capture_headers if name.encode() not in _PASSED))
    fields = [(name, value) for name in names if (value := reached.header(name)) is not None]
    head = b"content-type: %b\r\n" % content_type + b"".join([b"%b: %b\r\n" % pair for pair in fields])
    if call.call.response.type == "file" and not any(name == b"content-disposition" for name, _ in fields):
        head += _ATTACHMENT  # no browser shows a stranger's page as if it were ours
    reply.begin(200, head, 0 if call.method == b"HEAD" else reached.length, timing)
    while data := await reached.read():
        await reply.write(data)
    reply.end()


async def failure(reached: Reached) -> UpstreamFailed:
    """The error that an upstream's refusal becomes; its message and code are repeated, masked."""
    status = reached.status
    if status < 400:
        return UpstreamFailed(
            f"The upstream answered {status}, a redirect, which is not followed. Correct the call's path, or set "
            "follow_redirects where it leads to the same origin."
        )
    message, code = complaint(reached.header(b"content-type") or b"", await gather_some(reached))
    named = f" ({code})" if code and code not in (message or "") else ""
    return UpstreamFailed(
        f"The upstream answered {status}: {message or 'it did not say why'}{named}",
        retry_after=retry_after(reached.headers),
    )


async def _wrapped_error(call: ReadyCall, reached: Reached) -> Mapping[str, Any]:
    body = await gather_some(reached)
    content_type = reached.header(b"content-type") or b""
    message, code = complaint(content_type, body)
    document: Any = None
    if body.strip():
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = text_of(body, charset_of(content_type))
    return _wrapped(call, reached, document, {"message": message, "code": code})


def _wrapped(call: ReadyCall, reached: Reached, body: Any, error: Mapping[str, Any] | None = None) -> dict[str, Any]:
    headers = {
        name: ", ".join(value.decode("latin-1") for value in values)
        for name in call.call.response.capture_headers
        if (values := reached.values(name.encode()))
    }
    return {"status": reached.status, "body": body, "error": error, "headers": headers}


def _json(call: ReadyCall, value: Any) -> Written:
    body = encoded(call, value)
    return Written(200, _JSON_FIELD, [body], len(body), whole=True)
