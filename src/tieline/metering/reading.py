"""What one exchange used, as far as it was told, and how single figures of an upstream's are read.

A figure that is odd (negative, no whole number, beyond all sense) is never counted and never taken for 0: its place is
among the ``unread``, and whoever prices or shows a reading says so.
"""

import math
import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final, NamedTuple

from tieline.core.quantities import is_time

COUNT_MOST: Final = 10**15
"""More than anybody is billed for in one exchange: a figure beyond is an error, not a count."""
QUANTITIES_MOST: Final = 50
"""Quantities of one exchange."""
UNREAD_MOST: Final = 20
"""Places of odd figures that are kept by name."""
NAME_MOST: Final = 200
"""Characters of a model's or tier's name."""
_FIGURE = re.compile(r" *[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,2})? *")


class UsageReading(NamedTuple):
    """What an exchange used.

    ``quantities`` are named as ``core.quantities`` has them; one that is missing was not told. ``estimated`` says
    that some of them are guesses, since the provider's figure never came. ``unread`` are the places of figures that
    were told and could not be read. ``others`` are what other models used in the same exchange, such as one that wrote
    down what was said while another answered.
    """

    model: str | None
    service_tier: str | None
    quantities: Mapping[str, int]
    estimated: bool = False
    unread: frozenset[str] = frozenset()
    others: "tuple[UsageReading, ...]" = ()


def together(first: UsageReading | None, second: UsageReading | None) -> UsageReading | None:
    """What two exchanges used that count as one, such as two pages of a list: sums for each model and tier."""
    if first is None or second is None:
        return first if second is None else second
    sums: dict[tuple[str | None, str | None], UsageReading] = {}
    for each in (first, *first.others, second, *second.others):
        known = sums.get((each.model, each.service_tier))
        sums[each.model, each.service_tier] = each._replace(others=()) if known is None else _sum(known, each)
    main, *others = sums.values()
    return main._replace(others=tuple(others))


def _sum(first: UsageReading, second: UsageReading) -> UsageReading:
    counts = dict(first.quantities)
    for name, count in second.quantities.items():
        counts[name] = counts.get(name, 0) + count
    estimated = first.estimated or second.estimated
    return first._replace(quantities=counts, estimated=estimated, unread=first.unread | second.unread)


class Tally:
    """Counts that belong together, while they are gathered."""

    __slots__ = ("counts", "unread")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.unread: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self.counts or self.unread)

    def note(self, name: str, figure: Any, place: str, member: str = "") -> None:
        """Count ``figure`` of ``name``, which may be told in several places; times are told in seconds.

        ``place`` says where the figure stands, or the object whose ``member`` it is. One that is missing is none.
        """
        if figure is None:
            return
        is_whole = type(figure) is int and 0 <= figure <= COUNT_MOST  # as nearly all are
        count = milliseconds(figure) if is_time(name) else figure if is_whole else whole(figure)
        if count is None:
            self.odd(f"{place}.{member}" if member else place)
        else:
            self.count(name, count)

    def count(self, name: str, count: int) -> None:
        """Add to what was counted of ``name``."""
        counts = self.counts
        if name in counts:
            counts[name] += count
        elif len(counts) < QUANTITIES_MOST:
            counts[name] = count

    def odd(self, place: str) -> None:
        """What stands at ``place`` could not be read."""
        if len(self.unread) < UNREAD_MOST:
            self.unread.add(place)

    def add(self, other: "Tally") -> None:
        """Add what was counted on its own, such as the next answer over one WebSocket."""
        if not self.counts:
            self.counts = dict(other.counts)
        else:
            for name, count in other.counts.items():
                self.count(name, count)
        for place in other.unread:
            self.odd(place)


def whole(figure: Any) -> int | None:
    """A count: a whole number that is not negative, also written ``12.0`` or as text; None for anything else."""
    if type(figure) is int and 0 <= figure <= COUNT_MOST:
        return figure
    exact = _exact(figure)
    if exact is None or exact != exact.to_integral_value():
        return None
    return int(exact)


def milliseconds(figure: Any) -> int | None:
    """A time told in seconds, a begun millisecond counted as one; None for what is no time."""
    exact = _exact(figure)
    return int((exact * 1000).to_integral_value(ROUND_CEILING)) if exact is not None else None


def _exact(figure: Any) -> Decimal | None:
    if isinstance(figure, bool) or not isinstance(figure, int | float | str | Decimal):
        return None
    if isinstance(figure, int) and not 0 <= figure <= COUNT_MOST:
        return None  # before it is written out in digits
    if isinstance(figure, float) and not math.isfinite(figure):
        return None
    text = str(figure)
    if _FIGURE.fullmatch(text) is None:
        return None
    exact = Decimal(text.strip())
    return exact if exact <= COUNT_MOST else None


def name_in(value: Any) -> str | None:
    """A model's or tier's name; None for what is none: no text, an empty one, a long or unprintable one."""
    return value if isinstance(value, str) and 0 < len(value) <= NAME_MOST and value.isprintable() else None
