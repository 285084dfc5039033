"""The prices of one model as exact integers, and which of them are in force when.

A rate is pico-dollars (10⁻¹² USD) for one of a quantity, times the model's ``scale``: prices by the hour or with many
decimals stay whole numbers so. A *sheet* is what is in force at one time for one service tier: it takes the parts of
each quantity out of the whole, multiplies, and rounds up to nano-dollars once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import chain
from typing import Any, Final, NamedTuple

from tieline.core.quantities import QUANTITIES

_PICOS_OF_NANO: Final = 1_000
_PICOS_OF_DOLLAR: Final = 10**12
_DAY: Final = 86_400
STANDARD: Final = ""
"""The service tier that has no word of its own."""

_MOST_SPECIFIC_FIRST: Final = tuple(
    sorted(QUANTITIES, key=lambda name: (-len(QUANTITIES[name].parts_of), list(QUANTITIES).index(name)))
)
_REQUESTS: Final = "requests"
_NOT_TEXT: Final = frozenset(
    name
    for name, each in QUANTITIES.items()
    if each.sort == "input" and any(kind in name for kind in ("audio", "image", "video"))
)
_OTHER_MEASURES: Final = frozenset(name for name, each in QUANTITIES.items() if each.sort == "other")


@dataclass(frozen=True, slots=True)
class Line:
    """The rate of one quantity. ``parts`` are quantities whose count is taken out of this one's.

    ``steps`` replace the rate for all of a request whose ``input_tokens`` are more than the step's first number, the
    highest first. ``least`` is what a count above 0 is charged as at least.
    """

    quantity: str
    rate: int
    steps: tuple[tuple[int, int], ...]
    parts: tuple[str, ...]
    least: int

    def by_step(self, scale: int) -> dict[int, Fraction]:
        """US dollars for one, by how many input tokens a request has to exceed."""
        return {start: Fraction(rate, scale * _PICOS_OF_DOLLAR) for start, rate in ((0, self.rate), *self.steps[::-1])}


class Dearest(NamedTuple):
    """The highest of several rates: ``rate`` for any request, and what their ``steps`` (as a line's) make it."""

    rate: int
    steps: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, lines: Iterable[Line]) -> "Dearest":
        """That of ``lines``; 0 where there are none."""
        lines = tuple(lines)
        return cls(max([each.rate for each in lines], default=0), tuple(step for each in lines for step in each.steps))

    def within(self, most_input: int | None) -> int:
        """The highest rate that may apply to a request of at most ``most_input`` tokens read (None: of any size)."""
        if not self.steps:
            return self.rate
        fit = [rate for start, rate in self.steps if most_input is None or start < most_input]
        return max(self.rate, *fit) if fit else self.rate


class Grouped(NamedTuple):
    """The highest rates of a sheet by what they are for: tokens read, tokens written, and the rest.

    Of the rest, each quantity that is no part of another, with the rates of its parts, which are charged instead.
    """

    read: Dearest
    written: Dearest
    rest: tuple[tuple[Line, Dearest], ...]

    @classmethod
    def of(cls, lines: Iterable[Line]) -> "Grouped":
        """Those of ``lines`` by the sort of their quantities."""
        by_sort: dict[str, list[Line]] = {"input": [], "output": [], "tool": [], "other": []}
        for line in lines:
            by_sort[QUANTITIES[line.quantity].sort].append(line)
        rest = [*by_sort["tool"], *by_sort["other"]]
        names = {each.quantity for each in rest}
        return cls(
            Dearest.of(by_sort["input"]),
            Dearest.of(by_sort["output"]),
            tuple(
                (
                    line,
                    Dearest.of(
                        each for each in rest if line.quantity in (each.quantity, *QUANTITIES[each.quantity].parts_of)
                    ),
                )
                for line in rest
                if names.isdisjoint(QUANTITIES[line.quantity].parts_of)
            ),
        )


class Sheet:
    """The rates in force at one time, for one service tier.

    ``grouped`` are its highest rates, ``of_text`` those that a request of text alone can come to. ``priced`` are the
    quantities with rates of their own, ``covered`` those and their parts, ``by_request`` is the rate of a request as
    such.
    """

    __slots__ = ("_divisor", "_steps", "by_request", "covered", "grouped", "lines", "of_text", "priced", "scale")

    def __init__(self, rates: Mapping[str, Sequence[Any]], scale: int, least: Mapping[str, int]) -> None:
        names = [name for name in _MOST_SPECIFIC_FIRST if name in rates]
        self.lines = tuple(
            Line(
                name,
                rates[name][0],
                tuple((start, rate) for start, rate in reversed(rates[name][1:])),
                tuple(part for part in names if name in QUANTITIES[part].parts_of),
                least.get(name, 0),
            )
            for name in names
        )
        self.grouped = Grouped.of(self.lines)
        self.of_text = Grouped.of([line for line in self.lines if line.quantity not in _NOT_TEXT])
        self.scale = scale
        self.priced = frozenset(names)
        parts = (name for name, each in QUANTITIES.items() if not self.priced.isdisjoint(each.parts_of))
        self.covered = self.priced.union(parts, (_REQUESTS,))
        self._divisor = scale * _PICOS_OF_NANO
        self.by_request = next((each.rate for each in self.lines if each.quantity == _REQUESTS), 0)
        counted = (each for each in self.lines if each.quantity != _REQUESTS)
        self._steps = tuple((each.quantity, each.rate, each.steps, each.parts, each.least) for each in counted)

    def nano(self, quantities: Mapping[str, int]) -> int:
        """What ``quantities`` cost, in nano-dollars, rounded up; ``requests`` that are not told are one.

        A part that is larger than its whole, which no provider should say, costs what it costs; the whole then costs
        nothing beside it.
        """
        left: dict[str, int] = {}
        total = self.by_request * quantities.get(_REQUESTS, 1) if self.by_request else 0
        for quantity, rate, steps, parts, least in self._steps:
            if not (count := quantities.get(quantity)):
                continue
            if least:
                count = max(count, least)
            if left:
                for part in parts:
                    if part in left:
                        count -= left[part]
            if count > 0:
                left[quantity] = count
                total += count * (_step(rate, steps, quantities) if steps else rate)
        return -(-total // self._divisor)

    def unpriced(self, quantities: Mapping[str, int]) -> frozenset[str]:
        """The quantities that were used and have no price, neither their own nor that of a whole they are part of.

        What only measures in another way what has a price (images that were counted as tokens) is not among them.
        """
        used = frozenset(name for name, count in quantities.items() if count)
        lacking = used - self.covered
        return lacking - _OTHER_MEASURES if used - lacking - {_REQUESTS} else lacking


@dataclass(frozen=True, slots=True)
class PriceShown:
    """A model's prices as people see them: by service tier ("standard" first) and quantity, in US dollars.

    ``rates`` are exact decimals for one of the quantity (a second of a time) by ``above``: how many input tokens a
    request has to exceed.
    """

    id: str
    window: int | None
    most_output: int | None
    rates: Mapping[str, Mapping[str, Mapping[int, Fraction]]]


class ModelPrices:
    """The prices of one model over time and by service tier, from the data that ``rates`` describes.

    ``tiers`` are the service tiers with prices of their own.

    Sheets are made when they are first asked for and kept with the time for which they hold.
    """

    __slots__ = ("_data", "_moments", "_sheets", "id", "most_output", "tiers", "window")

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.id: str = data["id"]
        self.window: int | None = data.get("window")
        self.most_output: int | None = data.get("most_output")
        self.tiers: tuple[str, ...] = tuple(dict.fromkeys(each["tier"] for each in data.get("variants", ())))
        self._data = data
        self._sheets: dict[str, tuple[float, float, Sheet | None]] = {}
        self._moments = _moments(chain(data["prices"], data.get("variants", ())))

    def sheet(self, at: float, tier: str | None = None) -> Sheet | None:
        """The rates in force ``at`` (seconds since the epoch) for ``tier``, or None where there were none then.

        A tier without prices of its own has the standard ones.
        """
        tier = tier or STANDARD
        kept = self._sheets.get(tier)
        if kept is not None and kept[0] <= at < kept[1]:
            return kept[2]
        if tier and tier not in self.tiers:
            return self.sheet(at)
        made = self._made(at, tier)
        self._sheets[tier] = (*self.holds(at), made)
        return made

    def sheets(self, at: float) -> tuple[Sheet, ...]:
        """The rates in force ``at`` in every tier."""
        found = [self.sheet(at, tier) for tier in (STANDARD, *self.tiers)]
        return tuple([each for each in found if each is not None])

    def shown(self, at: float, *, window: int | None, most_output: int | None) -> PriceShown:
        """The prices in force ``at``, with what is known of the model's window and output."""
        rates: dict[str, dict[str, dict[int, Fraction]]] = {}
        for tier in (STANDARD, *self.tiers):
            sheet = self.sheet(at, tier)
            if sheet is not None:
                rates[tier or "standard"] = {each.quantity: each.by_step(sheet.scale) for each in sheet.lines}
        return PriceShown(self.id, window, most_output, rates)

    def in_force(self, at: float) -> Mapping[str, Any] | None:
        """The data of the standard prices in force ``at``: the last that are, else the first where that is always."""
        prices: Sequence[Mapping[str, Any]] = self._data["prices"]
        found = next((each for each in reversed(prices) if is_in_force(each, at)), None)
        return prices[0] if found is None and prices and self._data.get("first_always") else found

    def _made(self, at: float, tier: str) -> Sheet | None:
        standard = self.in_force(at)
        rates: dict[str, Sequence[Any]] = {}
        for each in self._data.get("variants", ()):
            if each["tier"] == tier and is_in_force(each, at):
                rates = {**each["rates"], **rates}
        rates = {**(standard["rates"] if standard is not None else {}), **rates}
        if not rates:
            return None  # a model that is known, and no price for it
        return Sheet(rates, self._data["scale"], self._data.get("least", {}))

    def holds(self, at: float) -> tuple[float, float]:
        """From when until when nothing changes around ``at``."""
        days, times = self._moments
        midnight = at - at % _DAY
        turns = [*days, *(midnight + day + time for time in times for day in (-_DAY, 0, _DAY))]
        before = [turn for turn in turns if turn <= at]
        after = [turn for turn in turns if turn > at]
        return max(before, default=float("-inf")), min(after, default=float("inf"))


def is_in_force(dated: Mapping[str, Any], at: float) -> bool:
    """Whether prices hold ``at``: from the day ``from`` on, before the day ``until``, within ``hours`` of each day.

    ``hours`` are two numbers of seconds since midnight; where the second is smaller midnight is between them. UTC.
    """
    if "from" in dated and at < _begins(dated["from"]):
        return False
    if "until" in dated and at >= _begins(dated["until"]):
        return False
    if "hours" not in dated:
        return True
    begin, end = dated["hours"]
    time = at % _DAY
    return bool(begin <= time < end if begin <= end else time >= begin or time < end)


def _step(rate: int, steps: tuple[tuple[int, int], ...], quantities: Mapping[str, int]) -> int:
    """The rate for all of a request that read so many tokens."""
    whole = quantities.get("input_tokens", 0)
    return next((higher for start, higher in steps if whole > start), rate)


def day_of(at: float) -> str:
    """The day of ``at``, as it is written."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)).date().isoformat()


def _begins(day: str) -> float:
    return (date.fromisoformat(day) - date(1970, 1, 1)).days * float(_DAY)


def _moments(every: Any) -> tuple[frozenset[float], frozenset[float]]:
    """The times at which prices change: once, and each day."""
    days: set[float] = set()
    times: set[float] = set()
    for each in every:
        days.update(_begins(each[key]) for key in ("from", "until") if key in each)
        times.update(each.get("hours", ()))
    return frozenset(days), frozenset(times)
