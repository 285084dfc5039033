"""One request's trace while it is under way: what goes on to the upstream, and when it was sent.

Only requests whose spans are kept have attempts here. A request that is not kept has a trace only where it brought a
context: that goes on as it came.
"""

import time
from dataclasses import dataclass, field

from tieline.core.urls import Origin
from tieline.telemetry.traces import TRACEPARENT, TRACESTATE, TraceContext, new_span_id, written


@dataclass(slots=True)
class TracedAttempt:
    """One sending. Times are on the clock of ``time.perf_counter``; ``ended`` is 0 while nobody knows.

    ``status`` is the upstream's, 0 where it gave none; ``error`` is the code of what went wrong.
    """

    span_id: str
    host: str
    port: int
    began: float
    ended: float = 0.0
    status: int = 0
    error: str | None = None


@dataclass(slots=True)
class Trace:
    """``own`` is the request's own span; ``parent`` the span that sent it, empty where it begins the trace.

    ``state`` is the vendors' part of the context, which goes on as it came.
    """

    own: TraceContext
    parent: str
    state: bytes
    attempts: list[TracedAttempt] = field(default_factory=list)

    def sending(self, origin: Origin) -> bytes:
        """The request is sent to an upstream now: the lines of the head that carry the context on."""
        context = self.own
        if context.sampled:
            attempt = TracedAttempt(new_span_id(), origin.host, origin.port, time.perf_counter())
            self.attempts.append(attempt)
            context = TraceContext(context.trace_id, attempt.span_id, sampled=True)
        lines = TRACEPARENT + b": " + written(context) + b"\r\n"
        return lines + TRACESTATE + b": " + self.state + b"\r\n" if self.state else lines

    def answered(self, status: int) -> None:
        """The last sending was answered."""
        self._end(status=status)

    def failed(self, code: str, origin: Origin, since: float) -> None:
        """The last sending was not answered, for the reason with this code; ``since`` then it was tried.

        Where not a byte was sent, as there was no connection, that is an attempt too.
        """
        if self.own.sampled and not (self.attempts and not self.attempts[-1].ended):
            self.attempts.append(TracedAttempt(new_span_id(), origin.host, origin.port, since))
        self._end(error=code)

    def _end(self, *, status: int = 0, error: str | None = None) -> None:
        if self.attempts and not self.attempts[-1].ended:
            last = self.attempts[-1]
            last.ended, last.status, last.error = time.perf_counter(), status, error
