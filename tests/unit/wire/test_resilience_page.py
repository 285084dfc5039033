"""docs/resilience.md beside the code: each number that it names."""

from pathlib import Path

from tieline.dataplane import shedding
from tieline.dataplane.attempt import retry
from tieline.wire import breaker, gate, retry_budget

PAGE = Path(__file__).parents[3] / "docs" / "resilience.md"
SAID = (
    f"{breaker.IN_A_ROW} failures in a row",
    f"{breaker.WINDOW_LEAST} failures within {breaker.WINDOW_SECONDS:g} seconds",
    f"{breaker.PAUSE_FIRST:g} second, twice as long after each failed probe, {breaker.PAUSE_MOST:g} seconds at most",
    f"not ended within {breaker.PROBE_SECONDS:g} seconds",
    f"{breaker.PROBES_GOOD} of them were answered",
    "the statuses {}, {} and {}".format(*sorted(breaker.FAILED_STATUSES)),
    f"one more every {1 / retry_budget.PER_SECOND:g} seconds",
    f"up to {retry_budget.MOST:g}.",
    f"{1 / (1 - retry_budget.SHARE):.2f} times",
    f"up to {retry.WAIT_MOST:g} seconds",
    f"{shedding.REQUESTS_MOST:,} requests, streams and tunnels",
    f"and {gate.QUEUE_OF_KEY_MOST} waiting requests; of all keys together {gate.QUEUE_MOST:,} may wait",
    f"`Retry-After: {shedding.RETRY_SECONDS:g}`",
)


def test_the_page_says_the_numbers_of_the_code() -> None:
    """And no others, as far as these go."""
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert [said for said in SAID if said not in page] == []
