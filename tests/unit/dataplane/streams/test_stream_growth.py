"""Reading a stream takes steps as many as it has bytes, in C too."""

import pytest

from tests.unit.dataplane.streams.reading import read_all
from tieline.definitions.model import Stream


@pytest.mark.parametrize("format", ["sse", "ndjson", "json_array", "json_concatenated"])
@pytest.mark.parametrize("piece", [b"[", b'{"a":', b'"\\', b"\\u", b"\n", b" ", b"1,", b"[],", b"data: [\n"])
def test_megabytes_of_anything_are_read_once(format: str, piece: bytes) -> None:
    """In pieces as they come off the network: with a look back at each, this would not end."""
    data = piece * (4 * 1024 * 1024 // len(piece))
    read_all(Stream(format), [data[place : place + 65_536] for place in range(0, len(data), 65_536)])
