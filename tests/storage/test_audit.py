"""The audit log on real tables: what was appended verifies, and whatever is done to it behind our back is found."""

import asyncio

import pytest
from sqlalchemy import text

from tests.storage.rows import AUDIT_KEY, OWNER, add_app, app
from tieline.audit.events import TokenRevoked, VaultOpened
from tieline.core.pages import PageRequest
from tieline.ports.audit import AuditFilter, AuditRow
from tieline.storage import audit as audit_module
from tieline.storage.engine import Database
from tieline.storage.openings import SqlOpenings
from tieline.storage.store import SqlStore

EVENTS = 8


@pytest.fixture
async def chain(store: SqlStore) -> SqlStore:
    """A store with eight audit events."""
    for number in range(EVENTS):
        async with store.write(OWNER) as tx:
            await tx.audit.add(TokenRevoked(f"tok_{number}", name=f"token {number}"))
    return store


async def breaks(store: SqlStore) -> list[str]:
    """What verification finds."""
    async with store.read() as rx:
        return list((await rx.audit.verify()).breaks)


async def tamper(database: Database, *statements: str) -> None:
    """What somebody with the database, but not the root key, can do."""
    async with database.write() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def test_an_untouched_log_holds(chain: SqlStore) -> None:
    """Every event is counted and no break is found."""
    async with chain.read() as rx:
        verdict = await rx.audit.verify()
    assert (verdict.events, verdict.breaks) == (EVENTS, [])


async def test_an_empty_log_holds(store: SqlStore) -> None:
    """A fresh store has nothing to find."""
    assert await breaks(store) == []


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (["UPDATE audit SET actor = 'local:nobody' WHERE seq = 4"], "record 4 was altered"),
        (["UPDATE audit SET data = '{}' WHERE seq = 1"], "record 1 was altered"),
        (["UPDATE audit SET at = at + 1 WHERE seq = 8"], "record 8 was altered"),
        (["DELETE FROM audit WHERE seq = 3"], "records 3 to 3 are missing"),
        (["DELETE FROM audit WHERE seq = 1"], "records 1 to 1 are missing"),
        (["DELETE FROM audit WHERE seq > 5"], "the log was cut: records 6 to 8"),
        (["DELETE FROM audit"], "the log was cut: records 1 to 8"),
        (
            ["DELETE FROM audit WHERE seq = 3", "UPDATE audit SET seq = seq - 1 WHERE seq = 4"],
            "record 3 was altered",
        ),
        (
            [
                "UPDATE audit SET seq = 100 WHERE seq = 4",
                "UPDATE audit SET seq = 4 WHERE seq = 5",
                "UPDATE audit SET seq = 5 WHERE seq = 100",
            ],
            "record 4 was altered",
        ),
        (
            [
                "DELETE FROM audit WHERE seq > 5",
                "UPDATE audit_head SET seq = 5, mac = (SELECT mac FROM audit WHERE seq = 5)",
            ],
            "head's signature is wrong",
        ),
        (["DELETE FROM audit_head"], "stand after the signed end"),
        (["UPDATE audit_head SET signature = mac"], "head's signature is wrong"),
        (["DELETE FROM audit WHERE seq > 5", "DELETE FROM audit_head"], "stand after the signed end"),
    ],
)
async def test_tampering_is_found(database: Database, chain: SqlStore, statements: list[str], found: str) -> None:
    """Edits, deletions, reorderings, cut tails and forged heads each leave a break that says where."""
    await tamper(database, *statements)
    assert any(found in problem for problem in await breaks(chain))


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM audit WHERE seq > 5"],
        ["DELETE FROM audit WHERE seq > 5", "DELETE FROM audit_head"],
        [
            "DELETE FROM audit WHERE seq > 5",
            "UPDATE audit_head SET seq = 5, mac = (SELECT mac FROM audit WHERE seq = 5)",
        ],
        ["DELETE FROM audit_head"],
        ["UPDATE audit SET kind = 'x' WHERE seq = 8"],
    ],
)
async def test_later_events_do_not_heal_a_break(database: Database, chain: SqlStore, statements: list[str]) -> None:
    """After tampering operators can still work, and what they do does not hide it."""
    await tamper(database, *statements)
    for number in range(3):
        await add_app(chain, app(f"app-{number}"))
    assert await breaks(chain) != []


async def test_an_older_head_put_back_is_found_after_the_next_event(database: Database, chain: SqlStore) -> None:
    """A head that was once genuine does not let a record be written over another."""
    async with database.read() as connection:
        old = (await connection.execute(text("SELECT seq, mac, signature FROM audit_head"))).one()
    await add_app(chain)
    async with database.write() as connection:
        await connection.execute(
            text("UPDATE audit_head SET seq = :seq, mac = :mac, signature = :signature"), dict(old._mapping)
        )
    assert await breaks(chain) != []
    await add_app(chain, app("shop"))
    assert await breaks(chain) != []


async def test_another_root_key_does_not_verify(database: Database, chain: SqlStore) -> None:
    """The chain hangs on the root key: with another one nothing fits."""
    other = SqlStore(database, audit_key=b"another key")
    assert len(await breaks(other)) == EVENTS + 1
    assert AUDIT_KEY != b"another key"


async def test_appends_that_race_make_one_chain(chain: SqlStore) -> None:
    """Writers at the same moment get numbers one after the other, and the chain holds."""
    await asyncio.gather(*(add_app(chain, app(f"app-{number}")) for number in range(10)))
    async with chain.read() as rx:
        verdict = await rx.audit.verify()
    assert (verdict.events, verdict.breaks) == (EVENTS + 10, [])


async def test_processes_tell_what_they_opened_in_the_same_chain(database: Database, chain: SqlStore) -> None:
    """Workers and operators at the same moment: one chain, each event with who it was."""
    workers = [SqlOpenings(database, audit_key=AUDIT_KEY, actor=f"server:gate/data worker {n}") for n in range(4)]
    opened = {"cred_1": {"of": "credential", "environment": "live", "version": 1, "fields": ["key"]}}
    event = VaultOpened("vault", why="serve", opened=opened)
    telling = [worker.add_openings([event, event]) for worker in workers]
    await asyncio.gather(*telling, *(add_app(chain, app(f"app-{number}")) for number in range(4)))
    async with chain.read() as rx:
        found = (await rx.audit.list(PageRequest(), AuditFilter(kind="vault", text="CRED_1"))).items
        verdict = await rx.audit.verify()
    assert sorted({each.actor for each in found}) == [f"server:gate/data worker {n}" for n in range(4)]
    assert [each.data for each in found] == [{"why": "serve", "opened": opened, "more": 0}] * 8
    assert (verdict.events, verdict.breaks) == (EVENTS + 12, [])


async def test_several_events_in_one_write_are_linked(store: SqlStore) -> None:
    """A write may say more than one thing."""
    async with store.write(OWNER) as tx:
        for number in range(3):
            await tx.audit.add(TokenRevoked(f"tok_{number}", name="x"))
    assert await breaks(store) == []


async def test_a_long_chain_is_verified_in_pieces(
    chain: SqlStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the pieces fall, each record is checked once and the end is compared."""
    for batch in (1, 3, EVENTS, EVENTS + 1):
        monkeypatch.setattr(audit_module, "_BATCH", batch)
        assert await breaks(chain) == []
    await tamper(database, "DELETE FROM audit WHERE seq = 8")
    monkeypatch.setattr(audit_module, "_BATCH", 3)
    assert len(await breaks(chain)) == 1


async def test_events_are_listed_newest_first(chain: SqlStore) -> None:
    """Pages follow each other by event id, and facts come back as they were."""
    seen: list[AuditRow] = []
    after = None
    while True:
        async with chain.read() as rx:
            page = await rx.audit.list(PageRequest(limit=3, after=after))
        seen += page.items
        after = page.next
        if after is None:
            break
    assert [event.seq for event in seen] == list(range(EVENTS, 0, -1))
    assert (seen[0].target, seen[0].data, seen[0].actor) == (
        "tok_7",
        {"name": "token 7"},
        "token:tok_of_the_tests",
    )


async def test_reading_the_log_for_long_does_not_stop_writers(chain: SqlStore) -> None:
    """A verification and writers at the same time both come to their end."""

    async def verify_again_and_again() -> None:
        for _ in range(10):
            assert await breaks(chain) == []

    await asyncio.gather(verify_again_and_again(), *(add_app(chain, app(f"app-{number}")) for number in range(10)))
