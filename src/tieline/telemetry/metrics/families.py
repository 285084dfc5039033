"""Every metric that there is: its name, kind, labels and unit. What is not in this table cannot be counted.

Values are whole numbers in the file: durations in microseconds, money in nano-dollars. ``scale`` makes them what the
unit in the name says (seconds, dollars), as Prometheus asks for base units. Labels are bounded: names that operators
gave (APIs, budgets), words of our own, and models that have a price. Never a key, a path, a user or an address; and of
each family there are ``most`` series in a process, what is beyond them is counted as ``other``.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]

OTHER: Final = "other"
"""Stands in every label of a series that counts what is beyond a family's ``most``."""
_SECOND: Final = 1_000_000
_NANO: Final = 1_000_000_000
_MILLI: Final = 1_000
_LONG: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_SHORT: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """One metric. ``name`` is without ``_total``; ``buckets`` are upper bounds in the unit, of histograms only.

    A value of ``scale`` in the file is shown as 1; ``bounds`` are the buckets' as they are counted there.
    """

    name: str
    kind: Kind
    title: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    scale: int = 1
    buckets: tuple[float, ...] = ()
    most: int = 2_000
    bounds: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bounds", tuple(round(bound * self.scale) for bound in self.buckets))

    @property
    def width(self) -> int:
        """How many values a series has: of a histogram one for each bucket, one beyond them, and the sum."""
        return len(self.buckets) + 2 if self.kind == "histogram" else 1


def _counter(name: str, title: str, *labels: str, unit: str = "", scale: int = 1) -> Family:
    return Family(name, "counter", title, labels, unit, scale)


def _gauge(name: str, title: str, *labels: str, unit: str = "", scale: int = 1) -> Family:
    return Family(name, "gauge", title, labels, unit, scale)


def _durations(name: str, title: str, *labels: str, buckets: tuple[float, ...] = _LONG) -> Family:
    return Family(f"{name}_seconds", "histogram", title, labels, "seconds", _SECOND, buckets, most=500)


# -- requests of apps

REQUESTS: Final = _counter(
    "tieline_requests",
    "Requests of apps that have ended, by the class of their status, Tieline's error code and how they ended.",
    "api",
    "door",
    "status",
    "code",
    "outcome",
)
STRANGERS: Final = _counter("tieline_unadmitted_requests", "Requests without a good app key.", "code")
SHED: Final = _counter("tieline_shed_requests", "Requests refused before any work, as a worker had too much to do.")
LIMITED: Final = _counter("tieline_limited_requests", "Requests that did not fit a limit or a budget.", "code")
ADMISSION: Final = _durations(
    "tieline_request_admission", "From a request's head until it was first on its way.", "api", buckets=_SHORT
)
CONNECT: Final = _durations(
    "tieline_upstream_connect", "Reaching an upstream with a new connection, with TLS.", "api", buckets=_SHORT
)
FIRST_BYTE: Final = _durations("tieline_upstream_first_byte", "From the last sending to the answer's head.", "api")
DURATION: Final = _durations("tieline_request_duration", "From a request's head to the end of its answer.", "api")
BODY_BYTES: Final = _counter("tieline_body_bytes", "Bytes of bodies.", "api", "direction", unit="bytes")

# -- upstreams

UPSTREAM_ERRORS: Final = _counter(
    "tieline_upstream_errors", "Requests that failed at the upstream, by what was wrong with it.", "api", "reason"
)
RETRIES: Final = _counter("tieline_retries", "Times that requests were sent again.", "api")
RETRIES_REFUSED: Final = _counter(
    "tieline_retries_refused", "Times that a request was not sent again, as the retry budget was used up.", "api"
)
RETRY_BUDGET: Final = _gauge("tieline_retry_budget", "Retries that are left now, of all connections' budgets.", "api")
BREAKERS_OPEN: Final = _gauge("tieline_breakers_open", "Circuit breakers that are not closed now.", "api")
BREAKER_OPENED: Final = _counter("tieline_breaker_opened", "Times that a circuit breaker opened.", "api")
CONNECTIONS: Final = _gauge("tieline_upstream_connections", "Connections to upstreams now.", "state")
PLACES_WAITED_FOR: Final = _gauge(
    "tieline_upstream_waiting", "Requests that wait now for one of a limited number of connections.", "api"
)

# -- usage and money

USAGE: Final = _counter(
    "tieline_usage", "What was used, by quantity; times are milliseconds.", "api", "model", "quantity"
)
COST: Final = _counter(
    "tieline_cost_usd", "What was used, at the prices in force.", "api", "model", unit="usd", scale=_NANO
)
UNPRICED: Final = _counter("tieline_unpriced_requests", "Requests that used something without a price.", "api")
BUDGET_AMOUNT: Final = _gauge("tieline_budget_amount", "What may be spent in a window.", "budget", "unit", scale=_NANO)
BUDGET_SPENT: Final = _gauge(
    "tieline_budget_spent", "What was spent in the window of now, by all it is for.", "budget", "unit", scale=_NANO
)
BUDGET_RESERVED: Final = _gauge(
    "tieline_budget_reserved", "What requests under way may cost at most.", "budget", "unit", scale=_NANO
)

# -- a worker

WORKER_UP: Final = _gauge("tieline_worker_up", "Whether the process counts now.", "process")
IN_FLIGHT: Final = _gauge("tieline_requests_in_flight", "Requests, streams and tunnels under way now.")
STREAMS_OPEN: Final = _gauge("tieline_streams_open", "Streams of events and tunnels under way now.")
CLIENTS: Final = _gauge("tieline_client_connections", "Connections of apps now.")
SLOTS: Final = _gauge("tieline_limit_slots_in_use", "Places of limits on requests at once that are taken now.")
LOOP_LAG: Final = _durations(
    "tieline_loop_lag", "How late the event loop was, four times a second.", "plane", buckets=_SHORT
)
RECORDS_DROPPED: Final = _counter("tieline_records_dropped", "Request records given up, as the store took none.")
RECORDS_WAITING: Final = _gauge("tieline_records_waiting", "Request records in memory, to be stored.")
STORE_WRITE: Final = _durations("tieline_store_write", "Storing a batch of request records.", buckets=_SHORT)
STORE_FRESH: Final = _gauge(
    "tieline_snapshot_fresh", "Processes whose snapshot is loaded and heard of the store lately."
)
SNAPSHOT_VERSION: Final = _gauge("tieline_snapshot_version", "The version of the latest change served.", "process")
CPU: Final = _counter("tieline_cpu_seconds", "Processor time.", "process", unit="seconds", scale=_SECOND)
MEMORY: Final = _gauge("tieline_memory_resident_bytes", "Resident memory.", "process", unit="bytes")

# -- the control plane

ADMIN_REQUESTS: Final = _counter("tieline_admin_requests", "Requests of operators.", "method", "route", "status")
ADMIN_DURATION: Final = _durations(
    "tieline_admin_request_duration", "From a request of an operator to its answer's end.", "route"
)
BUILD: Final = _gauge("tieline_build_info", "Always 1: what runs here.", "version", "python")

# -- telemetry itself

SERIES_DROPPED: Final = _counter("tieline_metrics_dropped", "Increments without a place in the file.")
EXPORTED: Final = _counter("tieline_otlp_exported", "Spans and points that a collector took.", "signal")
EXPORT_DROPPED: Final = _counter("tieline_otlp_dropped", "Spans and points that no collector took.", "signal")

FAMILIES: Final[tuple[Family, ...]] = tuple(each for each in tuple(globals().values()) if isinstance(each, Family))
BY_NAME: Final = {family.name: family for family in FAMILIES}
