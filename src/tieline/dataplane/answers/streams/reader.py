"""Reads one stream: bytes in any pieces go in, deltas, events and one end come out. Does no input or output.

However the bytes are cut, the items are the same; the one exception is ``format: text``, where pieces of text have no
borders but those of the bytes. Nothing that an upstream sends makes it raise.
"""

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from tieline.core.errors import UpstreamError
from tieline.dataplane.answers.streams import items
from tieline.dataplane.answers.streams.arrays import ArrayDecoder, ConcatenatedDecoder
from tieline.dataplane.answers.streams.frames import Decoder, Frame, text_of, value_of
from tieline.dataplane.answers.streams.items import MOST_TEXT, Delta, Done, Event, Failed, StreamItem
from tieline.dataplane.answers.streams.ndjson import NdjsonDecoder
from tieline.dataplane.answers.streams.shape import Shape, shape_of
from tieline.dataplane.answers.streams.sse import SseDecoder
from tieline.dataplane.answers.streams.usage import normalise
from tieline.definitions.model import Field, Stream

_MOST_NAME: Final = 200
_MOST_DRIFT: Final = 100
_MOST_COUNTS: Final = 100


class StreamReader:
    """The reader of one answer. ``fields`` are kept from all events and handed out with the end.

    ``feed`` until ``ended`` or the bytes are over, then ``finish``. Where the caller leaves in between, ``usage`` and
    ``text`` tell what there was. ``drift`` counts, by name, the events that the description does not declare.
    """

    __slots__ = (
        "_decoder", "_kept", "_room", "_shape", "_text", "_used", "_utf8", "_whole", "cut", "drift", "ended",
    )  # fmt: skip

    def __init__(self, stream: Stream | Shape, fields: Sequence[Field] = ()) -> None:
        shape = stream if isinstance(stream, Shape) else shape_of(stream, fields)
        self._shape = shape
        self._decoder = decoder_of(shape.format, shape.end)
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._text: list[str] = []
        self._room = MOST_TEXT
        self._kept: dict[str, Any] = {}
        self._used: dict[str, Any] = {}
        self._whole = False
        self.cut = False
        self.ended = False
        self.drift: dict[str | None, int] = {}

    @property
    def text(self) -> str:
        """The text so far, at most 1 MiB of it; ``cut`` says whether there was more."""
        return "".join(self._text)

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """What was used so far, as far as the stream has told: see ``usage.normalise``."""
        return normalise(self._used) if self._used else None

    def feed(self, data: bytes) -> list[StreamItem]:
        """The items that ``data`` completes. Bytes after the end are ignored."""
        if self.ended:
            return []
        if self._decoder is None:
            return self._plain(data, last=False)
        found = self._read(self._decoder.feed(data))
        if self._decoder.closed and not self.ended:
            found.append(self._done())
        return found

    def finish(self) -> list[StreamItem]:
        """The items that the end of the bytes completes: the last is ``Done`` or ``Failed`` unless there was one."""
        if self.ended:
            return []
        found = self._plain(b"", last=True) if self._decoder is None else self._read(self._decoder.finish())
        if not self.ended:
            missed = self._shape.ending if not self._whole else None
            found.append(self._done() if missed is None else self._failed(items.truncated(missed)))
        return found

    def _read(self, frames: Iterator[Frame]) -> list[StreamItem]:
        found: list[StreamItem] = []
        try:
            for frame in frames:
                self._event(frame, found)
                if self.ended:
                    break
        except UpstreamError as error:
            found.append(self._failed(error))
        return found

    def _event(self, frame: Frame, found: list[StreamItem]) -> None:
        """Read one event. Raises UpstreamError for what ends the stream badly."""
        shape = self._shape
        name, data, value = frame
        if data == shape.end:
            found.append(self._done())
            return
        if value is None:
            value = self._value(name, data)
        if name is None and isinstance(value, dict):
            name = type_of(value)
        self._account(name, value)
        self._deliver(name, value, found)
        if shape.done is not None and shape.done(name, value):
            found.append(self._done())
        elif shape.whole is not None and shape.whole(name, value):
            self._whole = True

    def _value(self, name: str | None, data: bytes) -> Any:
        """What an event holds: JSON, or text where the description or its look says so."""
        shape = self._shape
        if not data:
            return ""
        if shape.raw is not None and shape.raw in {"", name} and name != "error":
            return text_of(data)
        return value_of(data) if shape.strict or data.lstrip()[:1] in {b"{", b"["} else text_of(data)

    def _account(self, name: str | None, value: Any) -> None:
        """Keep usage and fields. Raises UpstreamFailed where the event tells of an error."""
        shape = self._shape
        used = shape.usage(name, value)
        if isinstance(used, dict) and len(self._used) + len(used) <= _MOST_COUNTS:
            self._used.update(_told(used.items()))
        error = shape.error(name, value)
        if error not in (None, False, ""):
            raise items.reported(error)
        for label, get in shape.kept:
            kept = get(value)
            if kept is not None:
                self._kept[label] = kept

    def _deliver(self, name: str | None, value: Any, found: list[StreamItem]) -> None:
        """Hand out the text of an event, and what it holds beside it."""
        text = self._shape.text(name, value)
        if isinstance(text, list):
            text = "".join([each for each in text if isinstance(each, str)])
        if text and isinstance(text, str):
            self._add(text)
            found.append(Delta(text))
            self._beside(name, value, found, texts=True)
        else:
            self._beside(name, value, found, texts=False)

    def _beside(self, name: str | None, value: Any, found: list[StreamItem], *, texts: bool) -> None:
        """``texts`` says that the event gave a delta: then it is not handed out as a whole as well."""
        shape = self._shape
        if shape.declared is not None and name not in shape.declared:
            if not texts and (name in self.drift or len(self.drift) < _MOST_DRIFT):
                self.drift[name] = self.drift.get(name, 0) + 1
            return
        fields = shape.event(name, value)
        if fields is None:
            return
        if fields is value and (texts or (name is None and value == "")):
            return
        found.append(Event(name, fields if isinstance(fields, dict) else {"data": fields}))

    def _plain(self, data: bytes, *, last: bool) -> list[StreamItem]:
        try:
            text = self._utf8.decode(data, last)
        except UnicodeDecodeError as error:
            broken = items.malformed("holds bytes that are not UTF-8")
            if last:
                broken = items.truncated("it ended in the middle of a character")
            return [*self._deltas(_before(error)), self._failed(broken)]
        return self._deltas(text)

    def _deltas(self, text: str) -> list[StreamItem]:
        if not text:
            return []
        self._add(text)
        return [Delta(text)]

    def _add(self, text: str) -> None:
        if self.cut:
            return
        size = len(text) if text.isascii() else len(text.encode())
        if size > self._room:
            self.cut = True
            text = text.encode()[: self._room].decode(errors="ignore")
        self._room -= size
        self._text.append(text)

    def _done(self) -> Done:
        self.ended = True
        return Done(self.text, self._kept, self.usage, self.cut)

    def _failed(self, error: UpstreamError) -> Failed:
        self.ended = True
        return Failed(error, self.usage)


def decoder_of(format: str, end: bytes | None = None) -> Decoder | None:
    """The decoder of a stream's ``format``; None for ``text``, which has no events."""
    if format == "sse":
        return SseDecoder(end)
    if format == "ndjson":
        return NdjsonDecoder()
    if format == "json_array":
        return ArrayDecoder()
    return ConcatenatedDecoder() if format == "json_concatenated" else None


def type_of(value: Mapping[str, Any]) -> str | None:
    """The name of an event that framing does not name: its member ``type``, where that is a short text."""
    name = value.get("type")
    return name if isinstance(name, str) and len(name) <= _MOST_NAME else None


def _told(pairs: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """What is not null: a later event that says nothing of a count does not take it back."""
    return ((name, value) for name, value in pairs if value is not None)


def _before(error: UnicodeDecodeError) -> str:
    """The part of a piece of text that is good."""
    return error.object[: error.start].decode(errors="ignore")
