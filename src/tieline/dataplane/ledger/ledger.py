"""The ledger: a request reserves the most that it may cost of every budget that holds for it, and settles what it did.

All budgets are looked at before anything is reserved: a request that is refused takes nothing. What was reserved is
given back exactly once, however the request ends.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from tieline.access.budgets import worded
from tieline.core.clock import rfc3339
from tieline.core.errors import BudgetExceeded, ConcurrencyLimited, NotReady, Overloaded, TielineError
from tieline.dataplane.ledger.budgets import Account, BudgetIndex, OpenWindow, Spender, Windows
from tieline.dataplane.ledger.cells import Cells, Counted, seconds
from tieline.dataplane.ledger.leasing import Leasing
from tieline.dataplane.limits.table import NodeTable, TableFull
from tieline.metering.rates import PriceTable
from tieline.metering.reading import UsageReading
from tieline.ports.budgets import BudgetRow, LedgerStore, WindowKey, WindowRow

WAIT_SECONDS: Final = 5.0
WAITING_MOST: Final = 2_000
_SKIP_SECONDS: Final = 1.0
_SLOT_RETRY: Final = 1.0
_LOOK_SECONDS: Final = 1.0
"""For so long it is remembered what was left: whoever asks again and again does not ask the store."""
_LOOKS_MOST: Final = 10_000
_NEVER: Final[tuple[float, WindowRow | None]] = (float("-inf"), None)


class CostBound(NamedTuple):
    """The most that a request may cost, known before it is sent: in nano-dollars and in tokens, None for no bound.

    ``each`` is what one request of the upstream costs, where that is known whatever it asks for. Else what its answer
    tells is priced by ``prices``, as they were in force ``at`` (seconds since the epoch).
    """

    nano: int | None = None
    tokens: int | None = None
    each: int | None = None
    prices: PriceTable | None = None
    at: float = 0.0

    def of(self, account: Account) -> int | None:
        """The bound in the unit of the account's budget."""
        return self.nano if account.budget.unit == "usd" else self.tokens

    def cost(self, requests: int, used: UsageReading | None) -> tuple[int, int]:
        """What was spent, in nano-dollars and tokens. Where nobody told it, the bound was spent."""
        if not requests:
            return 0, 0
        if used is None:
            return (self.each * requests if self.each is not None else self.nano or 0), self.tokens or 0
        nano = tokens = 0
        is_priced = True
        for each in (used, *used.others):
            counts = each.quantities
            tokens += counts.get("input_tokens", 0) + counts.get("output_tokens", 0)
            cost = self.prices.cost(each, self.at).nano if self.prices is not None and self.each is None else None
            if cost is None:
                is_priced = False
            else:
                nano += cost
        if self.each is not None:
            return self.each * requests, tokens
        return (nano if is_priced else max(nano, self.nano or 0)), tokens


@dataclass(frozen=True, slots=True)
class NeedsLease:
    """The node has leased too little of a window: it asks the store for ``need``, then the request is tried again."""

    account: Account
    window: OpenWindow
    need: int


class Balance(NamedTuple):
    """What is left of an account in the window that is running; ``left`` is None where the store cannot be asked."""

    account: Account
    window: WindowKey
    left: int | None


class Reservation:
    """What a request holds of budgets until it is settled."""

    __slots__ = ("_at", "_bound", "_cells", "_parts", "_sent", "_slots")

    def __init__(
        self,
        cells: Cells,
        parts: list[tuple[Account, OpenWindow, int]],
        at: list[int],
        slots: list[int],
        bound: CostBound,
    ) -> None:
        """``at`` are the cells of the ``parts``, which stay theirs while something is reserved in them."""
        self._cells = cells
        self._parts = parts
        self._at = at
        self._slots = slots
        self._bound = bound
        self._sent = False

    def sent(self) -> None:
        """The request is on its way: if this worker dies now, its bound counts as spent. A second time does nothing."""
        if not self._sent and self._parts:
            self._sent = True
            for cell, (_, _, reserved) in zip(self._at, self._parts, strict=True):
                self._cells.sent(cell, reserved)

    def settle(self, requests: int, used: UsageReading | None) -> None:
        """So many requests of the upstream count, and this is what was used. A second time does nothing."""
        parts, self._parts = self._parts, []
        if parts:
            nano, tokens = self._bound.cost(requests, used)
            table = self._cells.table
            cells = table.acquire([window.identity for _, window, _ in parts])
            try:
                for cell, (account, _, reserved) in zip(cells, parts, strict=True):
                    cost = nano if account.budget.unit == "usd" else tokens
                    self._cells.settle(cell, reserved, cost, sent=self._sent)
            finally:
                table.release(cells)
        slots, self._slots = self._slots, []
        for cell in slots:
            self._cells.give(cell)


class Ledger:
    """The budgets of this worker's node; ``in_use`` says whether there are any."""

    def __init__(self, table: NodeTable, store: LedgerStore) -> None:
        self._cells = Cells(table)
        self._windows = Windows()
        self.in_use = False
        self.index = BudgetIndex((), self._windows)
        self.leasing = Leasing(store, self._cells, self._windows)
        self._waiting = 0
        self._store = store
        self._looks: dict[WindowKey, tuple[float, WindowRow | None]] = {}

    def change(self, rows: Sequence[BudgetRow]) -> None:
        """These are the budgets from now on. What was reserved is settled where it was."""
        self.index = BudgetIndex(rows, self._windows)
        self.in_use = bool(rows)

    def reserve(self, spender: Spender, bound: CostBound) -> Reservation | NeedsLease | TielineError | None:
        """Reserve ``bound`` of each budget that holds; None where none does. Waits for nothing."""
        accounts = self.index.of(spender)
        if not accounts:
            return None
        now = time.time()
        parts: list[tuple[Account, OpenWindow, int]] = []
        ones: list[Account] = []
        for account in accounts:
            window, most = account.at(now), bound.of(account)
            if window.gone or most == 0:
                continue
            terms = account.budget.terms
            if most is None:
                if terms.priced_only or (terms.mode == "hard" and terms.unbounded == "refuse"):
                    return _unbounded(account)
                if terms.mode == "hard":
                    ones.append(account)
            parts.append((account, window, 1 if most is None else most))
        return self._take(parts, ones, bound)

    async def obtain(self, spender: Spender, bound: CostBound) -> Reservation | TielineError | None:
        """As :meth:`reserve`, waiting for leases; at most five seconds, and not with too many others."""
        if self._waiting >= WAITING_MOST:
            return Overloaded("Too many requests wait for a budget. Try again shortly.", retry_after=1)
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    found = self.reserve(spender, bound)
                    if not isinstance(found, NeedsLease):
                        return found
                    await self._lease(found)
        except TimeoutError:
            return NotReady("Tieline's store is too slow to lease more of a budget. Try again.", retry_after=2)
        except TielineError as error:
            return error
        finally:
            self._waiting -= 1

    async def look(self, spenders: Iterable[Spender]) -> list[Balance]:
        """The budgets that hold for any of ``spenders``, and what is left of each, up to a second old."""
        accounts = {(each.budget.id, each.subject): each for of in spenders for each in self.index.of(of)}
        now, clock = time.time(), time.monotonic()
        windows = {name: account.at(now).key for name, account in accounts.items()}
        unknown = [key for key in windows.values() if self._looks.get(key, _NEVER)[0] < clock - _LOOK_SECONDS]
        if len(self._looks) > _LOOKS_MOST:
            self._looks.clear()
        with suppress(NotReady):  # then nobody knows
            found = {row.key: row for row in await self._store.look(unknown)}
            self._looks.update({key: (clock, found.get(key)) for key in unknown})
        return [self._balance(account, windows[name], clock) for name, account in accounts.items()]

    def _balance(self, account: Account, key: WindowKey, clock: float) -> Balance:
        seen, row = self._looks.get(key, _NEVER)
        used = 0 if row is None else row.spent + row.reserved
        is_known = seen >= clock - _LOOK_SECONDS
        return Balance(account, key, max(0, account.budget.amount - used) if is_known else None)

    async def _lease(self, needed: NeedsLease) -> None:
        try:
            await self.leasing.lease(needed.window, needed.need)
        except NotReady:
            if needed.account.budget.terms.mode == "hard":
                raise
            needed.window.skip_until = time.monotonic() + _SKIP_SECONDS  # only a warning: it goes on, and is counted

    def _take(
        self, parts: list[tuple[Account, OpenWindow, int]], ones: list[Account], bound: CostBound
    ) -> Reservation | NeedsLease | TielineError | None:
        if not parts:
            return None
        identities = [window.identity for _, window, _ in parts]
        if ones:
            identities += [account.one for account in ones]
        held, table = self._cells, self._cells.table
        try:
            cells = table.acquire(identities)
        except TableFull as error:
            return error
        try:
            for cell, (account, window, most) in zip(cells, parts, strict=False):
                if not held.fits(cell, most):
                    lack = self._lack(held.read(cell), account, window, most)
                    if lack is not None:
                        return lack
            slots = cells[len(parts) :]
            if slots and any(table.held(cell) for cell in slots):
                return _one_at_a_time(ones[0])
            for cell, (_, _, most) in zip(cells, parts, strict=False):
                held.reserve(cell, most)
            for cell in slots:
                held.take(cell)
        finally:
            table.release(cells)
        return Reservation(held, parts, cells[: len(parts)] if slots else cells, slots, bound)

    def _lack(
        self, counted: Counted, account: Account, window: OpenWindow, most: int
    ) -> NeedsLease | TielineError | None:
        """Why the window does not take so much more, None where it does."""
        if account.budget.terms.mode == "warn":
            has_lease = counted.number or time.monotonic() < window.skip_until
            return None if has_lease else NeedsLease(account, window, 0)
        if counted.number and counted.until > seconds():
            if counted.free >= most:
                return None
            if self.leasing.is_refused(window, most - counted.free):
                return _exceeded(account, window, most, counted.free + window.left)
        return NeedsLease(account, window, most)


def _exceeded(account: Account, window: OpenWindow, most: int, left: int) -> BudgetExceeded:
    budget, ends = account.budget, window.key.ends_at
    words = (
        f'The budget "{budget.name}" does not reach for this request: of {worded(budget.amount, budget.unit)} '
        f"{worded(max(left, 0), budget.unit)} are left, and it may cost {worded(most, budget.unit)}. "
    )
    until = "It does not begin anew" if ends is None else f"It begins anew at {rfc3339(ends)}"
    return BudgetExceeded(f"{words}{until}; an operator can raise it.", param=budget.name)


def _unbounded(account: Account) -> BudgetExceeded:
    return BudgetExceeded(
        f'The budget "{account.budget.name}" is for requests whose cost is bounded, and nobody knows the most that '
        "this one may cost. Ask for a model with a price, or an operator to allow such requests one at a time.",
        param=account.budget.name,
    )


def _one_at_a_time(account: Account) -> ConcurrencyLimited:
    return ConcurrencyLimited(
        f'Requests without a known bound go one at a time under the budget "{account.budget.name}", and one is under '
        "way. Try again when it has ended.",
        param=account.budget.name,
        retry_after=_SLOT_RETRY,
    )
