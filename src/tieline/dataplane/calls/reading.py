"""Reads an upstream's whole answer as the value its response type says, and shapes it for the caller.

Owns the bounds of what is gathered. How a type is read is for ``definitions.infer`` to say.
"""

import codecs
from contextlib import suppress
from typing import Any, Final

import orjson

from tieline.core.errors import UpstreamError, UpstreamProtocolError
from tieline.dataplane.answers.content_coding import coding
from tieline.dataplane.attempt.send import Reached
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.definitions.infer.answers import read_answer
from tieline.definitions.infer.markup import read_xml
from tieline.definitions.infer.unreadable import UnreadableAnswer

ANSWER_MOST: Final = 16 * 1024 * 1024
"""Bytes of an answer that is gathered, as it comes and decoded."""
ERROR_MOST: Final = 64 * 1024
"""Bytes of an upstream's error that are looked at."""
_UTF8 = frozenset({"", "utf-8", "utf8", "us-ascii"})


async def gather(reached: Reached, most: int = ANSWER_MOST) -> bytes:
    """The whole body without its content coding. Raises UpstreamError."""
    body = await reached.read_all(most)
    undo = coding(reached.headers, most)
    if undo is None:
        return body
    plain = undo.feed(body)
    undo.finish()
    return plain


async def gather_some(reached: Reached, most: int = ERROR_MOST) -> bytes:
    """The beginning of a body, as much as is worth looking at, without its content coding; whatever goes wrong."""
    pieces: list[bytes] = []
    try:
        undo = coding(reached.headers, most)
        while sum(map(len, pieces)) < most and (data := await reached.read()):
            pieces.append(data if undo is None else undo.feed(data))
    except UpstreamError:
        return b"".join(pieces)
    return b"".join(pieces)[:most]


def document_of(call: ReadyCall, reached: Reached, body: bytes) -> Any:
    """The value that ``body`` is by the call's response type; null for no body at all.

    Raises:
        UpstreamProtocolError: it is something else.
    """
    response = call.call.response
    kind = response.type
    try:
        if kind == "json":
            with suppress(orjson.JSONDecodeError):  # JSON is UTF-8 (RFC 8259 section 8.1), but some have other ideas
                return orjson.loads(body)
        if not body.strip():
            return "" if kind == "text" else None
        charset = charset_of(reached.header(b"content-type") or b"")
        if kind == "xml" and not charset:
            return read_xml(body, response.fields)  # its declaration names the encoding
        return read_answer(kind, text_of(body, charset), response.fields)
    except UnreadableAnswer as error:
        raise _unreadable(call, str(error)) from None


def encoded(call: ReadyCall, value: Any) -> bytes:
    """``value``, which the upstream's answer held, as JSON. Raises UpstreamProtocolError where it nests too deep."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise _unreadable(call, "the answer nests deeper than 254 levels; ask for less") from None


def charset_of(content_type: bytes) -> str:
    """The ``charset`` of a media type in lower case, empty where it says none."""
    for parameter in content_type.split(b";")[1:]:
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"charset":
            return value.strip(b' \t"').decode("ascii", "replace").lower()
    return ""


def text_of(body: bytes, charset: str) -> str:
    """``body`` as text, what cannot be read in it replaced; UTF-8 where the charset is not known."""
    if charset in _UTF8:
        return body.decode("utf-8-sig", "replace")
    try:
        codecs.lookup(charset)
        return body.decode(charset, "replace")
    except (LookupError, UnicodeError):
        return body.decode("utf-8-sig", "replace")


def _unreadable(call: ReadyCall, why: str) -> UpstreamProtocolError:
    return UpstreamProtocolError(f"The upstream's answer to {call.name} cannot be read: {why}.")
