"""What a process opened in the vault, as events of the audit log: ``ports.audit.OpeningLog``."""

from collections.abc import Sequence

from tieline.audit.events import VaultOpened
from tieline.core.clock import Clock, SystemClock
from tieline.storage.audit import AuditAppend, read_head
from tieline.storage.engine import Database


class SqlOpenings:
    """Appends to the audit log in the name of a process, ``actor``, such as ``server:gate/data worker 2``."""

    def __init__(self, database: Database, *, audit_key: bytes, actor: str, clock: Clock | None = None) -> None:
        self._database = database
        self._key = audit_key
        self._actor = actor
        self._clock = clock or SystemClock()

    async def add_openings(self, events: Sequence[VaultOpened]) -> None:
        async with self._database.write() as connection:
            await read_head(connection, lock=True)
            log = AuditAppend(connection, self._database, self._key, actor=self._actor, clock=self._clock)
            for event in events:
                await log.add(event)
