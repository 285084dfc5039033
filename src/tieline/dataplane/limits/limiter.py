"""Whether a request fits all limits that hold for it, and what it holds of them until it has ended.

All limits are looked at before any is taken: a request that is refused takes nothing. What is taken is freed exactly
once, however the request ends; where its worker is killed, the supervisor frees it (``table``).
"""

from collections.abc import Sequence
from typing import Final

from tieline.core.errors import ConcurrencyLimited, RateLimited, TielineError
from tieline.dataplane.limits.bounds import Bound, RateBound, SlotBound
from tieline.dataplane.limits.gcra import MICROSECONDS, Arrival, RateDecision
from tieline.dataplane.limits.table import NodeTable, TableFull, micros

_OWNERS: Final = {"key": "This app key", "app": "This app, with all its keys,", "API": "This API, with all its apps,"}
_SLOT_RETRY: Final = 1.0
"""Seconds after which to ask again where too many are under way: nobody knows when one of them ends."""


class Held:
    """What one request holds: slots until :meth:`free`, and what it may be charged with. ``rates`` are its states."""

    __slots__ = ("_cells", "_limiter", "_tokens", "rates")

    def __init__(
        self,
        limiter: "Limiter",
        cells: list[int],
        tokens: list[RateBound],
        rates: list[tuple[RateBound, RateDecision]],
    ) -> None:
        self._limiter = limiter
        self._cells = cells
        self._tokens = tokens
        self.rates = rates

    def free(self) -> None:
        """Give the slots back; a second time does nothing."""
        cells, self._cells = self._cells, []
        own = self._limiter.table.own
        for cell in cells:
            own[cell * 2] -= 1  # without its lock: this worker alone writes it, and others may see it a moment later

    def charge(self, tokens: int) -> None:
        """Count ``tokens`` that the request turned out to have used."""
        if self._tokens and tokens > 0:
            self._limiter.charge(self._tokens, tokens)


class Limiter:
    """Counts against the limits of this worker's node, in ``table``."""

    def __init__(self, table: NodeTable) -> None:
        self.table = table

    def hold(self, bounds: Sequence[Bound]) -> Held | TielineError:
        """Take what one request needs of all ``bounds``, or say which of them it does not fit, having taken nothing."""
        table = self.table
        try:
            cells = table.acquire([bound.identity for bound in bounds])
        except TableFull as error:
            return error
        try:
            now = micros()
            taken: list[tuple[RateBound, int, RateDecision]] = []
            slots: list[int] = []
            for bound, cell in zip(bounds, cells, strict=True):
                if isinstance(bound, RateBound):
                    decision = bound.rate.take(self._arrival(cell), now)
                    if not decision.fits:
                        return _rate_limited(bound, decision)
                    taken.append((bound, cell, decision))
                elif table.held(cell) >= bound.most:
                    return _too_many(bound)
                else:
                    slots.append(cell)
            for bound, cell, decision in taken:
                if not bound.tokens:
                    self._keep(cell, decision.arrival)
            for cell in slots:
                table.own[cell * 2] += 1
        finally:
            table.release(cells)
        tokens = [bound for bound, _, _ in taken if bound.tokens]
        return Held(self, slots, tokens, [(bound, decision) for bound, _, decision in taken if not bound.tokens])

    def charge(self, bounds: Sequence[RateBound], tokens: int) -> None:
        """Count ``tokens`` against ``bounds``, whether they fit or not. Where the table is full, nothing is counted."""
        try:
            cells = self.table.acquire([bound.identity for bound in bounds])
        except TableFull:
            return
        try:
            now = micros()
            for bound, cell in zip(bounds, cells, strict=True):
                self._keep(cell, bound.rate.charge(self._arrival(cell), now, tokens))
        finally:
            self.table.release(cells)

    def _arrival(self, cell: int) -> Arrival:
        shared = self.table.shared
        return Arrival(shared[cell * 4 + 1], shared[cell * 4 + 2])

    def _keep(self, cell: int, arrival: Arrival) -> None:
        shared = self.table.shared
        shared[cell * 4] = arrival.micros + 1  # from then on the cell is as a fresh one
        shared[cell * 4 + 1], shared[cell * 4 + 2] = arrival


def _rate_limited(bound: RateBound, decision: RateDecision) -> RateLimited:
    seconds = decision.wait / MICROSECONDS
    return RateLimited(
        f"{_OWNERS[bound.owner]} may have {bound.words}, and that is used up. Try again in {_seconds(seconds)}.",
        param=bound.words,
        retry_after=seconds,
    )


def _too_many(bound: SlotBound) -> ConcurrencyLimited:
    return ConcurrencyLimited(
        f"{_OWNERS[bound.owner]} may have {bound.words}, and so many are under way. Try again when one has ended.",
        param=bound.words,
        retry_after=_SLOT_RETRY,
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
