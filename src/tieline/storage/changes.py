"""The log that tells data-plane workers what changed, written in the transaction of the change itself.

Owns the numbering and the length of the log. Knows nothing of what changed but its kind and id. Who writes to it holds
the lock of the audit chain's head, so versions are committed in the order of their numbers: a reader that has seen one
has seen all before it.
"""

from datetime import datetime

from sqlalchemy import delete, func, insert, select, text

from tieline.ports.snapshot import Change, ChangeKind, TooOld
from tieline.storage.connection import AsyncConnection
from tieline.storage.schema import audit_head, changes

KEPT = 10_000
CHANNEL = "tieline_changes"
_NOTIFY = text(f"NOTIFY {CHANNEL}")


class ChangeLog:
    """The changes of one write, on its connection."""

    def __init__(self, connection: AsyncConnection, at: datetime) -> None:
        self._connection = connection
        self._at = at
        self._last = 0

    @property
    def last(self) -> int:
        """The version of the last change that was noted, 0 where there is none."""
        return self._last

    async def note(self, kind: ChangeKind, ref: str) -> None:
        """Note that the API, credential (by its API), app, key, connection, token or budget ``ref`` has changed."""
        added = await self._connection.execute(insert(changes).values(kind=kind, ref=ref, at=self._at))
        assert added.inserted_primary_key is not None
        self._last = added.inserted_primary_key[0]

    async def finish(self) -> None:
        """Shorten the log to the newest 10,000 and, on PostgreSQL, notify the listeners at commit."""
        if not self._last:
            return
        await self._connection.execute(delete(changes).where(changes.c.version <= self._last - KEPT))
        if self._connection.dialect.name == "postgresql":
            await self._connection.execute(_NOTIFY)


async def lock_log(connection: AsyncConnection) -> None:
    """Make every other writer of the log wait for the end of this transaction, as admin writes do."""
    await connection.execute(select(audit_head.c.seq).with_for_update())


async def latest_version(connection: AsyncConnection) -> int:
    """The number of the latest change, 0 before the first."""
    return (await connection.execute(select(func.max(changes.c.version)))).scalar() or 0


async def changes_after(connection: AsyncConnection, version: int) -> list[Change]:
    """The changes after ``version``. Raises ``TooOld`` when the log was shortened past it, or is another log's."""
    ends = select(func.min(changes.c.version), func.max(changes.c.version))
    first, last = (await connection.execute(ends)).one()
    if version > (last or 0) or (first is not None and version < first - 1):
        msg = f"the change log holds {first} to {last}, not what follows {version}"
        raise TooOld(msg)
    query = select(changes.c.version, changes.c.kind, changes.c.ref).where(changes.c.version > version)
    rows = await connection.execute(query.order_by(changes.c.version))
    return [Change(row.version, row.kind, row.ref) for row in rows]
