"""A streamed answer passed on as items (docs/streams.md), an event at a time, at the receiver's pace.

Owns the order of reading and writing. How a provider's stream is read is for ``answers.streams`` to say.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from tieline.core.errors import UpstreamError, UpstreamFailed
from tieline.dataplane.answers.content_coding import Coding, coding
from tieline.dataplane.answers.error_text import extract_error
from tieline.dataplane.answers.item_mask import ItemMask
from tieline.dataplane.answers.mask import Mask
from tieline.dataplane.answers.streams import Failed, StreamItem, StreamReader
from tieline.dataplane.attempt.send import UpstreamAnswer
from tieline.dataplane.calls.answering import sentence
from tieline.dataplane.calls.reading import ERROR_MOST, LARGE
from tieline.dataplane.calls.results import Receiver
from tieline.dataplane.snapshot.calls import ReadyCall

STREAM_MOST: Final = 1024 * 1024 * 1024
"""Bytes that an encoded stream may become in all."""
_PIECE: Final = 8 * 1024
REST_SECONDS: Final = 0.5
"""How long what follows a stream's last event is read, so that the connection may be used again."""
InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
_DOCUMENT: Final = (b"{", b"[", b"<", b'"')
"""What a document of JSON or a page begins with, and no line of server-sent events does."""


async def pass_stream(
    receiver: Receiver, reached: UpstreamAnswer, call: ReadyCall, in_thread: InThread, *, hides_usage: bool = False
) -> Mapping[str | None, int]:
    """Pass a stream on to its end, good or bad; the events that its description does not declare, by name.

    Raises UpstreamError before anything was handed out, UpstreamFailed where a document came instead of events, or the
    first event tells of an error: so providers tell what is wrong with a request, whatever the status. What came
    decides, not what it is called. With ``hides_usage`` the chunk of usage is not handed out as an event.
    """
    assert call.stream is not None  # its response is of type stream
    undo = coding(reached.headers, STREAM_MOST)
    begun = b""
    if call.stream.format == "sse":
        begun = await _beginning(reached, undo, lambda found: bool(found.lstrip()))
        if begun.lstrip().startswith(_DOCUMENT):
            begun += await _beginning(reached, undo, lambda found: len(found) >= ERROR_MOST)
            if len(begun) >= ERROR_MOST:
                begun = reached.mask.beginning(begun[:ERROR_MOST])
            kind = reached.mask.header(reached.header(b"content-type") or b"").partition(b";")[0].strip().lower()
            said = extract_error(kind, begun, reached.mask.text)
            raise UpstreamFailed(sentence(reached, *said, what=f"no events but {kind.decode('ascii', 'replace')[:60]}"))
    reader = StreamReader(call.stream)
    reader.hides_usage = hides_usage
    masked = ItemMask(reached.mask)
    is_begun = False
    async for data in _source(reached, undo, begun):
        step = partial(_read, reader, masked, data, sure=reached.bounded or undo is not None)
        is_large = isinstance(data, bytes) and reader.waiting + len(data) > LARGE
        items = await in_thread(step) if is_large else step()
        is_over = reader.ended or (bool(items) and isinstance(items[-1], Failed))
        if not is_begun:
            _raise_refusal(items)
            receiver.begin_events()
            is_begun = True
        if items:
            await receiver.items(items)
        if is_over:
            break
    receiver.end()
    return _hidden_names(reader.drift, reached.mask)


def _hidden_names(counts: Mapping[str | None, int], mask: Mask) -> dict[str | None, int]:
    """Counts of events by their names, in which an upstream may have put a secret: they are kept and shown."""
    found: dict[str | None, int] = {}
    for name, count in counts.items():
        shown = name and mask.text(name)
        found[shown] = found.get(shown, 0) + count
    return found


def _raise_refusal(items: Sequence[StreamItem]) -> None:
    """Raise what the upstream tells in its very first event, where that is an error and nothing else."""
    if len(items) == 1 and isinstance(items[0], Failed) and isinstance(items[0].error, UpstreamFailed):
        raise items[0].error


async def _beginning(reached: UpstreamAnswer, undo: Coding | None, enough: Callable[[bytearray], bool]) -> bytes:
    """What comes of the body, decoded, until it is ``enough`` or over. Raises UpstreamError."""
    found = bytearray()
    while len(found) < ERROR_MOST and not enough(found) and (data := await reached.read()):
        found += data if undo is None else undo.feed(data)
    return bytes(found)


async def _source(
    reached: UpstreamAnswer, undo: Coding | None, begun: bytes
) -> AsyncIterator[bytes | UpstreamError | None]:
    """``begun`` and the rest of the body, decoded; at last None for its end, or what ended it badly.

    In pieces of at most 8 KiB, coded and decoded: each may hold hundreds of events, and others run in between.
    """
    try:
        for piece in _pieces(begun):
            yield piece
            if piece is not begun:
                await asyncio.sleep(0)
        while came := await reached.read():
            for part in _pieces(came):
                for piece in _pieces(part if undo is None else undo.feed(part)):
                    yield piece
                    if piece is not came:
                        await asyncio.sleep(0)
        if undo is not None:
            undo.finish()
    except UpstreamError as error:
        yield error
    else:
        yield None


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))


def _read(
    reader: StreamReader, masked: ItemMask, data: bytes | UpstreamError | None, *, sure: bool
) -> list[StreamItem]:
    """What the next bytes, or their end, complete, with secrets hidden. Waits for nothing, and may run in a thread."""
    if isinstance(data, UpstreamError):
        return masked.feed([Failed(data, reader.usage)])
    return masked.feed(reader.finish(sure=sure) if data is None else reader.feed(data))
