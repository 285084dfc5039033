"""Request records, and the store that is theirs alone: batches in, old ones out."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from tieline.core.names import Environment

Outcome = Literal["complete", "client_gone", "upstream_cut", "refused"]


class RequestRecord(NamedTuple):
    """What is kept about one relayed request or call; never a header, a query or a body.

    ``at`` is seconds since the epoch, durations are milliseconds, sizes are bytes of bodies. ``code`` is the Tieline
    error code when Tieline made the answer. ``call`` is the name of the call that was run, if one was. What was unknown
    when the request ended is None.
    """

    id: str
    at: float
    app_id: str | None
    key_id: str | None
    api: str | None
    environment: Environment | None
    method: str
    path: str
    area: str | None
    level: str | None
    status: int
    code: str | None
    duration_ms: float
    upstream_ms: float | None
    bytes_in: int
    bytes_out: int
    outcome: Outcome
    call: str | None = None


class RecordStore(Protocol):
    """Where records are kept. Every method raises ``NotReady`` while it cannot be reached, is busy or full."""

    async def add(self, records: Sequence[RequestRecord]) -> None:
        """Store a batch, all or nothing. A batch that failed may be sent again: no record is stored twice by that."""
        ...

    async def forget(self, before: float) -> None:
        """Delete records older than ``before`` (seconds since the epoch); some of them may stay for a day more."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...
