"""When a token is over: a clear no of its issuer, and nothing else. What an issuer gave is kept whatever else fails.

Each test is a situation that somebody has reported of a product which keeps tokens.
"""

import asyncio
import gzip
import time
from typing import Any

import pytest

from tests.wire.oauth_issuer import FIREWALL, Workplace, granted, reply, workplace
from tieline.core.errors import ReauthorizationRequired, UpstreamFailed
from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.dataplane.tokens import issuers, renewal
from tieline.dataplane.tokens.holder import SHARED
from tieline.dataplane.tokens.sessions import TokenSessions
from tieline.ports.snapshot import Change
from tieline.schemes.base import Applier, Outgoing
from tieline.schemes.flow import Renewal
from tieline.schemes.login.scheme import Login


def token_of(applier: Applier | None) -> str | None:
    """The token that an applier sends, None for none."""
    if applier is None:
        return None
    outgoing = Outgoing(b"GET", b"/", b"", [], Origin("http", "127.0.0.1", 80))
    applier.apply(outgoing)
    return outgoing.headers[0][1].decode().removeprefix("Bearer ")


async def used(place: Workplace, worker: TokenSessions, said: Renewal) -> str | None:
    """The token that a request gets; a renewal that it starts has ended, and the worker has heard of it."""
    before = place.row
    token = await ready(place, worker, said)
    under_way = [task for task in asyncio.all_tasks() if "TokenSessions" in str(task.get_coro())]
    if under_way:
        await asyncio.wait(under_way, timeout=30)
    if place.row is not before:
        worker.changed([Change(1, "connection", place.row.id)])
    return token


async def ready(place: Workplace, worker: TokenSessions, said: Renewal) -> str | None:
    """The token that a request gets."""
    return token_of(await worker.ready(place.plan, said, SHARED))


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_firewall_in_place_of_the_issuer_passes(status: int) -> None:
    """Its page says nothing of the grant: the token is used to its end, and the issuer is asked again."""
    async with workplace(reply(FIREWALL, status), granted()) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, 60.0)
        assert await used(place, worker, said) == "first"
        place.clock.ahead += 58
        assert await used(place, worker, said) == "first"
        assert (place.row.state, place.row.failures) == ("active", 1)
        assert await used(place, worker, said) == "first"
        place.clock.ahead += 2
        assert await ready(place, worker, said) == "fresh"


async def test_a_firewall_after_the_end_is_a_failure_of_the_moment() -> None:
    """The request gets 502, and the next one after the pause gets its token."""
    async with workplace(reply(FIREWALL, 403), granted()) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, -1.0)
        with pytest.raises(UpstreamFailed, match="asked again"):
            await ready(place, worker, said)
        place.clock.ahead += 3
        assert await ready(place, worker, said) == "fresh"


async def test_a_revoked_refresh_token_asks_for_a_sign_in() -> None:
    """After a renewal too, when there is a token of the generation before: 424, and nobody asks the issuer again."""
    async with workplace(granted(), reply({"error": "invalid_grant"}, 400)) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, -1.0)
        assert await ready(place, worker, said) == "fresh"
        place.clock.ahead += 3600
        for _ in range(2):
            with pytest.raises(ReauthorizationRequired, match=r"invalid_grant.*sign-in api"):
                await ready(place, worker, said)
        assert [form["refresh_token"] for form in place.issuer.asked] == ["refresh-1", "refresh-2", "refresh-1"]
        assert place.row.state == "reauthorization_required"


async def test_a_refresh_token_that_is_not_rotated_is_refused_once() -> None:
    """The generation before has the same one: it is not tried again."""
    async with workplace(granted(refresh=None), reply({"error": "invalid_grant"}, 400)) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, -1.0)
        await ready(place, worker, said)
        place.clock.ahead += 3600
        with pytest.raises(ReauthorizationRequired):
            await ready(place, worker, said)
        assert len(place.issuer.asked) == 2


async def test_a_client_that_is_refused_is_not_tried_with_the_token_before() -> None:
    """It is not the token that is wrong, and its second use may cost the grant."""
    async with workplace(granted(), reply({"error": "invalid_client"}, 401)) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, -1.0)
        await ready(place, worker, said)
        place.clock.ahead += 3600
        with pytest.raises(ReauthorizationRequired):
            await ready(place, worker, said)
        assert [form["refresh_token"] for form in place.issuer.asked] == ["refresh-1", "refresh-2"]


async def test_a_renewal_that_is_refused_early_ends_nothing() -> None:
    """As Exact Online's, which renews in the last seconds only: the old token to its end, then again at once."""
    early = reply({"error": "invalid_grant"}, 400)
    async with workplace(early) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, 65.0)
        for ahead in (0.0, 59.0, 62.0, 63.0, 64.0):
            place.clock.ahead = ahead
            assert await used(place, worker, said) == "first"
        assert place.row.failures >= 2
        place.issuer.answers = [granted()]
        place.clock.ahead += 0.6
        assert await ready(place, worker, said) == "fresh"


async def test_an_early_no_does_not_send_the_refresh_token_of_before() -> None:
    """A strict issuer takes the second use of it for a theft, and revokes the token that is still good."""
    async with workplace(granted(expires_in=60), reply({"error": "invalid_grant"}, 400)) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, -1.0)
        assert await used(place, worker, said) == "fresh"
        assert await used(place, worker, said) == "fresh"
        place.clock.ahead += 58
        assert await used(place, worker, said) == "fresh"
        assert [form["refresh_token"] for form in place.issuer.asked] == ["refresh-1", "refresh-2"]


async def test_a_new_client_secret_heals_what_the_old_one_broke() -> None:
    """A client that is refused is the operator's matter: nobody signs in again when its secret was set right."""
    async with workplace(reply({"error": "invalid_client"}, 401), granted()) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, -1.0)
        with pytest.raises(ReauthorizationRequired, match=r"invalid_client.*credential set api"):
            await ready(place, worker, said)
        place.clock.ahead += 61
        assert await ready(place, worker, place.renewal(secret="the-right-one")) == "fresh"
        assert place.row.state == "active"


async def test_a_refresh_token_is_kept_though_no_token_came() -> None:
    """The answer has it, and the token is not where the definition looks: the next try uses the new one."""
    async with workplace(reply({"odd": {"token": "t"}, "refresh_token": "refresh-2"}), granted()) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, -1.0)
        with pytest.raises(UpstreamFailed):
            await ready(place, worker, said)
        place.clock.ahead += 3
        assert await ready(place, worker, said) == "fresh"
        assert [form["refresh_token"] for form in place.issuer.asked] == ["refresh-1", "refresh-2"]


async def test_a_refresh_token_that_came_alone_leaves_the_token_in_use() -> None:
    """It is still good; the new refresh token stands beside it."""
    async with workplace(reply({"refresh_token": "refresh-2"}), granted()) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, 60.0)
        assert await used(place, worker, said) == "first"
        place.clock.ahead += 58
        assert await used(place, worker, said) == "first"
        assert await used(place, worker, said) == "first"
        place.clock.ahead += 2
        assert await used(place, worker, said) == "fresh"
        assert [form["refresh_token"] for form in place.issuer.asked] == ["refresh-1", "refresh-2"]


async def test_a_refresh_token_that_came_for_the_credentials_own_is_kept() -> None:
    """There is no generation before it: it is the first, and has no token that could be used."""
    async with workplace(reply({"refresh_token": "refresh-2"}), granted()) as place:
        said = place.renewal(grant="refresh_token")
        said.secrets["refresh_token"] = Secret(b"refresh-1")  # type: ignore[index]  # the test's own mapping
        worker = place.worker()
        with pytest.raises(UpstreamFailed):
            await ready(place, worker, said)
        place.clock.ahead += 3
        assert await ready(place, worker, said) == "fresh"
        assert [form["refresh_token"] for form in place.issuer.asked] == ["refresh-1", "refresh-2"]


@pytest.mark.parametrize("refresh", ["", None])
async def test_an_answer_without_a_new_refresh_token_leaves_the_old_one(refresh: str | None) -> None:
    """Google, Zoho and many others give one at the first sign-in only (RFC 6749 section 6)."""
    async with workplace(granted("second", refresh), granted("third", refresh)) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, -1.0)
        assert await ready(place, worker, said) == "second"
        place.clock.ahead += 3600
        assert await ready(place, worker, said) == "third"
        assert [form["refresh_token"] for form in place.issuer.asked] == ["refresh-1", "refresh-1"]


async def test_a_rotated_token_takes_the_place_of_the_credentials_own() -> None:
    """A refresh token that was put by hand is good once, where the issuer rotates it."""
    async with workplace(granted("first"), granted("second", "refresh-3")) as place:
        said, worker = place.renewal(grant="refresh_token"), place.worker()
        said.secrets["refresh_token"] = Secret(b"refresh-1")  # type: ignore[index]  # the test's own mapping
        assert await ready(place, worker, said) == "first"
        place.clock.ahead += 3600
        assert await ready(place, worker, said) == "second"
        assert [form["refresh_token"] for form in place.issuer.asked] == ["refresh-1", "refresh-2"]


async def test_a_no_that_comes_after_another_token_ends_nothing() -> None:
    """Somebody signed in, or another worker was faster: what is there now is used, and nothing is noted of the no."""
    async with workplace(reply({"error": "invalid_grant"}, 400)) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, -1.0)
        place.issuer.before_answer = lambda: place.sign_in(said, 3600.0, access="of the other", refresh="refresh-9")
        assert await ready(place, worker, said) == "of the other"
        assert (place.row.state, place.row.failures) == ("active", 0)


async def test_a_token_without_an_end_is_renewed_when_the_api_refuses_it() -> None:
    """It is not thought to last for ever, nor asked for again before."""
    async with workplace(granted()) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, None)
        place.clock.ahead += 10 * 365 * 86_400
        stale = await worker.ready(place.plan, said, SHARED)
        assert (token_of(stale), place.issuer.asked) == ("first", [])
        assert token_of(await worker.renew(place.plan, said, SHARED, stale)) == "fresh"


async def test_a_byte_order_mark_before_an_answer_loses_no_token() -> None:
    """As servers on Windows write it."""
    async with workplace(reply(b'\xef\xbb\xbf{"access_token":"fresh","refresh_token":"refresh-2"}')) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, -1.0)
        assert await ready(place, worker, said) == "fresh"


async def test_an_answer_that_is_compressed_unasked_is_read() -> None:
    """Some issuers, and proxies before them, compress whatever is asked for: the rotated token must not be lost."""
    body = gzip.compress(b'{"access_token":"fresh","refresh_token":"refresh-2"}')
    async with workplace(reply(body, 200, b"Content-Encoding: gzip")) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, -1.0)
        assert await ready(place, worker, said) == "fresh"


async def test_an_issuer_that_asks_for_time_gets_it() -> None:
    """``Retry-After`` holds for all workers, though it is longer than the pause that there would be."""
    async with workplace(reply({}, 429, b"Retry-After: 120"), granted()) as place:
        said = place.renewal()
        place.sign_in(said, -1.0)
        with pytest.raises(UpstreamFailed) as error:
            await ready(place, place.worker(), said)
        assert error.value.retry_after == 120.0
        with pytest.raises(UpstreamFailed):
            await ready(place, place.worker(), said)
        assert len(place.issuer.asked) == 1


async def test_the_lease_lasts_longer_than_asking_and_storing() -> None:
    """Else another worker would use the refresh token that this one has exchanged and cannot store yet."""
    left: list[float] = []
    async with workplace(granted()) as place:
        said = place.renewal()
        place.sign_in(said, -1.0)
        place.issuer.before_answer = lambda: left.append(place.store.turns[place.key()][1] - time.monotonic())
        await ready(place, place.worker(), said)
    assert left[0] > issuers.FLOW_SECONDS + renewal.SAVE_SECONDS


async def test_a_lease_that_ran_out_while_the_store_was_away_is_not_taken_at_once() -> None:
    """Its holder may have the next token in hand: it stores that first, and nobody uses the exchanged one again."""
    async with workplace(granted()) as place:
        said = place.renewal()
        place.sign_in(said, -1.0)
        place.issuer.before_answer = lambda: setattr(place.store, "away", True)
        first = asyncio.create_task(place.worker().ready(place.plan, said, SHARED))
        async with asyncio.timeout(30):
            while not place.store.missed:  # noqa: ASYNC110  # nobody is told
                await asyncio.sleep(0.01)
        place.store.turns[place.key()] = (place.store.turns[place.key()][0], time.monotonic() - 1)
        place.store.away = False
        assert token_of(await place.worker().ready(place.plan, said, SHARED)) == "fresh"
        assert token_of(await first) == "fresh"
        assert len(place.issuer.asked) == 1


async def test_a_token_that_waits_for_the_store_is_not_asked_for_twice() -> None:
    """Storing goes on when those who waited were told that the store is away; when it is back, the token is there."""
    async with workplace(granted()) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, -1.0)
        place.issuer.before_answer = lambda: setattr(place.store, "away", True)
        asked = [asyncio.create_task(worker.ready(place.plan, said, SHARED)) for _ in range(2)]
        await place.issuer.was_asked.wait()
        asked[0].cancel()
        place.store.away = False
        assert token_of(await asked[1]) == "fresh"
        assert len(place.issuer.asked) == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"expires_in": "3600.5"},
        {"expires_in": None},
        {"expires_in": [3600]},
        {"expires_in": {"seconds": 1}},
        {"expires_in": 10**18},
        {"expires_in": 1e300},
        {"expires_in": -1},
        {"expires_in": "99999999999"},
        {"token_type": None},
        {"token_type": ["bearer"]},
        {"token_type": {"a": 1}},
        {"scope": {"a": 1}},
        {"scope": [["a"], None]},
        {"refresh_token": {"a": 1}},
        {"refresh_token": "x" * 70_000},
        {"refresh_token": 7},
        {"error": {"type": ["x"]}},
    ],
    ids=str,
)
async def test_whatever_stands_in_an_answer_the_token_is_used(odd: dict[str, Any]) -> None:
    """Members of another kind mean nothing; they break no request."""
    async with workplace(granted(**odd)) as place:
        said, worker = place.renewal(), place.worker()
        place.sign_in(said, -1.0)
        assert await ready(place, worker, said) == "fresh"


async def test_a_login_whose_cookies_are_too_large_to_keep_is_a_failure_of_the_moment() -> None:
    """The turn ends with it, and the request is told."""
    cookies = [b"Set-Cookie: c%d=%b" % (n, b"x" * 2_000) for n in range(40)]
    async with workplace(reply({}, 200, *cookies[:20]), reply({}, 200, *cookies[20:])) as place:
        login = {"steps": [{"url": f"http://127.0.0.1:{place.issuer.port}/"}] * 2, "cookies": True}
        scheme = Login()
        assert scheme.check(login) == []
        said = Renewal(scheme, login, {}, 0, scheme.signal(login))
        with pytest.raises(UpstreamFailed, match="cookies has"):
            await ready(place, place.worker(), said)
        assert place.store.turns == {}


@pytest.mark.parametrize(
    "text", ["Thu, 26 Nov 99999999999 12:00:30 GMT", "99999999999-01-01", "9999-12-31T23:59:59-14:00"]
)
async def test_an_end_that_has_no_form_is_none(text: str) -> None:
    """The token lasts until the API refuses it."""
    async with workplace(granted(ends=text)) as place:
        said, worker = place.renewal(expires_path="ends", expires_unit="date"), place.worker()
        place.sign_in(said, -1.0)
        assert await ready(place, worker, said) == "fresh"
