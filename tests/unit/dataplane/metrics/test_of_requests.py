"""What a request record means in metrics."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tieline.dataplane.metrics.of_requests import RequestMetrics, status_class, upstream_reason
from tieline.ports.requests import RequestRecord, Sendings, Used
from tieline.telemetry.metrics.counting import Counts
from tieline.telemetry.metrics.exposition import gather, text
from tieline.telemetry.metrics.slots import ProcessSlot, create_file


class Counted:
    """Counts records, and finds samples."""

    def __init__(self, file: int) -> None:
        self.counts = Counts(ProcessSlot(file, 0))
        self.metrics = RequestMetrics(self.counts)
        self._file = file

    def take(self, *records: RequestRecord) -> None:
        for each in records:
            self.metrics.listener(each)
        while self.metrics.count():
            pass

    def of(self, sample: str, **labels: str) -> float:
        shown = text(gather({"one": ProcessSlot(self._file, 0)}))
        found = [s for family in parse_text(shown) for s in family.samples if s.name == sample]
        return float(sum(s.value for s in found if labels.items() <= s.labels.items()))


@pytest.fixture
def counted() -> Iterator[Counted]:
    """Nothing so far."""
    file = create_file(1)
    yield Counted(file)
    os.close(file)


def some(**changes: Any) -> RequestRecord:
    """A record of a good request."""
    ids = ("req_1", 1.0, "app_1", "key_1")
    times = (5.0, 3.0, 0, 0)
    made = RequestRecord(*ids, "openai", "live", "GET", "/models", None, None, 200, None, *times, "complete")
    return made._replace(admission_ms=0.1)._replace(**changes)


def test_requests_are_counted_by_what_became_of_them(counted: Counted) -> None:
    """API, door, class of the status, code and outcome."""
    counted.take(some(), some(), some(call="ask"), some(status=404), some(status=0, outcome="client_gone"))
    counted.take(some(api=None, status=429, code="rate_limited", outcome="refused"))
    assert counted.of("tieline_requests_total", api="openai", door="relay", status="2xx", code="") == 2
    assert counted.of("tieline_requests_total", door="call") == 1
    assert counted.of("tieline_requests_total", status="4xx", code="", outcome="complete") == 1
    assert counted.of("tieline_requests_total", status="none", outcome="client_gone") == 1
    assert counted.of("tieline_requests_total", api="", code="rate_limited", outcome="refused") == 1
    assert counted.of("tieline_limited_requests_total", code="rate_limited") == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": 502, "code": "upstream_unreachable"}, "upstream_unreachable"),
        ({"status": 429}, "status_429"),
        ({"status": 503}, "status_503"),
        ({"status": 599}, "status_599"),
        ({"status": 999}, "status_other"),
        ({"status": 429, "code": "rate_limited"}, None),
        ({"status": 503, "code": "overloaded"}, None),
        ({"status": 404}, None),
        ({"status": 200}, None),
    ],
)
def test_an_upstream_is_to_blame_for_its_own_errors_alone(changes: dict[str, Any], reason: str | None) -> None:
    """Its 429 and 5xx, and what kept it from being reached; what Tieline refused is not its fault."""
    assert upstream_reason(some(**changes)) == reason


def test_durations_sizes_retries_and_connections(counted: Counted) -> None:
    """Each into its own metric; what is not known is not counted as nought."""
    counted.take(some(duration_ms=20.0, admission_ms=0.2, upstream_ms=None, bytes_in=3, bytes_out=5))
    counted.take(some(duration_ms=30.0, upstream_ms=12.0, sending=Sendings(None, 4.0, 6.0, 2)))
    assert counted.of("tieline_request_duration_seconds_sum", api="openai") == pytest.approx(0.05)
    assert counted.of("tieline_upstream_first_byte_seconds_count") == 1
    assert counted.of("tieline_upstream_connect_seconds_sum") == pytest.approx(0.01)
    assert counted.of("tieline_retries_total", api="openai") == 2
    assert counted.of("tieline_body_bytes_total", direction="in") >= 3


def test_models_are_named_where_they_have_a_price(counted: Counted) -> None:
    """A model that a client made up is ``other``: it could make up any number of them."""
    priced = Used("gpt-4.1", None, {"input_tokens": 10, "audio_ms": 0}, 5_000_000)
    counted.take(some(used=priced), some(used=priced))
    counted.take(
        *[some(used=Used(f"made-up-{n}", None, {"input_tokens": 1}, None, frozenset({"x"}))) for n in range(9)]
    )
    assert counted.of("tieline_usage_total", model="gpt-4.1", quantity="input_tokens") == 20
    assert counted.of("tieline_usage_total", quantity="audio_ms") == 0
    assert counted.of("tieline_usage_total", model="other") == 9
    assert counted.of("tieline_cost_usd_total", api="openai", model="gpt-4.1") == pytest.approx(0.01)
    assert counted.of("tieline_unpriced_requests_total", api="openai") == 9


def test_nothing_of_a_record_that_outsiders_choose_is_a_label(counted: Counted) -> None:
    """Neither key, app, path, end user, tag nor id."""
    marks = {name: f"canary-{name}" for name in ("id", "app_id", "key_id", "path", "area", "level", "reason")}
    counted.take(some(**marks, method="CANARY"))
    assert "canary" not in text(gather({"one": counted.counts.slot})).lower()


def test_a_bounded_part_is_counted_at_once(counted: Counted) -> None:
    """The loop has others to serve in between, and a flood waits in bounded memory."""
    for _ in range(2_500):
        counted.metrics.listener(some())
    turns = 1
    while counted.metrics.count():
        turns += 1
    assert turns == 3
    assert counted.of("tieline_requests_total") == 2_500


def test_what_a_request_costs_on_its_way_is_one_append(counted: Counted) -> None:
    """Counted in calls, not in time: the listener is the queue's own method."""
    calls: list[str] = []
    listener, kept = counted.metrics.listener, some()
    sys.setprofile(lambda _frame, event, _arg: calls.append(event))
    listener(kept)
    sys.setprofile(None)
    assert "call" not in calls  # no function of Python's


@pytest.mark.parametrize(("status", "shown"), [(200, "2xx"), (404, "4xx"), (599, "5xx"), (0, "none")])
def test_a_status_is_shown_by_its_class(status: int, shown: str) -> None:
    """So that there are six of them."""
    assert status_class(status) == shown
