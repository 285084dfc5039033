"""The spans of a request: itself, its admission, and each sending, made when its record is."""

from collections.abc import Iterator, Mapping
from typing import Final

from tieline.dataplane.tracing.trace import Trace, TracedAttempt
from tieline.ports.requests import RequestRecord
from tieline.telemetry import semconv as names
from tieline.telemetry.traces import Span, SpanKind, Value, new_span_id

_NANO: Final = 1_000_000_000
_MILLI: Final = 1_000_000
_ERRORS: Final = 400
_SERVER_ERRORS: Final = 500


def spans_of(record: RequestRecord, trace: Trace, now: float) -> list[Span]:
    """The spans of a request that ended at ``now`` on the clock of ``time.perf_counter``, the request's own first."""
    end = round(record.at * _NANO)
    began = end - round(record.duration_ms * _MILLI)
    own = trace.own
    door = "call" if record.call is not None else "relay"
    title = f"{record.method} /{door}/{record.api}" if record.api is not None else record.method
    state = trace.state.decode("latin-1")
    failure = record.code or (str(record.status) if record.status >= _SERVER_ERRORS else None)
    attributes = {**_known(_of_request(record, door)), **_error(failure)}
    spans = [
        Span(own.trace_id, own.span_id, trace.parent, title, SpanKind.SERVER, began, end, attributes, failure, state)
    ]
    if record.admission_ms is not None:
        refused = record.code if record.outcome == "refused" and not trace.attempts else None
        decided = {**_known({names.AREA: record.area, names.LEVEL: record.level}), **_error(refused)}
        until = began + round(record.admission_ms * _MILLI)
        place = own.trace_id, new_span_id(), own.span_id
        spans.append(Span(*place, "admission", SpanKind.INTERNAL, began, until, decided, refused))
    for number, attempt in enumerate(trace.attempts):
        is_last = number == len(trace.attempts) - 1
        times = end - round((now - attempt.began) * _NANO), end - round((now - (attempt.ended or now)) * _NANO)
        spans.append(_attempt_span(record, trace, attempt, (number, is_last), times))
    return spans


def _attempt_span(
    record: RequestRecord, trace: Trace, attempt: TracedAttempt, place: tuple[int, bool], times: tuple[int, int]
) -> Span:
    number, is_last = place
    began, ended = times
    status, failure = attempt.status, attempt.error
    if is_last:
        ended = round(record.at * _NANO)  # its body came until then
        if not attempt.ended and record.upstream_ms is not None and record.code is None:
            status = record.status
        failure = failure or (record.code if record.code is not None and not status else None)
    failure = failure or (str(status) if status >= _ERRORS else None)
    attributes: dict[str, Value | None] = {
        names.HTTP_METHOD: record.method,
        names.SERVER_ADDRESS: attempt.host,
        names.SERVER_PORT: attempt.port,
        names.HTTP_STATUS: status or None,
        names.HTTP_RESEND_COUNT: number or None,
        names.API: record.api,
    }
    used = dict(_of_use(record)) if is_last else {}
    title = f"{record.method} {attempt.host}"
    operation = names.operation_of(record.path)
    if used and operation is not None:
        title = f"{operation} {record.used.model}" if record.used.model else operation
    own = trace.own
    known = {**_known(attributes), **used, **_error(failure)}
    return Span(own.trace_id, attempt.span_id, own.span_id, title, SpanKind.CLIENT, began, ended, known, failure)


def _of_request(record: RequestRecord, door: str) -> Mapping[str, Value | None]:
    return {
        names.HTTP_METHOD: record.method,
        names.HTTP_ROUTE: f"/{door}/{{api}}",
        names.HTTP_STATUS: record.status or None,
        names.URL_PATH: record.path,
        names.HTTP_REQUEST_SIZE: record.bytes_in,
        names.HTTP_RESPONSE_SIZE: record.bytes_out,
        names.REQUEST_ID: record.id,
        names.API: record.api,
        names.CALL: record.call,
        names.APP_ID: record.app_id,
        names.KEY_ID: record.key_id,
        names.ENVIRONMENT: record.environment,
        names.AREA: record.area,
        names.LEVEL: record.level,
        names.CODE: record.code,
        names.OUTCOME: record.outcome,
        names.REASON: record.reason,
        names.CACHE: record.cache,
        names.TAG: record.named.tag,
    }


def _of_use(record: RequestRecord) -> Iterator[tuple[str, Value]]:
    """What was used, on the sending that used it: whoever adds up spans counts it once."""
    used = record.used
    if not used.quantities and used.model is None:
        return
    operation = names.operation_of(record.path)
    if operation is not None:
        yield names.GEN_AI_OPERATION, operation
    api = record.api or ""
    yield names.GEN_AI_PROVIDER, names.PROVIDERS.get(api, api)
    if used.model is not None:
        yield names.GEN_AI_MODEL, used.model
    if used.service_tier is not None:
        yield names.GEN_AI_TIER, used.service_tier
    for name, amount in (used.quantities or {}).items():
        yield names.TOKENS.get(name, names.QUANTITY + name), amount
    if used.cost_nano is not None:
        yield names.COST, used.cost_nano / _NANO
    if used.estimated:
        yield names.ESTIMATED, True


def _known(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None}


def _error(failure: str | None) -> dict[str, Value]:
    return {names.ERROR_TYPE: failure} if failure is not None else {}
