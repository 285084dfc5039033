"""The control plane's store: one write is one transaction, and each resource reads back what was written."""

import asyncio
import dataclasses
from collections.abc import Callable

import pytest
from sqlalchemy import select

from tests.storage.rows import (
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
    sealed,
    secret,
    token,
)
from tieline.access.caller import Role
from tieline.audit.events import (
    ApiChanged,
    ApiRemoved,
    AppChanged,
    AppRemoved,
    CredentialActivated,
    CredentialRetired,
    KeyRevoked,
    TokenCreated,
)
from tieline.core.errors import NotReady
from tieline.core.pages import PageRequest
from tieline.ports.apis import ApiRow
from tieline.ports.snapshot import Change
from tieline.storage.changes import changes_after
from tieline.storage.engine import Database
from tieline.storage.schema import admin_tokens, apis, audit, changes, key_secrets, secrets
from tieline.storage.store import SqlStore
from tieline.storage.vault import SqlDataKeys
from tieline.vault.ports import WrappedDataKey


@pytest.fixture
async def vault(database: Database) -> None:
    """A data key that secrets can hang on."""
    await SqlDataKeys(database).add(WrappedDataKey("dk_1", "rk_1", bytes(60), NOW, None))


async def noted(database: Database, after: int = 0) -> list[tuple[str, str]]:
    """What the change log says after a version."""
    async with database.read() as connection:
        return [(change.kind, change.ref) for change in await changes_after(connection, after)]


async def test_a_write_keeps_change_event_and_notice_together(database: Database, store: SqlStore) -> None:
    """After a write the row, its audit event and its change are all there."""
    row = await add_api(store)
    async with store.read() as rx:
        assert await rx.apis.get("openai") == row
        events = (await rx.audit.list(PageRequest())).items
    assert [(event.actor, event.kind, event.target) for event in events] == [
        ("token:tok_of_the_tests", "api.added", row.id)
    ]
    assert await noted(database) == [("api", row.id)]


async def test_a_write_that_fails_keeps_none_of_them(database: Database, store: SqlStore) -> None:
    """A use case that raises after its changes leaves no row, no event and no change."""
    with pytest.raises(ZeroDivisionError):
        async with store.write(OWNER) as tx:
            await tx.apis.add(api())
            await tx.audit.add(ApiRemoved("api_1", name="openai"))
            raise ZeroDivisionError
    async with database.read() as connection:
        for table in (apis, audit, changes):
            assert (await connection.execute(select(table))).all() == []


async def test_a_write_without_an_audit_event_is_refused(database: Database, store: SqlStore) -> None:
    """Changing something silently is a bug that cannot reach the store."""
    with pytest.raises(RuntimeError, match="audit event"):
        async with store.write(OWNER) as tx:
            await tx.apis.add(api())
    assert await noted(database) == []


async def test_writes_take_turns(store: SqlStore) -> None:
    """Two use cases that read, think and write do so one after the other: no update is lost."""
    row = await add_api(store)

    async def raise_revision() -> None:
        async with store.write(OWNER) as tx:
            found = await tx.apis.get("openai")
            assert found is not None
            await asyncio.sleep(0.002)
            raised = dataclasses.replace(found, revision=found.revision + 1)
            await tx.apis.replace(raised)
            await tx.audit.add(ApiChanged(row.id, name="openai", revision=raised.revision))

    await asyncio.gather(*(raise_revision() for _ in range(12)))
    async with store.read() as rx:
        found = await rx.apis.get("openai")
        assert found is not None
        assert found.revision == 13
        assert (await rx.audit.verify()).breaks == []


async def test_an_api_name_is_taken_once(store: SqlStore) -> None:
    """A second API of the same name is refused without ending the write."""
    await add_api(store)
    async with store.write(OWNER) as tx:
        assert await tx.apis.add(api()) is False
        other = api("stripe")
        assert await tx.apis.add(other) is True
        await tx.audit.add(ApiChanged(other.id, name="stripe", revision=1))


async def test_lists_come_in_pages(store: SqlStore) -> None:
    """Following ``next`` gives every API once, oldest first, and ends with None."""
    rows = [await add_api(store, api(f"api-{number}")) for number in range(5)]
    seen: list[ApiRow] = []
    after = None
    while True:
        async with store.read() as rx:
            page = await rx.apis.list(PageRequest(limit=2, after=after))
        seen += page.items
        after = page.next
        if after is None:
            break
    assert seen == sorted(rows, key=lambda row: row.id)


async def test_a_list_that_ends_with_its_page_has_no_next(store: SqlStore) -> None:
    """A page that holds all there is does not promise more."""
    await add_api(store)
    async with store.read() as rx:
        assert (await rx.apis.list(PageRequest(limit=1))).next is None


async def test_replacing_an_api_raises_what_is_read(database: Database, store: SqlStore) -> None:
    """Definition, revision and time are stored; name and creation stay."""
    row = await add_api(store)
    new = dataclasses.replace(row, definition='{"api":"openai","title":"Ü"}', revision=2, updated_at=later(60))
    async with store.write(OWNER) as tx:
        await tx.apis.replace(new)
        await tx.audit.add(ApiChanged(row.id, name="openai", revision=2))
    async with store.read() as rx:
        assert await rx.apis.get("openai") == new
    assert await noted(database, 1) == [("api", row.id)]


@pytest.mark.usefixtures("vault")
async def test_removing_an_api_takes_credentials_and_places(database: Database, store: SqlStore) -> None:
    """Its credentials, their sealed values and its places in apps go too, and each is told."""
    row = await add_api(store)
    user = await add_app(store, app("blog", row))
    await add_credential(store, credential(row.id))
    async with database.read() as connection:
        before = (await changes_after(connection, 0))[-1].version
    async with store.write(OWNER) as tx:
        await tx.apis.remove(row.id)
        await tx.audit.add(ApiRemoved(row.id, name="openai"))
    async with store.read() as rx:
        found = await rx.apps.get("blog")
        assert found is not None
        assert found.apis == {}
        assert (await rx.credentials.list(row.id, PageRequest())).items == []
    async with database.read() as connection:
        assert (await connection.execute(select(secrets))).all() == []
    assert sorted(await noted(database, before)) == [("api", row.id), ("app", user.id), ("credential", row.id)]


@pytest.mark.usefixtures("vault")
async def test_credential_versions_count_up_across_environments(store: SqlStore) -> None:
    """The next version is one more than any the API ever had, retired ones too."""
    row = await add_api(store)
    async with store.read() as rx:
        assert await rx.credentials.list(row.id, PageRequest()) is not None
    first = await add_credential(store, credential(row.id, 1, environment="development"))
    async with store.write(OWNER) as tx:
        assert await tx.credentials.next_version(row.id) == 2
        await tx.credentials.retire(first.id, NOW)
        await tx.audit.add(CredentialRetired(first.id, api="openai", environment="development", version=1))
        assert await tx.credentials.next_version(row.id) == 2


@pytest.mark.usefixtures("vault")
async def test_activating_retires_the_one_before(store: SqlStore) -> None:
    """One credential is active in an environment; the one before is retired with its values kept."""
    row = await add_api(store)
    first = await add_credential(store, credential(row.id, 1, state="active", activated_at=NOW))
    second = await add_credential(store, credential(row.id, 2))
    other = await add_credential(store, credential(row.id, 3, environment="development", state="active"))
    async with store.write(OWNER) as tx:
        await tx.credentials.activate(second.id, later(5))
        await tx.audit.add(CredentialActivated(second.id, api="openai", environment="live", version=2))
        assert [found.id for found in await tx.credentials.active(row.id)] == sorted([second.id, other.id])
        retired = await tx.credentials.get(row.id, 1)
    assert retired == dataclasses.replace(first, state="retired", retired_at=later(5), kept=True)


@pytest.mark.usefixtures("vault")
async def test_a_retired_credential_can_come_back_while_its_values_are_kept(store: SqlStore) -> None:
    """Activating the earlier version again undoes a bad change of keys."""
    row = await add_api(store)
    first = await add_credential(store, credential(row.id, 1, state="active"))
    second = await add_credential(store, credential(row.id, 2))
    async with store.write(OWNER) as tx:
        await tx.credentials.activate(second.id, later(5))
        await tx.credentials.activate(first.id, later(9))
        await tx.audit.add(CredentialActivated(first.id, api="openai", environment="live", version=1))
        assert await tx.credentials.active(row.id) == [dataclasses.replace(first, activated_at=later(9))]


@pytest.mark.usefixtures("vault")
async def test_retiring_deletes_the_sealed_values(database: Database, store: SqlStore) -> None:
    """A retired credential is still listed, says that its values are gone, and they are."""
    row = await add_api(store)
    first = await add_credential(store, credential(row.id, 1, state="active"), key=sealed(1), other=sealed(2))
    async with store.write(OWNER) as tx:
        await tx.credentials.retire(first.id, later(5))
        await tx.audit.add(CredentialRetired(first.id, api="openai", environment="live", version=1))
        found = await tx.credentials.get(row.id, 1)
    assert found is not None
    assert (found.state, found.kept) == ("retired", False)
    async with database.read() as connection:
        assert (await connection.execute(select(secrets))).all() == []


async def test_an_app_is_found_by_id_and_by_name(store: SqlStore) -> None:
    """Either finds the app with its APIs' names."""
    openai, stripe = await add_api(store), await add_api(store, api("stripe"))
    row = await add_app(store, app("blog", openai, stripe))
    async with store.read() as rx:
        assert await rx.apps.get("blog") == row
        assert await rx.apps.get(row.id) == row
        assert await rx.apps.get("shop") is None
        assert await rx.apps.using(stripe.id) == [row]
        assert (await rx.apps.list(PageRequest())).items == [row]


async def test_an_app_can_change_its_name_and_apis(database: Database, store: SqlStore) -> None:
    """What is stored takes the place of what was; a name that another app has is refused."""
    openai, stripe = await add_api(store), await add_api(store, api("stripe"))
    row = await add_app(store, app("blog", openai))
    await add_app(store, app("shop"))
    new = dataclasses.replace(row, name="news", apis={stripe.id: "stripe"})
    async with store.write(OWNER) as tx:
        assert await tx.apps.replace(dataclasses.replace(row, name="shop")) is False
        assert await tx.apps.replace(new) is True
        await tx.audit.add(AppChanged(row.id, name="news", apis=("stripe",)))
    async with store.read() as rx:
        assert await rx.apps.get("news") == new
    assert (await noted(database, 4)) == [("app", row.id)]


async def test_a_second_app_of_the_same_name_is_refused(store: SqlStore) -> None:
    """The write goes on, with nothing of the second app in it."""
    await add_app(store)
    async with store.write(OWNER) as tx:
        assert await tx.apps.add(app()) is False


async def test_removing_an_app_takes_its_keys(database: Database, store: SqlStore) -> None:
    """No key and no secret of a removed app is left."""
    row = await add_app(store)
    made = await add_key(store, key(row.id), bytes(32))
    async with store.write(OWNER) as tx:
        await tx.apps.remove(row.id)
        await tx.audit.add(AppRemoved(row.id, name=row.name))
    async with store.read() as rx:
        assert await rx.keys.get(made.id) is None
    async with database.read() as connection:
        assert (await connection.execute(select(key_secrets))).all() == []


async def test_a_key_reads_back_as_it_was_written(store: SqlStore) -> None:
    """Permissions, networks, times and the secret's redacted form are kept."""
    row = await add_app(store)
    made = await add_key(store, key(row.id, expires_at=later(3600)), bytes(32))
    async with store.read() as rx:
        assert await rx.keys.get(made.id) == made
        assert (await rx.keys.list(row.id, PageRequest())).items == [made]
        assert await rx.keys.get("key_none") is None


async def test_changing_a_key_leaves_its_secret(store: SqlStore) -> None:
    """Name, permissions, expiry and networks change; the secret does not."""
    row = await add_app(store)
    made = await add_key(store, key(row.id), bytes(32))
    new = dataclasses.replace(
        made, name="second", permissions={"mode": "read_only", "grants": {}}, expires_at=later(9), from_ip=()
    )
    async with store.write(OWNER) as tx:
        await tx.keys.replace(new)
        await tx.audit.add(KeyRevoked(made.id, app="blog", redacted="tl_…"))
        assert await tx.keys.get(made.id) == new


async def test_rotation_ends_older_secrets_but_never_prolongs_one(store: SqlStore) -> None:
    """Every older secret ends at the overlap's end, or earlier where it already did."""
    row = await add_app(store)
    made = await add_key(store, key(row.id), bytes(32))
    async with store.write(OWNER) as tx:
        await tx.keys.rotate(made.id, secret(), b"\1" * 32, later(60))
        await tx.keys.rotate(made.id, secret(), b"\2" * 32, later(600))
        await tx.audit.add(KeyRevoked(made.id, app="blog", redacted="tl_…"))
        found = await tx.keys.get(made.id)
    assert found is not None
    assert [one.expires_at for one in found.secrets] == [later(60), later(600), None]


async def test_a_revoked_key_says_when(store: SqlStore) -> None:
    """Revocation is a time on the key."""
    row = await add_app(store)
    made = await add_key(store, key(row.id), bytes(32))
    async with store.write(OWNER) as tx:
        await tx.keys.revoke(made.id, later(1))
        await tx.audit.add(KeyRevoked(made.id, app="blog", redacted="tl_…"))
        assert await tx.keys.get(made.id) == dataclasses.replace(made, revoked_at=later(1))


async def test_a_token_is_found_by_its_hash(store: SqlStore) -> None:
    """By hash, by id and in the list it is the same token, and a wrong hash finds none."""
    row = token()
    async with store.write(OWNER) as tx:
        await tx.tokens.add(row, b"\7" * 32)
        await tx.audit.add(TokenCreated(row.id, name="ci", role="owner"))
    async with store.read() as rx:
        assert await rx.tokens.by_hash(b"\7" * 32) == row
        assert await rx.tokens.by_hash(b"\6" * 32) is None
        assert await rx.tokens.get(row.id) == row
        assert (await rx.tokens.list(PageRequest())).items == [row]


async def test_only_good_owner_tokens_count_as_owners(store: SqlStore) -> None:
    """Revoked, expired and lesser tokens do not keep the door open."""
    rows = [token(), token(expires_at=later(10)), token(expires_at=later(-1)), token(Role.EDITOR), token()]
    async with store.write(OWNER) as tx:
        for number, row in enumerate(rows):
            await tx.tokens.add(row, bytes([number]) * 32)
        await tx.tokens.revoke(rows[-1].id, NOW)
        await tx.audit.add(TokenCreated(rows[0].id, name="ci", role="owner"))
        assert await tx.tokens.owners(NOW) == 2
        assert await tx.tokens.owners(later(10)) == 1


async def test_touching_a_token_needs_no_audit_event(database: Database, store: SqlStore) -> None:
    """Its last use is noted and nothing else."""
    row = token()
    async with store.write(OWNER) as tx:
        await tx.tokens.add(row, b"\7" * 32)
        await tx.audit.add(TokenCreated(row.id, name="ci", role="owner"))
    await store.touch_token(row.id, later(60))
    async with database.read() as connection:
        assert (await connection.execute(select(admin_tokens.c.last_used_at))).scalar() == later(60)


async def test_a_closed_store_is_not_reachable(free_port: Callable[[], int]) -> None:
    """Whether the store answers is known, not guessed."""
    from tieline.storage.engine import _open_postgresql

    gone = _open_postgresql(f"postgresql://postgres@127.0.0.1:{free_port()}/none")
    assert not await SqlStore(gone, audit_key=b"").reachable()
    with pytest.raises(NotReady):
        async with SqlStore(gone, audit_key=b"").read():
            pass
    await gone.close()


async def test_a_reachable_store_answers(store: SqlStore) -> None:
    """The open store is reachable."""
    assert await store.reachable()


async def test_versions_are_committed_in_order(database: Database, store: SqlStore) -> None:
    """While writers race, a reader that has seen a version has seen every one before it."""
    seen: list[Change] = []
    done = False

    async def follow() -> None:
        while not done or not seen or len(seen) < 24:
            async with database.read() as connection:
                seen.extend(await changes_after(connection, seen[-1].version if seen else 0))
            await asyncio.sleep(0)

    follower = asyncio.create_task(follow())
    await asyncio.gather(*(add_app(store, app(f"app-{number}")) for number in range(24)))
    done = True
    async with asyncio.timeout(10):
        await follower
    assert len({change.ref for change in seen}) == 24
