"""Reads an upstream's whole answer as the value its response type says, and shapes it for the caller.

Owns the bounds of what is gathered. How a type is read is for ``definitions.infer`` to say.
"""

import asyncio
import json
from contextlib import suppress
from typing import Any, Final

from tieline.core.errors import UpstreamError, UpstreamProtocolError, UpstreamResponseTooLarge
from tieline.core.slices import is_blank, join, strip
from tieline.dataplane.answers.charset import charset_of, text_of
from tieline.dataplane.answers.content_coding import coding
from tieline.dataplane.answers.exact_json import is_json, read_json, read_json_text
from tieline.dataplane.answers.json_parts import write_json_by_size
from tieline.dataplane.answers.large_json import (
    TooManyValues,
    check_large_json,
    read_large_json,
    read_large_json_text,
)
from tieline.dataplane.attempt.send import UpstreamAnswer
from tieline.dataplane.snapshot.calls import ReadyCall
from tieline.definitions.infer.answers import read_answer
from tieline.definitions.infer.markup import read_xml
from tieline.definitions.infer.unreadable import UnreadableAnswer

ANSWER_MOST: Final = 16 * 1024 * 1024
"""Bytes of an answer that is gathered, as it comes and decoded."""
LARGE: Final = 128 * 1024
"""An answer or arguments of more bytes are read in a thread, one at a time, so that other requests do not wait."""
_CODED_PIECE: Final = 16 * 1024
"""Bytes of a coded body that are undone at once; they become at most 200 times as many."""
ERROR_MOST: Final = 64 * 1024
"""Bytes of an upstream's error that are looked at."""


async def gather(reached: UpstreamAnswer, most: int = ANSWER_MOST) -> bytes:
    """The whole body without its content coding. Raises UpstreamError."""
    whole = reached.rest(most)
    if whole is not None:
        return whole
    body = await reached.read_all(most)
    undo = coding(reached.headers, most)
    if undo is None:
        return body
    pieces = []
    for start in range(0, len(body), _CODED_PIECE):
        pieces.append(undo.feed(body[start : start + _CODED_PIECE]))
        await asyncio.sleep(0)  # others run in between
    undo.finish()
    return join(pieces)


async def gather_some(reached: UpstreamAnswer, most: int = ERROR_MOST) -> bytes:
    """The beginning of a body, as much as is worth looking at, without its content coding; whatever goes wrong.

    Where that is not all, it ends before what may be the beginning of a secret.
    """
    found = bytearray()
    is_whole = False
    try:
        undo = coding(reached.headers, most)
        while len(found) <= most and not is_whole:
            data = await reached.read()
            is_whole = not data
            found += data if undo is None else undo.feed(data)
    except UpstreamError:
        pass
    return bytes(found) if is_whole else reached.mask.beginning(bytes(found[:most]))


def document_of(call: ReadyCall, reached: UpstreamAnswer, body: bytes) -> Any:
    """The value that ``body`` is by the call's response type; null for no body at all.

    Raises:
        UpstreamProtocolError: it is something else.
    """
    response = call.call.response
    kind = response.type
    try:
        if is_blank(body):
            return "" if kind == "text" else None
        if kind == "json":
            with suppress(ValueError):
                return _json_in_utf8(body)
        content_type = reached.header(b"content-type") or b""
        if kind == "json":
            return _json_in(charset_of(content_type), body)
        charset = charset_of(content_type)
        if kind == "xml" and not charset:
            return read_xml(body, response.fields)  # its declaration names the encoding
        text = text_of(body, charset)
        found = read_answer(kind, text, response.fields)
    except UnreadableAnswer as error:
        raise _unreadable(call, str(error)) from None
    if kind == "number":
        with suppress(ValueError):  # as it was written; some write what is a number, and no JSON: +1, .5
            return read_json_text(text.strip())
    return found


def error_document(body: bytes, content_type: bytes) -> Any:
    """The value of an error's body: JSON if it is, else text; null for nothing."""
    if is_blank(body):
        return None
    charset = charset_of(content_type)
    with suppress(ValueError):
        return _json_in_utf8(body)
    try:
        return _json_in(charset, body)
    except UnreadableAnswer:
        return text_of(body, charset)


def raw_json(body: bytes) -> bytes | None:
    """``body`` itself where it is JSON in UTF-8, to be handed out as it came; else None."""
    body = strip(body, b" \t\r\n")
    if len(body) <= LARGE:
        return body if body and is_json(body) else None
    try:
        check_large_json(body)
    except ValueError:
        return None  # whoever reads it finds out what is wrong
    return body


def _json_in_utf8(body: bytes) -> Any:
    """The value of JSON as it should be (RFC 8259 section 8.1). Raises ValueError, UpstreamResponseTooLarge."""
    try:
        return read_json(body) if len(body) <= LARGE else read_large_json(body)
    except TooManyValues:
        raise _too_many() from None


def _json_in(charset: str, body: bytes) -> Any:
    """The value of JSON that is not in UTF-8, for some have other ideas. Raises ``UnreadableAnswer``."""
    text = text_of(body, charset or json.detect_encoding(body))
    try:
        return read_json_text(text) if len(body) <= LARGE else read_large_json_text(text)
    except TooManyValues:
        raise _too_many() from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UnreadableAnswer(f"the answer is no JSON ({where}); check the answer's type") from None
    except ValueError:
        raise UnreadableAnswer("the answer is no JSON; check the answer's type") from None


def _too_many() -> UpstreamResponseTooLarge:
    return UpstreamResponseTooLarge(
        "The upstream's answer holds more than the million objects and lists, or four million values, that are read. "
        "Ask for less."
    )


def encoded(call: ReadyCall, value: Any, size: int) -> bytes:
    """``value``, which the upstream's answer of ``size`` bytes held, as JSON.

    Raises UpstreamProtocolError where it nests too deep.
    """
    try:
        return write_json_by_size(value, size)
    except ValueError:
        raise _unreadable(call, "the answer nests deeper than 254 levels; ask for less") from None


def _unreadable(call: ReadyCall, why: str) -> UpstreamProtocolError:
    return UpstreamProtocolError(f"The upstream's answer to {call.name} cannot be read: {why}.")
