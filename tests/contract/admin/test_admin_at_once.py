"""Several operators at once: names stay unique, updates are not lost, one credential is active, the chain holds."""

import asyncio
from collections import Counter

from tests.contract.admin.conftest import Admin

KEY = "sk-sandbox-0123456789abcdef"


async def test_of_many_who_take_a_name_one_gets_it(admin: Admin) -> None:
    """The others are told that it is taken."""
    body = {"name": "echo", "base_url": "https://echo.example"}
    replies = await asyncio.gather(*(admin("POST", "/apis", body) for _ in range(8)))
    assert Counter(reply.status for reply in replies) == {201: 1, 409: 7}
    replies = await asyncio.gather(*(admin("POST", "/apps", {"name": "blog"}) for _ in range(8)))
    assert Counter(reply.status for reply in replies) == {201: 1, 409: 7}


async def test_of_many_who_change_the_same_revision_one_does(admin: Admin) -> None:
    """The others read again."""
    await admin.made("POST", "/apis", {"name": "echo", "base_url": "https://echo.example"})
    replies = await asyncio.gather(
        *(
            admin(
                "PUT",
                "/apis/echo",
                {"tieline": "v1", "api": "echo", "base_url": f"https://echo{number}.example"},
                headers={"If-Match": '"1"'},
            )
            for number in range(8)
        )
    )
    assert Counter(reply.status for reply in replies) == {200: 1, 412: 7}
    assert (await admin.made("GET", "/apis/echo"))["revision"] == 2


async def test_of_many_first_credentials_one_is_active(admin: Admin) -> None:
    """Versions are numbered without gaps or repeats, and the audit chain holds."""
    await admin.made("POST", "/apis", {"name": "openai", "from_catalogue": "openai"})
    path = "/apis/openai/credentials/live"
    replies = await asyncio.gather(*(admin("PUT", path, {"fields": {"key": KEY}}) for _ in range(8)))
    assert sorted(reply.json["version"] for reply in replies) == list(range(1, 9))
    assert Counter(reply.json["state"] for reply in replies) == {"active": 1, "pending": 7}
    assert (await admin.made("POST", "/audit/verify"))["ok"]


async def test_the_main_path_works_on_postgresql(admin_on_postgresql: Admin) -> None:
    """API, credential, app, key, rotation, revocation and the audit chain."""
    admin = admin_on_postgresql
    await admin.made("POST", "/apis", {"name": "openai", "from_catalogue": "openai"})
    assert (await admin.made("PUT", "/apis/openai/credentials/live", {"fields": {"key": KEY}}))["state"] == "active"
    await admin.made("POST", "/apps", {"name": "blog", "apis": ["openai"]})
    key = await admin.made("POST", "/apps/blog/keys", {"from_ip": ["192.0.2.0/24"], "expires_in": 60})
    await admin.made("POST", f"/keys/{key['id']}/rotate", {"overlap": 5})
    assert (await admin("DELETE", f"/keys/{key['id']}")).status == 204
    assert (await admin.made("GET", f"/keys/{key['id']}"))["state"] == "revoked"
    assert (await admin("DELETE", "/apis/openai")).status == 204
    verdict = await admin.made("POST", "/audit/verify")
    assert (verdict["ok"], verdict["events"], verdict["breaks"]) == (True, 11, [])
