"""Request records: the one event of an ended request, and the store that is theirs alone: batches in, old ones out."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol

from tieline.core.names import Environment

Outcome = Literal["complete", "client_gone", "upstream_cut", "refused"]
CacheUse = Literal["hit", "miss", "replay"]


class Used(NamedTuple):
    """What a request used and what that cost, as far as it is known when the request ends.

    ``quantities`` are named as ``core.quantities`` has them. ``cost_nano`` is in nano-dollars, None where nothing that
    was used has a price; ``unpriced`` are the quantities that have none. ``estimated``: the provider's own figure never
    came; ``unread`` are the places of figures that came and made no sense. What several models used is added up.
    """

    model: str | None = None
    service_tier: str | None = None
    quantities: Mapping[str, int] | None = None
    cost_nano: int | None = None
    unpriced: frozenset[str] = frozenset()
    estimated: bool = False
    unread: frozenset[str] = frozenset()


class Sendings(NamedTuple):
    """How a request was sent, beyond once over a connection that was there.

    Milliseconds: waiting for a place, reaching an address (with the name's look-up), and agreeing on TLS, all of the
    last connection that was opened for it and None where none was. ``retries`` are the times it was sent again.
    """

    queue_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    retries: int = 0


class AppWords(NamedTuple):
    """What an app said about a request in its own words: for which of its end users, and what to count it under."""

    end_user: str | None = None
    tag: str | None = None


NONE_USED: Final = Used()
AT_ONCE: Final = Sendings()
UNNAMED: Final = AppWords()
"""What most requests have: the very same object, which is told by ``is``."""


class RequestRecord(NamedTuple):
    """How one request ended: all that records, aggregates, metrics and logs know of it.

    Made once, when the request has ended. Never a header, a query, a body, a secret or the client's address. ``at`` is
    seconds since the epoch, durations are milliseconds, sizes are bytes of bodies.

    ``area`` and ``level`` are what it was permitted as. ``code`` is the Tieline error code when Tieline made the
    answer, ``reason`` what that answer said, cut and freed of app keys; where the upstream made it and named its error
    by a word, ``reason`` is that. ``call`` is the name of the call that was run.
    ``upstream_ms`` is from the last sending to the head of its answer; ``admission_ms`` from the request's head until
    it was first on its way. ``worker`` is the number of the process on its node. ``cache``: the answer was one kept
    before (``hit``), could have been (``miss``), or was given again under the same idempotency key (``replay``).
    ``app`` is what the app is called when the request ends; no store keeps it with the record. ``has_query``: the
    client's target had a query, which is not kept. ``bodies_until`` is when the bodies expire that were recorded of it
    (whole seconds since the epoch). What was unknown when the request ended is None.
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
    reason: str | None = None
    admission_ms: float | None = None
    worker: int | None = None
    cache: CacheUse | None = None
    has_query: bool | None = None
    used: Used = NONE_USED
    sending: Sendings = AT_ONCE
    named: AppWords = UNNAMED
    app: str | None = None
    bodies_until: int | None = None

    @property
    def decision(self) -> str:
        """What became of it at the door, in words."""
        if self.area is not None:
            return f"Allowed as {self.area}: {self.level}."
        if self.outcome == "refused" and self.reason is not None:
            return f"Refused: {self.reason}"
        return "Allowed: the key may do everything, or the path belongs to no area."


class RecordStore(Protocol):
    """Where records are kept. Every method raises ``NotReady`` while it cannot be reached, is busy or full."""

    async def add(self, records: Sequence[RequestRecord], *, durable: bool = False) -> None:
        """Store a batch, all or nothing. A batch that failed may be sent again: no record is stored twice by that.

        ``durable``: it is on the disk when this returns; else a power cut may take the last half second.
        """
        ...

    async def forget(self, before: float) -> None:
        """Delete records older than ``before`` (seconds since the epoch); some of them may stay for a day more."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...
