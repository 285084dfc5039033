"""What a caller gets for an upstream's answer, by the call's response type: JSON of its value, a file, or an error.

Owns the shapes of docs/calls.md. Streams and pages are elsewhere. Whatever is handed out here was masked last, as its
reader sees it.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from tieline.core.errors import UpstreamFailed, UpstreamProtocolError
from tieline.core.slices import find
from tieline.dataplane.answers.content_coding import Coding, coding, codings
from tieline.dataplane.answers.error_text import error_of, extract_error, message_and_code
from tieline.dataplane.answers.json_parts import IN_PARTS
from tieline.dataplane.answers.mask import StreamMask
from tieline.dataplane.attempt.retry import retry_after
from tieline.dataplane.attempt.send import UpstreamAnswer
from tieline.dataplane.calls.reading import document_of, encoded, error_document, gather, gather_some, raw_json
from tieline.dataplane.calls.results import FileHead, Receiver, WholeAnswer
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.definitions.infer.drift import Drift
from tieline.definitions.json_parts import release

FILES: Final = frozenset({"file", "image"})
"""The types whose good answers are passed on as they are."""
_PASSED = (b"content-disposition", b"content-encoding", b"etag", b"last-modified")
_OF_CODED = frozenset({b"content-encoding", b"etag"})
_UNTYPED = b"application/octet-stream"
_BINARY = (b"image/", b"audio/", b"video/", b"font/", b"application/zip", b"application/gzip", b"application/pdf")
_SVG = b"image/svg"
_FILE_MOST = 1024 * 1024 * 1024
_GRAPHQL = frozenset({"data", "errors", "extensions"})


class CallAnswer(NamedTuple):
    """An answer ready to be handed out, and how it differs from what its fields say."""

    whole: WholeAnswer
    drifts: tuple[Drift, ...] = ()


async def gathered(call: ReadyCall, reached: UpstreamAnswer) -> bytes | None:
    """The body of an answer that is read whole; None where nothing of it is handed out.

    Raises:
        UpstreamFailed: the upstream refused, and the call does not hand errors out as data.
        UpstreamError: it cannot be gathered.
    """
    if reached.status >= 300:
        if not call.wrapped:
            raise await failure(reached)
        return await gather_some(reached)
    return await gather(reached) if call.call.response.type != "empty" else None


def answer_of(call: ReadyCall, reached: UpstreamAnswer, body: bytes | None) -> CallAnswer:
    """The answer for what was ``gathered``. Does not wait for anything, and may run in a thread.

    Raises:
        UpstreamFailed: the upstream tells of an error, whatever its status, and the call does not hand errors out.
        UpstreamProtocolError: it is not what its type says.
    """
    if body is None:
        return CallAnswer(_json(call, reached, None) if call.wrapped else WholeAnswer(None))
    if reached.status >= 300:
        content_type = reached.header(b"content-type") or b""
        message, code = extract_error(content_type, body, reached.mask.text)
        return CallAnswer(_json(call, reached, error_document(body, content_type), {"message": message, "code": code}))
    raw = raw_json(body) if call.whole else None
    if raw is not None and find(raw, b'"errors"') < 0:
        return CallAnswer(
            _json(call, reached, orjson.Fragment(raw)) if call.wrapped else WholeAnswer(reached.mask.json(raw))
        )
    document = document_of(call, reached, body)
    try:
        return _answer_with(call, reached, document, _Body(len(body), raw))
    finally:
        if len(body) > IN_PARTS:
            release(document)


class _Body(NamedTuple):
    """What an answer was read from: its ``size`` in bytes, and its JSON where that is handed out as it came."""

    size: int
    raw: bytes | None = None


def _answer_with(call: ReadyCall, reached: UpstreamAnswer, document: Any, body: _Body) -> CallAnswer:
    if isinstance(document, dict) and "errors" in document and _is_graphql_error(call, document):
        if not call.wrapped:
            raise UpstreamFailed(sentence(reached, *error_of(document, reached.mask.text)))
        message, code = message_and_code(document)
        return CallAnswer(_json(call, reached, document, {"message": message, "code": code}, size=body.size))
    drifts = call.watch.look(document) if call.watch is not None else ()
    if drifts and call.watch is not None and reached.mask.secrets:  # what is kept of it names members
        masked = reached.mask.value(document)
        drifts = call.watch.look(masked)
        if body.size > IN_PARTS:
            release(masked)
    value = orjson.Fragment(body.raw) if body.raw is not None else call.shaper.apply(document)
    try:
        return CallAnswer(_json(call, reached, value, size=body.size), drifts)
    finally:
        if body.size > IN_PARTS:
            release(value)


async def pass_file(receiver: Receiver, call: ReadyCall, reached: UpstreamAnswer) -> None:
    """Pass a good answer on as it comes: its bytes, type, length and name.

    Secrets are masked in it; for that, the content coding of what may be a text is undone. Raises UpstreamProtocolError
    where an image is none, before anything is handed out.
    """
    content_type = reached.mask.header(reached.header(b"content-type") or _UNTYPED)
    if call.call.response.type == "image" and not content_type.lower().startswith(b"image/"):
        shown = content_type[:60].decode("ascii", "replace")
        raise UpstreamProtocolError(f"The upstream's answer to {call.name} is no image but {shown}. Check the call.")
    undo, stream = _masking(reached, content_type)
    captured = [name.encode() for name in call.call.response.capture_headers]
    fields = tuple(
        [
            (name, reached.mask.header(value))
            for name in dict.fromkeys((*_PASSED, *captured))
            if (value := reached.header(name)) is not None and not (undo is not None and name in _OF_CODED)
        ]
    )
    is_named = any(name == b"content-disposition" for name, _ in fields)
    length = reached.length if undo is None else None
    receiver.begin_file(
        FileHead(
            content_type,
            fields,
            0 if call.method == b"HEAD" else length,
            attachment=call.call.response.type == "file" and not is_named,
        )
    )
    is_last = False
    while not is_last:
        data = await reached.read()
        is_last = not data
        if undo is not None:
            data = undo.feed(data)
        await receiver.piece(stream.feed(data, last=is_last) if stream is not None else data)
    if undo is not None:
        undo.finish()
    receiver.end()


def _masking(reached: UpstreamAnswer, content_type: bytes) -> tuple[Coding | None, StreamMask | None]:
    """What undoes a file's coding, if it has to be, and what masks it: what may be a text, and whatever has none."""
    if not reached.mask.secrets:
        return None, None
    is_coded = bool(codings(reached.headers))
    undo = coding(reached.headers, _FILE_MOST) if is_coded and _may_be_text(content_type) else None
    return undo, StreamMask(reached.mask.of_files) if undo is not None or not is_coded else None


async def failure(reached: UpstreamAnswer) -> UpstreamFailed:
    """The error that an upstream's refusal becomes; its message and code are repeated, masked."""
    status = reached.status
    if status < 400:
        return UpstreamFailed(
            f"The upstream answered {status}, a redirect, which is not followed. Correct the call's path, or set "
            "follow_redirects where it leads to the same origin."
        )
    said = extract_error(reached.header(b"content-type") or b"", await gather_some(reached), reached.mask.text)
    return UpstreamFailed(sentence(reached, *said), retry_after=retry_after(reached.headers))


def sentence(reached: UpstreamAnswer, message: str | None, code: str | None, *, what: str = "") -> str:
    """An upstream's words as an error tells them; ``what`` is what it sent, where that is wrong already."""
    named = f" ({code})" if code and code not in (message or "") else ""
    sent = f" and sent {what}" if what else ""
    return f"The upstream answered {reached.status}{sent}: {message or 'it did not say why'}{named}"


def _may_be_text(content_type: bytes) -> bool:
    """Whether a content type does not say that there are bytes that nobody reads; many texts come as octet-stream."""
    media = content_type.strip().lower()
    return not media.startswith(_BINARY) or media.startswith(_SVG)


def _is_graphql_error(call: ReadyCall, document: Mapping[str, Any]) -> bool:
    """Whether a document tells of errors and brings no data (GraphQL over HTTP, section 6.4.1), as GraphQL does."""
    return (
        document.get("data") is None
        and isinstance(document.get("errors"), list)
        and bool(document["errors"])
        and isinstance(document["errors"][0], dict)
        and isinstance(document["errors"][0].get("message"), str)
        and (call.call.body.type == "graphql" or _GRAPHQL.issuperset(document))
        and not any(field.path.startswith("errors") for field in call.call.response.fields)
    )


def _json(
    call: ReadyCall, reached: UpstreamAnswer, value: Any, error: Mapping[str, Any] | None = None, *, size: int = 0
) -> WholeAnswer:
    """An answer of JSON: ``value`` alone, or beside its status, error and headers where the call wants them.

    ``size`` is how many bytes the value came as.
    """
    if call.wrapped:
        headers = {
            name: [value.decode("latin-1") for value in values] if name == "set-cookie" and len(values) > 1
            else ", ".join(value.decode("latin-1") for value in values)
            for name in call.call.response.capture_headers
            if (values := reached.values(name.encode()))
        }  # fmt: skip
        value = {"status": reached.status, "body": value, "error": error, "headers": headers}
    return WholeAnswer(reached.mask.json(encoded(call, value, size)))
