"""The audit log as operators ask for it: every change leaves an event, filters find events, anchors are taken."""

from typing import Any

import pytest

from tests.contract.admin.conftest import Admin, Prepared
from tests.contract.admin.test_admin_roles import BODIES, NEEDS, place

# What leaves no event though it is no GET, and why; and the GETs that leave one.
NOTHING_CHANGES = {
    ("POST", "/audit/verify"): "it reads",
    (
        "POST",
        "/oauth/device/{api}/{sign_in}",
    ): "the person is not done yet (the end: test_admin_connections)",
}
TOLD_READS = [("GET", "/oauth/authorize/{api}"), ("GET", "/requests/{request}/bodies")]
CHANGES = [route for route in NEEDS if route[0] != "GET"] + TOLD_READS


async def newest(admin: Admin) -> Any:
    """The last event."""
    return (await admin.made("GET", "/audit?limit=1"))["items"][0]


@pytest.mark.parametrize("route", CHANGES, ids=" ".join)
async def test_every_route_that_changes_something_leaves_an_event(
    furnished_admin: Admin, furnished: Prepared, route: tuple[str, str]
) -> None:
    """One request, and the log says who did what; a route that is added and leaves none fails here."""
    admin, names = furnished_admin, dict(furnished.names)
    if route == ("DELETE", "/tokens/{id}"):
        names["id"] = (await admin.made("POST", "/tokens", {"name": "other", "role": "viewer"}))["id"]
    if route[1].endswith("/activate"):  # the version that is active already is no change
        await admin.made("PUT", "/apis/openai/credentials/live", {"fields": {"key": "sk-sandbox-9876543210fedcba"}})
        names["version"] = "2"
    if "oauth" in route[1]:
        names["api"] = "crm"
    before = (await newest(admin))["seq"]
    reply = await admin(route[0], place(route[1], names), BODIES.get(route))
    assert reply.status in {200, 201, 204}, reply.body
    event = await newest(admin)
    if route in NOTHING_CHANGES:
        assert event["seq"] == before
        return
    assert event["seq"] > before
    assert event["actor"].startswith("token:tok_")
    assert event["target"]


@pytest.mark.parametrize(
    "path", [path for method, path in NEEDS if method == "GET" and (method, path) not in TOLD_READS]
)
async def test_reading_leaves_none(furnished_admin: Admin, furnished: Prepared, path: str) -> None:
    """The log holds what was changed, not who looked."""
    before = (await newest(furnished_admin))["seq"]
    assert (await furnished_admin("GET", place(path, furnished.names))).status == 200
    assert (await newest(furnished_admin))["seq"] == before


async def found(admin: Admin, query: str) -> list[str]:
    """The kinds of the events that ``query`` finds, newest first, read in pages of two."""
    kinds: list[str] = []
    after = ""
    while True:
        page = await admin.made("GET", f"/audit?limit=2&{query}{after}")
        kinds += [each["kind"] for each in page["items"]]
        if page["next"] is None:
            return kinds
        after = f"&after={page['next']}"


@pytest.fixture(params=["admin", "admin_on_postgresql"])
def either(request: pytest.FixtureRequest) -> Admin:
    """The admin API on each engine."""
    running: Admin = request.getfixturevalue(request.param)
    return running


async def test_events_are_found_by_filters_in_pages(either: Admin) -> None:
    """By who, what, to what, when and by text; several together; capitals do not matter to text."""
    admin = either
    blog = await admin.made("POST", "/apps", {"name": "blog"})
    admin.clock.pass_time(60)
    (made_at,) = [(await newest(admin))["at"]]
    await admin.made("POST", "/apps", {"name": "100%_Shop"})
    await admin.made("PATCH", "/apps/blog", {"name": "diary"})
    assert await found(admin, "kind=app") == ["app.changed", "app.created", "app.created"]
    assert await found(admin, "kind=app.created") == ["app.created", "app.created"]
    assert await found(admin, "kind=ap") == []
    assert await found(admin, f"target={blog['id']}") == ["app.changed", "app.created"]
    assert await found(admin, f"target={blog['id']}&kind=app.changed") == ["app.changed"]
    assert await found(admin, "text=100%25_shop") == ["app.created"]
    assert await found(admin, "text=100__shop") == []
    actor = (await newest(admin))["actor"]
    assert (await found(admin, f"actor={actor}"))[:2] == ["app.changed", "app.created"]
    assert await found(admin, "actor=token:tok_nobody") == []
    assert (await found(admin, f"until={made_at}")).count("app.created") == 0
    assert await found(admin, f"since={made_at}&kind=app.created") == ["app.created", "app.created"]


@pytest.mark.parametrize(
    "query", ["since=yesterday", "since=2026-11-23T07:00:00", "kind=", "who=me", "text=" + "x" * 201]
)
async def test_filters_that_cannot_be_are_refused(admin: Admin, query: str) -> None:
    """Nothing is guessed: the parameter is named."""
    reply = await admin("GET", f"/audit?{query}")
    assert reply.status == 422
    assert query.partition("=")[0] in (reply.error["param"] or "") + reply.error["message"]


async def test_the_anchor_of_a_verification_is_taken_by_the_next(admin: Admin) -> None:
    """It is good while the log grows; another one is told, and what is none is refused."""
    first = await admin.made("POST", "/audit/verify")
    await admin.made("POST", "/apps", {"name": "blog"})
    assert (await admin.made("POST", "/audit/verify", {"anchor": first["anchor"]}))["ok"]
    later = await admin.made("POST", "/audit/verify", {"anchor": "1000." + "0" * 64})
    assert (later["ok"], later["anchor"]) == (False, None)
    assert "the log ends before the anchor" in later["breaks"][0]
    refused = await admin("POST", "/audit/verify", {"anchor": "where I left it"})
    assert (refused.status, refused.error["param"]) == (422, "anchor")
