"""The audit log, for the control plane: ``ports.audit.AuditReader`` and ``AuditWriter``.

Owns the tables ``audit`` and ``audit_head``. Knows neither what the events mean nor how the chain is made
(``tieline.audit.chain``). Whoever appends holds the head's row from the start of the write, so links never fork.
"""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from tieline.audit.chain import EMPTY, Anchor, ChainedRecord, Head, Verification, canonical_json, extend
from tieline.audit.events import AuditEvent
from tieline.core.clock import Clock
from tieline.core.ids import new_id
from tieline.core.pages import LIMIT_MOST, Page, PageRequest
from tieline.ports.audit import EVERYTHING, AuditFilter, AuditRow, AuditVerdict
from tieline.storage.connection import AsyncConnection
from tieline.storage.engine import Database
from tieline.storage.pages import cut
from tieline.storage.schema import audit, audit_head

_BATCH = 500


class AuditLog:
    """The audit log, to read."""

    def __init__(self, connection: AsyncConnection, database: Database, key: bytes) -> None:
        self._connection = connection
        self._database = database
        self._key = key

    async def list(self, page: PageRequest, wanted: AuditFilter = EVERYTHING) -> Page[AuditRow]:
        query = select(audit).where(*_conditions(wanted)).order_by(audit.c.seq.desc())
        if page.after is not None:
            query = query.where(audit.c.seq < select(audit.c.seq).where(audit.c.id == page.after).scalar_subquery())
        limit = max(1, min(page.limit, LIMIT_MOST))
        found = cut((await self._connection.execute(query.limit(limit + 1))).all(), limit, "id")
        return Page([_event(row) for row in found.items], found.next)

    async def verify(self, anchor: Anchor | None = None) -> AuditVerdict:
        """Check the chain from its first record to its head.

        The records are read in short transactions of their own: they never change, and a long one would keep writers
        of a SQLite database waiting. The last of them sees the end of the log and the head at one moment.
        """
        verification = Verification(self._key, anchor=anchor)
        after = 0
        while True:
            query = select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(_BATCH)
            async with self._database.read() as connection:
                rows = (await connection.execute(query)).all()
                head = await read_head(connection)
            for row in rows:
                verification.feed(_record(row), row.mac)
            if len(rows) < _BATCH:
                break
            after = rows[-1].seq
        breaks = [found.problem for found in verification.finish(head)]
        return AuditVerdict(verification.records, breaks, verification.end)


class AuditAppend(AuditLog):
    """The audit log, to read and append to in one write."""

    def __init__(
        self, connection: AsyncConnection, database: Database, key: bytes, *, actor: str, clock: Clock
    ) -> None:
        super().__init__(connection, database, key)
        self._actor = actor
        self._clock = clock
        self.added = 0

    async def add(self, event: AuditEvent) -> None:
        head = await read_head(self._connection)
        highest = (await self._connection.execute(select(func.max(audit.c.seq)))).scalar() or 0
        record = ChainedRecord(
            seq=max(head.seq, highest) + 1,
            id=new_id("aud"),
            at=self._clock.now(),
            actor=self._actor,
            kind=event.kind,
            target=event.target,
            data=canonical_json(event.data()),
        )
        mac, new_head = extend(self._key, head, record)
        values = {name: getattr(record, name) for name in audit.c.keys() if name != "mac"}  # noqa: SIM118
        await self._connection.execute(insert(audit).values(**values, mac=mac))
        end = {"seq": new_head.seq, "mac": new_head.mac, "signature": new_head.signature}
        moved = await self._connection.execute(update(audit_head).values(end))
        if moved.rowcount == 0:
            await self._connection.execute(insert(audit_head).values(one=True, **end))
        self.added += 1


async def read_head(connection: AsyncConnection, *, lock: bool = False) -> Head:
    """The chain's stored head; ``lock`` makes every other append wait for the end of this transaction."""
    query = select(audit_head.c.seq, audit_head.c.mac, audit_head.c.signature)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    return EMPTY if row is None else Head(*row)


def _conditions(wanted: AuditFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.actor is not None:
        yield audit.c.actor == wanted.actor
    if wanted.kind is not None:
        whole = audit.c.kind == wanted.kind
        yield whole if "." in wanted.kind else whole | audit.c.kind.startswith(f"{wanted.kind}.", autoescape=True)
    if wanted.target is not None:
        yield audit.c.target == wanted.target
    if wanted.since is not None:
        yield audit.c.at >= wanted.since
    if wanted.until is not None:
        yield audit.c.at < wanted.until
    if wanted.text is not None:
        yield or_(*(each.icontains(wanted.text, autoescape=True) for each in (audit.c.target, audit.c.data)))


def _record(row: Row[Any]) -> ChainedRecord:
    return ChainedRecord(row.seq, row.id, row.at, row.actor, row.kind, row.target, row.data)


def _event(row: Row[Any]) -> AuditRow:
    return AuditRow(row.seq, row.id, row.at, row.actor, row.kind, row.target, json.loads(row.data))
