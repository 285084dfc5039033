"""The generic cell rate algorithm in integers: whether one more fits a rate, and how long it has to wait if not.

A rate of ``units`` per ``period`` lets ``units`` through at once after a rest, then one each ``period / units``. What
is kept of the past is one moment, the theoretical arrival time: when everything that was let through would have been
served at exactly that rate. As ``period / units`` is mostly no whole number, the moment is a whole number of
microseconds and a remainder in ``units``-ths of one, so nothing is ever rounded.

Source: ITU-T I.371 (2004), annex A, "virtual scheduling algorithm". Pure: clock and state are passed in.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

MICROSECONDS: Final = 1_000_000
UNITS_MOST: Final = 1_000_000_000
PERIOD_MOST: Final = 366 * 86_400 * MICROSECONDS


class Arrival(NamedTuple):
    """A theoretical arrival time: ``micros`` on the clock of whoever counts, and ``rest`` ``units``-ths of the next."""

    micros: int
    rest: int


class RateDecision(NamedTuple):
    """What was decided. ``arrival`` is the new state, the old one where it did not fit.

    ``remaining`` units would still fit now; ``wait`` microseconds pass until what was asked for fits, 0 where it did;
    after ``reset`` microseconds without a request, everything fits again.
    """

    fits: bool
    arrival: Arrival
    remaining: int
    wait: int
    reset: int


@dataclass(frozen=True, slots=True)
class Rate:
    """``units`` (1 to 10⁹) per ``period`` microseconds (up to a year)."""

    units: int
    period: int

    def __post_init__(self) -> None:
        if not (0 < self.units <= UNITS_MOST and 0 < self.period <= PERIOD_MOST):
            msg = f"a rate is 1 to {UNITS_MOST} units per 1 to {PERIOD_MOST} microseconds, not {self}"
            raise ValueError(msg)

    def take(self, arrival: Arrival, now: int, amount: int = 1) -> RateDecision:
        """Take ``amount`` units at ``now`` microseconds where they fit; more than ``units`` at once never do."""
        units, period = self.units, self.period
        late = max(0, (arrival[0] - now) * units + arrival[1])
        after = late + amount * period
        room = units * period
        if after > room:
            return RateDecision(False, arrival, self._fitting(late), self._whole(after - room), self._whole(late))
        micros, rest = divmod(after, units)
        return RateDecision(True, Arrival(now + micros, rest), (room - after) // period, 0, -(-after // units))

    def look(self, arrival: Arrival, now: int) -> RateDecision:
        """What :meth:`take` would say of nothing at all: the state as it is at ``now``."""
        return self.take(arrival, now, 0)

    def charge(self, arrival: Arrival, now: int, amount: int) -> Arrival:
        """The state after ``amount`` units that were used already, whether they fit or not; negative gives back.

        What does not fit is a debt: nothing is let through before it has been worn off.
        """
        return self._arrival(now, max(0, self._lateness(arrival, now) + amount * self.period))

    def _lateness(self, arrival: Arrival, now: int) -> int:
        """How far the arrival time lies after ``now``, in ``units``-ths of a microsecond; 0 where it is past."""
        return max(0, (arrival.micros - now) * self.units + arrival.rest)

    def _arrival(self, now: int, late: int) -> Arrival:
        micros, rest = divmod(late, self.units)
        return Arrival(now + micros, rest)

    def _fitting(self, late: int) -> int:
        return max(0, self.units * self.period - late) // self.period

    def _whole(self, late: int) -> int:
        return -(-late // self.units)
