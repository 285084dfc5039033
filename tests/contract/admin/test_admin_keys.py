"""Apps and app keys: minted, shown once, changed, rotated, revoked, and explained by the relay's own decision."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.contract.admin.conftest import Admin
from tieline.access import appkey

DAY = 86_400


@pytest.fixture
async def blog(furnished_admin: Admin) -> Admin:
    """An admin API with OpenAI and the app ``blog`` that may use it, without keys."""
    await furnished_admin("DELETE", "/apps/blog")
    await furnished_admin.made("POST", "/apps", {"name": "blog", "apis": ["openai"]})
    return furnished_admin


async def mint(admin: Admin, **body: Any) -> dict[str, Any]:
    """A key of the app ``blog``."""
    key: dict[str, Any] = await admin.made("POST", "/apps/blog/keys", body)
    return key


def restricted(**areas: str) -> dict[str, Any]:
    """Permissions on OpenAI."""
    return {"mode": "restricted", "grants": {"openai": areas}}


async def test_an_app_is_found_by_id_and_by_name(blog: Admin) -> None:
    """Both name the same app; another name names none."""
    app = await blog.made("GET", "/apps/blog")
    assert await blog.made("GET", f"/apps/{app['id']}") == app
    assert (await blog.made("GET", "/apps"))["items"] == [app]
    assert (await blog("GET", "/apps/other")).status == 404


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"name": "blog"}, 409, "name"),
        ({"name": ""}, 422, "name"),
        ({"name": " shop"}, 422, "name"),
        ({"name": "a/b"}, 422, "name"),
        ({"name": ".."}, 422, "name"),
        ({"name": "a\u0000b"}, 422, "name"),
        ({"name": "x" * 201}, 422, "name"),
        ({"name": "app_0123456789abcdefghjkmnpqr"}, 422, "name"),
        ({"name": "shop", "apis": ["nothing"]}, 422, "apis[0]"),
        ({"name": "shop", "apis": ["openai", "\u0000"]}, 422, "apis[1]"),
        ({"name": "shop", "apis": "openai"}, 422, "apis"),
        ({"name": "shop", "apis": ["openai"] * 201}, 422, "apis"),
        ({"apis": ["openai"]}, 422, "name"),
    ],
)
async def test_an_app_that_cannot_be_is_refused(blog: Admin, body: object, status: int, param: str) -> None:
    """The field is named and no app is there afterwards."""
    reply = await blog("POST", "/apps", body)
    assert (reply.status, reply.error["param"]) == (status, param)
    assert len((await blog.made("GET", "/apps"))["items"]) == 1


async def test_an_app_is_renamed_and_its_apis_are_replaced(blog: Admin) -> None:
    """What is left out stays; a taken name is refused."""
    await blog.made("POST", "/apps", {"name": "shop"})
    assert (await blog("PATCH", "/apps/blog", {"name": "shop"})).status == 409
    changed = await blog.made("PATCH", "/apps/blog", {"name": "diary"})
    assert (changed["name"], changed["apis"]) == ("diary", ["openai"])
    assert (await blog.made("PATCH", "/apps/diary", {"apis": []}))["apis"] == []


async def test_a_key_loses_its_grants_with_the_apps_api(blog: Admin) -> None:
    """Giving the API back does not bring the grants back."""
    key = await mint(blog, permissions=restricted(files="read"))
    await blog.made("PATCH", "/apps/blog", {"apis": []})
    await blog.made("PATCH", "/apps/blog", {"apis": ["openai"]})
    assert (await blog.made("GET", f"/keys/{key['id']}"))["permissions"]["grants"] == {}
    assert "key.changed" in [event["kind"] for event in (await blog.made("GET", "/audit"))["items"]]


async def test_removing_an_app_removes_its_keys(blog: Admin) -> None:
    """Neither is there afterwards."""
    key = await mint(blog)
    assert (await blog("DELETE", "/apps/blog")).status == 204
    assert (await blog("GET", "/apps/blog")).status == 404
    assert (await blog("GET", f"/keys/{key['id']}")).status == 404


async def test_a_minted_key_is_shown_once(blog: Admin) -> None:
    """The secret is in the answer, which no cache may keep, and in no other answer."""
    reply = await blog("POST", "/apps/blog/keys", {"name": "web", "environment": "development", "expires_in": DAY})
    key = reply.json
    assert (reply.status, reply.headers["cache-control"]) == (201, "no-store")
    appkey.check(key["secret"].encode())
    assert appkey.environment_of(key["secret"].encode()) == "development"
    assert key["redacted"] == f"tl_test_…{key['secret'][-4:]}"
    assert (key["expires_at"], key["state"]) == ("2026-11-24T07:00:00.000Z", "active")
    shown = await blog.made("GET", f"/keys/{key['id']}")
    assert shown == {name: value for name, value in key.items() if name != "secret"}
    assert (await blog.made("GET", "/apps/blog/keys"))["items"] == [shown]


async def test_a_key_may_do_everything_unless_it_is_restricted(blog: Admin) -> None:
    """The default mode is all; a sentence sums it up."""
    key = await mint(blog)
    assert (key["permissions"], key["environment"]) == ({"mode": "all"}, "live")
    assert key["summary"] == "May do everything on OpenAI."


async def test_a_parent_area_sets_its_children(blog: Admin) -> None:
    """The stored grants name children only, each at the highest level it has."""
    grants = (await mint(blog, permissions=restricted(model_capabilities="read", files="write")))["permissions"][
        "grants"
    ]
    assert "model_capabilities" not in grants["openai"]
    assert (grants["openai"]["responses"], grants["openai"]["files"]) == ("read", "write")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"permissions": {"mode": "some"}}, "permissions.mode"),
        ({"permissions": {}}, "permissions.mode"),
        ({"permissions": {"mode": "all", "grants": {"openai": {"files": "read"}}}}, "permissions.grants"),
        ({"permissions": {"mode": "restricted", "grants": {"other": {"files": "read"}}}}, "permissions.grants"),
        ({"permissions": restricted(nothing="read")}, "permissions.grants.openai"),
        ({"permissions": restricted(files="request")}, "permissions.grants.openai.files"),
        ({"permissions": restricted(files="admin")}, "permissions.grants.openai.files"),
        ({"permissions": {"mode": "restricted", "grants": []}}, "permissions.grants"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": 10**12}, "expires_in"),
        ({"expires_in": "1d"}, "expires_in"),
        ({"expires_in": True}, "expires_in"),
        ({"from_ip": ["10.0.0.1/8"]}, "from_ip[0]"),
        ({"from_ip": ["::/0", "localhost"]}, "from_ip[1]"),
        ({"from_ip": ["10.0.0.0/8"] * 65}, "from_ip"),
        ({"name": "line\nbreak"}, "name"),
        ({"environment": "staging"}, "environment"),
        ({"limits": {"rate": "60/min"}}, "limits.rate"),
        ({"limits": {"rates": [{"requests": 1, "per": "day"}] * 2}}, "limits.rates"),
        ({"models": ["gpt[4]"]}, "models[0]"),
    ],
)
async def test_a_key_that_cannot_be_is_refused(blog: Admin, body: object, param: str) -> None:
    """The field is named and no key is there afterwards."""
    reply = await blog("POST", "/apps/blog/keys", body)
    assert (reply.status, reply.error["code"], reply.error["param"]) == (422, "invalid_input", param)
    assert (await blog.made("GET", "/apps/blog/keys"))["items"] == []


async def test_a_change_leaves_what_it_does_not_name(blog: Admin) -> None:
    """Permissions, networks and expiry change one by one; null takes the expiry away."""
    key = await mint(blog, name="web", expires_in=DAY, from_ip=["192.0.2.7"])
    path = f"/keys/{key['id']}"
    changed = await blog.made("PATCH", path, {"permissions": restricted(models="read")})
    assert (changed["name"], changed["expires_at"], changed["from_ip"]) == ("web", key["expires_at"], ["192.0.2.7/32"])
    assert changed["permissions"] == restricted(models="read")
    cleared = await blog.made("PATCH", path, {"expires_in": None, "from_ip": [], "name": "site"})
    assert (cleared["name"], cleared["expires_at"], cleared["from_ip"]) == ("site", None, [])
    assert (await blog("PATCH", path, {"environment": "development"})).status == 422
    event = (await blog.made("GET", "/audit?limit=1"))["items"][0]
    assert (event["kind"], sorted(event["data"]["changed"])) == ("key.changed", ["expires_at", "from_ip", "name"])


async def test_an_expired_key_says_so_and_can_be_prolonged(blog: Admin) -> None:
    """Its state follows the clock."""
    key = await mint(blog, expires_in=DAY)
    blog.clock.pass_time(DAY)
    assert (await blog.made("GET", f"/keys/{key['id']}"))["state"] == "expired"
    assert (await blog("POST", f"/keys/{key['id']}/rotate")).status == 422
    assert (await blog.made("PATCH", f"/keys/{key['id']}", {"expires_in": DAY}))["state"] == "active"


async def test_rotation_lets_both_secrets_work_for_the_overlap(blog: Admin) -> None:
    """The old secret is listed with its end, then gone; the key and what it may do stay."""
    key = await mint(blog)
    rotated = await blog.made("POST", f"/keys/{key['id']}/rotate", {"overlap": 3600})
    assert rotated["id"] == key["id"]
    assert rotated["secret"] != key["secret"]
    ends = {each["redacted"]: each["expires_at"] for each in rotated["secrets"]}
    assert ends == {key["redacted"]: "2026-11-23T08:00:00.000Z", rotated["redacted"]: None}
    blog.clock.pass_time(3600)
    after = await blog.made("GET", f"/keys/{key['id']}")
    assert [each["redacted"] for each in after["secrets"]] == [rotated["redacted"]]


async def test_rotation_is_bounded(blog: Admin) -> None:
    """Five secrets may work at once; overlap 0 always helps; odd overlaps are refused."""
    key = await mint(blog)
    path = f"/keys/{key['id']}/rotate"
    for _ in range(4):
        await blog.made("POST", path)
    assert (await blog("POST", path)).error["param"] == "overlap"
    assert len((await blog.made("POST", path, {"overlap": 0}))["secrets"]) == 1
    for overlap in (-1, 10**9, 1.5, "1h", None):
        assert (await blog("POST", path, {"overlap": overlap})).status == 422


async def test_revocation_is_final(blog: Admin) -> None:
    """A revoked key stays listed, can be revoked again, and neither changed nor rotated."""
    key = await mint(blog)
    path = f"/keys/{key['id']}"
    assert (await blog("DELETE", path)).status == 204
    assert (await blog("DELETE", path)).status == 204
    assert (await blog.made("GET", path))["state"] == "revoked"
    assert (await blog("PATCH", path, {"name": "again"})).status == 422
    assert (await blog("POST", f"{path}/rotate")).status == 422
    assert [event["kind"] for event in (await blog.made("GET", "/audit"))["items"]].count("key.revoked") == 1


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/files", {"allowed": True, "area": "files", "level": "read", "reason": None}),
        ("get", "/files?limit=3", {"allowed": True, "area": "files", "level": "read", "reason": None}),
        ("POST", "/files", {"allowed": False, "area": "files", "level": "write"}),
        ("GET", "/models", {"allowed": False, "area": "models", "level": "read"}),
        ("GET", "/nowhere", {"allowed": False, "area": None, "level": None}),
        ("GET", "/files/../models", {"allowed": False, "area": None, "level": None}),
        ("GET", "/files/..%2fmodels", {"allowed": False, "area": None, "level": None}),
        ("GET", "/files?_method=DELETE", {"allowed": False, "area": None, "level": None}),
        ("TRACE", "/files", {"allowed": False}),
    ],
)
async def test_allows_explains_with_the_relays_own_decision(
    blog: Admin, method: str, path: str, expected: Mapping[str, object]
) -> None:
    """Yes with area and level, or no with a reason that says what to do."""
    key = await mint(blog, permissions=restricted(files="read"))
    query = f"method={method}&path={path.replace('%', '%25').replace('?', '%3F')}"
    answer = await blog.made("GET", f"/keys/{key['id']}/allows?{query}")
    assert expected.items() <= answer.items()
    assert answer["allowed"] or answer["reason"]


async def test_allows_says_no_for_keys_that_have_ended_and_apis_of_others(blog: Admin) -> None:
    """The reason names what is the matter."""
    key = await mint(blog)
    path = f"/keys/{key['id']}/allows?method=GET&path=/files"
    assert "may not use that API" in (await blog.made("GET", f"{path}&api=other"))["reason"]
    await blog("DELETE", f"/keys/{key['id']}")
    assert "revoked" in (await blog.made("GET", path))["reason"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("path=/files", "method"),
        ("method=GET", "path"),
        ("method=GET&path=files", "path"),
        ("method=GET&path=/f%C3%A4", "path"),
        ("method=G%20T&path=/files", "method"),
        ("method=GET&path=/files&extra=1", "extra"),
    ],
)
async def test_a_question_that_cannot_be_asked_is_refused(blog: Admin, query: str, param: str) -> None:
    """The parameter is named."""
    key = await mint(blog)
    reply = await blog("GET", f"/keys/{key['id']}/allows?{query}")
    assert (reply.status, reply.error["param"]) == (422, param)


async def test_allows_asks_which_api_where_the_app_has_several(blog: Admin) -> None:
    """The choices are named."""
    await blog.made("POST", "/apis", {"name": "echo", "base_url": "https://echo.example"})
    await blog.made("PATCH", "/apps/blog", {"apis": ["openai", "echo"]})
    key = await mint(blog)
    reply = await blog("GET", f"/keys/{key['id']}/allows?method=GET&path=/x")
    assert (reply.status, reply.error["param"]) == (422, "api")
    assert "echo, openai" in reply.error["message"]


@pytest.mark.parametrize(
    "odd",
    [
        "key_",
        "key_1",
        "KEY_0123456789012345678901234",
        "app_0123456789012345678901234",
        "%00",
        "..%2f..",
        "%C3%A9",
        "'--",
        "x" * 3000,
    ],
)
async def test_odd_ids_name_nothing(blog: Admin, odd: str) -> None:
    """Whatever stands for an id is answered with 404 and not repeated."""
    for route in (f"/keys/{odd}", f"/apps/{odd}", f"/apps/{odd}/keys", f"/apis/{odd}", f"/catalogue/{odd}"):
        reply = await blog("GET", route)
        assert reply.status == 404
        assert odd.encode() not in reply.body or len(odd) < 5


LIMITS = {"rates": [{"requests": 60, "per": "minute"}], "concurrent": 4}


async def test_limits_and_models_are_kept_and_replaced(blog: Admin) -> None:
    """What was set is shown; a change replaces all limits, and leaves them where it does not name them."""
    key = await mint(blog, limits=LIMITS, models=["gpt-4.1*"])
    assert (key["limits"], key["models"]) == (LIMITS, ["gpt-4.1*"])
    named = await blog.made("PATCH", f"/keys/{key['id']}", {"name": "second"})
    assert (named["limits"], named["models"]) == (LIMITS, ["gpt-4.1*"])
    changed = await blog.made("PATCH", f"/keys/{key['id']}", {"limits": {"streams": 2}, "models": []})
    assert (changed["limits"], changed["models"]) == ({"streams": 2}, [])


async def test_an_app_has_limits_too(blog: Admin) -> None:
    """They hold for all its keys together, and go when they are replaced by none."""
    assert (await blog.made("PATCH", "/apps/blog", {"limits": LIMITS}))["limits"] == LIMITS
    assert (await blog.made("PATCH", "/apps/blog", {"name": "blog"}))["limits"] == LIMITS
    assert (await blog.made("PATCH", "/apps/blog", {"limits": {}}))["limits"] == {}
    assert (await blog("PATCH", "/apps/blog", {"limits": {"concurrent": 0}})).status == 422
