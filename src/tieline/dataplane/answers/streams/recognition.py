"""Whether an answer is a stream at all, and what its first events hold: for an operator who initializes a call.

One JSON document is no stream, even if a stream could begin so; only where the media type says otherwise, or a provider
is known to send one array piece by piece. Proposes, and decides nothing for good.
"""

from typing import Final

import orjson

from tieline.dataplane.answers.streams.detection import MOST_SAMPLE, Seen, detect, events, is_stream_type
from tieline.dataplane.answers.streams.presets import PRESETS
from tieline.dataplane.answers.streams.reader import StreamReader
from tieline.definitions.infer.learning import StreamSample
from tieline.definitions.model import Stream

_UNSAID: Final = frozenset({"", "application/octet-stream", "text/plain"})


def recognise_stream(sample: bytes, content_type: str = "", known: Stream | None = None) -> StreamSample | None:
    """The stream that ``sample``, the first bytes of an answer, is the beginning of; None where it is no stream.

    ``known`` is the shape that the call says its streams have: then no other is proposed.
    """
    proposed = detect(sample, content_type)
    framing = PRESETS[proposed.preset].format if proposed.preset is not None else proposed.format
    seen = events(sample, framing)
    if not is_stream_type(content_type) and not _looks_so(sample, content_type, proposed, framing, seen):
        return None
    stream = proposed if known is None or known == Stream() else known
    return StreamSample(stream, tuple(seen), _text(stream, sample))


def _looks_so(sample: bytes, content_type: str, proposed: Stream, framing: str, seen: list[Seen]) -> bool:
    media = content_type.partition(";")[0].strip().lower()
    if media not in _UNSAID and not media.endswith("json"):
        return False
    if framing == "json_array":
        return proposed.preset is not None
    if _is_document(sample):
        return False
    if framing == "sse":
        return media in _UNSAID and any(isinstance(value, dict | list) for _, value in seen)
    return framing in {"ndjson", "json_concatenated"} and len(seen) > 1


def _is_document(sample: bytes) -> bool:
    try:
        orjson.loads(sample)
    except orjson.JSONDecodeError:
        return False
    return True


def _text(stream: Stream, sample: bytes) -> str:
    reader = StreamReader(stream)
    reader.feed(sample[:MOST_SAMPLE])
    return reader.text
