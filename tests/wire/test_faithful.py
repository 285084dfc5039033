"""The relay hands on what it was given: lines, fields and bodies of every kind, both ways."""

from tests.wire.stage import Stage


async def test_get(stage: Stage) -> None:
    """x."""
    got = await stage.get()
    assert got.body == b"hello"
