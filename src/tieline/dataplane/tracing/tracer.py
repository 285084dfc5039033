"""Decides which requests are traced, keeps their traces while they are under way, and makes spans of their records.

A request that says that its sender keeps its spans is kept, another by chance; at most so many a second in a worker,
whatever clients say. Spans hold what records hold: never a header, a query, a body or a secret.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tieline.access.appkey import hidden
from tieline.dataplane.tracing.spans import spans_of
from tieline.dataplane.tracing.trace import Trace
from tieline.ports.requests import RequestRecord
from tieline.telemetry.traces import TRACEPARENT, TRACESTATE, Span, TraceContext, context_of, new_span_id, new_trace_id

KEPT_MOST: Final = 200
"""Requests that are kept in a second; clients could ask for all."""
UNDER_WAY_MOST: Final = 20_000
_OWN: Final = frozenset({TRACEPARENT, TRACESTATE})

Headers = list[tuple[bytes, bytes]]


class Tracer:
    """Traces a worker's requests: ``ratio`` of those that nobody decided about. Spans go to ``keep``."""

    def __init__(
        self, keep: Callable[[Sequence[Span]], None], ratio: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._keep = keep
        self._ratio = ratio
        self._now = now
        self._second = 0
        self._kept = 0
        self._under_way: dict[str, Trace] = {}

    def begin(self, request_id: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """A request with a good key begins; a second time it is the same trace."""
        if request_id in self._under_way or len(self._under_way) >= UNDER_WAY_MOST:
            return
        context, state = context_of(headers)
        if state and hidden(state.decode("latin-1")) != state.decode("latin-1"):
            state = b""  # an app key goes on in no field
        chosen = context.sampled if context is not None else random.random() < self._ratio  # noqa: S311  no secret
        if chosen and self._has_room():
            trace_id = context.trace_id if context is not None else new_trace_id()
            own = TraceContext(trace_id, new_span_id(), sampled=True)
            self._under_way[request_id] = Trace(own, context.span_id if context is not None else "", state)
        elif context is not None:
            self._under_way[request_id] = Trace(context._replace(sampled=False), "", state)

    def of(self, request_id: str) -> Trace | None:
        """The trace of a request that is under way, None where nothing is to be carried on."""
        return self._under_way.get(request_id)

    def ended(self, record: RequestRecord) -> None:
        """A request has ended: make spans of what is known, where it is kept."""
        trace = self._under_way.pop(record.id, None)
        if trace is not None and trace.own.sampled:
            self._keep(spans_of(record, trace, time.perf_counter()))

    def _has_room(self) -> bool:
        second = int(self._now())
        if second != self._second:
            self._second, self._kept = second, 0
        self._kept += 1
        return self._kept <= KEPT_MOST


def without_context(headers: Headers) -> Headers:
    """The fields of a request without its context, which each sending writes anew."""
    return [pair for pair in headers if pair[0].lower() not in _OWN]
