"""Metrics: moving them, reading them as Prometheus text, and what moving them costs."""

import pytest

from tieline.telemetry.metrics import CHILDREN_MOST, Registry


def test_a_counter_in_the_text_format() -> None:
    """Help, type, one line for each child, in the order of their labels."""
    registry = Registry()
    requests = registry.counter("tieline_requests_total", "Requests relayed.", "api", "status")
    requests.of("stripe", "200").value += 1
    requests.of("openai", "200").value += 2
    requests.of("openai", "200").value += 0.5
    assert registry.render() == (
        "# HELP tieline_requests_total Requests relayed.\n"
        "# TYPE tieline_requests_total counter\n"
        'tieline_requests_total{api="openai",status="200"} 2.5\n'
        'tieline_requests_total{api="stripe",status="200"} 1\n'
    )


def test_a_gauge_goes_down_too() -> None:
    """A gauge without labels has one line."""
    registry = Registry()
    streams = registry.gauge("tieline_streams", "Open streams.").of()
    streams.value += 3
    streams.value -= 2
    assert registry.render().endswith("# TYPE tieline_streams gauge\ntieline_streams 1\n")


def test_histogram_buckets_are_cumulative() -> None:
    """An observation equal to a bound falls under it; the last bucket holds all."""
    registry = Registry()
    latency = registry.histogram("tieline_seconds", "Latency.", "api", bounds=(0.1, 0.5)).of("openai")
    for value in (0.05, 0.1, 0.3, 2.0):
        latency.observe(value)
    assert registry.render().splitlines()[2:] == [
        'tieline_seconds_bucket{api="openai",le="0.1"} 2',
        'tieline_seconds_bucket{api="openai",le="0.5"} 3',
        'tieline_seconds_bucket{api="openai",le="+Inf"} 4',
        'tieline_seconds_sum{api="openai"} 2.45',
        'tieline_seconds_count{api="openai"} 4',
    ]


def test_a_histogram_without_labels() -> None:
    """Only the bound stands in the braces."""
    registry = Registry()
    registry.histogram("tieline_bytes", "Sizes.", bounds=(10,)).of().observe(4)
    assert 'tieline_bytes_bucket{le="10"} 1\n' in registry.render()
    assert "tieline_bytes_sum 4\n" in registry.render()


def test_label_values_are_escaped() -> None:
    """A value can neither end its quotes nor start a line."""
    registry = Registry()
    registry.counter("tieline_total", "About\nlines.", "api").of('a"b\\c\nd').value += 1
    assert 'tieline_total{api="a\\"b\\\\c\\nd"} 1\n' in registry.render()
    assert registry.render().count("\n") == 3


def test_one_child_for_the_same_values() -> None:
    """Looking a child up again gives the one that was moved."""
    family = Registry().counter("tieline_total", "About.", "api")
    assert family.of("openai") is family.of("openai")
    assert family.of("openai") is not family.of("stripe")


def test_made_up_label_values_cannot_fill_the_memory() -> None:
    """Past the bound, children share one that reads 'other'."""
    family = Registry().counter("tieline_total", "About.", "path")
    for number in range(CHILDREN_MOST + 50):
        family.of(f"/{number}").value += 1
    lines = list(family.lines())
    assert len(lines) == CHILDREN_MOST + 3
    assert 'tieline_total{path="other"} 50' in lines


@pytest.mark.parametrize("name", ["Tieline", "1st", "with-dash", ""])
def test_bad_names_are_refused(name: str) -> None:
    """Names that Prometheus would not take are a bug at start."""
    with pytest.raises(ValueError, match="not a metric"):
        Registry().counter(name, "About.")


def test_a_name_is_used_once() -> None:
    """Two families of one name would make the text ambiguous."""
    registry = Registry()
    registry.counter("tieline_total", "About.")
    with pytest.raises(ValueError, match="already there"):
        registry.gauge("tieline_total", "About.")


def test_the_number_of_labels_must_fit() -> None:
    """One value for each label."""
    with pytest.raises(ValueError, match="api, status"):
        Registry().counter("tieline_total", "About.", "api", "status").of("openai")
