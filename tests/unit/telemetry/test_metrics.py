"""Metrics are counted in a file that outlives each process, bounded, and shown as Prometheus's own parser reads it."""

import os
import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tieline.telemetry.metrics import counting, families, slots
from tieline.telemetry.metrics.counting import Counts
from tieline.telemetry.metrics.exposition import MetricSamples, gather, text
from tieline.telemetry.metrics.families import FAMILIES, OTHER
from tieline.telemetry.metrics.slots import ProcessSlot, create_file

Take = Callable[[int], ProcessSlot]


@pytest.fixture
def take() -> Iterator[Take]:
    """``take(0)`` maps a slot of one file, as a process would; the same slot as often as a process is begun again."""
    file = create_file(3)
    taken: list[ProcessSlot] = []

    def of(index: int) -> ProcessSlot:
        taken.append(ProcessSlot(file, index))
        return taken[-1]

    yield of
    for slot in taken:
        slot.close()
    os.close(file)


def values(shown: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample that Prometheus's parser finds."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(shown)
        for sample in family.samples
    }


def value(shown: str, name: str, **labels: str) -> float:
    """One of them."""
    return values(shown)[name, frozenset(labels.items())]


def filled(take: Take) -> MetricSamples:
    """Something of every family."""
    counts = Counts(take(0))
    for family in FAMILIES:
        labels = tuple(f"some {name}" for name in family.labels)
        if family.kind == "histogram":
            counts.observe(family, 7_000, *labels)
        else:
            counts.add(family, 3 * family.scale, *labels)
    return gather({"data worker 1": take(0)})


def test_prometheus_reads_both_formats_and_finds_the_same(take: Take) -> None:
    """Each family with its type and help, and the same samples whichever format was asked for."""
    samples = filled(take)
    plain = {each.name: each for each in parse_text(text(samples))}
    strict = {each.name: each for each in parse_openmetrics(text(samples, openmetrics=True))}
    assert plain.keys() == strict.keys() == {family.name for family in FAMILIES}
    for family in FAMILIES:
        assert plain[family.name].type == strict[family.name].type == family.kind
        assert plain[family.name].documentation == strict[family.name].documentation == family.title
        assert {(s.name, s.value, *s.labels.items()) for s in plain[family.name].samples} == {
            (s.name, s.value, *s.labels.items()) for s in strict[family.name].samples
        }


def test_what_dead_and_living_processes_counted_is_added_up(take: Take) -> None:
    """A process that is begun again counts on: no counter goes back when one dies."""
    first, second = Counts(take(0)), Counts(take(1))
    first.add(families.SHED, 5)
    second.add(families.SHED, 2)
    reader = {"data worker 1": take(0), "data worker 2": take(1), "control plane": take(2)}
    assert value(text(gather(reader)), "tieline_shed_requests_total") == 7
    again = Counts(take(0))
    assert value(text(gather(reader)), "tieline_shed_requests_total") == 7
    again.add(families.SHED, 1)
    again.add(families.STRANGERS, 1, "invalid_app_key")
    shown = text(gather(reader))
    assert value(shown, "tieline_shed_requests_total") == 8
    assert value(shown, "tieline_unadmitted_requests_total", code="invalid_app_key") == 1


def test_gauges_are_those_of_the_living(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dead process had under way is over; so is what the process before it had."""
    counts = Counts(take(0))
    counts.set(families.IN_FLIGHT, 4)
    counts.add(families.SHED, 1)
    reader = {"data worker 1": take(0)}
    assert value(text(gather(reader)), "tieline_requests_in_flight") == 4
    later = time.monotonic_ns() + 6_000_000_000
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic_ns", lambda: later)
        shown = values(text(gather(reader)))
    assert ("tieline_requests_in_flight", frozenset()) not in shown
    assert shown["tieline_shed_requests_total", frozenset()] == 1
    assert shown["tieline_worker_up", frozenset({("process", "data worker 1")})] == 0
    Counts(take(0))
    assert value(text(gather(reader)), "tieline_requests_in_flight") == 0


def test_a_worker_that_dies_again_and_again_leaves_no_more_than_one(take: Take) -> None:
    """Its slot is that of its place: the file and what is printed do not grow with its deaths."""
    sizes = set()
    for _ in range(50):
        counts = Counts(take(0))
        counts.add(families.SHED, 1)
        counts.observe(families.DURATION, 5, "api")
        counts.set(families.IN_FLIGHT, 1)
        sizes.add(len(text(gather({"data worker 1": take(0)}))) // 10)
    assert len(sizes) <= 2  # a number has more digits
    assert value(text(gather({"data worker 1": take(0)})), "tieline_shed_requests_total") == 50


def test_a_family_has_so_many_series_and_the_rest_is_one(take: Take) -> None:
    """A flood of names is counted whole, as ``other``; the file and whoever scrapes it do not grow with it."""
    counts = Counts(take(0))
    for number in range(families.USAGE.most + 500):
        counts.add(families.USAGE, 1, "api", f"model {number}", "input_tokens")
    shown = values(text(gather({"one": take(0)})))
    usage = {labels: count for (name, labels), count in shown.items() if name == "tieline_usage_total"}
    assert len(usage) == families.USAGE.most + 1
    assert sum(usage.values()) == families.USAGE.most + 500
    assert usage[frozenset({("api", OTHER), ("model", OTHER), ("quantity", OTHER)})] == 500


def test_a_full_file_loses_increments_and_says_so(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing raises, nothing else is written over."""
    monkeypatch.setattr(slots, "SLOT_BYTES", 16_384)
    file = create_file(1)
    counts = Counts(ProcessSlot(file, 0))
    counts.add(families.SHED, 3)
    for number in range(1_000):
        counts.add(families.STRANGERS, 1, f"code_{number}")
        counts.observe(families.DURATION, 10, f"api {number}")
    shown = text(gather({"one": ProcessSlot(file, 0)}))
    assert value(shown, "tieline_shed_requests_total") == 3
    assert value(shown, "tieline_metrics_dropped_total") > 500
    os.close(file)


def test_labels_are_escaped_and_cut(take: Take) -> None:
    """Quotes, line ends and backslashes of a name come back as they were; a long one is cut."""
    counts = Counts(take(0))
    odd = 'a "name"\nwith \\ in it'
    counts.add(families.RETRIES, 1, odd)
    counts.add(families.RETRIES, 1, "x" * 1_000)
    shown = text(gather({"one": take(0)}))
    assert value(shown, "tieline_retries_total", api=odd) == 1
    assert value(shown, "tieline_retries_total", api="x" * counting.LABEL_MOST) == 1


def test_money_is_exact(take: Take) -> None:
    """A nano-dollar is not lost beside a billion dollars: the text has all digits."""
    counts = Counts(take(0))
    counts.add(families.COST, 10**18 + 1, "openai", "gpt")
    assert 'tieline_cost_usd_total{api="openai",model="gpt"} 1000000000.000000001\n' in text(gather({"one": take(0)}))


def test_buckets_add_up(take: Take) -> None:
    """Each value is in the first bucket that it is not above, and in all after it."""
    counts = Counts(take(0))
    for seconds in (0.005, 0.0051, 0.3, 1_000):
        counts.observe(families.DURATION, round(seconds * 1_000_000), "api")
    shown = text(gather({"one": take(0)}))
    buckets = [value(shown, "tieline_request_duration_seconds_bucket", api="api", le=le) for le in ("0.005", "0.01")]
    assert buckets == [1, 2]
    assert value(shown, "tieline_request_duration_seconds_bucket", api="api", le="600.0") == 3
    assert value(shown, "tieline_request_duration_seconds_bucket", api="api", le="+Inf") == 4
    assert value(shown, "tieline_request_duration_seconds_count", api="api") == 4
    assert value(shown, "tieline_request_duration_seconds_sum", api="api") == pytest.approx(1_000.3101)


def test_names_follow_the_rules_of_prometheus() -> None:
    """Base units; ``_total`` is added, never written; no name ends as a part of a histogram does."""
    for family in FAMILIES:
        assert family.name.startswith("tieline_")
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_ms"))
        assert family.kind != "histogram" or family.name.endswith("_seconds")
        assert not set(family.labels) & {"key", "path", "user", "address", "le"}
        assert list(family.buckets) == sorted(set(family.buckets))
