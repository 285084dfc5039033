"""Signing in to APIs: by a link in a browser, by a device, for all or for one user of an app; what is shown of it."""

import asyncio
import re
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.contract.admin.conftest import CRM, Admin, Reply
from tieline.access.caller import Caller
from tieline.controlplane.signins import finish
from tieline.core.errors import NotReady, UpstreamUnreachable
from tieline.core.ids import new_id
from tieline.ports.store import Store, Writing
from tieline.schemes.flow import IssuerRefused

ACCESS = b"access-" + b"not-real-0123456789"
VERIFIER = b"verifier-" + b"not-real-0123456789"


@pytest.fixture(autouse=True)
async def crm(admin: Admin) -> None:
    """An API that people sign in to, and an app that may use it."""
    await admin.made("POST", "/apis", {"name": "crm", "definition": CRM})
    await admin.made("POST", "/apps", {"name": "blog", "apis": ["crm"]})


async def shared_link(admin: Admin) -> str:
    """A link for the shared connection."""
    url: str = (await admin.made("GET", "/oauth/authorize/crm"))["url"]
    return url


async def user_link(admin: Admin, **more: object) -> str:
    """A link for a user of the app."""
    url: str = (await admin.made("POST", "/connect-links", {"api": "crm", "app": "blog", "user": "ann", **more}))["url"]
    return url


async def browse(admin: Admin, url: str, cookie: str = "") -> Reply:
    """What a browser that opens ``url`` of the console gets."""
    parts = urlsplit(url)
    headers = {"Cookie": cookie} if cookie else {}
    return await admin("GET", f"{parts.path}?{parts.query}", role=None, headers=headers)


async def opened(admin: Admin, url: str, cookie: str = "") -> tuple[str, str]:
    """The state that the provider is given, and the browser's cookie."""
    reply = await browse(admin, url, cookie)
    assert reply.status == 303, reply.body
    (state,) = parse_qs(urlsplit(reply.headers["location"]).query)["state"]
    return state, reply.headers["set-cookie"].partition(";")[0]


async def came_back(admin: Admin, state: str, cookie: str, query: str = "code=good") -> Reply:
    """The browser comes back from the provider."""
    return await browse(admin, f"/api/v1/oauth/callback?state={state}&{query}", cookie)


async def listed(admin: Admin, query: str = "") -> Any:
    """The connections there are."""
    return (await admin.made("GET", f"/connections{query}"))["items"]


async def audited(admin: Admin, kind: str) -> list[Any]:
    """The audit events of a kind, newest first."""
    return [each for each in (await admin.made("GET", "/audit"))["items"] if each["kind"] == kind]


async def test_an_operator_signs_in_for_all(admin: Admin) -> None:
    """The link leads to the provider, the way back to a connection that is shown without its token."""
    state, cookie = await opened(admin, await shared_link(admin))
    reply = await came_back(admin, state, cookie)
    assert reply.status == 200
    assert b"Connected to The CRM" in reply.body
    (row,) = await listed(admin)
    assert {name: row[name] for name in ("api", "app", "user", "state", "account", "scopes", "environment")} == {
        "api": "crm",
        "app": None,
        "user": None,
        "state": "active",
        "account": "ann@example.com",
        "scopes": ["read"],
        "environment": "live",
    }
    assert row["refreshed_at"] is not None


async def test_a_user_of_an_app_signs_in(admin: Admin) -> None:
    """The connection is theirs alone; the audit log says who asked for it and that the browser finished it."""
    state, cookie = await opened(admin, await user_link(admin))
    await came_back(admin, state, cookie)
    (row,) = await listed(admin, "?app=blog&api=crm")
    assert (row["app"], row["user"]) == ("blog", "ann")
    (begun,), (finished,) = await audited(admin, "signin.begun"), await audited(admin, "signin.finished")
    assert begun["actor"].startswith("token:")
    assert finished["actor"] == f"browser:{begun['target']}"
    assert (finished["target"], finished["data"]["user"]) == (row["id"], "ann")


async def test_signing_in_again_renews_the_same_connection(admin: Admin) -> None:
    """There is one for each API, environment, app and user."""
    for _ in range(2):
        state, cookie = await opened(admin, await user_link(admin))
        await came_back(admin, state, cookie)
    assert len(await listed(admin)) == 1


class StoreThatGoesAway:
    """The store, whose second and third write fail."""

    def __init__(self, store: Store) -> None:
        self.read = store.read
        self.touch_token = store.touch_token
        self.reachable = store.reachable
        self._store = store
        self._writes = 0

    def write(self, caller: Caller) -> AbstractAsyncContextManager[Writing]:
        self._writes += 1
        if self._writes in {2, 3}:
            raise NotReady("The store cannot be reached. Try again.")
        return self._store.write(caller)


async def test_a_token_is_kept_though_the_store_is_away_for_a_moment(admin: Admin) -> None:
    """The code that it was got with is used up: the person would have to sign in again."""
    state, cookie = await opened(admin, await shared_link(admin))
    services = replace(admin.services, store=StoreThatGoesAway(admin.services.store))
    ended = await finish(services, {"state": state, "code": "good"}, cookie.partition("=")[2])
    assert ended.problem is None
    assert [each["state"] for each in await listed(admin)] == ["active"]


async def test_the_way_back_works_once(admin: Admin) -> None:
    """A replayed address finds nothing, and the issuer is not asked again."""
    state, cookie = await opened(admin, await shared_link(admin))
    await came_back(admin, state, cookie)
    assert (await came_back(admin, state, cookie)).status == 404
    assert [each[0] for each in admin.issuers.asked] == ["begin", "finish"]


async def test_the_way_back_taken_twice_at_once_works_once(admin: Admin) -> None:
    """The state is used up before the issuer is asked."""
    state, cookie = await opened(admin, await shared_link(admin))
    replies = await asyncio.gather(*(came_back(admin, state, cookie) for _ in range(5)))
    assert sorted(reply.status for reply in replies) == [200, 404, 404, 404, 404]
    assert [each[0] for each in admin.issuers.asked] == ["begin", "finish"]


async def test_a_link_is_dead_once_it_was_used(admin: Admin) -> None:
    """But until then it may be opened again: programs look at links before people do."""
    link = await shared_link(admin)
    await opened(admin, link)
    state, cookie = await opened(admin, link)
    await came_back(admin, state, cookie)
    assert (await browse(admin, link)).status == 404


@pytest.mark.parametrize("cookie", ["", "tieline-sign-in=" + "A" * 43, "tieline-sign-in=x"])
async def test_another_browser_does_not_finish_it(admin: Admin, cookie: str) -> None:
    """Nobody can be led to finish what somebody else began; whoever began it still can."""
    state, own = await opened(admin, await shared_link(admin))
    reply = await came_back(admin, state, cookie)
    assert (reply.status, b"another browser" in reply.body) == (403, True)
    assert await listed(admin) == []
    assert (await came_back(admin, state, own)).status == 200


async def test_two_sign_ins_in_one_browser_do_not_meet(admin: Admin) -> None:
    """A second tab keeps the browser's mark, so that the first still comes back."""
    first, cookie = await opened(admin, await user_link(admin))
    second, same = await opened(admin, await shared_link(admin), cookie)
    assert same == cookie
    assert [(await came_back(admin, state, cookie)).status for state in (first, second)] == [200, 200]


async def test_the_mark_is_for_the_browser_alone(admin: Admin) -> None:
    """No script reads the cookie, no other site sends it along, and it goes nowhere else."""
    reply = await browse(admin, await shared_link(admin))
    assert re.fullmatch(
        r"tieline-sign-in=[\w-]{43}; HttpOnly; Max-Age=600; Path=/api/v1/oauth; SameSite=lax",
        reply.headers["set-cookie"],
    )
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("seconds", [599, 600])
async def test_a_sign_in_lasts_ten_minutes(admin: Admin, seconds: int) -> None:
    """Then neither the link nor the state is known."""
    link = await shared_link(admin)
    state, cookie = await opened(admin, link)
    admin.clock.pass_time(seconds)
    assert (await browse(admin, link)).status == (303 if seconds < 600 else 404)
    assert (await came_back(admin, state, cookie)).status == 404


@pytest.mark.parametrize("query", ["", "state=", "state=short&code=good", "code=good", f"state={'A' * 43}&code=x"])
async def test_a_way_back_without_a_good_state_is_refused(admin: Admin, query: str) -> None:
    """With a page for people, and without asking anybody."""
    reply = await browse(admin, f"/api/v1/oauth/callback?{query}")
    assert reply.status in {400, 404}
    assert reply.headers["content-type"].startswith("text/html")
    assert admin.issuers.asked == []


async def test_a_parameter_that_comes_twice_is_refused(admin: Admin) -> None:
    """Two readers of one query cannot see two codes."""
    state, cookie = await opened(admin, await shared_link(admin))
    assert (await came_back(admin, state, cookie, "code=a&code=b")).status == 400


async def test_who_does_not_agree_is_told_so(admin: Admin) -> None:
    """Nothing changes, the page says why in our words, and the audit log knows."""
    state, cookie = await opened(admin, await user_link(admin))
    admin.issuers.problem = IssuerRefused("You did not <agree>.", final=True)
    reply = await came_back(admin, state, cookie, "error=access_denied")
    assert reply.status == 400
    assert b"You did not &lt;agree&gt;." in reply.body
    assert (await came_back(admin, state, cookie)).status == 404
    assert await listed(admin) == []
    assert (await audited(admin, "signin.refused"))[0]["data"]["why"] == "You did not <agree>."


async def test_a_provider_that_cannot_be_reached_is_told_as_a_page(admin: Admin) -> None:
    """With the status of the error, and the link still works."""
    link = await shared_link(admin)
    admin.issuers.problem = UpstreamUnreachable("id.example.com cannot be reached.")
    assert (await browse(admin, link)).status == 502
    admin.issuers.problem = None
    assert (await browse(admin, link)).status == 303


@pytest.mark.parametrize(
    ("back", "after"),
    [
        ("https://app.example.com/done?a=1", "https://app.example.com/done?a=1&connection=connected"),
        ("http://console.example/", "http://console.example/?connection=connected"),
    ],
)
async def test_the_browser_goes_where_the_app_said(admin: Admin, back: str, after: str) -> None:
    """If that is an origin which is allowed; the outcome is in the query."""
    state, cookie = await opened(admin, await user_link(admin, return_to=back))
    reply = await came_back(admin, state, cookie)
    assert (reply.status, reply.headers["location"]) == (303, after)


@pytest.mark.parametrize(
    "back",
    [
        "https://app.example.com.evil.example/",
        "https://evil.example/",
        "//evil.example/",
        "/done",
        "javascript:alert(1)",
        "https://app.example.com@evil.example/",
        "https://app.example.com\\.evil.example/",
        "http://app.example.com/",
        "https://app.example.com/#x",
        "https://app.example.com/ä",
        "https://[::1",
    ],
)
async def test_the_browser_goes_nowhere_else(admin: Admin, back: str) -> None:
    """Sign-ins are no open redirect."""
    body = {"api": "crm", "app": "blog", "user": "ann", "return_to": back}
    reply = await admin("POST", "/connect-links", body)
    assert (reply.status, reply.error["param"]) == (422, "return_to")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("app=blog", "user"),
        ("user=ann", "app"),
        ("position=1", "api"),
        ("app=shop&user=ann", "app"),
        ("app=blog&user=%20ann", "user"),
    ],
)
async def test_who_signs_in_is_checked(admin: Admin, query: str, param: str) -> None:
    """App and user go together, the app may use the API, the scheme is one that people sign in to."""
    await admin.made("POST", "/apps", {"name": "shop"})
    reply = await admin("GET", f"/oauth/authorize/crm?{query}")
    assert (reply.status, reply.error["param"]) == (422, param)


@pytest.mark.parametrize(("mode", "body"), [("shared", {"app": "blog", "user": "ann"}), ("per_user", {})])
async def test_the_definition_says_whose_connections_there_are(admin: Admin, mode: str, body: Any) -> None:
    """No user's where all share one, none for all where each has their own."""
    await admin.made("PUT", "/apis/crm", {**CRM, "auth": {**CRM["auth"], "connections": mode}})  # type: ignore[dict-item]
    reply = await admin("POST", "/oauth/device/crm", body)
    assert (reply.status, reply.error["param"]) == (422, "user")


async def test_nobody_signs_in_where_a_key_is_enough(admin: Admin) -> None:
    """An API with a plain key has no sign-in."""
    await admin.made("POST", "/apis", {"name": "openai", "from_catalogue": "openai"})
    assert (await admin("GET", "/oauth/authorize/openai")).status == 422
    assert (await admin("POST", "/oauth/device/openai", {})).status == 422


async def test_a_device_is_asked_for_as_often_as_the_issuer_wants(admin: Admin) -> None:
    """However often the command asks how it stands."""
    device = await admin.made("POST", "/oauth/device/crm", {"app": "blog", "user": "ann"})
    assert (device["user_code"], device["interval"]) == ("ABCD-EFGH", 5.0)
    poll = f"/oauth/device/crm/{device['id']}"
    assert [(await admin.made("POST", poll))["state"] for _ in range(3)] == ["pending"] * 3
    assert [each[0] for each in admin.issuers.asked] == ["begin_device"]
    admin.clock.pass_time(5)
    assert (await admin.made("POST", poll))["interval"] == 5.0
    admin.issuers.polled = admin.issuers.token
    assert (await admin.made("POST", poll))["state"] == "pending"
    admin.clock.pass_time(5)
    polled = await admin.made("POST", poll)
    assert (polled["state"], polled["connection"]["user"]) == ("connected", "ann")
    assert (await admin("POST", poll)).status == 404


async def test_a_device_that_is_refused_ends(admin: Admin) -> None:
    """The code is used up; a failing issuer only makes it wait."""
    device = await admin.made("POST", "/oauth/device/crm", {})
    poll = f"/oauth/device/crm/{device['id']}"
    admin.clock.pass_time(5)
    admin.issuers.problem = UpstreamUnreachable("id.example.com cannot be reached.")
    assert (await admin("POST", poll)).status == 502
    admin.clock.pass_time(5)
    admin.issuers.problem = IssuerRefused("The person said no.", final=True)
    assert (await admin.made("POST", poll))["problem"] == "The person said no."
    assert (await admin("POST", poll)).status == 404


async def test_a_device_of_another_api_is_not_found(admin: Admin) -> None:
    """Nor one that is a browser's."""
    device = await admin.made("POST", "/oauth/device/crm", {})
    assert (await admin("POST", f"/oauth/device/openai/{device['id']}")).status == 404
    assert (await admin("POST", f"/oauth/device/crm/{new_id('sgn')}")).status == 404


async def test_a_connection_is_removed(admin: Admin) -> None:
    """With an audit event; a second time there is none."""
    state, cookie = await opened(admin, await user_link(admin))
    await came_back(admin, state, cookie)
    (row,) = await listed(admin)
    assert (await admin("DELETE", f"/connections/{row['id']}")).status == 204
    assert (await admin("DELETE", f"/connections/{row['id']}")).status == 404
    assert await listed(admin) == []
    assert (await audited(admin, "connection.removed"))[0]["data"]["user"] == "ann"


async def test_an_app_that_goes_takes_a_sign_in_with_it(admin: Admin) -> None:
    """Who comes back to it afterwards is not connected to anything."""
    state, cookie = await opened(admin, await user_link(admin))
    await admin("DELETE", "/apps/blog")
    assert (await came_back(admin, state, cookie)).status == 404


async def test_no_token_link_or_state_is_kept_or_shown(admin: Admin) -> None:
    """Neither in the database's files nor in the log nor in any answer but the one that gives a link."""
    link = await user_link(admin)
    state, cookie = await opened(admin, link)
    await came_back(admin, state, cookie)
    device = await admin.made("POST", "/oauth/device/crm", {})
    assert device
    await listed(admin)
    await admin.made("GET", "/audit")
    files = b"".join(path.read_bytes() for path in admin.folder.iterdir())
    answers = b"".join(reply.body for reply in admin.replies) + admin.log.getvalue().encode()
    mark = cookie.partition("=")[2].encode()
    for secret in (ACCESS, VERIFIER, b"device-" + b"not-real-0123456789", state.encode(), mark):
        assert secret not in files + answers
    assert link.partition("link=")[2].encode() not in files
