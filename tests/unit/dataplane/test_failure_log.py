"""The log has a line for a request that failed, and few of them in a flood."""

import io

import pytest

from tests.storage.rows import record
from tieline.dataplane.records.failures import LINES_MOST, FailureLog
from tieline.telemetry.logs import Log


class Told:
    """A failure log, what it wrote, and its clock."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.now = 5.0
        self.log = FailureLog(Log(stream=self.stream), lambda: self.now)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": 429, "code": "rate_limited", "reason": "Too many."}, "Too many."),
        ({"status": 404, "code": None, "reason": None}, "The upstream answered 404."),
        (
            {"status": 429, "code": None, "reason": "insufficient_quota"},
            "The upstream answered 429: insufficient_quota.",
        ),
        ({"status": 401, "area": "files", "level": "read", "code": None}, "Allowed as files: read."),
        ({"outcome": "client_gone"}, "The client left before its answer was whole."),
    ],
)
def test_a_failure_is_told_in_words(fields: dict[str, object], said: str) -> None:
    """What Tieline said, or what the upstream or the client did."""
    told = Told()
    told.log(record(**fields))
    assert said in told.lines[0]


def test_a_flood_is_told_in_ten_lines_a_second() -> None:
    """The first line of a later second says how many were left out."""
    told = Told()
    for _ in range(LINES_MOST + 7):
        told.log(record(status=500))
    assert len(told.lines) == LINES_MOST
    told.now += 1
    told.log(record(status=500))
    assert "left_out=7" in told.lines[-1]
