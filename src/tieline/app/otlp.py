"""Sends a process's spans and metrics to a collector, off the way of requests. Loaded only where one is named.

Owns the queue and the patience. While no collector takes them, so many spans wait; what comes then is dropped and
counted, and nobody waits for it. It goes out through the guarded exit, which lets it go to the collector's host alone,
because an operator named it: that host may be of this machine or an inner network.
"""

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Final

from tieline.app.listeners import own_listeners
from tieline.core.dates import retry_after
from tieline.core.errors import TielineError
from tieline.core.urls import parse_base
from tieline.dataplane.supervised import SupervisedTask
from tieline.schemes.base import field_value
from tieline.settings.model import OtlpSettings, ServeSettings
from tieline.telemetry import semconv
from tieline.telemetry.metrics import families
from tieline.telemetry.metrics.counting import Counts
from tieline.telemetry.metrics.exposition import gather
from tieline.telemetry.otlp import METRICS_PATH, TRACES_PATH, encoded_metrics, encoded_spans, rejected
from tieline.telemetry.traces import Span, Value
from tieline.wire.deadlines import Deadlines
from tieline.wire.fetch import Fetched, FetchLimits, fetch
from tieline.wire.guard import Guard
from tieline.wire.pool import Pool
from tieline.wire.tls import Trust

log = logging.getLogger("tieline.app.otlp")

SPANS_MOST: Final = 4_096
"""Spans that wait."""
BATCH_MOST: Final = 512
SPANS_SECONDS: Final = 1.0
METRICS_SECONDS: Final = 15.0
PAUSE_FIRST: Final = 1.0
PAUSE_MOST: Final = 30.0
TRIES_MOST: Final = 5
CLOSE_SECONDS: Final = 3.0
LIMITS: Final = FetchLimits(connect=5.0, total=10.0, most=64 * 1024)
_AGAIN: Final = frozenset({429, 502, 503, 504})
"""Answers after which the specification says to send again."""


class OtlpExporter:
    """Sends what ``process`` tells, as ``otlp`` says; ``counts`` are its metrics, and count what became of it."""

    def __init__(self, otlp: OtlpSettings, settings: ServeSettings, process: str, counts: Counts) -> None:
        origin, path = parse_base(otlp.endpoint)
        guard = Guard([origin.host.strip("[]")], lambda: own_listeners(settings))
        self._lane = Pool(guard, Deadlines(), Trust(settings.ca_bundle)).lane(origin, "otlp")
        self._path = path.encode()
        self._otlp = otlp
        self._process = process
        self._counts = counts
        self._version = version("tieline")
        self._resource: Mapping[str, Value] = {
            semconv.SERVICE_NAME: "tieline",
            semconv.SERVICE_VERSION: self._version,
            semconv.SERVICE_INSTANCE: f"{socket.gethostname()[:100]}/{process}",
        }
        self._spans: deque[Span] = deque()

    @property
    def takes_traces(self) -> bool:
        """Whether spans are sent."""
        return "traces" in self._otlp.signals

    def tasks(self) -> tuple[SupervisedTask, ...]:
        """What sends, each to be started and stopped."""
        metrics = SupervisedTask("telemetry of metrics", self._send_metrics_on)
        spans = SupervisedTask("telemetry of traces", self._send_spans_on)
        found = {"metrics": metrics, "traces": spans}
        return tuple(found[signal] for signal in sorted(self._otlp.signals))

    def keep(self, spans: Sequence[Span]) -> None:
        """Take spans to be sent, all or none of them."""
        if len(self._spans) + len(spans) > SPANS_MOST:
            self._counts.add(families.EXPORT_DROPPED, len(spans), "traces")
        else:
            self._spans.extend(spans)

    async def _send_spans_on(self) -> None:
        """Send spans until cancelled."""
        while True:
            await asyncio.sleep(SPANS_SECONDS)
            while self._spans:
                await self._send_batch(TRIES_MOST)

    async def _send_metrics_on(self) -> None:
        """Send metrics until cancelled; what is not taken once is in what is sent next."""
        while True:
            await asyncio.sleep(METRICS_SECONDS)
            await self._send_metrics()

    async def close(self) -> None:
        """Send what is left, if the collector takes it within three seconds."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._spans:
                    await self._send_batch(1)
                if "metrics" in self._otlp.signals:
                    await self._send_metrics()
        except TimeoutError:
            log.warning("the collector did not take the last telemetry within %d s", CLOSE_SECONDS)

    async def _send_batch(self, tries: int) -> None:
        batch = [self._spans.popleft() for _ in range(min(BATCH_MOST, len(self._spans)))]
        refused = len(batch)
        try:
            refused = await self._deliver(
                TRACES_PATH, encoded_spans(batch, self._resource, self._version), tries, refused
            )
        finally:
            self._note("traces", len(batch) - refused, refused)

    async def _send_metrics(self) -> None:
        slot = self._counts.slot
        samples = gather({self._process: slot})
        points = sum([len(series) for series in samples.of.values()])
        body = encoded_metrics(samples, self._resource, self._version, (slot.began, time.time_ns()))
        refused = await self._deliver(METRICS_PATH, body, 1, points)
        self._note("metrics", points - refused, refused)

    def _note(self, signal: str, sent: int, dropped: int) -> None:
        self._counts.add(families.EXPORTED, sent, signal)
        self._counts.add(families.EXPORT_DROPPED, dropped, signal)

    async def _deliver(self, path: str, body: bytes, tries: int, count: int) -> int:
        """Send a request, again where it may be taken then; how many of ``count`` were not taken."""
        for number in range(tries):
            try:
                answer = await self._post(path, body)
            except TielineError as error:
                pause, why = None, error.public
            else:
                if answer.status < 300:
                    return min(count, rejected(answer.body))
                why = f"it answered {answer.status}"
                if answer.status not in _AGAIN:
                    break
                pause = _asked_pause(answer)
            if number + 1 < tries:
                await asyncio.sleep(min(PAUSE_MOST, pause or PAUSE_FIRST * 2**number))
        log.warning("the collector of telemetry took none: %s", why)
        return count

    async def _post(self, path: str, body: bytes) -> Fetched:
        origin = self._lane.key.origin
        headers = b"" if self._otlp.headers is None else self._otlp.headers.reveal_bytes()
        head = (
            b"POST %b%b HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"user-agent: tieline/%b\r\n%b\r\n"
        )
        told = (self._path, path.encode(), origin.authority, len(body), self._version.encode(), headers)
        return await fetch(self._lane, head % told + body, LIMITS)


def _asked_pause(answer: Fetched) -> float | None:
    value = field_value(answer.headers, b"retry-after")
    return None if value is None else retry_after(value.decode("latin-1"), time.time())
