"""Webhooks by the admin API: made with a secret that is shown once, changed, rotated, tested, removed."""

import json

import pytest

from tests.contract.admin.conftest import Admin
from tieline.controlplane.webhooks import WEBHOOKS_MOST
from tieline.ports.operator import Posted

TOKEN = "path-" + "token-0123456789"
HOOK = {"name": "ops", "url": f"https://Hooks.Example.com/in/{TOKEN}?a=b"}


async def test_a_secret_is_shown_once_and_a_url_s_path_never(admin: Admin) -> None:
    """Both are sealed: no answer, event of the audit log or line of the log has them again."""
    reply = await admin("POST", "/webhooks", HOOK)
    made = reply.json
    assert (reply.status, reply.headers["cache-control"]) == (201, "no-store")
    assert made["secret"].startswith("whsec_")
    assert (made["origin"], made["events"], made["state"]) == (
        "https://hooks.example.com",
        ["budget.threshold"],
        "active",
    )
    for path in ("/webhooks", "/webhooks/ops", f"/webhooks/{made['id']}", "/webhooks/ops/deliveries", "/audit"):
        body = (await admin("GET", path)).body
        assert TOKEN.encode() not in body, path
        assert made["secret"].encode() not in body, path
    stored = (admin.folder / "tieline.db").read_bytes()
    assert TOKEN.encode() not in stored
    assert made["secret"].removeprefix("whsec_").encode() not in stored
    assert TOKEN not in admin.log.getvalue()


async def test_each_change_is_an_event_of_the_audit_log(admin: Admin) -> None:
    """Made, changed, rotated, tested, removed."""
    await admin.made("POST", "/webhooks", HOOK)
    changed = await admin.made("PATCH", "/webhooks/ops", {"name": "desk", "paused": True})
    assert (changed["name"], changed["state"]) == ("desk", "paused")
    assert (await admin.made("PATCH", "/webhooks/desk", {"paused": False}))["state"] == "active"
    await admin.made("POST", "/webhooks/desk/rotate", {"overlap": 60})
    await admin.made("POST", "/webhooks/desk/test")
    assert (await admin("DELETE", "/webhooks/desk")).status == 204
    kinds = [each["kind"] for each in (await admin.made("GET", "/audit?limit=20"))["items"]]
    wanted = ["created", "changed", "changed", "rotated", "tested", "removed"]
    assert sorted(each for each in kinds if each.startswith("webhook.")) == sorted(f"webhook.{each}" for each in wanted)
    assert (await admin("GET", "/webhooks/desk")).status == 404


async def test_a_test_says_how_it_was_taken_and_stays_in_the_list(admin: Admin) -> None:
    """What the receiver answered is no error of the admin API; the list of deliveries has it."""
    made = await admin.made("POST", "/webhooks", HOOK)
    assert await admin.made("POST", "/webhooks/ops/test") == {"ok": True, "status": 200, "problem": None}
    (sent,) = admin.poster.sent
    assert sent[0] == made["id"]
    assert json.loads(sent[2])["type"] == "webhook.test"
    admin.poster.posted = Posted(500, "The receiver answered 500.")
    assert (await admin.made("POST", "/webhooks/ops/test"))["ok"] is False
    found = (await admin.made("GET", "/webhooks/ops/deliveries"))["items"]
    assert [(each["state"], each["status"], each["attempts"], each["next_at"]) for each in found] == [
        ("failed", 500, 1, None),
        ("delivered", 200, 1, None),
    ]
    assert found[1]["message_id"] == sent[1]


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ({"url": "ftp://example.com/x"}, "invalid_input", "url cannot be used"),
        ({"url": "https://user:word@example.com/x"}, "invalid_input", "user name or password"),
        ({"url": "https://example.com/x#y"}, "invalid_input", "fragment"),
        ({"url": "https://example.com/a\r\nb"}, "invalid_input", "control characters"),
        ({"url": "http://169.254.169.254/latest"}, "destination_not_allowed", "metadata"),
        ({"url": "http://127.0.0.1:9/"}, "destination_not_allowed", "127.0.0.1"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, "destination_not_allowed", "IPv4-mapped"),
        ({"events": ["budget.gone"]}, "invalid_input", "budget.threshold"),
        ({"events": []}, "invalid_input", "events"),
        ({"name": "a/b"}, "invalid_input", "name"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_name(
    admin: Admin, body: dict[str, object], code: str, says: str
) -> None:
    """An address that the guard would not dial is refused as it is for an API."""
    refused = await admin("POST", "/webhooks", HOOK | body)
    assert refused.error["code"] == code, refused.body
    assert says in refused.error["message"]


async def test_names_are_taken_once_and_there_is_a_most(admin: Admin) -> None:
    """A second one of the name is refused, and the fifty-first altogether."""
    await admin.made("POST", "/webhooks", HOOK)
    assert (await admin("POST", "/webhooks", HOOK)).error["code"] == "already_exists"
    for number in range(WEBHOOKS_MOST - 1):
        await admin.made("POST", "/webhooks", HOOK | {"name": f"more {number}"})
    assert "no more" in (await admin("POST", "/webhooks", HOOK | {"name": "one more"})).error["message"]


async def test_a_rotated_secret_is_another_and_bounded(admin: Admin) -> None:
    """It is shown once; an overlap of more than thirty days is refused."""
    first = (await admin.made("POST", "/webhooks", HOOK))["secret"]
    reply = await admin("POST", "/webhooks/ops/rotate", {})
    assert reply.headers["cache-control"] == "no-store"
    assert reply.json["secret"] != first
    assert (await admin("POST", "/webhooks/ops/rotate", {"overlap": 30 * 86_400 + 1})).status == 422
