"""Reading a stream takes steps as many as it has bytes, however an upstream forms and cuts it."""

from collections.abc import Callable, Iterable

import pytest

from tests.steps import steps
from tests.unit.dataplane.streams.reading import one_by_one, read_all
from tieline.dataplane.answers.streams import detect
from tieline.definitions.model import Spot, Stream

GROWING: dict[str, tuple[Stream, Callable[[int], Iterable[bytes]]]] = {
    "events in one piece": (Stream(text=Spot("t")), lambda many: [b'data: {"t":"a","n":[1]}\n\n' * many]),
    "lines of one event": (Stream(), lambda many: [b"data: x\n" * many + b"\n"]),
    "comments": (Stream(), lambda many: [b": x\n" * many]),
    "fields of no meaning": (Stream(), lambda many: [b"x: y\n" * many]),
    "returns": (Stream(), lambda many: [b"data: a\r\n\r" * many]),
    "an event cut at every byte": (Stream(), lambda many: one_by_one(b"data: " + b"x" * many + b"\n\n")),
    "events cut at every byte": (Stream(), lambda many: one_by_one(b"data: x\n\n" * many)),
    "lines of JSON": (Stream("ndjson", text=Spot("t")), lambda many: [b'{"t":"a"}\n' * many]),
    "a line cut at every byte": (Stream("ndjson"), lambda many: one_by_one(b'"' + b"x" * many + b'"\n')),
    "items": (Stream("json_array"), lambda many: [b"[" + b'{"a":[1]},' * many + b"1]"]),
    "items in pieces of their own": (Stream("json_array"), lambda many: [b"[0", *[b',{"a":1}'] * many, b"]"]),
    "an item cut at every byte": (Stream("json_array"), lambda many: one_by_one(b'["' + b"\\n" * many + b'"]')),
    "an item of brackets in texts": (Stream("json_array"), lambda many: one_by_one(b'["' + b"{" * many + b'"]')),
    "values without separators": (Stream("json_concatenated"), lambda many: [b'{"a":1}' * many]),
    "halves of characters": (Stream(text=Spot("t")), lambda many: [b'data: {"t":"\\ud83d"}\n\n' * many]),
    "what repeats beside the text": (
        Stream(text=Spot("t")), lambda many: [b"".join(b'data: {"t":"a","s":[%d]}\n\n' % at for at in range(many))]
    ),
    "text": (Stream("text"), lambda many: one_by_one(b"x" * many)),
}  # fmt: skip


@pytest.mark.parametrize("name", GROWING)
def test_twice_as_much_takes_at_most_twice_the_steps(name: str) -> None:
    """Whatever a stream has many of."""
    stream, made = GROWING[name]
    small, large = (steps(lambda many=many: read_all(stream, made(many))) for many in (200, 400))  # type: ignore[misc]
    assert large <= 2.1 * small + 50


@pytest.mark.parametrize(
    "piece", [b'data: {"t":"a"}\n\n', b'{"a":1}\n', b'[{"a":1},', b"event: a\n", b'{"a":1}{', b"x: y\n"]
)
def test_a_proposal_takes_steps_as_many_as_its_sample_has_bytes(piece: bytes) -> None:
    """A format that is told by its looks is looked at once."""
    small, large = (steps(lambda many=many: detect(piece * many)) for many in (90, 180))  # type: ignore[misc]
    assert large <= 2.1 * small + 50


@pytest.mark.parametrize("format", ["sse", "ndjson", "json_array", "json_concatenated"])
@pytest.mark.parametrize("piece", [b"[", b'{"a":', b'"\\', b"\\u", b"\n", b" ", b"1,", b"[],", b"data: [\n"])
def test_megabytes_of_anything_are_read_once(format: str, piece: bytes) -> None:
    """In pieces as they come off the network: with a look back at each, this would not end."""
    data = piece * (4 * 1024 * 1024 // len(piece))
    read_all(Stream(format), [data[place : place + 65_536] for place in range(0, len(data), 65_536)])
