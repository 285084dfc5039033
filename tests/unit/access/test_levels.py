"""Levels: which includes which."""

import pytest

from tieline.access.levels import Level, covers

ENOUGH = {
    (Level.READ, Level.READ),
    (Level.WRITE, Level.WRITE),
    (Level.WRITE, Level.READ),
    (Level.REQUEST, Level.REQUEST),
}


@pytest.mark.parametrize("granted", Level)
@pytest.mark.parametrize("needed", [Level.READ, Level.WRITE, Level.REQUEST])
def test_only_write_includes_another_level(granted: Level, needed: Level) -> None:
    """Write includes read; every other level is enough for itself alone."""
    assert covers(granted, needed) is ((granted, needed) in ENOUGH)


@pytest.mark.parametrize("granted", Level)
def test_needing_nothing_is_always_covered(granted: Level) -> None:
    """Where no level is needed, any is enough."""
    assert covers(granted, Level.NONE)
