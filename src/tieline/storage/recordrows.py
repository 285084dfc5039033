"""How a request record lies in a row, and how it is read again, on both engines.

In a day's file what most requests have in common is a *kind*, written once; what few have (times of a new connection,
quantities, cost, end user …) is JSON in one column, ``details``, that is NULL for the rest. The view ``requests`` shows
all of it as columns. PostgreSQL has a column for each.
"""

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, Final, cast

import orjson

from tieline.ports.requests import (
    AT_ONCE,
    NONE_USED,
    UNNAMED,
    AppWords,
    RequestRecord,
    Sendings,
    Used,
)

Row = tuple[Any, ...]

_PLAIN: Final = RequestRecord._fields[: RequestRecord._fields.index("used")]
_PLAINLY_SHARED: Final = (
    "app_id", "api", "environment", "method", "area", "level", "status", "code", "outcome", "call", "worker", "cache",
    "has_query",
)  # fmt: skip
APP_WAS: Final = "app_was"
"""Where a file of an earlier version has the app of an entry, which is its kind's now."""
_USED_SHARED: Final = ("model", "service_tier", "estimated")
SHARED: Final = (*_PLAINLY_SHARED, *_USED_SHARED)
OWN: Final = tuple(name for name in _PLAIN if name not in {*SHARED, "reason"})
_DETAILS: Final = (
    "reason",
    "quantities",
    "cost_nano",
    "unpriced",
    "unread",
    *Sendings._fields,
    *AppWords._fields,
    "bodies_until",
)
COLUMNS: Final = (*_PLAIN, *Used._fields, *Sendings._fields, *AppWords._fields, "bodies_until")
_USUAL: Final = (None, None, None, frozenset[str](), frozenset[str](), *AT_ONCE, *UNNAMED, None)
_NONE_SHARED: Final = tuple(getattr(NONE_USED, name) for name in _USED_SHARED)

_plainly_shared: Final[Callable[[RequestRecord], Row]] = itemgetter(*(_PLAIN.index(name) for name in _PLAINLY_SHARED))
own_of: Final[Callable[[RequestRecord], Row]] = itemgetter(*(_PLAIN.index(name) for name in OWN))


def kind_of(record: RequestRecord) -> Row:
    """What ``record`` has in common with others: short where nothing was used (``kind_values``)."""
    shared = _plainly_shared(record)
    used = record.used
    return shared if used is NONE_USED else (*shared, used.model, used.service_tier, used.estimated)


def kind_values(kind: Row) -> Row:
    """The values of a kind in the order of ``SHARED``."""
    return kind if len(kind) == len(SHARED) else (*kind, *_NONE_SHARED)


def is_plain(record: RequestRecord) -> bool:
    """Whether ``record`` has no details."""
    return (
        record.used is NONE_USED
        and record.sending is AT_ONCE
        and record.named is UNNAMED
        and record.reason is None
        and record.bodies_until is None
    )


def details_of(record: RequestRecord) -> str | None:
    """What few records have, as a JSON object without what is as usual; None where all of it is."""
    used = record.used
    values = (
        record.reason, used.quantities, used.cost_nano, used.unpriced, used.unread, *record.sending, *record.named,
        record.bodies_until,
    )  # fmt: skip
    found = {name: value for name, value, usual in zip(_DETAILS, values, _USUAL, strict=True) if value != usual}
    return orjson.dumps(found, default=_plain).decode() if found else None


def _read(name: str) -> str:
    """The SQL that reads a column of the view from ``entries`` joined with ``kinds``."""
    if name in _DETAILS:
        return f"json_extract(details, '$.{name}')"
    return f"ifnull(app_id, {APP_WAS})" if name == "app_id" else name


SELECTED: Final = ", ".join(f"{_read(name)} AS {name}" for name in COLUMNS)


def values_of(record: RequestRecord) -> Row:
    """The values in the order of ``COLUMNS``, for PostgreSQL: the time in whole microseconds, lists as JSON."""
    used = record.used
    quantities = orjson.dumps(used.quantities, default=_plain).decode() if used.quantities is not None else None
    sets = [orjson.dumps(sorted(each)).decode() if each else None for each in (used.unpriced, used.unread)]
    shown = (used.model, used.service_tier, quantities, used.cost_nano, sets[0], used.estimated, sets[1])
    plain = (record.id, int(record.at * 1_000_000), *record[2 : len(_PLAIN)])
    return *plain, *shown, *record.sending, *record.named, record.bodies_until


def record_of(row: Mapping[str, Any]) -> RequestRecord:
    """The record in a row that has ``COLUMNS``; ``at`` is in seconds. What is missing was not known."""
    quantities = row["quantities"]
    unpriced, unread = (frozenset(orjson.loads(row[name] or "[]")) for name in ("unpriced", "unread"))
    used = Used(
        row["model"],
        row["service_tier"],
        None if quantities is None else orjson.loads(quantities),
        row["cost_nano"],
        unpriced,
        bool(row["estimated"]),
        unread,
    )
    sending = Sendings(row["queue_ms"], row["connect_ms"], row["tls_ms"], row["retries"] or 0)
    plain = {name: row[name] for name in _PLAIN}
    if plain["has_query"] is not None:
        plain["has_query"] = bool(plain["has_query"])
    named = AppWords(row["end_user"], row["tag"])
    return RequestRecord(**plain, used=used, sending=sending, named=named, bodies_until=row["bodies_until"])


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    return dict(cast("Mapping[str, int]", value))
