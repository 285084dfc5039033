"""Whether an answer is a stream at all: by its media type, else only where nothing else can be meant."""

from pathlib import Path

import pytest

from tieline.dataplane.answers.streams.recognition import recognise_stream
from tieline.definitions.model import Spot, Stream

RECORDINGS = Path(__file__).parent / "recordings"
MEDIA = {".sse": "text/event-stream", ".ndjson": "application/x-ndjson", ".json": "application/json"}


@pytest.mark.parametrize("path", sorted(RECORDINGS.iterdir()), ids=lambda path: path.name)
def test_a_providers_recorded_stream_is_recognised(path: Path) -> None:
    """With its media type and without, whole and cut; by the preset of its name, with its text."""
    content = path.read_bytes()
    for sample, media in ((content, MEDIA[path.suffix]), (content, ""), (content[: len(content) * 3 // 4], "")):
        found = recognise_stream(sample, media)
        assert found is not None
        assert found.stream.preset == path.stem
        assert found.text
        assert found.events


@pytest.mark.parametrize(
    ("sample", "media", "is_stream"),
    [
        (b'{"a": 1}', "application/json", False),
        (b'{"a": 1}\n{"a": 2}\n', "application/json", True),
        (b'{"a": 1}\n{"a": 2}\n', "text/html", False),
        (b'{"a": 1}{"a": 2}', "", True),
        (b'[{"a": 1}, {"a": 2}]', "application/json", False),
        (b'[{"a": 1}, {"a": 2}]', "application/x-ndjson", True),
        (b'{"model": "m", "message": {"content": "x"}, "done": true}', "application/json", False),
        (b"id: 5\nname: data\n", "text/plain", False),
        (b": comment\n\nplain text", "text/plain", False),
        (b'data: {"a": 1}\n\n', "text/plain", True),
        (b"data: hello\n\n", "text/event-stream", True),
        (b"data: hello\n\n", "", False),
        (b"hello\nworld\n", "", False),
        (b"1\n2\n3\n", "text/plain", False),
        (b"", "text/event-stream", True),
        (b"", "", False),
        (b"\xff\xfe", "", False),
    ],
)
def test_one_document_is_no_stream(sample: bytes, media: str, is_stream: bool) -> None:
    """Whatever it begins like; several of them are, where the media type allows it."""
    assert (recognise_stream(sample, media) is not None) == is_stream


def test_a_shape_that_is_known_is_not_proposed_again() -> None:
    """The call's own shape reads the text; the default one counts as none."""
    sample = b'data: {"w": "a", "text": "no"}\n\n'
    known = Stream(text=Spot("w"))
    found = recognise_stream(sample, "text/event-stream", known)
    assert found is not None
    assert (found.stream, found.text) == (known, "a")
    proposed = recognise_stream(sample, "text/event-stream", Stream())
    assert proposed is not None
    assert proposed.stream.text == Spot("text")
