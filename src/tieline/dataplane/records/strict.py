"""Records that answers wait for (``audit: strict``), stored in groups: whatever waits goes into one transaction.

Nobody waits for a group to fill: while one is on its way, the next gathers. Owns for how long an answer waits and what
happens where the store refuses or hangs: the requests that wait are told, further ones are refused before anything is
sent for them, and their records wait in memory with the others. It is well again once the store has taken anything.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from tieline.core.errors import TielineError
from tieline.dataplane.awaited import AwaitedRecord
from tieline.dataplane.saving import Saving
from tieline.ports.requests import RequestRecord

log = logging.getLogger("tieline.dataplane.records.strict")

PATIENCE_SECONDS: Final = 5.0
"""For so long an answer waits for a store that hangs."""
GROUP_MOST: Final = 2_000
"""Records in one transaction, so that the first of many does not wait for the last."""
_TURN: Final = 100
"""So many requests are told in one turn of the loop."""

Add = Callable[[Sequence[RequestRecord]], Awaitable[None]]
Waiter = tuple[RequestRecord, AwaitedRecord]


class StrictRecords(Saving):
    """Stores with ``add``, which returns when they are on the disk; ``keep`` gets those that could not be stored."""

    def __init__(self, add: Add, keep: Callable[[RequestRecord], None]) -> None:
        super().__init__(0, PATIENCE_SECONDS)
        self._add = add
        self._keep = keep
        self._waiting: list[Waiter] = []
        self._under_way: list[Waiter] = []
        self._some = asyncio.Event()
        self._refused = False
        self._hanging = False

    @property
    def usable(self) -> bool:
        """Whether the store took what it was last given, in time."""
        return not (self._refused or self._hanging)

    def put(self, record: RequestRecord) -> AwaitedRecord:
        """Have ``record`` stored at once; whoever it belongs to waits for what is returned."""
        awaited = AwaitedRecord()
        if self.usable:
            self._waiting.append((record, awaited))
            self._some.set()
        else:
            self._give_up([(record, awaited)])
        return awaited

    def taken(self) -> None:
        """The store took other records: it may be asked again."""
        self._refused = False

    async def _wanted(self) -> None:
        await self._some.wait()

    def _left(self) -> int:
        return len(self._waiting)

    async def _save(self) -> None:
        """Store a group of what waits now."""
        group = self._under_way = self._waiting[:GROUP_MOST]
        del self._waiting[:GROUP_MOST]
        if not self._waiting:
            self._some.clear()
        if not group:
            return
        try:
            await self._add([record for record, _ in group])
        except TielineError as error:
            self._refused = True
            log.warning("%d answers are withheld, their records could not be stored: %s", len(group), error.explained)
            self._give_up(group)
        except BaseException:
            self._refused = True
            self._give_up(group)
            raise
        else:
            for number, (_, awaited) in enumerate(group, 1):
                awaited.tell(stored=True)
                if number % _TURN == 0:
                    await asyncio.sleep(0)
        finally:
            self._hanging = False
            self._under_way = []

    def _warn_of_hanging(self) -> None:
        """The group may yet be stored: its records are kept only when it turns out that they are not."""
        self._hanging = True
        log.warning(
            "the store has not answered for %d s: the answers of %d requests are withheld and others refused until it "
            "does; look at the database",
            PATIENCE_SECONDS,
            len(self._under_way) + len(self._waiting),
        )
        for _, awaited in self._under_way:
            awaited.tell(stored=False)
        waiting, self._waiting = self._waiting, []
        self._give_up(waiting)

    def _warn_of_loss(self) -> None:
        log.warning("the store did not take the last records that answers waited for")

    def _give_up(self, group: Sequence[Waiter]) -> None:
        for record, awaited in group:
            self._keep(record if record.code is not None else record._replace(code="not_recorded", reason=_REASON))
            awaited.tell(stored=False)


_REASON: Final = "The record could not be stored in time, so the answer was withheld."
