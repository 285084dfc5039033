"""A process that writes and says so: one line with the id of each write that was acknowledged.

``python -m tests.storage.writer URL [LIMIT]``: with LIMIT no file may grow past that many bytes, as on a full disk; a
refused write is told as ``refused``, and a line on standard input lifts the limit.
"""

import asyncio
import resource
import sys

from tests.storage.rows import AUDIT_KEY, OWNER, record
from tieline.audit.events import AppCreated
from tieline.core.clock import SystemClock
from tieline.core.errors import NotReady
from tieline.core.ids import new_id
from tieline.ports.apps import AppRow
from tieline.storage.engine import open_database
from tieline.storage.records import open_records
from tieline.storage.store import SqlStore


async def write(store: SqlStore, filler: str) -> str:
    """One app with its audit event and its change."""
    row = AppRow(new_id("app"), new_id("app"), {}, SystemClock().now(), OWNER.id)
    async with store.write(OWNER) as tx:
        assert await tx.apps.add(row)
        await tx.audit.add(AppCreated(row.id, name=row.name + filler))
    return row.id


def say(words: str) -> None:
    """One line to whoever started this."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


async def main(url: str, limit: int | None) -> None:
    """Write until killed."""
    database = await open_database(url)
    records = open_records(database)
    store = SqlStore(database, audit_key=AUDIT_KEY)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    say("ready")
    while True:
        try:
            say(await write(store, "x" * 20_000 if limit else ""))
            await records.add([record()])
        except NotReady as refused:
            say(f"refused {refused.public}")
            if not sys.stdin.readline():
                return
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None))
