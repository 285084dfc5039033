"""The scale of durations: every duration is on one step, and a percentile is right to an eighth."""

import random

from tieline.metering.durations import STEPS, middle_of, percentile, step_of


def test_the_middle_of_a_step_is_near_all_that_is_on_it() -> None:
    """From a microsecond to a day."""
    for exponent in range(36):
        for part in (1.0, 1.2, 1.49, 1.5, 1.99):
            milliseconds = 2**exponent * part / 1_000
            if milliseconds >= 0.016:
                assert abs(middle_of(step_of(milliseconds)) - milliseconds) <= milliseconds / 7.9


def test_steps_ascend_and_end() -> None:
    """Nothing is off the scale."""
    steps = [step_of(milliseconds) for milliseconds in (-1, 0, 0.001, 0.1, 1, 1.3, 1_000, 1e9, 1e15)]
    assert steps == sorted(steps)
    assert steps[-1] == STEPS - 1


def test_percentiles_are_told_from_counts() -> None:
    """Of no counts there is none."""
    generator = random.Random(7)
    durations = sorted(generator.lognormvariate(6, 1) for _ in range(10_000))
    counts: dict[int, int] = {}
    for each in durations:
        counts[step_of(each)] = counts.get(step_of(each), 0) + 1
    for percent in (50, 95, 99):
        exact, found = durations[len(durations) * percent // 100], percentile(counts, percent)
        assert found is not None
        assert abs(found - exact) <= exact / 6
    assert percentile({}, 50) is None
