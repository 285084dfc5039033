"""A log line for each request that failed, so that "why did request X fail" is answered by the log alone.

At most ten a second from each worker: what fails in a flood is in the records, and the next line says how many were
left out. Every word in a line stands in the record too.
"""

import time
from collections.abc import Callable
from typing import Final

from tieline.ports.requests import RequestRecord
from tieline.telemetry.logs import Log, Severity

LINES_MOST: Final = 10
"""Lines in one second."""
EVENT: Final = "request.failed"


class FailureLog:
    """Listens to the records of requests that failed and writes the lines; ``now`` is a clock that nobody sets."""

    def __init__(self, log: Log, now: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now = now
        self._second = 0
        self._written = 0
        self._left_out = 0

    def __call__(self, record: RequestRecord) -> None:
        """Write a line about ``record``, whose request failed."""
        if not self._log.writes(Severity.INFO):
            return
        second = int(self._now())
        if second != self._second:
            self._second, self._written = second, 0
        if self._written == LINES_MOST:
            self._left_out += 1
            return
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        self._log.info(
            EVENT,
            request_id=record.id,
            api=record.api,
            app_id=record.app_id,
            key_id=record.key_id,
            method=record.method,
            path=record.path,
            status=record.status or None,
            code=record.code,
            outcome=record.outcome,
            decision=record.decision if record.code is None or record.area is not None else None,
            problem=why(record),
            attempt=record.sending.retries + 1 if record.sending.retries else None,
            duration_ms=record.duration_ms,
            upstream_ms=record.upstream_ms,
            left_out=left_out or None,
        )


def why(record: RequestRecord) -> str:
    """Why the request failed, in words."""
    if record.code is not None and record.reason is not None:
        return record.reason
    if record.outcome == "client_gone":
        return "The client left before its answer was whole."
    if record.reason is not None:
        return f"The upstream answered {record.status}: {record.reason}."
    return f"The upstream answered {record.status}."
