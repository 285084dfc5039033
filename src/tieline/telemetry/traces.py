"""Spans, and the context that ties those of several programs together (W3C Trace Context, level 1).

Owns the form of ``traceparent`` and what a span is. What is worth a span, and which are kept, is ``dataplane.tracing``.
"""

import re
import secrets
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple

TRACEPARENT: Final = b"traceparent"
TRACESTATE: Final = b"tracestate"
STATE_MOST: Final = 512
"""Bytes of a ``tracestate`` that is passed on; a longer one is dropped, as section 3.3.1.5 allows."""
_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_SAMPLED: Final = 1

Value = str | int | float | bool


class SpanKind(IntEnum):
    """What a span is in its trace; the numbers are those of OTLP."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


class TraceContext(NamedTuple):
    """What a request says of the trace that it belongs to: ids in hex, and whether its sender keeps its spans."""

    trace_id: str
    span_id: str
    sampled: bool


class Span(NamedTuple):
    """Something that took time: nanoseconds since the epoch. ``failure`` says in a word why it failed, if it did."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: SpanKind
    began: int
    ended: int
    attributes: Mapping[str, Value]
    failure: str | None = None
    state: str = ""


def context_of(headers: Iterable[tuple[bytes, bytes]]) -> tuple[TraceContext | None, bytes]:
    """The context in a request's fields, and its state; None and empty where there is none that can be gone on with.

    Two fields ``traceparent`` are none; a version that is not known is read as far as this one goes.
    """
    parents: list[bytes] = []
    states: list[bytes] = []
    for name, value in headers:
        if len(name) == 11 and name.lower() == TRACEPARENT:
            parents.append(value.strip())
        elif len(name) == 10 and name.lower() == TRACESTATE:
            states.append(value.strip())
    context = parsed(parents[0]) if len(parents) == 1 else None
    state = b",".join(states)
    return context, state if context is not None and len(state) <= STATE_MOST else b""


def parsed(value: bytes) -> TraceContext | None:
    """A ``traceparent`` read; None where it is none."""
    found = _PARENT.fullmatch(value)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if (
        version == b"ff"
        or (version == b"00" and more is not None)
        or not (trace_id.strip(b"0") and span_id.strip(b"0"))
    ):
        return None
    return TraceContext(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & _SAMPLED))


def written(context: TraceContext) -> bytes:
    """The value of ``traceparent`` for ``context``."""
    return f"00-{context.trace_id}-{context.span_id}-{int(context.sampled):02x}".encode()


def new_trace_id() -> str:
    """A new trace's id."""
    return secrets.token_hex(16)


def new_span_id() -> str:
    """A new span's id."""
    return secrets.token_hex(8)
