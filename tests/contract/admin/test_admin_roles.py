"""Who may do what: every route for every role, and admin tokens from birth to revocation."""

from collections.abc import Mapping

import pytest

from tests.contract.admin.conftest import Admin, Prepared
from tieline.controlplane import tokenform
from tieline.core.ids import new_id

VIEWER, EDITOR, OWNER = "viewer", "editor", "owner"

# The least role that each route of the OpenAPI document needs; a route that is missing here fails the test.
NEEDS = {
    ("GET", "/catalogue"): VIEWER,
    ("GET", "/catalogue/{entry}"): VIEWER,
    ("POST", "/apis"): EDITOR,
    ("GET", "/apis"): VIEWER,
    ("GET", "/apis/{api}"): VIEWER,
    ("PUT", "/apis/{api}"): EDITOR,
    ("DELETE", "/apis/{api}"): EDITOR,
    ("GET", "/apis/{api}/definition"): VIEWER,
    ("GET", "/apis/{api}/prices"): VIEWER,
    ("POST", "/apis/{api}/verify"): EDITOR,
    ("GET", "/apis/{api}/calls"): VIEWER,
    ("POST", "/apis/{api}/calls"): EDITOR,
    ("GET", "/apis/{api}/calls/{call}"): VIEWER,
    ("PUT", "/apis/{api}/calls/{call}"): EDITOR,
    ("DELETE", "/apis/{api}/calls/{call}"): EDITOR,
    ("GET", "/apis/{api}/calls/{call}/schema"): VIEWER,
    ("GET", "/apis/{api}/calls/{call}/drift"): VIEWER,
    ("POST", "/apis/{api}/calls/{call}/initialize"): EDITOR,
    ("PUT", "/apis/{api}/credentials/{environment}"): EDITOR,
    ("GET", "/apis/{api}/credentials"): VIEWER,
    ("POST", "/apis/{api}/credentials/{version}/activate"): EDITOR,
    ("DELETE", "/apis/{api}/credentials/{version}"): EDITOR,
    ("POST", "/apps"): EDITOR,
    ("GET", "/apps"): VIEWER,
    ("GET", "/apps/{app}"): VIEWER,
    ("PATCH", "/apps/{app}"): EDITOR,
    ("DELETE", "/apps/{app}"): EDITOR,
    ("POST", "/apps/{app}/keys"): EDITOR,
    ("GET", "/apps/{app}/keys"): VIEWER,
    ("GET", "/keys/{id}"): VIEWER,
    ("PATCH", "/keys/{id}"): EDITOR,
    ("DELETE", "/keys/{id}"): EDITOR,
    ("POST", "/keys/{id}/rotate"): EDITOR,
    ("GET", "/keys/{id}/allows"): VIEWER,
    ("POST", "/budgets"): EDITOR,
    ("GET", "/budgets"): VIEWER,
    ("GET", "/budgets/{budget}"): VIEWER,
    ("PATCH", "/budgets/{budget}"): EDITOR,
    ("DELETE", "/budgets/{budget}"): EDITOR,
    ("POST", "/webhooks"): EDITOR,
    ("GET", "/webhooks"): VIEWER,
    ("GET", "/webhooks/{webhook}"): VIEWER,
    ("PATCH", "/webhooks/{webhook}"): EDITOR,
    ("DELETE", "/webhooks/{webhook}"): EDITOR,
    ("POST", "/webhooks/{webhook}/rotate"): EDITOR,
    ("POST", "/webhooks/{webhook}/test"): EDITOR,
    ("GET", "/webhooks/{webhook}/deliveries"): VIEWER,
    ("GET", "/connections"): VIEWER,
    ("DELETE", "/connections/{connection}"): EDITOR,
    ("GET", "/oauth/authorize/{api}"): EDITOR,
    ("POST", "/connect-links"): EDITOR,
    ("POST", "/oauth/device/{api}"): EDITOR,
    ("POST", "/oauth/device/{api}/{sign_in}"): EDITOR,
    ("POST", "/tokens"): OWNER,
    ("GET", "/tokens"): OWNER,
    ("DELETE", "/tokens/{id}"): OWNER,
    ("GET", "/requests"): VIEWER,
    ("GET", "/usage"): VIEWER,
    ("GET", "/requests/stream"): VIEWER,
    ("GET", "/requests/{request}"): VIEWER,
    ("GET", "/requests/{request}/bodies"): EDITOR,
    ("POST", "/requests/{request}/replay"): EDITOR,
    ("GET", "/audit"): VIEWER,
    ("POST", "/audit/verify"): VIEWER,
    ("GET", "/vault"): VIEWER,
}
RANK = {VIEWER: 0, EDITOR: 1, OWNER: 2}

BODIES: Mapping[tuple[str, str], object] = {
    ("POST", "/apis"): {"name": "echo", "base_url": "https://echo.example"},
    ("PUT", "/apis/{api}"): {"tieline": "v1", "api": "openai", "base_url": "https://api.openai.com/v1"},
    ("POST", "/apis/{api}/calls"): {"name": "tell", "definition": {"path": "/models"}},
    ("PUT", "/apis/{api}/calls/{call}"): {"path": "/models"},
    ("POST", "/apis/{api}/calls/{call}/initialize"): {"sample": '{"id": 1}', "save": True},
    ("PUT", "/apis/{api}/credentials/{environment}"): {"fields": {"key": "sk-sandbox-0123456789abcdef"}},
    ("POST", "/apps"): {"name": "shop"},
    ("PATCH", "/apps/{app}"): {"name": "diary"},
    ("POST", "/apps/{app}/keys"): {},
    ("PATCH", "/keys/{id}"): {"name": "site"},
    ("POST", "/budgets"): {"name": "yearly", "amount": {"usd": "9.00"}, "applies_to": {"each": "key"}},
    ("PATCH", "/budgets/{budget}"): {"amount": {"usd": "11.00"}},
    ("POST", "/webhooks"): {"name": "chat", "url": "https://hooks.example.com/chat"},
    ("PATCH", "/webhooks/{webhook}"): {"paused": True},
    ("POST", "/webhooks/{webhook}/rotate"): {"overlap": 60},
    ("POST", "/tokens"): {"name": "ci", "role": "viewer"},
    ("POST", "/connect-links"): {"api": "crm", "app": "blog", "user": "ann"},
    ("POST", "/oauth/device/{api}"): {},
}


def place(path: str, names: Mapping[str, str]) -> str:
    """``path`` with names filled in."""
    for name, value in names.items():
        path = path.replace("{" + name + "}", value)
    query = {"/allows": "?method=GET&path=/models&api=openai", "/stream": "?seconds=0.1"}
    return path + next((asked for end, asked in query.items() if path.endswith(end)), "")


async def test_the_table_of_roles_names_every_route(admin: Admin) -> None:
    """A route that is added must say here who may use it."""
    paths = (await admin("GET", "/api/openapi.json", role=None)).json["paths"]
    routes = {(method.upper(), path.removeprefix("/api/v1")) for path, item in paths.items() for method in item}
    assert routes == NEEDS.keys()


@pytest.mark.parametrize("route", NEEDS, ids=" ".join)
async def test_a_route_is_closed_below_its_role_and_open_from_it(
    furnished_admin: Admin, furnished: Prepared, route: tuple[str, str]
) -> None:
    """Without a token 401, below the role 403 with nothing done, from the role on it works."""
    admin, names = furnished_admin, dict(furnished.names)
    if route == ("DELETE", "/tokens/{id}"):
        names["id"] = (await admin.made("POST", "/tokens", {"name": "other", "role": "viewer"}))["id"]
    if "oauth" in route[1]:
        names["api"] = "crm"
    method, path = route[0], place(route[1], names)
    before = (await admin.made("GET", "/audit?limit=1"))["items"]
    assert (await admin(method, path, BODIES.get(route), role=None)).error["code"] == "invalid_token"
    for role in (role for role in RANK if RANK[role] < RANK[NEEDS[route]]):
        refused = await admin(method, path, BODIES.get(route), role=role)
        assert (refused.status, refused.error["code"]) == (403, "forbidden")
    assert (await admin.made("GET", "/audit?limit=1"))["items"] == before
    assert (await admin(method, path, BODIES.get(route), role=NEEDS[route])).status in {200, 201, 204}


async def test_a_viewer_learns_nothing_from_writes_to_what_is_not_there(admin: Admin) -> None:
    """The role is checked before anything is looked up."""
    for method, path in (("DELETE", "/apis/nothing"), ("DELETE", f"/keys/{new_id('key')}"), ("DELETE", "/tokens/x")):
        assert (await admin(method, path, role="viewer")).status == 403


async def test_a_token_works_until_it_is_revoked(admin: Admin) -> None:
    """It is shown once, listed without its secret, and dead with the next request."""
    minted = await admin.made("POST", "/tokens", {"name": "ci", "role": "editor"})
    assert minted["secret"].startswith("tla_")
    assert (await admin("GET", "/apis", role=minted["secret"])).status == 200
    listed = (await admin("GET", "/tokens")).body
    assert minted["id"].encode() in listed
    assert minted["secret"].encode() not in listed
    assert (await admin("DELETE", f"/tokens/{minted['id']}")).status == 204
    assert (await admin("DELETE", f"/tokens/{minted['id']}")).status == 204
    refused = await admin("GET", "/apis", role=minted["secret"])
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="tieline"')
    assert "revoked" in refused.error["message"]


async def test_a_token_expires(admin: Admin) -> None:
    """It works up to its end and no longer."""
    minted = await admin.made("POST", "/tokens", {"name": "ci", "role": "viewer", "expires_in": 60})
    admin.clock.pass_time(59)
    assert (await admin("GET", "/apis", role=minted["secret"])).status == 200
    admin.clock.pass_time(1)
    assert "expired" in (await admin("GET", "/apis", role=minted["secret"])).error["message"]


async def test_last_use_is_noted_to_the_minute(admin: Admin) -> None:
    """Many requests within a minute leave one note."""
    admin.clock.pass_time(90)
    for _ in range(3):
        await admin("GET", "/apis", role="viewer")
    used = {each["role"]: each["last_used_at"] for each in (await admin.made("GET", "/tokens"))["items"]}
    assert used["viewer"] == "2026-11-23T07:01:00.000Z"
    assert used["editor"] is None


async def test_the_last_owner_token_cannot_be_revoked(admin: Admin) -> None:
    """Nobody locks the door with the key inside; with a second owner token the first goes."""
    listed = (await admin.made("GET", "/tokens"))["items"]
    owner = next(each["id"] for each in listed if each["role"] == "owner")
    refused = await admin("DELETE", f"/tokens/{owner}")
    assert (refused.status, refused.error["code"]) == (422, "invalid_input")
    await admin.made("POST", "/tokens", {"name": "second", "role": "owner"})
    assert (await admin("DELETE", f"/tokens/{owner}")).status == 204


@pytest.mark.parametrize(
    "token",
    ["", "tla_", "tla_" + "0" * 49, "tl_live_" + "0" * 49, "x" * 5000, "tla_é", "a b c"],
)
async def test_what_is_no_token_is_refused(admin: Admin, token: str) -> None:
    """Anything but a token that was made here gets 401 and is not repeated."""
    reply = await admin("GET", "/apis", headers={"Authorization": f"Bearer {token}"})
    assert (reply.status, reply.error["code"]) == (401, "invalid_token")
    assert len(token) < 9 or token.encode() not in reply.body


async def test_a_well_formed_token_that_was_never_made_is_refused(admin: Admin) -> None:
    """The checksum is no authentication."""
    stranger = tokenform.mint().reveal_bytes().decode()
    assert "not known" in (await admin("GET", "/apis", role=stranger)).error["message"]


async def test_two_authorizations_are_refused(admin: Admin) -> None:
    """Two readers of one request cannot see two callers."""
    viewer, owner = admin.tokens["viewer"], admin.tokens["owner"]
    lines = f"Host: localhost\r\nAuthorization: Bearer {viewer}\r\nAuthorization: Bearer {owner}\r\nConnection: close"
    assert (await admin.send(f"GET /api/v1/tokens HTTP/1.1\r\n{lines}\r\n\r\n".encode())).status == 401
    basic = await admin("GET", "/apis", headers={"Authorization": f"Basic {owner}"})
    assert basic.status == 401
