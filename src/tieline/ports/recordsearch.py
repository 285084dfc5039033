"""Searching request records: what is asked for, and what whoever keeps them gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from tieline.core.pages import Page
from tieline.ports.requests import RequestRecord

Filtered = Literal["app_id", "key_id", "api", "call", "status", "code", "model", "path", "text"]


class Condition(NamedTuple):
    """Records whose ``field`` is one of ``values``; ``negated``: none of them, which includes records without any.

    In ``model`` and ``path`` a ``*`` stands for any characters. A ``status`` is a number or a class such as ``4xx``.
    ``text`` is looked for in path, reason, id, end user and tag, whatever the case of its ASCII letters.
    """

    field: Filtered
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records: those that fit every condition and ended from ``since`` on and before ``until`` (epoch)."""

    conditions: tuple[Condition, ...] = field(default=())
    since: float | None = None
    until: float | None = None


class Followed(NamedTuple):
    """What was saved since a place, in that order, and the place to ask from next."""

    records: Sequence[RequestRecord]
    place: str


class RecordSearch(Protocol):
    """Reads records. Every method raises ``NotReady`` while they cannot be read.

    A *place* lies between two records, whatever is filtered; a place in a day that is gone leads to the days that are
    left.
    """

    async def page(self, wanted: RecordFilter, limit: int, after: str | None) -> Page[RequestRecord]:
        """At most ``limit`` records that fit, newest first, from the place ``after`` on, and the place that follows.

        One page costs a bounded amount of reading: it may have fewer records than ``limit`` or none while more follow.
        Only a ``next`` of None is the end. Raises ValueError where ``after`` is no place.
        """
        ...

    async def find(self, request_id: str) -> RequestRecord | None:
        """The record with this id."""
        ...

    async def end(self) -> str:
        """The place behind everything that is saved now."""
        ...

    async def follow(self, wanted: RecordFilter, place: str, limit: int) -> Followed:
        """What fits and was saved after ``place``, a bounded number of records at a time."""
        ...

    async def prepare(self) -> None:
        """Do what makes later searches quick, such as an index of the days that are over."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...
