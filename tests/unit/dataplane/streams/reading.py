"""How the tests of streams read: pieces in, items out in a form that can be compared."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tieline.dataplane.answers.streams import Failed, Shape, StreamReader
from tieline.definitions.model import Field, Stream

RECORDINGS = Path(__file__).parent / "recordings"


def recording(name: str) -> bytes:
    """A stream in a provider's shape, written by hand after its documentation."""
    return (RECORDINGS / name).read_bytes()


def comparable(item: Any) -> Any:
    """An item as it is, but a failure as its code, its words and usage."""
    return ("failed", item.error.code, item.error.public, item.usage) if isinstance(item, Failed) else item


def read(stream: Stream | Shape, *pieces: bytes, fields: Sequence[Field] = ()) -> list[Any]:
    """Everything that a reader makes of a whole stream that comes in ``pieces``."""
    return read_all(stream, pieces, fields)


def read_all(stream: Stream | Shape, pieces: Iterable[bytes], fields: Sequence[Field] = ()) -> list[Any]:
    """As ``read``, for pieces that are made one by one."""
    reader = StreamReader(stream, fields)
    found = [item for piece in pieces for item in reader.feed(piece)]
    return [comparable(item) for item in found + reader.finish()]


def one_by_one(data: bytes) -> Iterable[bytes]:
    """Every byte as a piece of its own."""
    return (data[place : place + 1] for place in range(len(data)))


def failure(found: Sequence[Any]) -> tuple[str, str]:
    """Code and words of the failure that ends ``found``, which has no other."""
    assert sum(isinstance(item, tuple) for item in found) == 1
    kind, code, words, _ = found[-1]
    assert kind == "failed"
    return code, words
