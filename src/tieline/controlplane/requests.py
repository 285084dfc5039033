"""Request records as operators read them: in pages with filters, one by one, and as they come."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, cast

from tieline.access.caller import Caller, Role, require
from tieline.controlplane.inputs import checked_limit, not_found
from tieline.controlplane.services import Services
from tieline.core.errors import InvalidInput, Overloaded
from tieline.core.pages import Page, PageRequest
from tieline.ports.recordsearch import Condition, Filtered, RecordFilter
from tieline.ports.requests import RequestRecord
from tieline.ports.store import Reading

VALUES_MOST: Final = 20
"""Values of one filter."""
FOLLOW_SECONDS: Final = 0.25
FOLLOWED_MOST: Final = 200
"""Records that a live view gets at once."""
_STATUS = re.compile(r"[1-5](?:[0-9]{2}|xx)")


@dataclass(frozen=True, slots=True)
class AskedRecords:
    """Which records are asked for. ``wanted`` and ``unwanted`` map a filter's name to its values.

    The names are app (name or id), key, api, call, status, code, model, path and text.
    """

    wanted: dict[str, Sequence[str]] = field(default_factory=dict)
    unwanted: dict[str, Sequence[str]] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None


async def list_requests(
    services: Services, caller: Caller, page: PageRequest, asked: AskedRecords
) -> Page[RequestRecord]:
    """Records, newest first. Needs the role viewer.

    A page may hold fewer than its limit, or none, while ``next`` goes on: reading for one answer is bounded. Raises
    InvalidInput for a filter or cursor that is none.
    """
    require(caller, Role.VIEWER)
    limit = checked_limit(page)
    wanted = await _filter(services, asked)
    try:
        return await services.records.page(wanted, limit, page.after)
    except ValueError:
        msg = 'after must be the "next" of the page before; leave it out for the first page.'
        raise InvalidInput(msg, param="after") from None


async def show(services: Services, caller: Caller, request_id: str) -> RequestRecord:
    """One record. Needs the role viewer. Raises NotFound."""
    require(caller, Role.VIEWER)
    found = await services.records.find(request_id)
    if found is None:
        raise not_found("request record")
    return found


class Batch(NamedTuple):
    """Records that were saved since the batch before; ``skipped``: and more, which were too many to be shown."""

    records: Sequence[RequestRecord]
    skipped: bool = False


async def follow(services: Services, caller: Caller, asked: AskedRecords) -> AsyncIterator[Batch]:
    """What is saved from now on, in batches of which one comes each quarter of a second, be it empty.

    Needs the role viewer. Raises Overloaded where too many follow already.
    """
    require(caller, Role.VIEWER)
    wanted = await _filter(services, asked)
    if services.live_views.locked():
        msg = "Too many live views are open already. Close one, or list requests instead."
        raise Overloaded(msg, retry_after=5)
    return _follow(services, wanted, await services.records.end())


async def _follow(services: Services, wanted: RecordFilter, place: str) -> AsyncIterator[Batch]:
    async with services.live_views:
        while True:
            records, place = await services.records.follow(wanted, place, FOLLOWED_MOST)
            skipped = len(records) >= FOLLOWED_MOST
            yield Batch(records, skipped)
            if skipped:
                place = await services.records.end()
            await asyncio.sleep(FOLLOW_SECONDS)


async def app_names(services: Services, caller: Caller, records: Sequence[RequestRecord]) -> dict[str, str]:
    """The names of the apps of ``records``, by id; one that was removed has none. Needs the role viewer."""
    require(caller, Role.VIEWER)
    ids = {record.app_id for record in records if record.app_id is not None}
    async with services.store.read() as rx:
        rows = [await rx.apps.get(app_id) for app_id in ids]
    return {row.id: row.name for row in rows if row is not None}


async def _filter(services: Services, asked: AskedRecords) -> RecordFilter:
    if asked.since is not None and asked.until is not None and asked.since >= asked.until:
        msg = "since must be before until. Swap them, or leave one out."
        raise InvalidInput(msg, param="since")
    conditions = []
    async with services.store.read() as rx:
        for named, negated in ((asked.wanted, False), (asked.unwanted, True)):
            for name, values in named.items():
                conditions.append(await _condition(rx, name, values, negated=negated))
    return RecordFilter(tuple(conditions), _seconds(asked.since), _seconds(asked.until))


async def _condition(rx: Reading, name: str, values: Sequence[str], *, negated: bool) -> Condition:
    shown = f"not_{name}" if negated else name
    if len(values) > VALUES_MOST:
        raise InvalidInput(f"{shown} may be given {VALUES_MOST} times at most.", param=shown)
    if any("\0" in value for value in values):
        raise InvalidInput(f"{shown} must hold no NUL character.", param=shown)
    if name == "status" and not all(_STATUS.fullmatch(value) for value in values):
        raise InvalidInput(f"{shown} must be a status such as 404, or a class such as 4xx.", param=shown)
    if name == "app":
        return Condition("app_id", tuple([await _app_id(rx, value) for value in values]), negated)
    known = {"key": "key_id"}.get(name, name)
    return Condition(cast("Filtered", known), tuple(values), negated)


async def _app_id(rx: Reading, value: str) -> str:
    """The id of an app by name or id; one that was removed is found by its id."""
    row = await rx.apps.get(value)
    return row.id if row is not None else value


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None
