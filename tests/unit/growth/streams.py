"""Rows: what an upstream streams, however it forms and cuts it."""

from collections.abc import Callable, Iterable
from typing import Any

from tests.unit.dataplane.streams.reading import one_by_one, read_all
from tests.unit.growth.row import Rows, repeated
from tieline.dataplane.answers.streams import detect
from tieline.dataplane.answers.streams.recognition import recognise_stream
from tieline.dataplane.answers.usage_listener import GATHERED_MOST, UsageListener, without_usage_chunk
from tieline.definitions.model import Spot, Stream, Usage
from tieline.metering.usage.reader import UsageReader


def stream(shape: Stream) -> Callable[[Iterable[bytes]], Any]:
    """Reads pieces as such a stream."""
    return lambda pieces: read_all(shape, pieces)


def usage(kind: bytes) -> Callable[[Iterable[bytes]], Any]:
    """Reads usage of pieces of such a content type."""

    def read(pieces: Iterable[bytes]) -> Any:
        listener = UsageListener(UsageReader(Usage("openai")), (), kind, 0)
        for piece in pieces:
            listener.feed(piece)
        return listener.reading(ended=True)

    return read


JSON_TYPE = b"application/json"
NDJSON, ARRAY, JOINED = Stream("ndjson"), Stream("json_array"), Stream("json_concatenated")
TEXT = Stream(text=Spot("t"))
ROWS: Rows = {
    "SSE: events in one piece": (stream(TEXT), lambda n: [b'data: {"t":"a","n":[1]}\n\n' * n]),
    "SSE: lines of one event": (stream(Stream()), lambda n: [b"data: x\n" * n + b"\n"]),
    "SSE: comments": (stream(Stream()), lambda n: [b": x\n" * n]),
    "SSE: fields of no meaning": (stream(Stream()), lambda n: [b"x: y\n" * n]),
    "SSE: returns": (stream(Stream()), lambda n: [b"data: a\r\n\r" * n]),
    "SSE: an event cut at every byte": (stream(Stream()), lambda n: list(one_by_one(b"data: " + b"x" * n + b"\n\n"))),
    "SSE: events cut at every byte": (stream(Stream()), lambda n: list(one_by_one(b"data: x\n\n" * n))),
    "SSE: halves of characters": (stream(TEXT), lambda n: [b'data: {"t":"\\ud83d"}\n\n' * n]),
    "SSE: what repeats beside the text": (
        stream(TEXT), lambda n: [b"".join(b'data: {"t":"a","s":[%d]}\n\n' % at for at in range(n))]
    ),
    "NDJSON: lines": (stream(Stream("ndjson", text=Spot("t"))), lambda n: [b'{"t":"a"}\n' * n]),
    "NDJSON: a line cut at every byte": (stream(NDJSON), lambda n: list(one_by_one(b'"' + b"x" * n + b'"\n'))),
    "array: items": (stream(ARRAY), lambda n: [b"[" + b'{"a":[1]},' * n + b"1]"]),
    "array: items in pieces": (stream(ARRAY), lambda n: [b"[0", *[b',{"a":1}'] * n, b"]"]),
    "array: an item cut at every byte": (stream(ARRAY), lambda n: list(one_by_one(b'["' + b"\\n" * n + b'"]'))),
    "array: brackets in texts": (stream(ARRAY), lambda n: list(one_by_one(b'["' + b"{" * n + b'"]'))),
    "values without separators": (stream(JOINED), lambda n: [b'{"a":1}' * n]),
    "text": (stream(Stream("text")), lambda n: list(one_by_one(b"x" * n))),
    **{
        f"a proposal of {piece!r}": (detect, repeated(piece))
        for piece in (b'data: {"t":"a"}\n\n', b'{"a":1}\n', b'[{"a":1},', b"event: a\n", b'{"a":1}{', b"x: y\n")
    },
    "usage: events": (usage(b"text/event-stream"), lambda n: [b'data: {"usage":null}\n\n' * n]),
    "usage: an answer in pieces": (usage(JSON_TYPE), lambda n: [b'{"usage":1}'] * n),
    "usage: a member in a member": (usage(JSON_TYPE), lambda n: [b'{"usage":' * n]),
    "usage: members": (usage(JSON_TYPE), lambda n: [b'"usage":{},' * n]),
    "usage: the end of a large answer": (
        usage(JSON_TYPE), lambda n: [b'{"a":"' + b"x" * GATHERED_MOST, b'"usage":{"usage":' * n]
    ),
    "usage: a chunk that is hidden": (without_usage_chunk, lambda n: b'data: {"usage":null}\n\n' * n),
    "whether it is one": (recognise_stream, lambda n: b'data: {"a":"b"}\n\n' * n),
}  # fmt: skip
