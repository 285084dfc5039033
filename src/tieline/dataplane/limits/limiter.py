"""Whether a request fits all limits that hold for it, counted in the node's tables.

All limits are looked at before any is taken: a request that is refused takes nothing. What is taken is freed exactly
once, however the request ends; where its worker is killed, the supervisor frees it (``table``).
"""

from collections.abc import Sequence
from typing import Final

from tieline.core.errors import ConcurrencyLimited, RateLimited, TielineError
from tieline.dataplane.limits.bounds import OWNERS, Bound, Bounds, RateBound, SlotBound, network_of
from tieline.dataplane.limits.fields import fields_of
from tieline.dataplane.limits.gcra import MICROSECONDS, Arrival, RateDecision
from tieline.dataplane.limits.held import Held, Left
from tieline.dataplane.limits.table import NodeTable, NodeTables, TableFull, micros

_SLOT_RETRY: Final = 1.0
"""Seconds after which to ask again where too many are under way: nobody knows when one of them ends."""


class Limiter:
    """Counts against the limits of this worker's node, in its ``tables``."""

    def __init__(self, tables: NodeTables) -> None:
        self._addresses = _Counted(tables.addresses)
        self._shared = _Counted(tables.limits)

    @property
    def slots_in_use(self) -> int:
        """Slots that this worker's requests hold now."""
        return self._addresses.slots_in_use + self._shared.slots_in_use

    def hold(self, bounds: Bounds, peer: str, *, stream: bool = False) -> Held | TielineError:
        """Take what one request needs of ``bounds``, or say which of them it does not fit, having taken nothing.

        ``peer`` is the client's address; ``stream`` says that a stream is asked for.
        """
        if not bounds.addresses:
            return self._shared.hold(bounds.shared, stream=stream)
        network = network_of(peer)
        of_address = [each.of(network) for each in bounds.addresses]
        first = self._addresses.hold(of_address, stream=stream)
        if isinstance(first, TielineError):
            return first
        held = self._shared.hold(bounds.shared, stream=stream)
        if isinstance(held, TielineError):
            self._addresses.charge(of_address, -1)
        else:
            held.left += first.left
        return held

    def nothing(self) -> Held:
        """What a request holds that has no limits."""
        return Held(self._shared, [], [], ([], []), [])

    def look(self, bounds: Bounds, peer: str) -> list[Left]:
        """What is left of ``bounds`` for the client at ``peer``, taking nothing. Raises TableFull."""
        found = self._shared.look(bounds.shared)
        if bounds.addresses:
            network = network_of(peer)
            found += self._addresses.look([each.of(network) for each in bounds.addresses])
        return found


class _Counted:
    """Bounds as they are counted in one table."""

    def __init__(self, table: NodeTable) -> None:
        self.slots_in_use = 0
        self._table = table

    def hold(self, bounds: Sequence[Bound], *, stream: bool) -> Held | TielineError:
        table = self._table
        try:
            cells = table.acquire([bound.identity for bound in bounds])
        except TableFull as error:
            return error
        try:
            now, shared = micros(), table.shared
            rates: list[tuple[RateBound, int, RateDecision]] = []
            slots: list[int] = []
            streams: list[int] = []
            left: list[Left] = []
            for bound, cell in zip(bounds, cells, strict=True):
                if isinstance(bound, RateBound):
                    arrival = Arrival(shared[cell * 4 + 1], shared[cell * 4 + 2])
                    decision = bound.rate.take(arrival, now)
                    if not decision.fits:
                        return _rate_limited(bound, decision)
                    rates.append((bound, cell, decision))
                    state = bound.rate.look(arrival, now) if bound.tokens else decision
                    left.append(Left(bound, state.remaining, state.reset))
                    continue
                if bound.streams and not stream:
                    continue
                free = bound.most - table.held(cell)
                if free <= 0:
                    return _too_many(bound)
                left.append(Left(bound, free - 1))
                (streams if bound.streams else slots).append(cell)
            for bound, cell, decision in rates:
                if not bound.tokens:
                    self._keep(cell, decision.arrival)
            for cell in slots + streams:
                table.own[cell * 2] += 1
                self.slots_in_use += 1
        finally:
            table.release(cells)
        tokens = [bound for bound, _, _ in rates if bound.tokens]
        of_streams = [bound for bound in bounds if bound.streams]
        return Held(self, slots, tokens, (of_streams, streams), left)

    def take_slots(self, bounds: Sequence[SlotBound]) -> list[int] | TielineError:
        """As ``held.Counter`` says."""
        table = self._table
        try:
            cells = table.acquire([bound.identity for bound in bounds])
        except TableFull as error:
            return error
        try:
            for bound, cell in zip(bounds, cells, strict=True):
                if table.held(cell) >= bound.most:
                    return _too_many(bound)
            for cell in cells:
                table.own[cell * 2] += 1
            self.slots_in_use += len(cells)
        finally:
            table.release(cells)
        return cells

    def free_slots(self, cells: Sequence[int]) -> None:
        """As ``held.Counter`` says."""
        own = self._table.own
        self.slots_in_use -= len(cells)
        for cell in cells:
            own[cell * 2] -= 1  # without its lock: this worker alone writes it, and others may see it a moment later

    def charge(self, bounds: Sequence[RateBound], amount: int) -> None:
        """As ``held.Counter`` says. Where the table is full, nothing is counted."""
        table = self._table
        try:
            cells = table.acquire([bound.identity for bound in bounds])
        except TableFull:
            return
        try:
            now = micros()
            for bound, cell in zip(bounds, cells, strict=True):
                self._keep(cell, bound.rate.charge(self._arrival(cell), now, amount))
        finally:
            table.release(cells)

    def look(self, bounds: Sequence[Bound]) -> list[Left]:
        table = self._table
        cells = table.acquire([bound.identity for bound in bounds])
        try:
            now = micros()
            return [self._left(bound, cell, now) for bound, cell in zip(bounds, cells, strict=True)]
        finally:
            table.release(cells)

    def _left(self, bound: Bound, cell: int, now: int) -> Left:
        if isinstance(bound, SlotBound):
            return Left(bound, max(0, bound.most - self._table.held(cell)))
        decision = bound.rate.look(self._arrival(cell), now)
        return Left(bound, decision.remaining, decision.reset)

    def _arrival(self, cell: int) -> Arrival:
        shared = self._table.shared
        return Arrival(shared[cell * 4 + 1], shared[cell * 4 + 2])

    def _keep(self, cell: int, arrival: Arrival) -> None:
        shared = self._table.shared
        shared[cell * 4] = arrival.micros + 1  # from then on the cell is as a fresh one
        shared[cell * 4 + 1], shared[cell * 4 + 2] = arrival


def _rate_limited(bound: RateBound, decision: RateDecision) -> RateLimited:
    seconds = decision.wait / MICROSECONDS
    return RateLimited(
        f"{OWNERS[bound.owner]} may have {bound.words}, and that is used up. Try again in {_seconds(seconds)}.",
        param=bound.words,
        retry_after=seconds,
        fields=fields_of([Left(bound, 0, decision.reset)]),
    )


def _too_many(bound: SlotBound) -> ConcurrencyLimited:
    return ConcurrencyLimited(
        f"{OWNERS[bound.owner]} may have {bound.words}, and so many are under way. Try again when one has ended.",
        param=bound.words,
        retry_after=_SLOT_RETRY,
        fields=fields_of([Left(bound, 0)]),
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
