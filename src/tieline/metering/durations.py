"""A scale of durations: four steps to each doubling, so that counts of few steps tell any percentile to an eighth."""

from collections.abc import Mapping
from typing import Final

_OCTAVES: Final = 40  # beyond twelve days
_PARTS: Final = 4
STEPS: Final = _OCTAVES * _PARTS


def step_of(milliseconds: float) -> int:
    """The step that a duration is on, from 0 for a microsecond to the last for all that is too long."""
    microseconds = min(max(int(milliseconds * 1_000), 1), (1 << _OCTAVES) - 1)
    octave = microseconds.bit_length() - 1
    return octave * _PARTS + ((microseconds << 2 >> octave) & (_PARTS - 1))


def middle_of(step: int) -> float:
    """The milliseconds in the middle of a step."""
    octave, part = divmod(step, _PARTS)
    return (1 << octave) * (_PARTS + part + 0.5) / _PARTS / 1_000


def percentile(counts: Mapping[int, int], percent: int) -> float | None:
    """The duration that ``percent`` of a hundred stay within, of ``counts`` by step; None where nothing is counted."""
    total = sum(counts.values())
    reached = 0
    for step in sorted(counts):
        reached += counts[step]
        if reached * 100 >= total * percent:
            return middle_of(step)
    return None
