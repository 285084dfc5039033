"""A collector of OTLP over HTTP that reads what it gets with OpenTelemetry's own protobuf classes.

Its JSON differs from protobuf's in one thing, ids, which are hex there (specification, "JSON Protobuf Encoding").
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_KINDS: dict[str, type[Any]] = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}
_IDS = ("traceId", "spanId", "parentSpanId")


@dataclass
class Collector:
    """``status`` is what it answers; ``raw`` are the requests as they came, ``headers`` their fields."""

    port: int = 0
    status: int = 200
    answer: bytes = b"{}"
    extra: str = ""
    stalls: bool = False
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        """What an exporter is told."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Any]:
        """Every span that was taken."""
        groups = [group for message in self.messages for group in getattr(message, "resource_spans", ())]
        return [span for group in groups for scope in group.scope_spans for span in scope.spans]

    @property
    def metrics(self) -> list[Any]:
        """Every metric that was taken."""
        groups = [group for message in self.messages for group in getattr(message, "resource_metrics", ())]
        return [metric for group in groups for scope in group.scope_metrics for metric in scope.metrics]

    @property
    def resources(self) -> list[dict[str, Any]]:
        """The attributes of every resource."""
        return [
            attributes(group.resource)
            for message in self.messages
            for group in (*getattr(message, "resource_spans", ()), *getattr(message, "resource_metrics", ()))
        ]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take requests on one connection."""
        self.writers.add(writer)
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.rstrip("\r\n").split("\r\n")
                fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(fields["content-length"]))
                self.raw.append(head.encode() + body)
                self.headers.append(fields)
                if self.stalls:
                    await asyncio.sleep(3600)
                if self.status == 200:
                    self._take(first.split(" ")[1], fields, body)
                answer = f"HTTP/1.1 {self.status} x\r\n{self.extra}content-length: {len(self.answer)}\r\n\r\n"
                writer.write(answer.encode() + self.answer)
        writer.close()
        self.writers.discard(writer)

    def _take(self, target: str, fields: dict[str, str], body: bytes) -> None:
        try:
            assert fields["content-type"] == "application/json"
            message = ParseDict(in_base64(json.loads(body)), _KINDS[target]())
        except Exception as error:  # noqa: BLE001  whatever is wrong with it, the test says so
            self.problems.append(f"{target}: {error!r}")
            return
        self.messages.append(message)


def in_base64(value: Any) -> Any:
    """A message with its ids as protobuf's own JSON has them. Raises ValueError where one is no hex."""
    if isinstance(value, list):
        return [in_base64(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64encode(bytes.fromhex(each)).decode() if name in _IDS else in_base64(each)
        for name, each in value.items()
    }


def attributes(owner: Any) -> dict[str, Any]:
    """The attributes of a span, point or resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in owner.attributes}


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector while the block lasts."""
    collector = Collector()
    server = await asyncio.start_server(collector.serve, "127.0.0.1", 0, limit=1 << 20)
    collector.port = server.sockets[0].getsockname()[1]
    try:
        yield collector
    finally:
        server.close()
        for writer in collector.writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)
