"""The levels that a key can hold on an area."""

from enum import StrEnum


class Level(StrEnum):
    """How much of an area a key may use. ``REQUEST`` is for areas with one verb only."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    REQUEST = "request"


RANK = {Level.NONE: 0, Level.READ: 1, Level.WRITE: 2, Level.REQUEST: 2}
"""How far each level goes in its area: ``WRITE`` and ``REQUEST`` both give all of it."""


def covers(granted: Level, needed: Level) -> bool:
    """Whether holding ``granted`` on an area is enough for an operation that needs ``needed`` of it.

    Write includes read. Request and read/write never stand for each other: an area offers one kind or the other.
    """
    if granted is needed or needed is Level.NONE:
        return True
    return granted is Level.WRITE and needed is Level.READ
