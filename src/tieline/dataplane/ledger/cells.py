"""A window's cell in the node table: what the node has leased of it, what it has spent, what is reserved.

Of the cell, ``shared`` 1 is what was granted in all, 2 what of the spent the store has confirmed, 3 the lease: its
number, and until when (in seconds of the table's clock) the node may spend from it. ``own`` 0 is what a worker has
reserved, given back by the supervisor where it dies; ``own`` 1 is what it has spent in all. What it has reserved for
requests that were sent is ``under_way`` 0: the supervisor counts that as spent, and as estimated. All is read and
written under the cell's lock, by code that waits for nothing; what is under way by its worker alone, without it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from tieline.dataplane.limits.table import FOREVER, NodeTable, micros

_UNTIL_BITS: Final = 32
_UNTIL: Final = (1 << _UNTIL_BITS) - 1
_MICROSECONDS: Final = 1_000_000


class Counted(NamedTuple):
    """What a cell holds: sums in the budget's unit; ``number`` 0 means that there is no lease."""

    granted: int
    spent: int
    reserved: int
    confirmed: int
    number: int
    until: int
    estimated: int = 0

    @property
    def free(self) -> int:
        """What may be reserved of the lease."""
        return self.granted - self.spent - self.reserved


def seconds() -> int:
    """Whole seconds on the table's clock."""
    return micros() // _MICROSECONDS


class Cells:
    """The cells of windows in ``table``."""

    __slots__ = ("table",)

    def __init__(self, table: NodeTable) -> None:
        self.table = table

    @contextmanager
    def locked(self, identities: Sequence[bytes]) -> Iterator[list[int]]:
        """The cells of ``identities``, locked while the block lasts. Raises TableFull."""
        cells = self.table.acquire(identities)
        try:
            yield cells
        finally:
            self.table.release(cells)

    def read(self, cell: int) -> Counted:
        """What the locked ``cell`` holds."""
        shared, at = self.table.shared, cell * 4
        lease = shared[at + 3]
        return Counted(
            shared[at + 1],
            self.table.kept(cell),
            self.table.held(cell),
            shared[at + 2],
            lease >> _UNTIL_BITS,
            lease & _UNTIL,
            self.table.estimated(cell),
        )

    def fits(self, cell: int, amount: int) -> bool:
        """Whether the lease of the locked ``cell``, if there is one that may be spent from, has so much left."""
        table, at = self.table, cell * 4
        lease = table.shared[at + 3]
        if lease <= _UNTIL or lease & _UNTIL <= seconds():
            return False
        return table.shared[at + 1] - table.kept(cell) - table.held(cell) >= amount

    def look(self, identity: bytes) -> Counted:
        """What the cell of ``identity`` holds now. Raises TableFull."""
        with self.locked([identity]) as (cell,):
            return self.read(cell)

    def reserve(self, cell: int, amount: int) -> None:
        """Reserve ``amount`` in the locked ``cell``, which is kept from now on."""
        self.table.shared[cell * 4] = FOREVER
        self.table.own[cell * 2] += amount

    def sent(self, cell: int, amount: int) -> None:
        """What this worker has reserved so much for is on its way to the upstream, which may charge it from now on."""
        self.table.under_way[cell * 2] += amount

    def settle(self, cell: int, reserved: int, cost: int, *, sent: bool) -> None:
        """Of what this worker ``reserved`` in the locked ``cell``, ``cost`` was spent, be it more or less."""
        own = self.table.own
        own[cell * 2 + 1] += cost  # first: if the worker dies in between, what was spent is not lost
        if sent:
            self.table.under_way[cell * 2] -= reserved
        own[cell * 2] -= reserved

    def lease(self, cell: int, granted: int, number: int, until: int) -> None:
        """The locked ``cell`` has this lease now."""
        shared, at = self.table.shared, cell * 4
        shared[at] = FOREVER
        shared[at + 1] = granted
        shared[at + 3] = number << _UNTIL_BITS | until

    def lower(self, cell: int, granted: int) -> None:
        """Of the lease of the locked ``cell`` no more than this may be spent."""
        self.table.shared[cell * 4 + 1] = granted

    def confirm(self, cell: int, spent: int, until: int | None = None) -> None:
        """The store has heard of ``spent``, and the node may spend on ``until``."""
        shared, at = self.table.shared, cell * 4
        shared[at + 2] = max(shared[at + 2], spent)
        if until is not None:
            shared[at + 3] = shared[at + 3] & ~_UNTIL | until

    def forget(self, cell: int) -> None:
        """Nothing is in the locked ``cell`` that the store does not have: its place may go to another identity."""
        self.table.shared[cell * 4] = micros()

    def take(self, cell: int) -> bool:
        """Take the one slot of the locked ``cell``, if no worker has it."""
        if self.table.held(cell):
            return False
        self.table.own[cell * 2] = 1
        return True

    def give(self, cell: int) -> None:
        """Give the slot back that this worker took; its lock is not needed, as others may see it a moment later."""
        self.table.own[cell * 2] = 0
