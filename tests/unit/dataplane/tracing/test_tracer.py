"""Which requests are traced, what goes on with them, and the spans that are made of their records."""

import subprocess
import sys
from typing import Any

import pytest

from tieline.access import appkey
from tieline.core.urls import Origin
from tieline.dataplane.tracing.tracer import KEPT_MOST, Tracer, without_context
from tieline.ports.requests import RequestRecord, Used
from tieline.telemetry.traces import Span, SpanKind

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = [(b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())]
HERE = Origin("https", "api.example.com", 443)


class Traced:
    """A tracer and what it kept."""

    def __init__(self, ratio: float = 1.0) -> None:
        self.spans: list[Span] = []
        self.now = 0.0
        self.tracer = Tracer(self.spans.extend, ratio, lambda: self.now)

    def end(self, identity: str, **changes: Any) -> list[Span]:
        """End a request; its spans."""
        before = len(self.spans)
        times = (20.0, 10.0, 5, 7)
        made = RequestRecord(
            identity, 100.0, "app_1", "key_1", "openai", "live", "POST", "/chat/completions", None, None, 200, None,
            *times, "complete",
        )  # fmt: skip
        self.tracer.ended(made._replace(admission_ms=1.0)._replace(**changes))
        return self.spans[before:]


def test_a_sender_decides_else_chance() -> None:
    """What it keeps is kept at a share of 0; what it does not is not at a share of 1."""
    for ratio in (0.0, 1.0):
        traced = Traced(ratio)
        traced.tracer.begin("a", SAMPLED)
        traced.tracer.begin("b", [(b"traceparent", f"00-{TRACE}-{SPAN}-00".encode())])
        traced.tracer.begin("c", [])
        assert [bool(traced.end(each)) for each in "abc"] == [True, False, bool(ratio)]


def test_clients_cannot_have_everything_traced() -> None:
    """So many in a second; the rest is not kept, and its context goes on as it came, not kept by us."""
    traced = Traced()
    for number in range(KEPT_MOST + 50):
        traced.tracer.begin(str(number), SAMPLED)
    assert sum(bool(traced.end(str(number))) for number in range(KEPT_MOST + 50)) == KEPT_MOST
    traced.now = 1.0
    traced.tracer.begin("later", SAMPLED)
    assert traced.end("later")


def test_an_app_key_goes_on_in_no_state() -> None:
    """A state that holds one is dropped; the context is gone on with."""
    secret = appkey.mint("live").reveal_bytes()
    traced = Traced()
    traced.tracer.begin("a", [*SAMPLED, (b"tracestate", b"vendor=" + secret)])
    trace = traced.tracer.of("a")
    assert trace is not None
    assert secret not in trace.sending(HERE)
    assert TRACE.encode() in trace.sending(HERE)


def test_nothing_stays_of_a_request_that_has_ended() -> None:
    """Nor of one that is begun twice."""
    traced = Traced()
    traced.tracer.begin("a", SAMPLED)
    first = traced.tracer.of("a")
    traced.tracer.begin("a", [])
    assert traced.tracer.of("a") is first
    assert traced.end("a")
    assert traced.tracer.of("a") is None
    assert traced.end("a") == []


def test_each_sending_is_a_span_and_what_was_used_stands_on_the_last() -> None:
    """Whoever adds up the tokens of all spans counts them once."""
    traced = Traced()
    traced.tracer.begin("a", SAMPLED)
    trace = traced.tracer.of("a")
    assert trace is not None
    first = trace.sending(HERE)
    trace.answered(503)
    second = trace.sending(HERE)
    trace.answered(200)
    assert first != second
    used = Used("gpt-4.1", "default", {"input_tokens": 10, "output_tokens": 20, "images": 1}, 5_000_000)
    request, admission, *attempts = traced.end("a", used=used)
    assert (request.kind, admission.kind, attempts[0].kind) == (SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.CLIENT)
    assert [each.failure for each in attempts] == ["503", None]
    assert attempts[1].attributes["http.request.resend_count"] == 1
    assert attempts[1].name == "chat gpt-4.1"
    wanted = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.response.model": "gpt-4.1",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 20,
        "tieline.usage.images": 1,
        "tieline.cost.usd": 0.005,
    }
    assert wanted.items() <= attempts[1].attributes.items()
    assert not any(name.startswith("gen_ai") for span in (request, attempts[0]) for name in span.attributes)
    assert request.began == 99_980_000_000
    assert all(request.began <= span.began <= span.ended for span in (request, admission))


def test_a_connection_that_never_was_is_an_attempt_too() -> None:
    """With the reason, and without a status."""
    traced = Traced()
    traced.tracer.begin("a", SAMPLED)
    trace = traced.tracer.of("a")
    assert trace is not None
    trace.failed("upstream_unreachable", HERE, 0.0)
    _, _, attempt = traced.end("a", status=502, code="upstream_unreachable", outcome="refused", upstream_ms=None)
    assert attempt.failure == "upstream_unreachable"
    assert attempt.attributes["server.address"] == "api.example.com"
    assert "http.response.status_code" not in attempt.attributes


def test_the_context_is_taken_out_of_what_goes_on() -> None:
    """Each sending writes its own."""
    fields = [(b"TraceParent", b"x"), (b"accept", b"*/*"), (b"tracestate", b"y"), (b"baggage", b"z")]
    assert without_context(fields) == [(b"accept", b"*/*"), (b"baggage", b"z")]


@pytest.mark.parametrize("plane", ["data", "control"])
def test_nobody_who_sends_nothing_loads_what_sends(plane: str) -> None:
    """A worker without a collector has neither the exporter nor the encoding in memory, nor any SDK."""
    program = (
        f"import sys, tieline.app.{plane}; print([name for name in sys.modules if name in ('tieline.app.otlp', "
        "'tieline.telemetry.otlp', 'prometheus_client') or name.startswith(('opentelemetry.sdk', 'google.protobuf'))])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
