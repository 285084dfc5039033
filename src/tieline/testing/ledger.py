"""A ledger in memory, with the rules of the store's: ``ports.budgets.LedgerStore`` for a data plane without one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tieline.core.errors import NotReady
from tieline.ports.budgets import BudgetRow, Lease, LeaseKey, Settled, WindowKey, WindowRow


@dataclass
class MemoryLedger:
    """``rows`` are the budgets by id. ``away`` makes every method raise ``NotReady``; ``asked`` counts leases.

    ``granted`` and ``spent`` are by window; of a lease what was granted and settled, and what was last ``told``.
    """

    rows: Mapping[str, BudgetRow]
    away: bool = False
    asked: int = 0
    granted: dict[WindowKey, int] = field(default_factory=dict)
    spent: dict[WindowKey, int] = field(default_factory=dict)
    held: dict[LeaseKey, tuple[int, int]] = field(default_factory=dict)
    told: dict[LeaseKey, Settled] = field(default_factory=dict)

    async def lease(self, counted: Settled, need: int, keep: int | None = None) -> Lease | None:
        self._reached()
        self.asked += 1
        window = counted.lease.window
        if window.budget_id not in self.rows:
            return None
        amount = self.rows[window.budget_id].amount
        key = counted.lease if counted.lease.number else replace(counted.lease, number=len(self.held) + 1)
        self._settle(key, counted)
        granted, settled = self.held[key]
        if keep is not None:
            self._grant(key, max(keep, settled) - granted if keep < granted else 0)
        left = amount - self.granted[window]
        more = max(need, min(left // 4, amount // 16)) if 0 < need <= left else 0
        self._grant(key, more)
        return Lease(key.number, self.held[key][0], left - more)

    async def settle(self, counted: Sequence[Settled]) -> None:
        self._reached()
        for each in counted:
            self._settle(each.lease, each)

    async def leases(self, node: str, boot: str) -> list[Settled]:
        self._reached()
        return [Settled(key, held[1], 0) for key, held in self.held.items() if (key.node, key.boot) == (node, boot)]

    async def look(self, windows: Sequence[WindowKey]) -> Sequence[WindowRow]:
        self._reached()
        return [WindowRow(key, self.spent[key], 0, 0) for key in windows if key in self.spent]

    async def expire(self) -> None:
        self._reached()

    def _reached(self) -> None:
        if self.away:
            raise NotReady("The store is away.")

    def _settle(self, key: LeaseKey, counted: Settled) -> None:
        granted, before = self.held.get(key, (0, 0))
        after = max(before, counted.settled)
        self.told[key] = counted
        self.held[key] = (max(granted, after), after)
        self.spent[key.window] = self.spent.get(key.window, 0) + after - before
        self.granted[key.window] = self.granted.get(key.window, 0) + max(0, after - granted)

    def _grant(self, key: LeaseKey, more: int) -> None:
        granted, settled = self.held[key]
        self.held[key] = (granted + more, settled)
        self.granted[key.window] += more
