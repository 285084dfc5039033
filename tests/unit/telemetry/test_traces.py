"""W3C Trace Context: what is gone on with, and what is begun anew (https://www.w3.org/TR/trace-context/)."""

import pytest

from tieline.telemetry.traces import STATE_MOST, TraceContext, context_of, new_span_id, new_trace_id, parsed, written

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (GOOD, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-ff", True),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"01-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", True),
    ],
)
def test_a_context_is_read(value: str, sampled: bool) -> None:
    """Of this version and of later ones."""
    assert parsed(value.encode()) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        f"cc-{TRACE}-{SPAN}-01.more",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_what_is_no_context_is_none(value: str) -> None:
    """A trace is begun anew then."""
    assert parsed(value.encode()) is None


def test_two_contexts_are_none_and_a_state_belongs_to_one() -> None:
    """Nobody knows which of two is meant; a state without a context is nobody's; a long one is dropped."""
    one = (b"TraceParent", GOOD.encode())
    assert context_of([one, (b"tracestate", b"a=1"), (b"Tracestate", b"b=2")]) == (parsed(GOOD.encode()), b"a=1,b=2")
    assert context_of([one, one, (b"tracestate", b"a=1")]) == (None, b"")
    assert context_of([(b"tracestate", b"a=1")]) == (None, b"")
    assert context_of([one, (b"tracestate", b"a" * (STATE_MOST + 1))])[1] == b""


def test_what_is_written_is_read_again() -> None:
    """New ids are of the right form."""
    context = TraceContext(new_trace_id(), new_span_id(), sampled=True)
    assert parsed(written(context)) == context
