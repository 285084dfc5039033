"""All slots of a node as one text: Prometheus text format 0.0.4, or OpenMetrics 1.0 where that is asked for.

Counters and histograms of all processes are added up, those of dead ones too; gauges are those of the living. Follows
https://prometheus.io/docs/instrumenting/exposition_formats/ and the OpenMetrics specification.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from tieline.telemetry.metrics.families import BY_NAME, FAMILIES, WORKER_UP, Family
from tieline.telemetry.metrics.slots import ProcessSlot

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Series = dict[tuple[str, ...], list[int]]


@dataclass(slots=True)
class MetricSamples:
    """What is shown: for each family its series, by the values of their labels."""

    of: dict[Family, Series] = field(default_factory=dict)

    def add(self, family: Family, labels: tuple[str, ...], values: Iterable[int]) -> None:
        """Add ``values`` to those that a series has."""
        series = self.of.setdefault(family, {})
        before = series.get(labels)
        given = list(values)
        series[labels] = given if before is None else [one + other for one, other in zip(before, given, strict=True)]


def gather(slots: Mapping[str, ProcessSlot]) -> MetricSamples:
    """What all processes have counted; ``slots`` are theirs by name, such as ``data worker 1``."""
    samples = MetricSamples()
    for process, slot in slots.items():
        slot.refresh()
        if not slot.began:
            continue
        alive = slot.alive
        samples.add(WORKER_UP, (process,), [int(alive)])
        for (name, labels), (first, width) in list(slot.known.items()):
            family = BY_NAME.get(name)
            if family is not None and (alive or family.kind != "gauge"):
                samples.add(family, labels, slot.values[first : first + width])
    return samples


def text(samples: MetricSamples, *, openmetrics: bool = False) -> str:
    """``samples`` as text; each family with its help and type, also where nothing was counted yet."""
    lines: list[str] = []
    for family in FAMILIES:
        series = samples.of.get(family, {})
        if not series and not family.labels and family.kind == "counter":
            series = {(): [0]}
        shown = family.name if openmetrics or family.kind != "counter" else f"{family.name}_total"
        lines.append(f"# HELP {shown} {_escaped(family.title)}")
        lines.append(f"# TYPE {shown} {family.kind}")
        if openmetrics and family.unit and family.name.endswith(f"_{family.unit}"):
            lines.append(f"# UNIT {shown} {family.unit}")
        for labels, values in sorted(series.items()):
            lines += _lines(family, labels, values)
    if openmetrics:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _lines(family: Family, labels: tuple[str, ...], values: list[int]) -> Iterator[str]:
    pairs = [f'{name}="{_escaped(value, quoted=True)}"' for name, value in zip(family.labels, labels, strict=True)]
    if family.kind != "histogram":
        name = f"{family.name}_total" if family.kind == "counter" else family.name
        yield f"{name}{_braced(pairs)} {number(values[0], family.scale)}"
        return
    count = 0
    for bound, value in zip((*map(str, family.buckets), "+Inf"), values, strict=False):
        count += value
        upper = f'le="{bound}"'
        yield f"{family.name}_bucket{_braced([*pairs, upper])} {count}"
    yield f"{family.name}_sum{_braced(pairs)} {number(values[-1], family.scale)}"
    yield f"{family.name}_count{_braced(pairs)} {count}"


def number(value: int, scale: int) -> str:
    """``value`` in its unit, exact: no money is lost to a float before whoever reads it makes one."""
    return str(value) if scale == 1 else format(Decimal(value) / scale, "f")


def _braced(pairs: list[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(value: str, *, quoted: bool = False) -> str:
    value = value.replace("\\", r"\\").replace("\n", r"\n")
    return value.replace('"', r"\"") if quoted else value
