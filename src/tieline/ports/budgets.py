"""Budgets: their row, what was spent of them, and who leases, settles, reads and writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from tieline.access.budgets import Unit
from tieline.core.pages import Page, PageRequest


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """A budget. ``amount`` is in nano-dollars or tokens, ``terms`` as ``access.budgets.BudgetTerms`` reads them."""

    id: str
    name: str
    amount: int
    unit: Unit
    terms: Mapping[str, Any]
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class WindowKey:
    """One window of a budget. ``subject`` is whose it is where each key, app or end user has its own, else empty."""

    budget_id: str
    subject: str
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class WindowRow:
    """What is known of a window: ``estimated`` is a part of ``spent``, ``reserved`` is held by calls under way."""

    key: WindowKey
    spent: int
    estimated: int
    reserved: int


@dataclass(frozen=True, slots=True)
class LeaseKey:
    """A node's lease of a window. ``boot`` is the node's run: what was leased in another is not in its counters."""

    window: WindowKey
    node: str
    boot: str
    number: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What a node has counted of a lease: all that was spent of it so far, and what is reserved now.

    ``estimated`` is a part of ``settled``: what was under way when a worker died.
    """

    lease: LeaseKey
    settled: int
    reserved: int
    estimated: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as the store has it. ``left`` is what nobody has leased of the window, after this one."""

    number: int
    granted: int
    left: int


class BudgetReader(Protocol):
    """Budgets, and what was spent of them."""

    async def get(self, id_or_name: str) -> BudgetRow | None: ...

    async def list(self, page: PageRequest) -> Page[BudgetRow]: ...

    async def windows(self, budget_id: str, starts_at: datetime, most: int) -> Sequence[WindowRow]:
        """The windows that begin at ``starts_at``, those of which most was spent first."""
        ...


class BudgetWriter(BudgetReader, Protocol):
    """Changes to budgets."""

    async def add(self, row: BudgetRow) -> bool:
        """Add a budget; False where the name is taken."""
        ...

    async def replace(self, row: BudgetRow) -> bool:
        """Change a budget's name, amount and terms; False where the name is taken."""
        ...

    async def remove(self, budget_id: str) -> None:
        """Delete a budget with all that was spent of it."""
        ...


class LedgerStore(Protocol):
    """What a node spends from. Every method is one transaction, and raises ``NotReady`` while there is no store.

    The amount of a budget is never leased twice: what is spent of a window and what nodes may still spend of it are
    together within its amount, unless a call cost more than was reserved for it.
    """

    async def lease(self, counted: Settled, need: int, keep: int | None = None) -> Lease | None:
        """Settle what was counted, give back what is above ``keep``, and lease ``need`` more, or a larger slice.

        Number 0 makes a new lease. Where less than ``need`` is left, nothing more is leased. None where there is no
        such budget any more.
        """
        ...

    async def settle(self, counted: Sequence[Settled]) -> None:
        """Note what nodes have spent, and that they are there. Told again, or in another order, it changes nothing."""
        ...

    async def leases(self, node: str, boot: str) -> list[Settled]:
        """The leases that ``node`` has in this run. Those of another run are closed: all of them counts as spent."""
        ...

    async def look(self, windows: Sequence[WindowKey]) -> Sequence[WindowRow]:
        """What is known of these windows; one of which nobody leased yet is left out."""
        ...

    async def expire(self) -> None:
        """End the leases of nodes that have not been heard of for their term."""
        ...
