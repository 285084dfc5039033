"""Tokens that issuers give: got once, shared by all who ask, renewed in time and one at a time, kept before use.

Two ``TokenSessions`` over one store are two workers; the issuer is real and on loopback.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.wire.issuer import Bound, Issuer, Loopback, issuing
from tests.wire.tokens import Clock, Vaulted, planned
from tieline.core.errors import (
    ConnectionRequired,
    DestinationNotAllowed,
    NotReady,
    ReauthorizationRequired,
    TielineError,
    UpstreamError,
    UpstreamFailed,
)
from tieline.core.secret import Secret
from tieline.dataplane.attempt.prepare import Preparer
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens.holder import SHARED, Holder
from tieline.ports.connections import ConnectionKey
from tieline.ports.snapshot import Change
from tieline.schemes.base import Applier
from tieline.schemes.flow import Renewal, Token
from tieline.schemes.signal import Signal
from tieline.testing.connections import MemoryConnections
from tieline.vault.keyring import Keyring

ANN = Holder("app_1", "ann")


class Bench(Vaulted):
    """An API whose scheme is the tests' own, and an issuer, with the store and its workers."""

    def __init__(self, issuer: Issuer, keyring: Keyring, plan: Plan) -> None:
        self.issuer = issuer
        super().__init__(keyring, plan, Clock(), MemoryConnections())

    def renewal(self, *, secret: str = "not-real", client: str = "me", **options: Any) -> Renewal:
        """The scheme with its options and credential."""
        values = {"client": Secret.from_text(client), "secret": Secret.from_text(secret)}
        return Renewal(Loopback(), {"url": self.issuer.url, **options}, values, 0, Signal())

    def sign_in(self, renewal: Renewal, holder: Holder = SHARED) -> None:
        """What a person's sign-in leaves in the store."""
        grant = self.issuer.grant()
        values = {name: grant[name] for name in ("access", "refresh")}
        self.keep(renewal, values, grant["expires_in"], holder)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Everything that a test plays with."""
    async with planned() as (keyring, plan), issuing() as issuer:
        yield Bench(issuer, keyring, plan)


def access(applier: Applier) -> bytes:
    """The token that an applier holds."""
    assert isinstance(applier, Bound)
    return applier.token.values["access"].reveal_bytes()


async def until(true: Callable[[], bool]) -> None:
    """Wait for what happens in the background."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  nobody is told
            await asyncio.sleep(0.01)


async def test_many_at_once_cost_one_token(bench: Bench) -> None:
    """However many requests of however many workers need the first token, the issuer is asked once."""
    renewal, workers = bench.renewal(), [bench.worker(), bench.worker()]
    asked = [worker.ready(bench.plan, renewal, SHARED) for worker in workers for _ in range(25)]
    assert len({access(applier) for applier in await asyncio.gather(*asked)}) == 1
    assert bench.issuer.given == 1


async def test_many_at_once_cost_one_look_into_the_store(bench: Bench) -> None:
    """One task of a worker serves everybody who waits."""
    renewal, worker = bench.renewal(sign_in=True), bench.worker()
    bench.sign_in(renewal)
    await asyncio.gather(*(worker.ready(bench.plan, renewal, SHARED) for _ in range(25)))
    assert bench.store.reads == 1


async def test_a_token_is_used_until_it_is_due(bench: Bench) -> None:
    """Then it is renewed in the background while the old one is still used, and the new one follows."""
    worker, renewal = bench.worker(), bench.renewal()
    first = await worker.ready(bench.plan, renewal, SHARED)
    bench.clock.ahead = 3500
    assert worker.current(bench.plan, renewal, SHARED) is first
    bench.clock.ahead = 3545
    assert worker.current(bench.plan, renewal, SHARED) is first
    await until(lambda: worker.current(bench.plan, renewal, SHARED) is not first)
    assert bench.issuer.asked[-1]["grant"] == "refresh"
    assert bench.issuer.given == 2


async def test_an_expired_token_is_waited_for(bench: Bench) -> None:
    """Nobody is given a token that the API will refuse."""
    worker, renewal = bench.worker(), bench.renewal()
    first = await worker.ready(bench.plan, renewal, SHARED)
    bench.clock.ahead = 3600
    assert worker.current(bench.plan, renewal, SHARED) is None
    assert access(await worker.ready(bench.plan, renewal, SHARED)) != access(first)


async def test_fifty_calls_on_an_expired_token_cost_one_refresh(bench: Bench) -> None:
    """Over two workers, too: the one that is late reads what the other got."""
    renewal, workers = bench.renewal(), [bench.worker(), bench.worker()]
    for worker in workers:
        await worker.ready(bench.plan, renewal, SHARED)
    bench.clock.ahead = 3600
    asked = [worker.ready(bench.plan, renewal, SHARED) for worker in workers for _ in range(25)]
    assert len({access(applier) for applier in await asyncio.gather(*asked)}) == 1
    assert bench.issuer.given == 2


async def test_a_new_token_is_kept_before_it_is_used(bench: Bench) -> None:
    """While the store is away nobody gets it; when it is back, it is kept, with the refresh token that came with it."""
    worker, renewal = bench.worker(), bench.renewal()
    bench.issuer.hold = asyncio.Event()
    asked = asyncio.create_task(worker.ready(bench.plan, renewal, SHARED))
    await until(lambda: len(bench.issuer.asked) == 1)
    bench.store.away = True
    bench.issuer.hold.set()
    await until(lambda: bench.issuer.given == 1)
    await asyncio.sleep(0.1)
    assert not asked.done()
    bench.store.away = False
    await asked
    assert bench.store.rows[bench.key()].generation == 1


async def test_a_worker_that_died_in_the_middle_is_taken_over_from(bench: Bench) -> None:
    """When its turn has ended, another refreshes with the token that is kept; nothing is lost."""
    renewal = bench.renewal(sign_in=True)
    bench.sign_in(renewal)
    bench.clock.ahead = 3600
    row = bench.store.rows[bench.key()]
    assert await bench.store.lease(row.key, row.generation, "worker that died", 0.5) is not None
    applier = await bench.worker().ready(bench.plan, renewal, SHARED)
    assert access(applier).decode() in bench.issuer.access
    assert bench.store.rows[bench.key()].generation == 2


async def test_nobody_signed_in_yet(bench: Bench) -> None:
    """The answer says who must do what, and nothing is written for a user that somebody named."""
    renewal = bench.renewal(sign_in=True)
    with pytest.raises(ConnectionRequired, match="tieline connection sign-in api"):
        await bench.worker().ready(bench.plan, renewal, SHARED)
    with pytest.raises(ConnectionRequired, match="connect link"):
        await bench.worker().ready(bench.plan, renewal, ANN)
    assert bench.store.rows == {}


async def test_a_user_of_another_app_is_another_user(bench: Bench) -> None:
    """The same name under another app finds nothing."""
    renewal, worker = bench.renewal(sign_in=True), bench.worker()
    bench.sign_in(renewal, ANN)
    await worker.ready(bench.plan, renewal, ANN)
    with pytest.raises(ConnectionRequired):
        await worker.ready(bench.plan, renewal, Holder("app_2", "ann"))
    with pytest.raises(ConnectionRequired):
        await worker.ready(bench.plan, renewal, SHARED)


async def test_a_user_without_a_connection_has_the_shared_one_renewed(bench: Bench) -> None:
    """Where it may stand in, it does so too when the API refuses it; the user's own is never put in its place."""
    renewal, worker = bench.renewal(sign_in=True, connections="per_user_or_shared"), bench.worker()
    plan, preparer = replace(bench.plan, auth=(renewal,)), Preparer(worker)
    bench.sign_in(renewal)
    (stale,) = await preparer.appliers(plan, ANN)
    await preparer.renew(plan, (stale,), ANN)
    (fresh,) = await preparer.appliers(plan, ANN)
    assert access(fresh) != access(stale)
    assert bench.issuer.asked[-1]["grant"] == "refresh"
    assert list(bench.store.rows) == [bench.key()]


async def test_a_revoked_token_needs_a_person_and_a_sign_in_heals_it(bench: Bench) -> None:
    """The issuer is not asked again until then."""
    renewal, worker = bench.renewal(sign_in=True), bench.worker()
    bench.sign_in(renewal)
    stale = await worker.ready(bench.plan, renewal, SHARED)
    bench.issuer.revoke()
    for _ in range(3):
        with pytest.raises(ReauthorizationRequired, match=r"invalid_grant.*sign-in api"):
            await worker.renew(bench.plan, renewal, SHARED, stale)
        worker.changed([Change(1, "connection", bench.store.rows[bench.key()].id)])
    assert len(bench.issuer.asked) == 1
    assert bench.store.rows[bench.key()].state == "reauthorization_required"
    bench.sign_in(renewal)
    assert access(await worker.ready(bench.plan, renewal, SHARED)).decode() in bench.issuer.access


async def test_a_failing_issuer_is_left_alone_for_a_while(bench: Bench) -> None:
    """A request gets its error at once; the pause grows with each failure and is the same for every worker."""
    renewal, workers = bench.renewal(), [bench.worker(), bench.worker()]
    bench.issuer.status = 500
    for worker in workers * 3:
        with pytest.raises(UpstreamError, match="broken"):
            await worker.ready(bench.plan, renewal, SHARED)
    assert len(bench.issuer.asked) == 1
    bench.clock.ahead = 2.5
    with pytest.raises(UpstreamError, match="broken"):
        await workers[0].ready(bench.plan, renewal, SHARED)
    assert len(bench.issuer.asked) == 2
    assert bench.store.rows[bench.key()].failures == 2
    bench.issuer.status, bench.clock.ahead = 200, 10.0
    assert access(await workers[1].ready(bench.plan, renewal, SHARED)).decode() in bench.issuer.access


async def test_an_answer_that_nobody_foresaw_ends_the_turn_too(bench: Bench) -> None:
    """The request gets 502 and the log the error; the next try is not kept waiting for the turn to end by itself."""
    renewal, worker = bench.renewal(), bench.worker()
    bench.issuer.odd = {}
    with pytest.raises(UpstreamFailed, match="log of the server"):
        await worker.ready(bench.plan, renewal, SHARED)
    assert bench.store.turns == {}
    assert bench.store.rows[bench.key()].failures == 1
    bench.issuer.odd, bench.clock.ahead = None, 61
    await worker.ready(bench.plan, renewal, SHARED)


async def test_users_whom_nobody_knows_are_looked_up_a_few_at_a_time(bench: Bench) -> None:
    """An app that makes names up does not take the store's connections from the others."""
    renewal, worker = bench.renewal(sign_in=True), bench.worker()
    asked = [worker.ready(bench.plan, renewal, Holder("app_1", f"user {n}")) for n in range(50)]
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(each, ConnectionRequired) for each in told)
    assert bench.store.most <= 3


async def test_an_old_token_is_used_on_while_the_issuer_fails(bench: Bench) -> None:
    """Until it ends: a short outage of the issuer is nobody's business."""
    worker, renewal = bench.worker(), bench.renewal()
    first = await worker.ready(bench.plan, renewal, SHARED)
    bench.issuer.status, bench.clock.ahead = 500, 3560
    assert worker.current(bench.plan, renewal, SHARED) is first
    await until(lambda: bench.store.rows[bench.key()].failures == 1)
    for _ in range(20):
        assert worker.current(bench.plan, renewal, SHARED) is first
    assert len(bench.issuer.asked) == 2


async def test_a_renewal_that_another_made_is_not_made_again(bench: Bench) -> None:
    """Fifty requests are refused with the same old token; one renews it, the others get the new one."""
    renewal, workers = bench.renewal(), [bench.worker(), bench.worker()]
    stale = [await worker.ready(bench.plan, renewal, SHARED) for worker in workers]
    asked = [
        worker.renew(bench.plan, renewal, SHARED, old)
        for worker, old in zip(workers, stale, strict=True)
        for _ in range(25)
    ]
    assert len({access(applier) for applier in await asyncio.gather(*asked)}) == 1
    assert bench.issuer.given == 2


async def test_an_api_that_refuses_new_tokens_too_is_not_believed_again_at_once(bench: Bench) -> None:
    """Else each of its answers would cost the issuer a token."""
    worker, renewal = bench.worker(), bench.renewal()
    applier = await worker.ready(bench.plan, renewal, SHARED)
    for _ in range(5):
        applier = await worker.renew(bench.plan, renewal, SHARED, applier)
        worker.changed([Change(1, "connection", bench.store.rows[bench.key()].id)])  # as the store tells each renewal
        applier = await worker.ready(bench.plan, renewal, SHARED)
    assert bench.issuer.given == 2
    bench.clock.ahead = 11
    await worker.renew(bench.plan, renewal, SHARED, applier)
    assert bench.issuer.given == 3


async def test_a_token_that_was_dropped_meanwhile_is_renewed_all_the_same(bench: Bench) -> None:
    """The answer that refuses it comes late: it is known by what is behind it, however often it was read again."""
    worker, renewal = bench.worker(), bench.renewal()
    stale = await worker.ready(bench.plan, renewal, SHARED)
    worker.changed(None)
    again = await worker.ready(bench.plan, bench.renewal(), SHARED)
    assert access(again) == access(stale)
    assert access(await worker.renew(bench.plan, renewal, SHARED, stale)) != access(stale)
    assert bench.issuer.given == 2


async def test_a_connection_that_was_made_anew_is_not_older_than_the_one_before(bench: Bench) -> None:
    """Generations are counted in each: a request that holds a token of the removed one gets the new one's."""
    renewal, worker = bench.renewal(sign_in=True), bench.worker()
    for _ in range(3):
        bench.sign_in(renewal)
    stale = await worker.ready(bench.plan, renewal, SHARED)
    row = bench.store.rows.pop(bench.key())
    bench.sign_in(renewal)
    bench.store.rows[bench.key()] = made = replace(bench.store.rows[bench.key()], id="conn_anew")
    assert made.generation < row.generation
    worker.changed(None)
    with pytest.raises(TielineError, match="cannot be opened"):  # its values are sealed for the row that it was
        await worker.renew(bench.plan, renewal, SHARED, stale)


async def test_a_changed_client_gets_a_token_of_its_own(bench: Bench) -> None:
    """Where nobody signs in, any value of the credential counts; the old client's token is not used."""
    worker = bench.worker()
    first = await worker.ready(bench.plan, bench.renewal(), SHARED)
    again = await worker.ready(bench.plan, bench.renewal(), SHARED)
    other = await worker.ready(bench.plan, bench.renewal(secret="another-not-real"), SHARED)
    assert access(first) == access(again) != access(other)


async def test_a_changed_secret_keeps_sign_ins_and_a_changed_client_ends_them(bench: Bench) -> None:
    """A client's secret can be changed without everybody signing in again; another client is another party."""
    worker = bench.worker()
    bench.sign_in(bench.renewal(sign_in=True), ANN)
    await worker.ready(bench.plan, bench.renewal(sign_in=True, secret="another-not-real"), ANN)
    with pytest.raises(ReauthorizationRequired, match="were changed since"):
        await worker.ready(bench.plan, bench.renewal(sign_in=True, client="you"), ANN)
    assert bench.store.rows[bench.key(ANN)].state == "active"
    bench.clock.ahead = 31
    with pytest.raises(ReauthorizationRequired):
        await worker.ready(bench.plan, bench.renewal(sign_in=True, client="you"), ANN)
    assert bench.store.rows[bench.key(ANN)].state == "reauthorization_required"


@pytest.mark.parametrize("kind", ["connection", "api", "credential", "app"])
async def test_what_changed_is_read_again(bench: Bench, kind: Any) -> None:
    """A removed connection stops working for whoever has it in memory."""
    renewal, worker = bench.renewal(sign_in=True), bench.worker()
    bench.sign_in(renewal, ANN)
    await worker.ready(bench.plan, renewal, ANN)
    row = bench.store.rows.pop(bench.key(ANN))
    refs = {"connection": row.id, "api": row.key.api_id, "credential": row.key.api_id, "app": "app_1"}
    worker.changed([Change(1, "key", "key_1")])
    assert worker.current(bench.plan, renewal, ANN) is not None
    worker.changed([Change(2, kind, refs[kind])])
    assert worker.current(bench.plan, renewal, ANN) is None
    with pytest.raises(ConnectionRequired):
        await worker.ready(bench.plan, renewal, ANN)


async def test_a_token_read_before_a_change_is_not_kept_after_it(bench: Bench) -> None:
    """What was asked for before somebody signed in again does not outlive the new token."""
    worker, renewal = bench.worker(), bench.renewal()
    bench.issuer.hold = asyncio.Event()
    asked = asyncio.create_task(worker.ready(bench.plan, renewal, SHARED))
    await until(lambda: len(bench.issuer.asked) == 1)
    worker.changed(None)
    bench.issuer.hold.set()
    await asked
    assert worker.current(bench.plan, renewal, SHARED) is None


async def test_the_issuer_is_asked_only_where_the_credential_may_go(bench: Bench) -> None:
    """A token address that the credential is not bound to is refused before a connection is made."""
    plan = replace(bench.plan, exit=replace(bench.plan.exit, hosts=("api.example.com",)))
    with pytest.raises(DestinationNotAllowed, match="not bound"):
        await bench.worker().ready(plan, bench.renewal(), SHARED)
    assert bench.issuer.heads == []


async def test_a_token_that_does_not_open_says_so(bench: Bench) -> None:
    """A row moved to another user's place gives nothing."""
    renewal, worker = bench.renewal(sign_in=True), bench.worker()
    bench.sign_in(renewal, ANN)
    row = bench.store.rows[bench.key(ANN)]
    bob = ConnectionKey(*row.key[:4], "bob")
    bench.store.rows[bob] = replace(row, id="conn_of_bob", key=bob)
    with pytest.raises(TielineError, match="cannot be opened"):
        await worker.ready(bench.plan, renewal, Holder("app_1", "bob"))


async def test_renewals_under_way_are_waited_for_at_the_end(bench: Bench) -> None:
    """A worker that is told to stop does not leave a rotated token behind."""
    worker, renewal = bench.worker(), bench.renewal()
    bench.issuer.hold = asyncio.Event()
    asked = asyncio.create_task(worker.ready(bench.plan, renewal, SHARED))
    await until(lambda: len(bench.issuer.asked) == 1)
    closing = asyncio.create_task(worker.close(5))
    bench.issuer.hold.set()
    await closing
    assert bench.store.rows[bench.key()].generation == 1
    await asked


async def test_whoever_waits_for_another_worker_does_not_hold_up_the_end(bench: Bench) -> None:
    """Its turn is not this worker's business."""
    worker, renewal = bench.worker(), bench.renewal()
    assert await bench.store.lease(bench.key(), 0, "another worker", 20) is not None
    asked = asyncio.create_task(worker.ready(bench.plan, renewal, SHARED))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        await worker.close(20)
        with pytest.raises(asyncio.CancelledError):
            await asked


async def test_a_store_that_is_away_is_told_as_such(bench: Bench) -> None:
    """And not as the issuer's fault."""
    bench.store.away = True
    with pytest.raises(NotReady):
        await bench.worker().ready(bench.plan, bench.renewal(), SHARED)


async def test_a_tokens_connection_is_known(bench: Bench) -> None:
    """What was answered with a token is dropped when its connection changes; a stranger's token has none here."""
    sessions, renewal = bench.worker(), bench.renewal()
    applier = await sessions.ready(bench.plan, renewal, SHARED)
    assert sessions.connection_of(applier) == bench.store.rows[bench.key()].id
    assert sessions.connection_of(Bound(Token({}))) is None
