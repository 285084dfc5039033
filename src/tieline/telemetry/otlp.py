"""Spans and metrics as OTLP/HTTP JSON (opentelemetry-proto 1.x, https://opentelemetry.io/docs/specs/otlp/).

Owns the encoding: ids in hex, whole numbers of 64 bits as text, enums as numbers, names in camelCase. Sends nothing. A
library would bring an SDK into each worker; what is needed of its format is this page.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tieline.telemetry.metrics.exposition import MetricSamples
from tieline.telemetry.metrics.families import Family
from tieline.telemetry.traces import Span, Value

TRACES_PATH: Final = "/v1/traces"
METRICS_PATH: Final = "/v1/metrics"
_SCOPE: Final = "tieline"
_CUMULATIVE: Final = 2
_ERROR: Final = 2
_SAMPLED: Final = 1
_UNITS: Final = {"seconds": "s", "bytes": "By", "usd": "{USD}", "": "1"}


def encoded_spans(spans: Iterable[Span], resource: Mapping[str, Value], version: str) -> bytes:
    """An ExportTraceServiceRequest."""
    scope = {"name": _SCOPE, "version": version}
    scoped = [{"scope": scope, "spans": [_span(span) for span in spans]}]
    return _written({"resourceSpans": [{"resource": _resource(resource), "scopeSpans": scoped}]})


def encoded_metrics(
    samples: MetricSamples, resource: Mapping[str, Value], version: str, times: tuple[int, int]
) -> bytes:
    """An ExportMetricsServiceRequest; ``times`` are when counting began and now, in nanoseconds since the epoch."""
    metrics = [_metric(family, series, times) for family, series in samples.of.items()]
    scoped = [{"scope": {"name": _SCOPE, "version": version}, "metrics": metrics}]
    return _written({"resourceMetrics": [{"resource": _resource(resource), "scopeMetrics": scoped}]})


def rejected(answer: bytes) -> int:
    """How many spans or points a collector that took a request refused of it (``partialSuccess``)."""
    try:
        partial = json.loads(answer or b"{}").get("partialSuccess") or {}
        return int(partial.get("rejectedSpans") or partial.get("rejectedDataPoints") or 0)
    except (ValueError, TypeError, AttributeError):
        return 0


def _written(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode()


def _resource(attributes: Mapping[str, Value]) -> dict[str, Any]:
    return {"attributes": _attributes(attributes)}


def _attributes(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": value}


def _span(span: Span) -> dict[str, Any]:
    message: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "flags": _SAMPLED,
        "name": span.name,
        "kind": int(span.kind),
        "startTimeUnixNano": str(span.began),
        "endTimeUnixNano": str(max(span.began, span.ended)),
        "attributes": _attributes(span.attributes),
        "status": {} if span.failure is None else {"code": _ERROR, "message": span.failure},
    }
    if span.parent_id:
        message["parentSpanId"] = span.parent_id
    if span.state:
        message["traceState"] = span.state
    return message


def _metric(family: Family, series: Mapping[tuple[str, ...], Sequence[int]], times: tuple[int, int]) -> dict[str, Any]:
    points = [_point(family, labels, values, times) for labels, values in series.items()]
    metric = {"name": family.name, "description": family.title, "unit": _UNITS[family.unit]}
    if family.kind == "gauge":
        return {**metric, "gauge": {"dataPoints": points}}
    told: dict[str, Any] = {"aggregationTemporality": _CUMULATIVE, "dataPoints": points}
    if family.kind == "histogram":
        return {**metric, "histogram": told}
    return {**metric, "sum": {**told, "isMonotonic": True}}


def _point(family: Family, labels: tuple[str, ...], values: Sequence[int], times: tuple[int, int]) -> dict[str, Any]:
    began, now = times
    pairs = {name: value for name, value in zip(family.labels, labels, strict=True) if value}
    point: dict[str, Any] = {"attributes": _attributes(pairs), "timeUnixNano": str(now)}
    if family.kind != "gauge":
        point["startTimeUnixNano"] = str(began)
    if family.kind == "histogram":
        buckets = values[:-1]
        return {
            **point,
            "count": str(sum(buckets)),
            "sum": values[-1] / family.scale,
            "bucketCounts": [str(each) for each in buckets],
            "explicitBounds": list(family.buckets),
        }
    if family.scale == 1:
        return {**point, "asInt": str(values[0])}
    return {**point, "asDouble": values[0] / family.scale}
