"""All metrics of a node, as its control plane reads them: one slot for each process, and its own counts."""

import asyncio
import platform
from collections.abc import Mapping

from tieline.telemetry.metrics import families
from tieline.telemetry.metrics.counting import Counts
from tieline.telemetry.metrics.exposition import MetricSamples, gather, text
from tieline.telemetry.metrics.slots import ProcessSlot


class NodeMetrics:
    """``slots`` are those of all processes by name; ``counts`` are those of the process that reads them."""

    def __init__(self, slots: Mapping[str, ProcessSlot], counts: Counts, version: str) -> None:
        self.counts = counts
        self._slots = slots
        self._build = version, platform.python_version()
        self._one_at_a_time = asyncio.Lock()

    async def text(self, more: MetricSamples, *, openmetrics: bool) -> str:
        """Everything, with ``more`` that is known elsewhere, in a format of ``exposition``. Written in a thread."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._text, more, openmetrics=openmetrics)

    def _text(self, more: MetricSamples, *, openmetrics: bool) -> str:
        samples = gather(self._slots)
        samples.add(families.BUILD, self._build, [1])
        for family, series in more.of.items():
            for labels, values in series.items():
                samples.add(family, labels, values)
        return text(samples, openmetrics=openmetrics)
