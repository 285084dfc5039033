"""Audit chains on each engine, each tampered with at random by somebody who has the database and not the key."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from tests.storage.rows import AUDIT_KEY, OWNER
from tieline.audit.chain import Anchor
from tieline.audit.events import ApiChanged, KeyRevoked, TokenRevoked
from tieline.storage.audit import AuditLog, read_head
from tieline.storage.connection import AsyncConnection
from tieline.storage.engine import Database
from tieline.storage.schema import audit, audit_head
from tieline.storage.store import SqlStore

EVENTS = 12

Row = dict[str, Any]
Tamper = Callable[[Random, list[Row], Row], None]


def edit(chance: Random, rows: list[Row], _head: Row) -> None:
    """One character of one text."""
    row = chance.choice(rows)
    field = chance.choice(["id", "actor", "kind", "target", "data"])
    place = chance.randrange(len(row[field]))
    row[field] = row[field][:place] + ("x" if row[field][place] != "x" else "y") + row[field][place + 1 :]


def edit_mac(chance: Random, rows: list[Row], _head: Row) -> None:
    """One bit of one mac."""
    row, bit = chance.choice(rows), chance.randrange(256)
    row["mac"] = bytes(each ^ (1 << bit % 8 if place == bit // 8 else 0) for place, each in enumerate(row["mac"]))


def exchange_facts(chance: Random, rows: list[Row], _head: Row) -> None:
    """Two events exchange what they say and keep their numbers."""
    one, other = chance.sample(rows, 2)
    for field in ("actor", "kind", "target", "data"):
        one[field], other[field] = other[field], one[field]


def delete_some(chance: Random, rows: list[Row], _head: Row) -> None:
    """Any of them, in the middle too."""
    for row in chance.sample(rows, chance.randint(1, len(rows) - 1)):
        rows.remove(row)


def delete_and_close_the_gap(chance: Random, rows: list[Row], head: Row) -> None:
    """Numbers are counted anew, and the head is made to fit."""
    del rows[chance.randrange(len(rows) - 1)]
    for number, row in enumerate(rows, 1):
        row["seq"] = number
    head |= {"seq": len(rows), "mac": rows[-1]["mac"]}


def reorder(chance: Random, rows: list[Row], _head: Row) -> None:
    """The same records with their macs under other numbers."""
    order = [row["seq"] for row in rows]
    while order == [row["seq"] for row in rows]:
        chance.shuffle(order)
    for row, number in zip(rows, order, strict=True):
        row["seq"] = number


def copy_one(chance: Random, rows: list[Row], head: Row) -> None:
    """An event that was once, again at the end."""
    again = {**chance.choice(rows), "seq": len(rows) + 1, "id": "aud_copied"}
    rows.append(again)
    head |= {"seq": again["seq"], "mac": again["mac"]}


def cut_tail(chance: Random, rows: list[Row], _head: Row) -> None:
    """The last ones go."""
    del rows[chance.randrange(len(rows)) :]


def cut_tail_and_make_up_a_head(chance: Random, rows: list[Row], head: Row) -> None:
    """The last ones go, and the head names the last that is left, with a signature of its own or the old one."""
    del rows[chance.randint(1, len(rows) - 1) :]
    signature = chance.choice([head["signature"], chance.randbytes(32), b""])
    head |= {"seq": rows[-1]["seq"], "mac": rows[-1]["mac"], "signature": signature}


def cut_tail_and_head(chance: Random, rows: list[Row], head: Row) -> None:
    """The last ones go, and the head says that there was never anything."""
    del rows[chance.randint(1, len(rows) - 1) :]
    head |= {"seq": 0, "mac": bytes(32), "signature": b""}


TAMPERS: Sequence[Tamper] = (
    edit,
    edit_mac,
    exchange_facts,
    delete_some,
    delete_and_close_the_gap,
    reorder,
    copy_one,
    cut_tail,
    cut_tail_and_make_up_a_head,
    cut_tail_and_head,
)


@pytest.fixture
async def rows(store: SqlStore) -> None:
    """A chain of events of several kinds."""
    for number in range(EVENTS // 3):
        async with store.write(OWNER) as tx:
            await tx.audit.add(TokenRevoked(f"tok_{number}", name=f"token {number}"))
            await tx.audit.add(ApiChanged(f"api_{number}", name="openai", revision=number))
            await tx.audit.add(KeyRevoked(f"key_{number}", app="blog", redacted=f"tl_live_…{number}"))


async def written(connection: AsyncConnection, rows: Sequence[Row], head: Row) -> None:
    """Put the whole log and its head there, in place of what is."""
    await connection.execute(delete(audit))
    if rows:
        await connection.execute(insert(audit), list(rows))
    await connection.execute(update(audit_head).values(**head))


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("rows")
async def test_every_tampered_chain_is_found(database: Database, soak: bool) -> None:
    """Edits, deletions, reorderings, copies, cut tails and made up heads; a sound chain is never blamed.

    A thousand chains in soak.
    """
    chains = 1_000 if soak else 100
    async with database.read() as connection:
        sound = [dict(row._mapping) for row in (await connection.execute(select(audit).order_by(audit.c.seq))).all()]
        head = {**(await connection.execute(select(audit_head))).one()._mapping}
    chance, found = Random(2_026), dict.fromkeys((tamper.__name__ for tamper in TAMPERS), 0)
    for number in range(chains):
        tamper = TAMPERS[number % len(TAMPERS)]
        changed, its_head = [dict(row) for row in sound], dict(head)
        tamper(chance, changed, its_head)
        assert (changed, its_head) != (sound, head)
        async with database.write() as connection:
            await written(connection, changed, its_head)
        async with database.read() as connection:
            found[tamper.__name__] += bool((await AuditLog(connection, database, AUDIT_KEY).verify()).breaks)
    assert found == dict.fromkeys(found, chains // len(TAMPERS))
    async with database.write() as connection:
        await written(connection, sound, head)
    async with database.read() as connection:
        assert (await AuditLog(connection, database, AUDIT_KEY).verify()).breaks == []


@pytest.mark.usefixtures("rows")
async def test_an_older_state_with_its_own_head_is_found_by_an_anchor(database: Database, store: SqlStore) -> None:
    """Put back whole, an older log is a sound log; what was noted of the later one elsewhere tells."""
    async with database.read() as connection:
        older = [dict(row._mapping) for row in (await connection.execute(select(audit))).all()]
        head = {**(await connection.execute(select(audit_head))).one()._mapping}
    async with store.write(OWNER) as tx:
        await tx.audit.add(TokenRevoked("tok_9", name="what somebody wants forgotten"))
    async with store.read() as rx:
        anchor = (await rx.audit.verify()).anchor
    assert anchor is not None
    async with database.write() as connection:
        await written(connection, older, head)
    async with store.read() as rx:
        assert (await rx.audit.verify()).breaks == []
        (told,) = (await rx.audit.verify(anchor)).breaks
    assert "records 13 to 13 are missing, or an older state was put back" in told
    async with store.write(OWNER) as tx:
        await tx.audit.add(TokenRevoked("tok_10", name="goes on as if nothing were"))
    async with store.read() as rx:
        assert (await rx.audit.verify(anchor)).breaks == ["record 13 is not the one that the anchor was made of"]


@pytest.mark.usefixtures("rows")
async def test_an_anchor_holds_while_the_log_grows(database: Database, store: SqlStore) -> None:
    """What was noted once is good for ever, and the log's stored end is the same place that verifying tells."""
    async with database.read() as connection:
        stored = await read_head(connection)
    async with store.read() as rx:
        anchor = (await rx.audit.verify()).anchor
    assert anchor == Anchor(stored.seq, stored.mac)
    for number in range(3):
        async with store.write(OWNER) as tx:
            await tx.audit.add(TokenRevoked(f"tok_{number}", name="x"))
        async with store.read() as rx:
            assert (await rx.audit.verify(anchor)).breaks == []
