"""Usage, as operators ask for it: what each app, key, API, call, model, end user or tag used, by time.

Owns which buckets a question has and which slots they are made of (``ports.usage``), and the cursor. Days and hours are
those of a time zone; a bucket is asked for whole, so that no answer depends on when it was asked.
"""

import base64
import binascii
import bisect
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from tieline.access.budgets import checked_zone, midnight
from tieline.access.caller import Caller, Role, require
from tieline.controlplane.inputs import checked_limit
from tieline.controlplane.services import Services
from tieline.core.errors import InvalidInput
from tieline.core.pages import LIMIT_MOST, PageRequest
from tieline.ports.usage import DAY, KEPT_SECONDS, MINUTE, QUARTER, Dimension, UsageCondition, UsageRow, UsageWanted

Bucket = Literal["minute", "hour", "day", "all"]

HOUR: Final = 3_600
DEFAULT_SECONDS: Final[dict[Bucket, int]] = {"minute": HOUR, "hour": DAY, "day": 30 * DAY, "all": 30 * DAY}
"""So far back goes who says no beginning."""
_CURSOR: Final = 'after must be the "next" of the page before, asked for with the same parameters.'


@dataclass(frozen=True, slots=True)
class AskedUsage:
    """What is asked. ``filters`` map a dimension to the values that count: an app's name or id, a key's id."""

    by: tuple[Dimension, ...] = ()
    bucket: Bucket = "day"
    since: datetime | None = None
    until: datetime | None = None
    time_zone: str = "UTC"
    filters: dict[Dimension, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UsageSpan:
    """The buckets of a question: ``edges`` in seconds, each but the last begins one, made of slots of ``slot`` seconds.

    ``reaches_back_to`` is how far back such slots are kept.
    """

    slot: int
    edges: Sequence[int]
    reaches_back_to: datetime

    def bounds(self, row: UsageRow) -> tuple[datetime, datetime]:
        """When the bucket of a row begins and ends."""
        return moment(self.edges[row.bucket]), moment(self.edges[row.bucket + 1])


@dataclass(frozen=True, slots=True)
class UsageAnswer:
    """A page of rows, what their buckets are, and the cursor of the page that follows.

    ``collapsed`` is how many requests of these times are counted with words left out.
    """

    span: UsageSpan
    rows: Sequence[UsageRow]
    next: str | None
    collapsed: int


async def show(services: Services, caller: Caller, asked: AskedUsage, page: PageRequest) -> UsageAnswer:
    """One page of usage, earliest first. Needs the role viewer. Raises InvalidInput."""
    require(caller, Role.VIEWER)
    limit = checked_limit(page)
    span = span_of(asked, services.clock.now())
    async with services.store.read() as rx:
        conditions = []
        for dimension, values in asked.filters.items():
            if any("\0" in value for value in values):
                raise InvalidInput(f"{dimension} must hold no NUL character.", param=dimension)
            named = [await rx.apps.get(value) for value in values] if dimension == "app" else []
            ids = [row.id for row in named if row is not None]
            conditions.append(UsageCondition(dimension, (*values, *ids)))
        after = _place(page.after, span) if page.after is not None else None
        try:
            found = await rx.usage.page(UsageWanted(span.slot, span.edges, asked.by, tuple(conditions), limit, after))
        except ValueError:
            raise InvalidInput(_CURSOR, param="after") from None
    cursor = _cursor(found.rows[-1], span) if found.more else None
    return UsageAnswer(span, found.rows, cursor, found.collapsed)


async def every_page(services: Services, caller: Caller, asked: AskedUsage) -> AsyncIterator[UsageAnswer]:
    """All pages, as they stand when each is read. Needs the role viewer. Raises InvalidInput."""
    now = services.clock.now()
    until = min(asked.until or now, now)
    since = asked.since or until - timedelta(seconds=DEFAULT_SECONDS[asked.bucket])
    asked = replace(asked, since=since, until=until)
    after: str | None = None
    while True:
        answer = await show(services, caller, asked, PageRequest(LIMIT_MOST, after))
        yield answer
        after = answer.next
        if after is None:
            return


def span_of(asked: AskedUsage, now: datetime) -> UsageSpan:
    """The buckets that lie between two times, those at the ends whole. Raises InvalidInput."""
    zone = ZoneInfo(checked_zone(asked.time_zone))
    until = min(asked.until or now, now)
    since = asked.since or until - timedelta(seconds=DEFAULT_SECONDS[asked.bucket])
    if since >= until:
        msg = "since must be before until, and before now. Swap them, or leave one out."
        raise InvalidInput(msg, param="since")
    slot = _slot(asked.bucket, zone, since, now)
    kept = int(now.timestamp()) - KEPT_SECONDS[slot]
    first, last = max(int(since.timestamp()), kept), int(until.timestamp())
    edges = _edges(asked.bucket, slot, zone, first, last) if first < last else []
    return UsageSpan(slot, edges, moment(kept - kept % slot + slot))


def moment(seconds: int) -> datetime:
    """A time of so many seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def _slot(bucket: Bucket, zone: ZoneInfo, since: datetime, now: datetime) -> int:
    """The longest slots that a question's buckets are made of."""
    if bucket == "minute":
        return MINUTE
    if bucket == "day" and zone.key == "UTC":
        return DAY
    is_recent = (now - since).total_seconds() < KEPT_SECONDS[QUARTER]
    return DAY if bucket == "all" and not is_recent else QUARTER


def _edges(bucket: Bucket, slot: int, zone: ZoneInfo, first: int, last: int) -> list[int]:
    if bucket == "all":
        return [first - first % slot, last + -last % slot]
    if bucket == "day":
        day = datetime.fromtimestamp(first, zone).date()
        edges = [_midnight(day, zone)]
        while edges[-1] < last:
            day += timedelta(days=1)
            edges.append(_midnight(day, zone))
        return edges
    length = MINUTE if bucket == "minute" else HOUR
    edges = [_begins(first, length, zone)]
    while edges[-1] < last:
        edges.append(max(_begins(edges[-1] + length, length, zone), edges[-1] + slot))
    return edges


def _begins(seconds: int, length: int, zone: ZoneInfo) -> int:
    """When the hour or minute of a zone began."""
    offset = datetime.fromtimestamp(seconds, zone).utcoffset() or timedelta()
    return seconds - (seconds + int(offset.total_seconds())) % length


def _midnight(day: date, zone: ZoneInfo) -> int:
    """When a day begins in a zone, as a slot does."""
    begins = int(midnight(day, zone).timestamp())
    return begins - begins % QUARTER


def _cursor(row: UsageRow, span: UsageSpan) -> str:
    """The place of a row, its bucket by its beginning: places among buckets move while time goes on."""
    place = [span.edges[row.bucket] if row.bucket else 0, *row.place[1:]]
    return base64.urlsafe_b64encode(json.dumps(place, ensure_ascii=False).encode()).decode().rstrip("=")


def _place(text: str, span: UsageSpan) -> tuple[Any, ...]:
    try:
        place = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        begins, values = place[0], place[1:]
        bucket = bisect.bisect_left(span.edges, begins) if begins else 0
        if begins and span.edges[bucket] != begins:
            bucket -= 1  # it is kept no longer: go on after it
        if any(isinstance(each, str) and "\0" in each for each in values):
            raise ValueError
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, binascii.Error):
        raise InvalidInput(_CURSOR, param="after") from None
    return (bucket, *values)
