"""What the data plane reads: rows, keys by hash, the change log, and being woken."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import delete, select, text

from tests.stopwatch import Stopwatch
from tests.storage.rows import (
    AUDIT_KEY,
    NOW,
    OWNER,
    add_api,
    add_app,
    add_credential,
    add_key,
    api,
    app,
    credential,
    key,
    later,
    record,
    sealed,
    secret,
)
from tieline.audit.events import ApiRemoved, AppRemoved, KeyRevoked
from tieline.ports.credentials import SealedCredential
from tieline.ports.snapshot import Change, SnapshotSource, TooOld
from tieline.storage import changes as changes_module
from tieline.storage import postgresql as postgresql_module
from tieline.storage.change_notifier import SqliteChangeNotifier
from tieline.storage.engine import Database
from tieline.storage.postgresql import PostgresChangeNotifier
from tieline.storage.schema import apps, changes
from tieline.storage.snapshots import SqlSnapshots
from tieline.storage.store import SqlStore
from tieline.storage.vault import SqlDataKeys
from tieline.vault.ports import WrappedDataKey


@pytest.fixture
async def source(database: Database, url: str) -> AsyncIterator[SqlSnapshots]:
    """The data plane's side of the store."""
    snapshots = SqlSnapshots(database, url)
    yield snapshots
    await snapshots.close()


async def test_it_is_the_port_that_the_data_plane_knows(source: SqlSnapshots) -> None:
    """The class has every method of the protocol (mypy checks their types)."""
    port: SnapshotSource = source
    assert await port.version() == 0


async def test_apis_are_read_whole_and_one_by_one(store: SqlStore, source: SqlSnapshots) -> None:
    """All APIs by name, one by id, none for an id that is gone."""
    stripe, openai = await add_api(store, api("stripe")), await add_api(store)
    assert await source.apis() == [openai, stripe]
    assert await source.api(stripe.id) == stripe
    assert await source.api("api_none") is None


async def test_only_active_credentials_are_read(database: Database, store: SqlStore, source: SqlSnapshots) -> None:
    """The active credential of each environment comes with its sealed fields; a pending one does not."""
    await SqlDataKeys(database).add(WrappedDataKey("dk_1", "rk_1", bytes(60), NOW, None))
    openai, stripe = await add_api(store), await add_api(store, api("stripe"))
    active = await add_credential(store, credential(openai.id, 1, state="active"), key=sealed(1), user=sealed(2))
    await add_credential(store, credential(openai.id, 2))
    other = await add_credential(store, credential(stripe.id, 1, state="active", environment="development"))
    first = SealedCredential(
        active.id, openai.id, "live", 1, ("api.openai.com",), {"key": sealed(1), "user": sealed(2)}
    )
    second = SealedCredential(other.id, stripe.id, "development", 1, ("api.openai.com",), {"key": sealed(1)})
    assert await source.credentials() == [first, second]
    assert await source.credentials(stripe.id) == [second]


async def test_a_credential_without_fields_is_read_too(store: SqlStore, source: SqlSnapshots) -> None:
    """An API whose scheme needs no secret still has its active credential."""
    openai = await add_api(store)
    row = credential(openai.id, 1, state="active")
    async with store.write(OWNER) as tx:
        await tx.credentials.add(row, {})
        await tx.audit.add(ApiRemoved(openai.id, name="openai"))
    assert [found.secrets for found in await source.credentials()] == [{}]


async def test_a_key_is_found_by_its_hash(store: SqlStore, source: SqlSnapshots) -> None:
    """The row says whose key it is and what it may do."""
    openai, stripe = await add_api(store), await add_api(store, api("stripe"))
    owner = await add_app(store, app("blog", openai, stripe))
    made = await add_key(store, key(owner.id), b"\5" * 32)
    found = await source.key_by_hash(b"\5" * 32)
    assert found is not None
    assert (found.key_id, found.secret_id, found.app_id, found.app_name) == (
        made.id,
        made.secrets[0].id,
        owner.id,
        "blog",
    )
    assert found.api_ids == {openai.id, stripe.id}
    assert (found.permissions, found.from_ip, found.environment) == (made.permissions, ("10.0.0.0/8",), "live")
    assert (found.expires_at, found.revoked) == (None, False)
    assert await source.key_by_hash(b"\6" * 32) is None


async def test_a_key_of_an_app_without_apis_is_found(store: SqlStore, source: SqlSnapshots) -> None:
    """An app that may use nothing has keys all the same, so that the answer is 403 and not 401."""
    owner = await add_app(store)
    await add_key(store, key(owner.id), b"\5" * 32)
    found = await source.key_by_hash(b"\5" * 32)
    assert found is not None
    assert found.api_ids == frozenset()


@pytest.mark.parametrize(
    ("key_end", "secret_end", "expected"),
    [(None, None, None), (60, None, 60), (None, 90, 90), (60, 90, 60), (90, 60, 60)],
)
async def test_the_earlier_expiry_counts(
    store: SqlStore, source: SqlSnapshots, key_end: int | None, secret_end: int | None, expected: int | None
) -> None:
    """A key ends with itself or with the secret that was used, whichever is first."""
    owner = await add_app(store)
    ends = [None if end is None else later(end) for end in (key_end, secret_end)]
    await add_key(store, key(owner.id, expires_at=ends[0], secrets=(secret(expires_at=ends[1]),)), b"\5" * 32)
    found = await source.key_by_hash(b"\5" * 32)
    assert found is not None
    assert found.expires_at == (None if expected is None else pytest.approx(later(expected).timestamp()))


async def test_a_revoked_key_is_found_as_revoked(store: SqlStore, source: SqlSnapshots) -> None:
    """So that the answer can say so."""
    owner = await add_app(store)
    made = await add_key(store, key(owner.id), b"\5" * 32)
    async with store.write(OWNER) as tx:
        await tx.keys.revoke(made.id, NOW)
        await tx.audit.add(KeyRevoked(made.id, app="blog", redacted="tl_…"))
    found = await source.key_by_hash(b"\5" * 32)
    assert found is not None
    assert found.revoked


async def test_both_secrets_of_a_rotated_key_find_it(store: SqlStore, source: SqlSnapshots) -> None:
    """During the overlap either works; each has its own end."""
    owner = await add_app(store)
    made = await add_key(store, key(owner.id), b"\5" * 32)
    async with store.write(OWNER) as tx:
        await tx.keys.rotate(made.id, secret(), b"\6" * 32, later(60))
        await tx.audit.add(KeyRevoked(made.id, app="blog", redacted="tl_…"))
    old, new = await source.key_by_hash(b"\5" * 32), await source.key_by_hash(b"\6" * 32)
    assert old is not None
    assert new is not None
    assert (old.key_id, new.key_id) == (made.id, made.id)
    assert (old.expires_at, new.expires_at) == (later(60).timestamp(), None)


async def test_changes_are_read_from_where_one_stopped(store: SqlStore, source: SqlSnapshots) -> None:
    """What follows a version, in order, and nothing after the last."""
    first, second = await add_app(store), await add_app(store, app("shop"))
    everything = await source.changes_since(0)
    assert [(change.kind, change.ref) for change in everything] == [("app", first.id), ("app", second.id)]
    assert await source.changes_since(everything[0].version) == everything[1:]
    assert await source.changes_since(await source.version()) == []


async def test_a_reader_who_slept_too_long_is_told(
    store: SqlStore, source: SqlSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the log is shortened past a version, asking from there raises TooOld; from the kept part it does not."""
    monkeypatch.setattr(changes_module, "KEPT", 3)
    await add_app(store)
    slept_at = await source.version()
    for number in range(5):
        await add_app(store, app(f"app-{number}"))
    latest = await source.version()
    with pytest.raises(TooOld):
        await source.changes_since(slept_at)
    assert len(await source.changes_since(latest - 3)) == 3


async def test_the_log_keeps_ten_thousand_changes() -> None:
    """The bound that the data plane can rely on."""
    assert changes_module.KEPT == 10_000


async def test_a_version_from_the_future_is_too_old(store: SqlStore, source: SqlSnapshots) -> None:
    """A reader who has seen more than the store holds, after a backup was put back, loads everything again."""
    await add_app(store)
    with pytest.raises(TooOld):
        await source.changes_since(await source.version() + 1)


async def test_a_version_is_never_used_twice(
    database: Database, store: SqlStore, source: SqlSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shortening the log to nothing does not make numbers start again."""
    await add_app(store)
    version = await source.version()
    async with database.write() as connection:
        await connection.execute(delete(changes))
    await add_app(store, app("shop"))
    assert await source.changes_since(version) == [Change(version + 1, "app", (await _app_id(database, "shop")))]


async def _app_id(database: Database, name: str) -> str:
    async with database.read() as connection:
        return str((await connection.execute(select(apps.c.id).where(apps.c.name == name))).scalar_one())


async def test_the_first_wait_returns_at_once(source: SqlSnapshots) -> None:
    """A reader who has loaded nothing yet is not kept waiting."""
    async with asyncio.timeout(10):
        await source.wait_for_change(60)


async def test_a_change_wakes_a_reader_quickly(store: SqlStore, source: SqlSnapshots) -> None:
    """From the end of a write to the waking of a waiting reader: mostly 250 ms, always a second."""
    await source.wait_for_change(0)
    took = []
    for number in range(8):
        waiting = asyncio.create_task(source.wait_for_change(10))
        await asyncio.sleep(0.03 + number * 0.011)
        assert not waiting.done()
        await add_app(store, app(f"app-{number}"))
        async with Stopwatch() as watch:
            await waiting
        took.append(watch.seconds)
    assert sorted(took)[len(took) // 2] < 0.25
    assert max(took) < 1


async def test_a_change_made_between_two_waits_is_not_slept_through(store: SqlStore, source: SqlSnapshots) -> None:
    """What changed while the reader was busy wakes it as soon as it waits."""
    await source.wait_for_change(0)
    for number in range(3):
        await add_app(store, app(f"app-{number}"))
        async with asyncio.timeout(5):
            await source.wait_for_change(10)


async def test_records_do_not_wake_anybody(store: SqlStore, source: SqlSnapshots) -> None:
    """A worker's own batches of records move the file, but not the snapshot."""
    await source.wait_for_change(0)
    waiting = asyncio.create_task(source.wait_for_change(60))
    await source.add_records([record()])
    await asyncio.sleep(0.4)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_a_wait_ends_when_its_time_is_over(source: SqlSnapshots) -> None:
    """Nothing changed: it returns after about the seconds given."""
    await source.wait_for_change(0)
    started = time.monotonic()
    async with Stopwatch() as watch:
        await source.wait_for_change(0.3)
    assert time.monotonic() - started > 0.25
    assert watch.seconds < 1.2


async def test_another_process_wakes_this_one(url: str, database: Database, source: SqlSnapshots) -> None:
    """A write through another open database is noticed, as one from another process would be."""
    from tests.storage.rows import AUDIT_KEY
    from tieline.storage.engine import open_database

    other = await open_database(url)
    await source.wait_for_change(0)
    waiting = asyncio.create_task(source.wait_for_change(10))
    await asyncio.sleep(0.05)
    await add_app(SqlStore(other, audit_key=AUDIT_KEY))
    async with asyncio.timeout(5):
        await waiting
    await other.close()


async def test_a_lost_listener_is_replaced(postgres_url: str) -> None:
    """After PostgreSQL cut every connection, a change wakes a reader by the poll, and soon by notice again."""
    from tests.storage.rows import AUDIT_KEY
    from tieline.storage.engine import open_database
    from tieline.storage.migrate import migrate

    database = await open_database(postgres_url)
    await migrate(database)
    store, source = SqlStore(database, audit_key=AUDIT_KEY), SqlSnapshots(database, postgres_url)
    await source.wait_for_change(0)
    waiting = asyncio.create_task(source.wait_for_change(10))
    await asyncio.sleep(0.1)
    killer = await asyncpg.connect(postgres_url)
    await killer.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await killer.close()
    await add_app(store)
    async with asyncio.timeout(5):
        await waiting
    took = []
    for number in range(4):
        waiting = asyncio.create_task(source.wait_for_change(10))
        await asyncio.sleep(0.05)
        await add_app(store, app(f"app-{number}"))
        async with asyncio.timeout(5), Stopwatch() as watch:
            await waiting
        took.append(watch.seconds)
    assert min(took) < 0.5, "only the poll was heard, once a second"
    await source.close()
    await database.close()


async def test_without_notices_the_poll_finds_a_change(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that never hears anything is about a second behind."""
    from tests.storage.rows import AUDIT_KEY
    from tieline.storage.engine import open_database
    from tieline.storage.migrate import migrate

    monkeypatch.setattr(postgresql_module, "CHANNEL", "another_channel")
    database = await open_database(postgres_url)
    await migrate(database)
    source = SqlSnapshots(database, postgres_url)
    await source.wait_for_change(0)
    waiting = asyncio.create_task(source.wait_for_change(10))
    await asyncio.sleep(0.05)
    await add_app(SqlStore(database, audit_key=AUDIT_KEY))
    async with asyncio.timeout(5):
        await waiting
    await source.close()
    await database.close()


async def test_waiting_on_a_lost_server_does_not_spin(free_port: Callable[[], int]) -> None:
    """While PostgreSQL is gone, each wait takes its second and returns; the next read says that it is gone."""
    from tieline.core.errors import NotReady
    from tieline.storage.engine import _open_postgresql

    gone = f"postgresql://postgres@127.0.0.1:{free_port()}/none"
    database = _open_postgresql(gone)
    source = SqlSnapshots(database, gone)
    started = time.monotonic()
    await source.wait_for_change(0.4)
    assert time.monotonic() - started > 0.35
    with pytest.raises(NotReady):
        await source.changes_since(0)
    await source.close()
    await database.close()


async def test_a_notifier_without_a_store_keeps_quiet(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """What cannot be watched now is waited for like silence, and raises nothing."""
    nowhere = tmp_path / "none" / "tieline.db"
    for bell in (
        SqliteChangeNotifier(str(nowhere)),
        PostgresChangeNotifier(f"postgresql://postgres@127.0.0.1:{free_port()}/none"),
    ):
        started = time.monotonic()
        await bell.wait(0.25)
        assert time.monotonic() - started > 0.2
        await bell.close()


async def test_last_use_is_kept_to_the_minute_and_never_goes_back(
    database: Database, store: SqlStore, source: SqlSnapshots
) -> None:
    """A later use moves it on, an earlier one does nothing, an unknown key is ignored."""
    owner = await add_app(store)
    made = await add_key(store, key(owner.id), b"\5" * 32)
    for at in (later(150), later(30)):
        await source.touch_keys({made.id: at.timestamp(), "key_none": at.timestamp()})
    async with store.read() as rx:
        found = await rx.keys.get(made.id)
    assert found is not None
    assert found.last_used_at == later(120).replace(second=0, microsecond=0)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)  # SQLite has one writer: it takes its turn
async def test_touching_keys_never_waits_for_a_write(store: SqlStore, source: SqlSnapshots) -> None:
    """A key that a write holds is left for the next time."""
    owner = await add_app(store)
    made = await add_key(store, key(owner.id), b"\5" * 32)
    async with store.write(OWNER) as tx:
        await tx.keys.revoke(made.id, NOW)
        await tx.audit.add(AppRemoved(owner.id, name="blog"))
        async with asyncio.timeout(10):
            await source.touch_keys({made.id: later(60).timestamp()})
    async with store.read() as rx:
        found = await rx.keys.get(made.id)
    assert found is not None
    assert found.last_used_at is None


async def test_who_waits_again_has_taken_up_what_was_found(database: Database, store: SqlStore, url: str) -> None:
    """The version of a change is told as served at the next wait, not before; a push ends a wait at once."""
    served: list[int] = []
    snapshots = SqlSnapshots(database, url, served.append)
    await snapshots.wait_for_change(0)
    row = await add_api(store)
    waiting = asyncio.create_task(snapshots.wait_for_change(60))
    snapshots.push()
    await waiting
    version = (await snapshots.changes_since(0))[-1].version
    assert (row.name, served) == ("openai", [0])
    snapshots.push()
    await snapshots.wait_for_change(0)
    assert served == [0, version]
    await snapshots.close()


async def test_a_write_is_spread_before_it_is_confirmed(database: Database) -> None:
    """With its version; a write that changes nothing of what is served is not."""
    spread: list[int] = []

    async def spreading(version: int) -> None:
        spread.append(version)

    store = SqlStore(database, audit_key=AUDIT_KEY, spread=spreading)
    await add_api(store)
    async with store.write(OWNER):
        pass
    async with database.read() as connection:
        assert spread == [(await connection.execute(text("SELECT max(version) FROM changes"))).scalar_one()]


async def test_the_hashes_of_all_keys_are_read_in_parts(store: SqlStore, source: SqlSnapshots) -> None:
    """In order, those after the last of the part before; and those of single keys, of every secret."""
    owner = await add_app(store)
    made = [await add_key(store, key(owner.id), bytes([number]) * 32) for number in (9, 5, 7)]
    async with store.write(OWNER) as tx:
        await tx.keys.rotate(made[0].id, secret(), b"\6" * 32, later(60))
        await tx.audit.add(KeyRevoked(made[0].id, app="blog", redacted="tl_…"))
    first = await source.key_hashes(b"", 3)
    assert first == [b"\5" * 32, b"\6" * 32, b"\7" * 32]
    assert await source.key_hashes(first[-1], 3) == [b"\x09" * 32]
    assert await source.key_hashes(b"\xff" * 32, 3) == []
    assert sorted(await source.hashes_of_keys([made[0].id, made[1].id])) == [b"\5" * 32, b"\6" * 32, b"\x09" * 32]
    assert await source.hashes_of_keys([]) == []
