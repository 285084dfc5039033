"""Usage, added up: what workers count of requests, and what is asked of these counts.

A *series* is what requests have in common that are counted together; a *measure* is one whole number of it. Measures
are ``requests`` and the other names below, and with a letter in front the quantities of ``core.quantities``: ``q.``
what was used, ``u.`` the part of it that has no price, ``e.`` the part that is estimated. ``ms.`` counts durations by
their step (``metering.durations``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

REQUESTS: Final = "requests"
"""All of a series; each of its counts has it."""
ERRORS: Final = "errors"
PRICED: Final = "priced"
"""Requests of which something has a price."""
COST: Final = "cost_nano"
UNPRICED: Final = "unpriced"
"""Requests of which something has no price."""
ESTIMATED: Final = "estimated"
ESTIMATED_COST: Final = "estimated_nano"
UNREAD: Final = "unread"
"""Requests whose provider told figures that made no sense."""
CACHED: Final = "cached"
"""Requests that were answered with what was there already."""
RETRIES: Final = "retries"
USED: Final = "q."
WITHOUT_PRICE: Final = "u."
GUESSED: Final = "e."
DURATION: Final = "ms."

MINUTE: Final = 60
QUARTER: Final = 900
DAY: Final = 86_400
SLOTS: Final = (MINUTE, QUARTER, DAY)
"""The lengths of the slots that are counted in, in seconds; every count is in one of each. They begin at UTC's."""
KEPT_SECONDS: Final[Mapping[int, int]] = {MINUTE: 2 * DAY, QUARTER: 40 * DAY, DAY: 400 * DAY}
"""For so long a slot is kept after its start."""
SERIES_MOST: Final[Mapping[int, int]] = {MINUTE: 250, QUARTER: 500, DAY: 2_500}
"""So many series a slot has, at most half of them of one key; what is beyond is counted with fewer words."""

Dimension = Literal["app", "key", "api", "call", "model", "end_user", "tag", "environment"]
SAID: Final = frozenset({"model", "end_user", "tag"})
"""Dimensions whose words come from outside: given up first where a slot has too many series."""


class Series(NamedTuple):
    """What requests have in common; text is empty where there is none. ``app`` is the name that the app had then.

    ``other`` is 1 where model, end user and tag are those of many, left out; 2 where everything is.
    """

    environment: str = ""
    app_id: str = ""
    app: str = ""
    key_id: str = ""
    api: str = ""
    call: str = ""
    model: str = ""
    end_user: str = ""
    tag: str = ""
    other: int = 0

    def without_words(self) -> "Series":
        """The series that counts it where there are too many."""
        return self._replace(model="", end_user="", tag="", other=1)


OTHERS: Final = Series(other=2)


class SeriesCount(NamedTuple):
    """What was counted of a series in the minute that began at ``minute`` (seconds since the epoch)."""

    minute: int
    series: Series
    measures: Mapping[str, int]


class UsageBatch(NamedTuple):
    """What a writer counted since its batch before. ``number`` grows by one; ``writer`` is a process's own."""

    writer: str
    number: int
    counted: Sequence[SeriesCount]


class UsageStore(Protocol):
    """Where counts are kept. Every method raises ``NotReady`` while it cannot be reached."""

    async def add(self, batch: UsageBatch) -> None:
        """Add a batch, all or nothing. One that is sent again, since nobody knows what became of it, counts once."""
        ...

    async def forget(self, now: float) -> None:
        """Delete the slots that are kept no longer (``KEPT_SECONDS``), and series that nothing is counted of."""
        ...


class UsageCondition(NamedTuple):
    """Only series whose ``dimension`` is one of ``values``: an app by its id or by what it was called then.

    In a model a ``*`` stands for any characters.
    """

    dimension: Dimension
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UsageWanted:
    """What is asked: slots of ``slot`` seconds added up between the ``edges`` of buckets, for each value of ``by``.

    ``edges`` are seconds since the epoch, ascending, multiples of ``slot``; each but the last begins a bucket.
    ``after`` is the last row of the page before.
    """

    slot: int
    edges: Sequence[int]
    by: tuple[Dimension, ...]
    conditions: tuple[UsageCondition, ...]
    limit: int
    after: tuple[str | int, ...] | None = None


class UsageRow(NamedTuple):
    """One row of an answer. ``bucket`` is its place among the buckets; ``values`` are in the order of ``columns``.

    ``other``: it is what is beyond the bound, with a word that is asked for left out.
    """

    bucket: int
    values: tuple[str, ...]
    other: bool
    measures: dict[str, int]

    @property
    def place(self) -> tuple[str | int, ...]:
        """What ``UsageWanted.after`` takes."""
        return (self.bucket, *self.values, int(self.other))


class UsagePage(NamedTuple):
    """Rows in order, whether more follow, and how many requests of these times are counted with words left out."""

    rows: Sequence[UsageRow]
    more: bool
    collapsed: int


class UsageQueries(Protocol):
    """Reads counts."""

    async def page(self, wanted: UsageWanted) -> UsagePage:
        """One page. Raises ValueError where ``after`` is no row's place."""
        ...


def columns_of(by: Sequence[Dimension]) -> tuple[str, ...]:
    """The columns of the values of rows: an app has its id and its name then."""
    found: list[str] = []
    for each in by:
        found += ["app_id", "app"] if each == "app" else ["key_id"] if each == "key" else [each]
    return tuple(found)
