"""Reads one stream: bytes in any pieces go in, deltas, events and one end come out. Does no input or output.

However the bytes are cut, the items are the same; the one exception is ``format: text``, where pieces of text have no
borders but those of the bytes. Nothing that an upstream sends makes it raise.
"""

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from tieline.core.errors import UpstreamError
from tieline.dataplane.answers.json_parts import write_json_by_size
from tieline.dataplane.answers.streams import items
from tieline.dataplane.answers.streams.arrays import ArrayDecoder, ConcatenatedDecoder
from tieline.dataplane.answers.streams.frames import Decoder, Frame, text_of, value_of
from tieline.dataplane.answers.streams.items import MOST_TEXT, Delta, Done, Event, Failed, StreamItem
from tieline.dataplane.answers.streams.lines import BOM
from tieline.dataplane.answers.streams.marks import EndMarks
from tieline.dataplane.answers.streams.ndjson import NdjsonDecoder
from tieline.dataplane.answers.streams.presets import text_in
from tieline.dataplane.answers.streams.shape import Shape, shape_of
from tieline.dataplane.answers.streams.sse import SseDecoder
from tieline.dataplane.answers.streams.usage import normalise
from tieline.definitions.model import Field, Stream
from tieline.metering.include_usage import is_usage_chunk
from tieline.metering.usage.told import MEMBERS_MOST, merge

_MOST_NAME: Final = 200
_NAMES: Final = ("type", "event", "event_type")
_MOST_DRIFT: Final = 100
_MOST_AROUND: Final = 200
_BEGINNING: Final = 256
_SHORT: Final = 200
_SELF_ENDING: Final = frozenset({"json_array", "text"})
"""Formats that have a bracket for the end, or no events at all."""
_HALF: Final = re.compile("[\ud800-\udfff]")


class StreamReader:
    """The reader of one answer. ``fields`` are kept from all events and handed out with the end.

    ``hides_usage``: the chunk of usage that nobody but Tieline asked for is no event of the caller's; what it tells is.

    ``feed`` until ``ended`` or the bytes are over, then ``finish``. Where the caller leaves in between, ``usage`` and
    ``text`` tell what there was. ``drift`` counts, by name, the events that the description does not declare.
    ``waiting`` counts the bytes since the last event that was whole: where they are many, the next ``feed`` may take
    long, and belongs into a thread.
    """

    __slots__ = (
        "_around", "_begin", "_decoder", "_framed", "_half", "_kept", "_marks", "_room", "_shape", "_size",
        "_size_kept", "_text", "_used", "_utf8", "_whole", "cut", "drift", "ended", "hides_usage", "waiting",
    )  # fmt: skip

    def __init__(self, stream: Stream | Shape, fields: Sequence[Field] = ()) -> None:
        shape = stream if isinstance(stream, Shape) else shape_of(stream, fields)
        self._shape = shape
        self._decoder = decoder_of(shape.format, shape.end)
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._text: list[str] = []
        self._room = MOST_TEXT
        self._kept: dict[str, Any] = {}
        self._size = self._size_kept = 0  # bytes of the event that is read, and of the largest that had such a field
        self._used: dict[str, Any] = {}
        self._whole = False
        self._marks = EndMarks() if shape.ending is None and shape.format not in _SELF_ENDING else None
        self._half = ""  # half a character that ended the last delta
        self._around: dict[
            tuple[str | None, str], bytes
        ] = {}  # fingerprints of what was handed out of repeated members
        self._begin = b""  # the first bytes, as long as no event came
        self._framed = False
        self.waiting = 0
        self.cut = False
        self.ended = False
        self.hides_usage = False
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
        self.waiting += len(data)
        if not self._framed and len(self._begin) < _BEGINNING:
            self._begin += data[:_BEGINNING]
        found = self._read(self._decoder.feed(data))
        if self._decoder.closed and not self.ended:
            self._close(found)
        return found

    def finish(self, *, sure: bool = True) -> list[StreamItem]:
        """The items that the end of the bytes completes: the last is ``Done`` or ``Failed`` unless there was one.

        Without ``sure`` the bytes may have been cut, as where a connection's end is all that ends them.
        """
        if self.ended:
            return []
        found = self._plain(b"", last=True) if self._decoder is None else self._read(self._decoder.finish())
        if not self.ended and not self._framed and self._shape.format == "sse" and _is_other(self._begin):
            self._close(found, items.malformed("has no server-sent event, but something else"))
        if not self.ended:
            missed = self._missed()
            self._close(found, items.truncated(missed) if missed is not None else None, sure=sure or self._is_marked)
        return found

    def _missed(self) -> str | None:
        """What shows that the stream ended too soon; None where nothing does."""
        if self._marks is not None and self._marks.waiting is not None and not self._marks.seen:
            return f"it ended before {self._marks.waiting} said that it is over"
        return self._shape.ending if not self._whole else None

    @property
    def _is_marked(self) -> bool:
        """Whether an event said that the stream is over."""
        return self._whole or (self._marks is not None and self._marks.seen)

    def _read(self, frames: Iterator[Frame]) -> list[StreamItem]:
        found: list[StreamItem] = []
        try:
            for frame in frames:
                self._framed, self.waiting = True, 0
                self._event(frame, found)
                if self.ended:
                    break
        except UpstreamError as error:
            self._close(found, error)
        return found

    def _event(self, frame: Frame, found: list[StreamItem]) -> None:
        """Read one event. Raises UpstreamError for what ends the stream badly."""
        shape = self._shape
        name, data, value = frame
        self._size = len(data)
        if data == shape.end:
            self._close(found)
            return
        if value is None:
            value = self._value(name, data)
        if name is None and isinstance(value, dict):
            name = type_of(value)
        self._account(name, value)
        if self.hides_usage and is_usage_chunk(data):
            return
        if self._marks is not None:
            self._marks.note(value)
        self._deliver(name, value, found)
        if shape.done is not None and shape.done(name, value):
            self._close(found)
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
        if isinstance(used, dict) and len(used) <= MEMBERS_MOST:
            merge(self._used, used)
        error = shape.error(name, value)
        if error not in (None, False, ""):
            raise items.reported(error)
        for label, get in shape.kept:
            kept = get(value)
            if kept is not None:
                self._kept[label] = kept
                self._size_kept = max(self._size_kept, self._size)

    def _deliver(self, name: str | None, value: Any, found: list[StreamItem]) -> None:
        """Hand out the text of an event, and what it holds beside it."""
        text = text_in(self._shape.text(name, value))
        if text:
            found += self._deltas(self._joined(text))
        self._beside(name, value, found, texts=bool(text))

    def _joined(self, text: str) -> str:
        r"""``text`` with the half of a character that the delta before ended with; its own is held back.

        Providers that cut JSON texts between code units send ``\ud83d`` and ``\ude00`` in two events.
        """
        if text.isascii() and not self._half:
            return text
        text = self._half + text
        if _HALF.search(text) is None:
            self._half = ""
            return text
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        return text[:-1] if self._half else text

    def _beside(self, name: str | None, value: Any, found: list[StreamItem], *, texts: bool) -> None:
        """``texts`` says that the event gave a delta: then it is not handed out as a whole as well."""
        shape = self._shape
        if shape.declared is not None and name not in shape.declared:
            if not texts and (name in self.drift or len(self.drift) < _MOST_DRIFT):
                self.drift[name] = self.drift.get(name, 0) + 1
            if not shape.keeps:
                return
        fields, around = shape.beside(name, value) if texts else (shape.event(name, value), shape.around(name, value))
        if around:
            fields = {**(fields or {}), **self._news(name, around)} or None
        if fields is not None and (fields or not texts):
            found.append(Event(name, fields if isinstance(fields, dict) else {"data": fields}, self._size))

    def _news(self, name: str | None, around: Mapping[str, Any]) -> dict[str, Any]:
        """What of the members that events repeat was not handed out before as it is now."""
        news: dict[str, Any] = {}
        for key, value in around.items():
            is_short = isinstance(value, int | float) or (isinstance(value, str) and len(value) <= _SHORT)
            known = value if is_short else blake2b(write_json_by_size(value, self._size), digest_size=16).digest()
            if self._around.get((name, key)) != known:
                news[key] = value
                if (name, key) in self._around or len(self._around) < _MOST_AROUND:
                    self._around[name, key] = known
        return news

    def _plain(self, data: bytes, *, last: bool) -> list[StreamItem]:
        try:
            text = self._utf8.decode(data, last)
        except UnicodeDecodeError as error:
            broken = items.malformed("holds bytes that are not UTF-8")
            if last:
                broken = items.truncated("it ended in the middle of a character")
            found = self._deltas(_before(error))
            self._close(found, broken)
            return found
        return self._deltas(text)

    def _deltas(self, text: str) -> list[StreamItem]:
        if not text:
            return []
        self._add(text)
        return [Delta(text)]

    def _add(self, text: str) -> None:
        if self.cut:
            return
        size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
        if size > self._room:
            self.cut = True
            text = text.encode(errors="surrogatepass")[: self._room].decode(errors="ignore")
        self._room -= size
        self._text.append(text)

    def _close(self, found: list[StreamItem], error: UpstreamError | None = None, *, sure: bool = True) -> None:
        """End the stream, well unless with an ``error``. Half a character whose other half never came goes before."""
        half, self._half = self._half, ""
        found += self._deltas(half)
        self.ended = True
        done = Done(self.text, self._kept, self.usage, self.cut, sure, self._size_kept * len(self._kept))
        found.append(done if error is None else Failed(error, self.usage))


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
    """The name of an event that framing does not name: the first of ``_NAMES`` that it has as a short text."""
    names = (value[member] for member in _NAMES if member in value)
    return next((name for name in names if isinstance(name, str) and len(name) <= _MOST_NAME), None)


def _before(error: UnicodeDecodeError) -> str:
    """The part of a piece of text that is good."""
    return error.object[: error.start].decode(errors="ignore")


def _is_other(begin: bytes) -> bool:
    """Whether a stream that begins so, and had no event, is of another format: JSON, or a page of HTML."""
    return begin.removeprefix(BOM).lstrip()[:1] in {b"{", b"[", b"<"}
