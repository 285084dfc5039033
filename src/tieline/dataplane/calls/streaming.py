"""A streamed answer passed on as the events of ``/call`` (docs/streams.md), an event at a time, at the caller's pace.

Owns the order of reading and writing. How a provider's stream is read is ``dataplane.streams``'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tieline.core.errors import TielineError, UpstreamError
from tieline.dataplane.answers.content_coding import Coding, coding
from tieline.dataplane.answers.item_mask import ItemMask
from tieline.dataplane.answers.streams import CONTENT_TYPE, Failed, StreamItem, StreamReader, encode
from tieline.dataplane.attempt.send import Reached
from tieline.dataplane.calls.reply import Reply
from tieline.dataplane.snapshot.calls import ReadyCall

EVENT_STREAM: Final = b"content-type: %b\r\nx-accel-buffering: no\r\n" % CONTENT_TYPE
STREAM_MOST: Final = 1024 * 1024 * 1024
"""Bytes that an encoded stream may become in all."""
REST_SECONDS: Final = 0.5
"""How long what follows a stream's last event is read, so that the connection may be used again."""


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """How a stream ended: ``error`` None where it was whole; the events that its description does not declare."""

    error: TielineError | None
    undeclared: Mapping[str | None, int]


async def pass_stream(reply: Reply, reached: Reached, call: ReadyCall, request_id: str) -> StreamEnd:
    """Pass a stream on to its end, good or bad.

    Raises UpstreamError before anything was written.
    """
    assert call.stream is not None  # its response is of type stream
    undo = coding(reached.headers, STREAM_MOST)
    reader = StreamReader(call.stream)
    masked = ItemMask(reached.mask)
    failed: Failed | None = None
    reply.begin_events(EVENT_STREAM)
    while not reader.ended and failed is None:
        items = masked.feed(await _next(reached, reader, undo))
        if items:
            failed = items[-1] if isinstance(items[-1], Failed) else None
            await reply.write(b"".join([encode(item, request_id) for item in items]))
    reply.end()
    return StreamEnd(failed.error if failed is not None else None, reader.drift)


async def _next(reached: Reached, reader: StreamReader, undo: Coding | None) -> list[StreamItem]:
    """What the next bytes of the upstream, or their end, complete."""
    try:
        data = await reached.read()
        if data:
            return reader.feed(data if undo is None else undo.feed(data))
        if undo is not None:
            undo.finish()
        return reader.finish()
    except UpstreamError as error:
        return [Failed(error, reader.usage)]
