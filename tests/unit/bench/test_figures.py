"""What the benchmark makes of its rounds: medians, ratios, goals, and the report."""

import pytest

from bench.figures import Figure, Goal, Table, percentile
from bench.meter import bottleneck
from bench.report import markdown, merged, results

MACHINE: dict[str, str | int] = dict.fromkeys(
    ("processor", "cores", "memory_gib", "kernel", "python", "tieline", "uvloop", "nginx", "envoy", "wrk"), "x"
)


def table(name: str = "calls", tieline: float = 30.0) -> Table:
    """A table in which nginx costs 20 and Tieline what is asked."""
    figures = [Figure("nginx", [19.0, 20.0, 22.0]), Figure("Tieline", [tieline] * 3, {"calls/s": 12345.0})]
    return Table(name, f"Cost of {name}", "µs", figures)


@pytest.mark.parametrize(("part", "expected"), [(0.5, 2.0), (0.51, 3.0), (0.99, 4.0), (1.0, 4.0), (0.0, 1.0)])
def test_a_percentile_is_the_value_that_so_many_do_not_exceed(part: float, expected: float) -> None:
    """Nearest rank, whatever the order of the values."""
    assert percentile([4.0, 1.0, 3.0, 2.0], part) == expected


def test_the_spread_is_a_part_of_the_median() -> None:
    """Rounds of 19, 20 and 22 lie 15 % apart."""
    assert Figure("nginx", [19.0, 22.0, 20.0]).spread == pytest.approx(0.15)


def test_a_promise_compares_medians() -> None:
    """30 against 20 is 1.5 times, which two times allows and 1.4 times does not."""
    measured = table()
    measured.promise("nginx", 2.0)
    measured.promise("nginx", 1.4)
    assert [(goal.value, goal.met) for goal in measured.goals] == [(1.5, True), (1.5, False)]


def test_a_promise_against_an_absent_system_is_neither_kept_nor_broken() -> None:
    """Without Envoy nothing can be told."""
    measured = table()
    measured.promise("Envoy", 1.0)
    assert measured.goals[0].met is None


def test_a_goal_that_asks_for_more_is_met_from_its_limit_on() -> None:
    """1.9 times is enough where 1.8 are asked, 1.7 is not, and a machine without the cores does not judge."""
    goals = [Goal("g", 1.9, 1.8, least=True), Goal("g", 1.7, 1.8, least=True), Goal("g", 1.7, 1.8, judged=False)]
    assert [goal.met for goal in goals] == [True, False, None]


@pytest.mark.parametrize(
    ("shares", "who"),
    [
        ((0.97, 0.5, 0.4), "the system"),
        ((0.6, 0.95, 0.4), "the upstream"),
        ((0.6, 0.3, 0.99), "the generator"),
        ((0.8, 0.6, 0.5), "the machine's cores"),
        ((0.3, 0.2, 0.2), "other load or waiting"),
    ],
)
def test_who_held_a_run_up_is_named(shares: tuple[float, float, float], who: str) -> None:
    """Whoever used a whole core; else the two cores if together they were used; else somebody outside."""
    assert bottleneck(*shares, cores=2) == who


def test_the_report_shows_medians_ratios_and_missed_goals() -> None:
    """A reader of the Markdown sees the figure, how it compares, and that a goal was missed."""
    measured = table()
    measured.promise("nginx", 1.0)
    text = markdown(results(MACHINE, quick=False, tables=[measured.as_json()]))
    assert "| Tieline | **30** | 0% | 1.50 | 12,345 |" in text
    assert "| Cost of calls, against nginx | 1.50 × | ≤ 1 × | **no** |" in text


def test_a_measure_that_failed_says_why_in_the_report() -> None:
    """It has no figures, only its reason."""
    failed = {"name": "tls", "title": "tls", "failed": "no nginx", "systems": [], "goals": [], "notes": []}
    assert "Not measured: no nginx" in markdown(results(MACHINE, quick=True, tables=[failed]))


def test_an_update_replaces_its_measures_and_keeps_the_others() -> None:
    """Order stays, a measure that was not there comes last."""
    old = results(MACHINE, quick=False, tables=[table("calls").as_json(), table("tls").as_json()])
    new = results(MACHINE, quick=False, tables=[table("tls", 40.0).as_json(), table("files").as_json()])
    both = merged(old, new)["measures"]
    assert [(each["name"], each["systems"][1]["median"]) for each in both] == [
        ("calls", 30.0),
        ("tls", 40.0),
        ("files", 30.0),
    ]
