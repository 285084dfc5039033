"""Reads usage from an answer's bytes as they pass: a copy, which delays nothing and changes nothing.

Content codings are undone for it within bounds. A stream is read event by event; a JSON answer is gathered up to 256
KiB and read at its end; of a larger one its first and last 64 KiB are kept, where providers tell usage.
"""

import re
from contextlib import suppress
from typing import Any, Final

import orjson

from tieline.core.errors import UpstreamError
from tieline.core.json_places import value_end
from tieline.dataplane.answers.content_coding import Coding, coding
from tieline.dataplane.answers.streams.ndjson import NdjsonDecoder
from tieline.dataplane.answers.streams.sse import EVENT_ENDS, SseDecoder
from tieline.metering.include_usage import is_usage_chunk
from tieline.metering.reading import UsageReading
from tieline.metering.usage.reader import UsageGatherer, UsageReader
from tieline.wire.framing import Headers

GATHERED_MOST: Final = 256 * 1024
"""Bytes of a JSON answer that is read whole."""
KEPT: Final = 64 * 1024
"""Bytes of the beginning and of the end of a larger one."""
DECODED_MOST: Final = 256 * 1024 * 1024
"""Bytes that a coded answer may become."""
_MEMBER: Final = re.compile(rb'"(usage|usageMetadata|model|modelVersion|service_tier)"[ \t\r\n]*+:[ \t\r\n]*+(?=["{])')
_TOO_LARGE: Final = "an answer that is too large"
_UNREADABLE: Final = "an answer that cannot be read"


class UsageListener:
    """Listens to one answer. ``asked_bytes`` is the size of the request's body."""

    __slots__ = (
        "_asked_bytes",
        "_coding",
        "_decoder",
        "_gathered",
        "_headers",
        "_is_json",
        "_lost",
        "_pieces",
        "_reader",
        "_size",
        "_tail",
    )

    def __init__(self, reader: UsageReader, headers: Headers, content_type: bytes, asked_bytes: int) -> None:
        self._asked_bytes = asked_bytes
        self._reader = reader
        self._headers = headers
        kind = content_type.partition(b";")[0].strip().lower()
        self._decoder = _decoder(kind)
        self._is_json = self._decoder is None and kind.endswith((b"/json", b"+json"))
        self._gathered: UsageGatherer | None = None if self._is_json else reader.gather(headers, asked_bytes)
        self._lost: str | None = None
        self._coding: Coding | None = None
        self._pieces: list[bytes] = []
        self._tail = b""
        self._size = 0
        if self._is_json or self._decoder is not None:
            try:
                self._coding = coding(headers, DECODED_MOST)
            except UpstreamError:
                self._lost = _UNREADABLE

    def feed(self, data: bytes) -> None:
        """The next bytes of the body as they came."""
        if self._lost is not None or not (self._is_json or self._decoder is not None):
            return
        try:
            if self._coding is not None:
                data = self._coding.feed(data)
            if self._is_json:
                self._gather(data)
            elif self._decoder is not None:
                self._events(data)
        except UpstreamError:
            self._lost = _UNREADABLE

    def reading(self, *, ended: bool) -> UsageReading | None:
        """What was used. ``ended`` says that the body is whole."""
        if self._is_json and ended and self._lost is None:
            found = self._reader.of_answer(self._whole(), self._headers)
        else:
            gathered = self._gathered or self._reader.gather(self._headers, self._asked_bytes)
            if self._decoder is not None and ended and self._lost is None:
                with suppress(UpstreamError):
                    for frame in self._decoder.finish():
                        gathered.event(frame.name, frame.data)
            found = gathered.reading(ended=ended)
        if self._lost is None:
            return found
        if found is None:
            return UsageReading(None, None, {}, unread=frozenset({self._lost}))
        return found._replace(unread=found.unread | {self._lost})

    def _events(self, data: bytes) -> None:
        decoder, gathered = self._decoder, self._gathered
        assert decoder is not None  # else nobody calls
        assert gathered is not None  # it is no JSON
        is_event = data.find(b"\n\n") == len(data) - 2 > 0  # one, as most pieces are
        if is_event and isinstance(decoder, SseDecoder) and decoder.between and gathered.passed(data):
            return
        for frame in decoder.feed(data):
            gathered.event(frame.name, frame.data)

    def _gather(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= GATHERED_MOST:
            self._pieces.append(data)
            return
        if self._pieces and not self._tail:
            begun = b"".join(self._pieces)
            self._pieces = [begun[:KEPT]]
            data = begun[KEPT:] + data
        self._tail = (self._tail + data)[-KEPT:]

    def _whole(self) -> Any:
        """A whole JSON answer, decoded, or of a large one the members that tell usage."""
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        if self._size <= GATHERED_MOST:
            try:
                return orjson.loads(body)
            except orjson.JSONDecodeError:
                value = _members(body)  # half a character in a text, or a number that JSON does not have
                self._lost = None if value else _UNREADABLE if body.strip() else None
                return value
        value = _members(body) | _members(self._tail)
        self._lost = None if {"usage", "usageMetadata"} & value.keys() else _TOO_LARGE
        return value


def _decoder(kind: bytes) -> SseDecoder | NdjsonDecoder | None:
    if kind == b"text/event-stream":
        return SseDecoder(b"[DONE]")
    return NdjsonDecoder() if kind in {b"application/x-ndjson", b"application/jsonl"} else None


def _members(text: bytes) -> dict[str, Any]:
    """Members that tell usage, wherever they stand in a part of a JSON text; of one name the last.

    A text within it cannot look like one: its quotes are escaped.
    """
    found: dict[str, Any] = {}
    member = _MEMBER.search(text)
    while member is not None:
        try:
            end = value_end(text, member.end())
        except (ValueError, IndexError):
            break  # it was cut, and so is all that follows in it
        with suppress(ValueError):
            found[member[1].decode()] = orjson.loads(text[member.end() : end])
        member = _MEMBER.search(text, end)
    return found


def without_usage_chunk(data: bytes) -> bytes:
    """Whole server-sent events without the chunk of usage that nobody asked for but Tieline."""
    if b'"usage"' not in data:
        return data
    kept: list[bytes] = []
    start = 0
    while start < len(data):
        ends = [at + len(mark) for mark in EVENT_ENDS if (at := data.find(mark, start)) >= 0]
        end = min(ends, default=len(data))
        event = data[start:end]
        lines = [line.removeprefix(b"data:") for line in event.splitlines() if line.startswith(b"data:")]
        if not is_usage_chunk(b"\n".join(lines)):
            kept.append(event)
        start = end
    return b"".join(kept)
