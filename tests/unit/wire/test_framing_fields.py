"""Framing rules that are seen in fields alone."""

import pytest

from tieline.wire.framing import switches


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([(b"Upgrade", b"websocket")], True),
        ([(b"Connection", b"upgrade"), (b"UPGRADE", b"WebSocket ")], True),
        ([(b"Upgrade", b"h2c")], False),
        ([(b"Upgrade", b"websocket, h2c")], False),
        ([(b"Upgrade", b"websocket"), (b"Upgrade", b"websocket")], False),
        ([], False),
    ],
)
def test_only_an_answer_that_says_websocket_switches(fields: list[tuple[bytes, bytes]], expected: bool) -> None:
    """A 101 to anything else is no agreement to what was asked."""
    assert switches(fields) is expected
