"""Leases of budgets: taken from the store when a window runs short, settled four times a second, given back when idle.

One worker of a node at a time talks with the store about a window: it holds the window's turn, a slot that the kernel
and the supervisor give back where it dies. What the store answers is whole ("granted in all"), never a difference, so
whoever comes next finds out what a worker that died in between had been granted.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tieline.core.errors import TielineError
from tieline.dataplane import saving
from tieline.dataplane.ledger.budgets import OpenWindow, Windows
from tieline.dataplane.ledger.cells import Cells, Counted, seconds
from tieline.dataplane.limits.table import TableFull
from tieline.dataplane.saving import Saving
from tieline.ports.budgets import LeaseKey, LedgerStore, Settled

log = logging.getLogger("tieline.dataplane.ledger.leasing")

SPEND_SECONDS: Final = 300
"""So long after the store was last heard a node spends from a lease. In the store it lives three times as long, so that
calls of up to ten minutes have ended before it does."""
FLUSH_SECONDS: Final = 0.25
IDLE_SECONDS: Final = 10.0
REFUSAL_SECONDS: Final = 0.2
"""For so long it is remembered that the store had too little left: many refused calls are not as many transactions."""
_RENEW_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.005


class Leasing(Saving):
    """What one worker says and asks of the store about its node's leases."""

    def __init__(self, store: LedgerStore, cells: Cells, windows: Windows) -> None:
        super().__init__(FLUSH_SECONDS)
        self._store = store
        self._cells = cells
        self._windows = windows
        self._node, self._boot = cells.table.node, cells.table.boot
        self._under_way: dict[OpenWindow, asyncio.Task[None]] = {}

    async def lease(self, window: OpenWindow, need: int) -> None:
        """Make ``need`` free in the window, or note in it what is left where that is less.

        Returns after one try at the most, whoever's need it was for: who needs more looks again. It goes on where who
        waits is cancelled. Raises NotReady, TableFull.
        """
        task = self._under_way.get(window)
        if task is None or task.done():
            task = self._under_way[window] = asyncio.get_running_loop().create_task(self._lease(window, need))
            task.add_done_callback(lambda done: self._leased(window, done))
        await asyncio.shield(task)

    def _leased(self, window: OpenWindow, task: "asyncio.Task[None]") -> None:
        if self._under_way.get(window) is task:
            del self._under_way[window]
        if not task.cancelled():
            task.exception()  # told to those who still wait

    async def _lease(self, window: OpenWindow, need: int) -> None:
        with self._turn(window) as has_turn:
            if not has_turn:
                await asyncio.sleep(_POLL_SECONDS)
                return
            counted = self._cells.look(window.identity)
            more = need - counted.free if counted.number else need
            if counted.number and (more <= 0 < counted.until - seconds() or self.is_refused(window, more)):
                return  # somebody else has asked just now
            until = seconds() + SPEND_SECONDS
            lease = await self._store.lease(self._settled(window, counted), max(more, 0))
            if lease is None:
                window.gone = True
                return
            with self._cells.locked([window.identity]) as (cell,):
                self._cells.lease(cell, lease.granted, lease.number, until)
                self._cells.confirm(cell, counted.spent)
                free = self._cells.read(cell).free
            if free < need:
                window.left = lease.left
                window.refused_until = time.monotonic() + REFUSAL_SECONDS

    def is_refused(self, window: OpenWindow, more: int) -> bool:
        """Whether the store had less than ``more`` left a moment ago."""
        return more > window.left and time.monotonic() < window.refused_until

    async def adopt(self) -> None:
        """Take up what workers of this run left behind. Called once by each worker, as it begins."""
        for each in await self._store.leases(self._node, self._boot):
            window = self._windows.of(each.lease.window)
            with self._turn(window) as has_turn:
                if has_turn and self._cells.look(window.identity).number != each.lease.number:
                    await self._store.lease(each, 0, keep=each.settled)  # granted to one that died before it knew

    async def _save(self) -> None:
        try:
            await self._settle()
        except TielineError as error:
            log.warning("what was spent of budgets could not be saved, it stays in the node table: %s", error.explained)

    async def _settle(self) -> None:
        """Tell the store what was spent and has not been confirmed; give back what lies idle. Raises NotReady."""
        now, waiting = time.monotonic(), []
        until = seconds() + SPEND_SECONDS
        for window in list(self._windows.open.values()):
            counted = self._look(window)
            if counted is None or window.gone:
                self._close(window)
                continue
            if counted[:3] != window.seen:
                window.seen, window.changed_at = counted[:3], now
            if counted.number and (counted.spent > counted.confirmed or until - counted.until > _RENEW_SECONDS):
                waiting.append((window, counted))
            elif counted.spent > counted.confirmed:
                await self._lease(window, 0)
            elif counted.reserved == 0 and now - window.changed_at > IDLE_SECONDS:
                await self._give_back(window)
        if waiting:
            await self._store.settle([self._settled(*each) for each in waiting])
            for window, counted in waiting:
                with self._cells.locked([window.identity]) as (cell,):
                    is_same = self._cells.read(cell).number == counted.number
                    self._cells.confirm(cell, counted.spent, until if is_same else None)

    def _warn_of_hanging(self) -> None:
        log.warning("the store has not answered for %d s: what was spent of budgets waits", saving.HANGING_SECONDS)

    def _warn_of_loss(self) -> None:
        log.warning("what was spent of budgets stays in the node table, the store did not take it in time")

    async def _give_back(self, window: OpenWindow) -> None:
        """Nobody has used the window for a while: others may have what is left of its lease."""
        with self._turn(window) as has_turn:
            if not has_turn:
                return
            with self._cells.locked([window.identity]) as (cell,):
                counted = self._cells.read(cell)
                if counted.reserved or counted.spent > counted.confirmed:
                    return
                self._cells.lower(cell, counted.spent)
            if counted.free:
                await self._store.lease(self._settled(window, counted), 0, keep=counted.spent)
            with self._cells.locked([window.identity]) as (cell,):
                if self._cells.read(cell)[:3] == (counted.spent, counted.spent, 0):
                    self._cells.forget(cell)
        self._close(window)

    def _close(self, window: OpenWindow) -> None:
        self._windows.open.pop(window.key, None)

    def _look(self, window: OpenWindow) -> Counted | None:
        try:
            return self._cells.look(window.identity)
        except TableFull:
            return None

    def _settled(self, window: OpenWindow, counted: Counted) -> Settled:
        lease = LeaseKey(window.key, self._node, self._boot, counted.number)
        return Settled(lease, counted.spent, counted.reserved, counted.estimated)

    @contextmanager
    def _turn(self, window: OpenWindow) -> Iterator[bool]:
        """Hold the window's turn; False where another worker, or task of this one, has it."""
        with self._cells.locked([window.turn]) as (cell,):
            taken = self._cells.take(cell)
        try:
            yield taken
        finally:
            if taken:
                self._cells.give(cell)
