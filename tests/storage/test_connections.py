"""Tokens at rest: whose turn it is to renew one, what a renewal keeps, and what goes with an API or an app."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.storage.rows import NOW, OWNER, add_api, add_app, api, app, later, sealed
from tieline.audit.events import ApiRemoved, AppRemoved, ConnectionRemoved
from tieline.core.ids import new_id
from tieline.core.pages import PageRequest
from tieline.ports.apis import ApiRow
from tieline.ports.apps import AppRow
from tieline.ports.connections import ConnectionKey, Refusal, SealedConnection, SealedToken
from tieline.ports.signins import SignInRow
from tieline.storage.changes import changes_after
from tieline.storage.engine import Database
from tieline.storage.leases import SqlConnections, forget_sign_ins
from tieline.storage.schema import connection_secrets
from tieline.storage.store import SqlStore
from tieline.storage.vault import SqlDataKeys
from tieline.vault.ports import WrappedDataKey

FINGERPRINT = bytes(32)


@pytest.fixture
async def owner(store: SqlStore, database: Database) -> ApiRow:
    """An API that tokens can belong to, and a data key that they can hang on."""
    await SqlDataKeys(database).add(WrappedDataKey("dk_1", "rk_1", bytes(60), NOW, None))
    return await add_api(store, api())


@pytest.fixture
def tokens(database: Database) -> SqlConnections:
    """The data plane's side."""
    return SqlConnections(database)


def shared(owner: ApiRow) -> ConnectionKey:
    """The shared token of an API."""
    return ConnectionKey(owner.id, "live", 0, "", "")


def a_token(number: int = 1, ends: float | None = None) -> SealedToken:
    """A token with two values."""
    values = {"access": sealed(number), "refresh": sealed(number + 1)}
    return SealedToken(FINGERPRINT, values, ends, ("read", "write"), "ann@example.com")


async def renewed(tokens: SqlConnections, key: ConnectionKey, token: SealedToken) -> SealedConnection:
    """The row after a renewal."""
    before = await tokens.connection(key)
    leased = await tokens.lease(key, before.generation if before else 0, "one", 20, take_over=True)
    assert leased is not None
    assert await tokens.renewed(leased, token)
    after = await tokens.connection(key)
    assert after is not None
    return after


async def connect(store: SqlStore, whose: ConnectionKey, number: int = 1) -> str:
    """What a sign-in leaves."""
    async with store.write(OWNER) as tx:
        connection_id, generation = await tx.connections.slot(whose, OWNER.id, NOW)
        kept = SealedToken(FINGERPRINT, {"access": sealed(number)}, None, (), None)
        await tx.connections.fill(connection_id, generation, kept, NOW)
        await tx.audit.add(ConnectionRemoved(connection_id, api="openai", environment="live", app=None, user=""))
    return connection_id


async def test_only_one_of_many_gets_the_turn(tokens: SqlConnections, owner: ApiRow) -> None:
    """However many ask at once for a token that nobody has yet, one renews it and the others wait."""
    asked = await asyncio.gather(*(tokens.lease(shared(owner), 0, f"worker {n}", 20) for n in range(8)))
    assert sum(each is not None for each in asked) == 1


async def test_a_turn_that_was_not_used_ends(tokens: SqlConnections, owner: ApiRow) -> None:
    """A worker that died in the middle does not keep the others waiting for ever; who has waited takes it over."""
    assert await tokens.lease(shared(owner), 0, "dead", 1.5) is not None
    assert await tokens.lease(shared(owner), 0, "alive", 20) is None
    await asyncio.sleep(1.6)
    assert await tokens.lease(shared(owner), 0, "alive", 20) is None
    assert await tokens.lease(shared(owner), 0, "alive", 20, take_over=True) is not None


async def test_a_renewal_is_kept_whole_and_told(tokens: SqlConnections, owner: ApiRow, database: Database) -> None:
    """Values, expiry, scopes and account read back, the turn is free again, and workers hear of it."""
    ends = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    row = await renewed(tokens, shared(owner), a_token(1, ends))
    assert (row.state, row.generation, row.fingerprint, row.expires_at) == ("active", 1, FINGERPRINT, ends)
    assert (row.scopes, row.account) == (("read", "write"), "ann@example.com")
    assert row.secrets == {"access": sealed(1), "refresh": sealed(2)}
    async with database.read() as connection:
        assert [each.ref for each in await changes_after(connection, 0) if each.kind == "connection"] == [row.id]
    assert await tokens.lease(shared(owner), 1, "two", 20) is not None


async def test_the_next_token_is_told_apart_from_another_account(
    tokens: SqlConnections, owner: ApiRow, database: Database
) -> None:
    """What was answered with the connection stays its user's when a token is renewed or does not come for now.

    A token of another client, and an end that only a person can mend, are changes of the connection itself.
    """
    row = await renewed(tokens, shared(owner), a_token(1))
    await renewed(tokens, shared(owner), a_token(3))
    await renewed(tokens, shared(owner), replace(a_token(5), fingerprint=b"o" * 32))
    for final in (False, True):
        leased = await tokens.lease(shared(owner), 3, "one", 20)
        assert leased is not None
        await tokens.refused(leased, "one", Refusal("No.", final=final, pause=1, fingerprint=FINGERPRINT))
    async with database.read() as connection:
        found = [each.kind for each in await changes_after(connection, 0) if each.ref == row.id]
    assert found == ["connection", "token", "connection", "token", "connection"]


async def test_what_an_issuer_says_is_made_to_fit(tokens: SqlConnections, owner: ApiRow) -> None:
    """No token is lost over an endless list of scopes, an odd account name or a date that has no form."""
    odd = SealedToken(FINGERPRINT, {"access": sealed()}, 1e300, ("\0" * 500,) * 500, "ann\0\ud800" * 100)
    row = await renewed(tokens, shared(owner), odd)
    assert (row.expires_at, len(row.scopes)) == (None, 100)
    assert row.account is not None
    assert row.account.startswith("ann")


async def test_the_generation_before_stays_and_no_older_one(
    tokens: SqlConnections, owner: ApiRow, database: Database
) -> None:
    """A rotated refresh token is forgotten only when the one after it has proved to work."""
    for number in (1, 3, 5):
        row = await renewed(tokens, shared(owner), a_token(number))
    assert row.secrets["refresh"] == sealed(6)
    assert row.previous["refresh"] == sealed(4)
    async with database.read() as connection:
        kept = (await connection.execute(connection_secrets.select())).all()
    assert {each.generation for each in kept} == {2, 3}


async def test_who_comes_too_late_changes_nothing(tokens: SqlConnections, owner: ApiRow) -> None:
    """A worker whose turn had ended does not put its token over one that was got since."""
    slow = await tokens.lease(shared(owner), 0, "slow", 0.1)
    assert slow is not None
    await asyncio.sleep(0.2)
    row = await renewed(tokens, shared(owner), a_token(1))
    assert not await tokens.renewed(slow, a_token(3))
    assert not await tokens.refused(slow, "slow", Refusal("No.", final=True, pause=1, fingerprint=FINGERPRINT))
    assert await tokens.connection(shared(owner)) == row


async def test_a_turn_for_a_token_that_moved_on_is_refused(tokens: SqlConnections, owner: ApiRow) -> None:
    """Whoever saw the token before it was renewed is sent back to look again."""
    await renewed(tokens, shared(owner), a_token())
    assert await tokens.lease(shared(owner), 0, "late", 20) is None


@pytest.mark.parametrize(("final", "state"), [(False, "active"), (True, "reauthorization_required")])
async def test_a_refusal_is_kept_and_ends_the_turn(
    tokens: SqlConnections, owner: ApiRow, final: bool, state: str
) -> None:
    """What the issuer said, how often, and when it may be tried again; only a final one ends the connection."""
    await renewed(tokens, shared(owner), a_token())
    leased = await tokens.lease(shared(owner), 1, "one", 20)
    assert leased is not None
    assert await tokens.refused(leased, "one", Refusal("It said no.", final=final, pause=60, fingerprint=b"other"))
    row = await tokens.connection(shared(owner))
    assert row is not None
    assert (row.state, row.last_error, row.failures, row.fingerprint) == (state, "It said no.", 1, FINGERPRINT)
    assert row.retry_at is not None
    assert row.retry_at - row.updated_at == pytest.approx(60)
    assert row.secrets["refresh"] == sealed(2)


async def test_a_refusal_that_only_a_sign_in_heals_has_no_next_try(tokens: SqlConnections, owner: ApiRow) -> None:
    """Nothing is asked again by itself."""
    await renewed(tokens, shared(owner), a_token())
    leased = await tokens.lease(shared(owner), 1, "one", 20)
    assert leased is not None
    assert await tokens.refused(leased, "one", Refusal("It is over.", final=True, pause=None, fingerprint=FINGERPRINT))
    row = await tokens.connection(shared(owner))
    assert row is not None
    assert (row.state, row.retry_at) == ("reauthorization_required", None)


async def test_what_a_refusal_brought_is_kept_with_it(tokens: SqlConnections, owner: ApiRow) -> None:
    """The next refresh token, in the same transaction as why there is no token to use."""
    await renewed(tokens, shared(owner), a_token(1))
    leased = await tokens.lease(shared(owner), 1, "one", 20)
    assert leased is not None
    assert await tokens.renewed(leased, a_token(5), Refusal("Odd.", final=False, pause=60, fingerprint=FINGERPRINT))
    row = await tokens.connection(shared(owner))
    assert row is not None
    assert (row.generation, row.state, row.last_error, row.failures) == (2, "active", "Odd.", 1)
    assert (row.secrets["refresh"], row.previous["refresh"]) == (sealed(6), sealed(2))
    assert await tokens.lease(shared(owner), 2, "two", 20) is not None


async def test_a_sign_in_heals_and_passes_a_renewal_under_way(
    tokens: SqlConnections, owner: ApiRow, store: SqlStore
) -> None:
    """The token that a person just got is the one that counts, though a worker was renewing the old one."""
    await renewed(tokens, shared(owner), a_token())
    leased = await tokens.lease(shared(owner), 1, "one", 20)
    assert leased is not None
    await connect(store, ConnectionKey(owner.id, "live", 0), 7)
    assert not await tokens.renewed(leased, a_token(3))
    row = await tokens.connection(shared(owner))
    assert row is not None
    assert (row.state, row.generation, row.secrets) == ("active", 2, {"access": sealed(7)})


async def test_connections_are_told_apart_by_app_and_user(store: SqlStore, owner: ApiRow) -> None:
    """The same user name under two apps is two people; a list narrows to one of them."""
    blog, shop = await add_app(store, app("blog", owner)), await add_app(store, app("shop", owner))
    ids = [await connect(store, ConnectionKey(owner.id, "live", 0, each.id, "ann")) for each in (blog, shop)]
    again = await connect(store, ConnectionKey(owner.id, "live", 0, blog.id, "ann"))
    assert again == ids[0] != ids[1]
    async with store.read() as rx:
        page = await rx.connections.list(PageRequest(), owner.id, shop.id)
        assert [(each.id, each.api, each.app) for each in page.items] == [(ids[1], "openai", "shop")]
        assert len((await rx.connections.list(PageRequest())).items) == 2
        assert (await rx.data_keys.list())[0].secrets == 3


async def test_an_app_takes_its_connections_with_it(store: SqlStore, owner: ApiRow) -> None:
    """And its sign-ins that are on their way; the shared connection stays."""
    blog = await add_app(store, app("blog", owner))
    await connect(store, ConnectionKey(owner.id, "live", 0, blog.id, "ann"))
    kept = await connect(store, ConnectionKey(owner.id, "live", 0))
    sign_in = await add_sign_in(store, owner, blog)
    async with store.write(OWNER) as tx:
        await tx.apps.remove(blog.id)
        await tx.audit.add(AppRemoved(blog.id, name=blog.name))
    async with store.read() as rx:
        assert [each.id for each in (await rx.connections.list(PageRequest())).items] == [kept]
        assert await rx.sign_ins.get(sign_in.id) is None


async def test_an_api_takes_its_connections_with_it(store: SqlStore, owner: ApiRow, database: Database) -> None:
    """Their sealed values included."""
    await connect(store, ConnectionKey(owner.id, "live", 0))
    async with store.write(OWNER) as tx:
        await tx.apis.remove(owner.id)
        await tx.audit.add(ApiRemoved(owner.id, name=owner.name))
    async with database.read() as connection:
        assert (await connection.execute(connection_secrets.select())).all() == []


async def test_a_connection_is_removed_with_its_token(store: SqlStore, owner: ApiRow, tokens: SqlConnections) -> None:
    """Workers hear of it by its id."""
    connection_id = await connect(store, ConnectionKey(owner.id, "live", 0))
    async with store.write(OWNER) as tx:
        await tx.connections.remove(connection_id)
        await tx.audit.add(ConnectionRemoved(connection_id, api="openai", environment="live", app=None, user=""))
    assert await tokens.connection(shared(owner)) is None


async def add_sign_in(store: SqlStore, owner: ApiRow, of: AppRow | None = None, link: bytes = bytes(32)) -> SignInRow:
    """A sign-in that a link leads to."""
    whose = ConnectionKey(owner.id, "live", 0, of.id, "ann") if of else ConnectionKey(owner.id, "live", 0)
    app_name = of.name if of else None
    at = NOW, OWNER.id, later(600)
    row = SignInRow(new_id("sgn"), whose, owner.name, app_name, *at, return_to="https://app.example/done")
    async with store.write(OWNER) as tx:
        await tx.sign_ins.add(row, link)
    return row


async def test_a_sign_in_is_found_by_its_link_and_then_by_its_state(store: SqlStore, owner: ApiRow) -> None:
    """What the scheme keeps, and the browser's mark, read back; it is used once."""
    row = await add_sign_in(store, owner)
    begun = replace(row, fingerprint=FINGERPRINT, browser_hash=b"b" * 32, context=sealed(9))
    async with store.write(OWNER) as tx:
        assert await tx.sign_ins.by_link(bytes(32)) == row
        await tx.sign_ins.begin(begun, b"s" * 32)
    async with store.write(OWNER) as tx:
        assert await tx.sign_ins.by_state(b"s" * 32) == begun
        assert await tx.sign_ins.remove(row.id)
        assert not await tx.sign_ins.remove(row.id)


@pytest.mark.parametrize("by", ["the next sign-in", "the hourly look"])
async def test_expired_sign_ins_are_forgotten(store: SqlStore, owner: ApiRow, database: Database, by: str) -> None:
    """Only those, with what they keep sealed."""
    row = await add_sign_in(store, owner)
    for seconds in (599, 600):
        if by == "the hourly look":
            await forget_sign_ins(database, later(seconds).timestamp())
        else:
            async with store.write(OWNER) as tx:
                await tx.sign_ins.forget(later(seconds))
        async with store.read() as rx:
            assert (await rx.sign_ins.get(row.id) is None) is (seconds == 600)
