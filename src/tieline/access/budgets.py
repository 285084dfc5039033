"""Budgets as operators set them: how much in which period, for whom, and what happens where it does not reach.

Knows what a budget may be, when its windows begin and end, and how its sums are written. Counts nothing: the data plane
does (``dataplane.ledger``), and the store keeps the windows. Sums of money are nano-dollars (10⁻⁹ USD), always whole.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal, cast, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tieline.core.errors import InvalidInput

Unit = Literal["usd", "tokens"]
Period = Literal["day", "week", "month", "total"]
Mode = Literal["hard", "warn"]
Unbounded = Literal["refuse", "one_at_a_time"]
Each = Literal["key", "app", "end_user"]

NANO: Final = 10**9
USD_MOST: Final = 1_000_000_000
TOKENS_MOST: Final = 10**15
KEYS_MOST: Final = 200
ALERTS_MOST: Final = 10
ALERT_MOST: Final = 1_000
ZONE_MOST: Final = 64
DAYS_OF_WEEK: Final = 7
DAYS_OF_MONTH: Final = 28
"""The last day of a month that each month has."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_USD = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Amount:
    """So much: nano-dollars where ``unit`` is ``usd``, else tokens, read and written together."""

    whole: int
    unit: Unit

    @classmethod
    def from_json(cls, value: object) -> "Amount":
        """Read ``{"usd": "10.00"}`` or ``{"tokens": 1000000}``. Raises InvalidInput."""
        if isinstance(value, dict) and list(value) == ["usd"]:
            return cls(nano_of(value["usd"], "amount.usd"), "usd")
        if isinstance(value, dict) and list(value) == ["tokens"]:
            tokens = value["tokens"]
            if isinstance(tokens, bool) or not isinstance(tokens, int) or not 1 <= tokens <= TOKENS_MOST:
                raise InvalidInput(f"amount.tokens is a whole number from 1 to {TOKENS_MOST}.", param="amount.tokens")
            return cls(tokens, "tokens")
        raise InvalidInput('amount is {"usd": "10.00"} or {"tokens": 1000000}, one of them.', param="amount")

    def shown(self, whole: int | None = None) -> dict[str, Any]:
        """The form that ``from_json`` reads; of another sum in the same unit where one is given."""
        sum_ = self.whole if whole is None else whole
        return {"usd": usd(sum_)} if self.unit == "usd" else {"tokens": sum_}

    def words(self, whole: int | None = None) -> str:
        """Such as "10.00 USD" or "1000000 tokens"."""
        return worded(self.whole if whole is None else whole, self.unit)


def worded(whole: int, unit: Unit) -> str:
    """A sum in words, such as "10.00 USD"."""
    return f"{usd(whole)} USD" if unit == "usd" else f"{whole} tokens"


def usd(nano: int) -> str:
    """Nano-dollars as people write them: exact, with two places or as many as there are."""
    sign, (dollars, rest) = "-" if nano < 0 else "", divmod(abs(nano), NANO)
    return f"{sign}{dollars}.{f'{rest:09}'.rstrip('0').ljust(2, '0')}"


def nano_of(text: object, where: str) -> int:
    """``"10.00"`` in nano-dollars. Raises InvalidInput that names ``where``."""
    if not isinstance(text, str) or _USD.fullmatch(text) is None or not 0 < Decimal(text) <= USD_MOST:
        msg = f'{where} is a sum in US dollars such as "10.00": a text, above 0, with at most nine decimal places.'
        raise InvalidInput(msg, param=where)
    return int(Decimal(text) * NANO)


@dataclass(frozen=True, slots=True)
class Window:
    """One period: from ``starts_at`` on and before ``ends_at``, which is None where it never ends."""

    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class BudgetTarget:
    """For whom a budget holds; one of the four is given.

    ``keys`` share it, as do all keys of an ``app`` (by id) and all that ask an ``api`` (by id). With ``each``, every
    key, app or end user has one of its own; a key that shares a budget with ``keys`` has that one instead.
    """

    keys: tuple[str, ...] = ()
    app: str | None = None
    api: str | None = None
    each: Each | None = None

    def to_json(self) -> dict[str, Any]:
        """The form that :meth:`of` reads."""
        if self.keys:
            return {"keys": list(self.keys)}
        return {name: value for name in ("app", "api", "each") if (value := getattr(self, name)) is not None}

    @classmethod
    def of(cls, value: object) -> "BudgetTarget":
        """Read ``{"keys": […]}``, ``{"app": …}``, ``{"api": …}`` or ``{"each": …}``. Raises InvalidInput."""
        where = "applies_to"
        if isinstance(value, dict) and len(value) == 1:
            ((name, given),) = value.items()
            if name == "keys" and _is_ids(given):
                return cls(keys=tuple(dict.fromkeys(given)))
            if name == "app" and isinstance(given, str) and given:
                return cls(app=given)
            if name == "api" and isinstance(given, str) and given:
                return cls(api=given)
            if name == "each" and given in get_args(Each):
                return cls(each=given)
        msg = (
            f'{where} is one of {{"keys": [id]}} (at most {KEYS_MOST}), {{"app": name}}, {{"api": name}} and '
            '{"each": "key|app|end_user"}.'
        )
        raise InvalidInput(msg, param=where)


@dataclass(frozen=True, slots=True)
class BudgetTerms:
    """What holds of a budget beside its amount.

    ``first_day`` begins a week (1 Monday to 7 Sunday) or a month (1 to 28). ``priced_only`` refuses what has no price.
    ``alerts`` are percentages of the amount.
    """

    target: BudgetTarget
    period: Period = "month"
    time_zone: str = "UTC"
    first_day: int = 1
    mode: Mode = "hard"
    unbounded: Unbounded = "refuse"
    priced_only: bool = False
    alerts: tuple[int, ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "BudgetTerms":
        """Read the members of a budget as contract.md §5 has them, without name and amount.

        Raises InvalidInput, which names the member and what it may be.
        """
        period = _word(value, "period", get_args(Period), "month")
        return cls(
            target=BudgetTarget.of(value.get("applies_to")),
            period=cast("Period", period),
            time_zone=checked_zone(value.get("time_zone", "UTC")),
            first_day=_first_day(value.get("first_day", 1), period),
            mode=cast("Mode", _word(value, "mode", get_args(Mode), "hard")),
            unbounded=cast("Unbounded", _word(value, "unbounded", get_args(Unbounded), "refuse")),
            priced_only=_flag(value.get("priced_only", False)),
            alerts=_alerts(value.get("alerts", ())),
        )

    def to_json(self) -> dict[str, Any]:
        """The form that ``from_json`` reads back, whole."""
        return {
            "applies_to": self.target.to_json(),
            "period": self.period,
            "time_zone": self.time_zone,
            "first_day": self.first_day,
            "mode": self.mode,
            "unbounded": self.unbounded,
            "priced_only": self.priced_only,
            "alerts": list(self.alerts),
        }

    def window(self, now: datetime) -> Window:
        """The window that ``now`` lies in. Days begin at midnight of the time zone."""
        if self.period == "total":
            return Window(EPOCH, None)
        zone = ZoneInfo(self.time_zone)
        day = self._begins(now.astimezone(zone))
        start, end = midnight(day, zone), midnight(self._next(day), zone)
        if end <= now:  # a clock was put back over midnight: what it shows is of the window before, which is over
            start, end = end, midnight(self._next(self._next(day)), zone)
        return Window(start, end)

    def _begins(self, day: datetime) -> datetime:
        if self.period == "week":
            return day - timedelta(days=(day.isoweekday() - self.first_day) % DAYS_OF_WEEK)
        if self.period == "month":
            month = day if day.day >= self.first_day else day.replace(day=1) - timedelta(days=1)
            return month.replace(day=self.first_day)
        return day

    def _next(self, day: datetime) -> datetime:
        if self.period == "month":
            return (day.replace(day=1) + timedelta(days=32)).replace(day=self.first_day)
        return day + timedelta(days=DAYS_OF_WEEK if self.period == "week" else 1)


@lru_cache(maxsize=1000)
def _midnight_of(year: int, month: int, day: int, zone: ZoneInfo) -> datetime:
    return datetime.combine(date(year, month, day), time(), zone).astimezone(UTC)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins in a zone, in UTC; where it has no midnight, when its clock is put on over it."""
    return _midnight_of(day.year, day.month, day.day, zone)


def _is_ids(given: object) -> bool:
    return (
        isinstance(given, list | tuple)
        and 0 < len(given) <= KEYS_MOST
        and all(isinstance(each, str) and each for each in given)
    )


def _word(value: Mapping[str, Any], name: str, words: Sequence[str], otherwise: str) -> str:
    given = value.get(name, otherwise)
    if given not in words:
        raise InvalidInput(f"{name} is one of {', '.join(words)}.", param=name)
    return str(given)


def checked_zone(name: object) -> str:
    """The name of a time zone that this machine knows. Raises InvalidInput."""
    try:
        if isinstance(name, str) and 0 < len(name) <= ZONE_MOST:
            return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    msg = "time_zone is the name of one that this machine knows, such as UTC or Europe/Berlin."
    raise InvalidInput(msg, param="time_zone")


def _first_day(day: object, period: str) -> int:
    most = DAYS_OF_WEEK if period == "week" else DAYS_OF_MONTH
    fits = isinstance(day, int) and not isinstance(day, bool) and 1 <= day <= most
    if not fits or (day != 1 and period not in ("week", "month")):
        msg = "first_day is 1 (Monday) to 7 for weeks, 1 to 28 for months; leave it out for days and totals."
        raise InvalidInput(msg, param="first_day")
    return cast("int", day)


def _flag(given: object) -> bool:
    if not isinstance(given, bool):
        raise InvalidInput("priced_only is true or false.", param="priced_only")
    return given


def _alerts(given: object) -> tuple[int, ...]:
    fits = (
        isinstance(given, list | tuple)
        and len(given) <= ALERTS_MOST
        and all(isinstance(each, int) and not isinstance(each, bool) and 1 <= each <= ALERT_MOST for each in given)
    )
    if not fits:
        msg = f"alerts are at most {ALERTS_MOST} percentages from 1 to {ALERT_MOST}, such as [50, 80, 100]."
        raise InvalidInput(msg, param="alerts")
    return tuple(sorted(set(cast("Sequence[int]", given))))
