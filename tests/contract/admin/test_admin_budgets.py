"""Budgets in the admin API: made, shown, changed and removed, alone or with a key."""

import pytest

from tests.contract.admin.conftest import Admin, Prepared

TEN = {"amount": {"usd": "10.00"}}


async def test_a_budget_is_shown_with_what_is_left(furnished_admin: Admin) -> None:
    """Sums are in its own unit; the window of now says when it ends."""
    body = {"name": "tokens", "amount": {"tokens": 500}, "applies_to": {"app": "blog"}, "period": "day"}
    made = await furnished_admin.made("POST", "/budgets", body | {"time_zone": "Europe/Berlin", "alerts": [80, 50]})
    assert (made["spent"], made["reserved"], made["left"]) == ({"tokens": 0}, {"tokens": 0}, {"tokens": 500})
    assert (made["applies_to"], made["alerts"], made["mode"]) == ({"app": "blog"}, [50, 80], "hard")
    assert (made["begins_at"], made["resets_at"]) == ("2026-11-22T23:00:00.000Z", "2026-11-23T23:00:00.000Z")
    assert await furnished_admin.made("GET", "/budgets/tokens") == made
    assert made in (await furnished_admin.made("GET", "/budgets"))["items"]


async def test_what_changes_is_what_was_named(furnished_admin: Admin) -> None:
    """The rest stays, the unit too, and the event says what holds now."""
    changed = await furnished_admin.made("PATCH", "/budgets/monthly", {"amount": {"usd": "12.5"}, "mode": "warn"})
    assert (changed["amount"], changed["mode"], changed["period"]) == ({"usd": "12.50"}, "warn", "month")
    event = (await furnished_admin.made("GET", "/audit?limit=1"))["items"][0]
    assert (event["kind"], event["data"]["amount"]) == ("budget.changed", {"usd": "12.50"})
    refused = await furnished_admin("PATCH", "/budgets/monthly", {"amount": {"tokens": 5}})
    assert (refused.status, refused.error["param"]) == (422, "amount")


async def test_a_budget_comes_with_its_key(furnished_admin: Admin) -> None:
    """In the same transaction: where the budget cannot be, there is no key."""
    key = await furnished_admin.made("POST", "/apps/blog/keys", {"budget": TEN | {"period": "month"}})
    found = await furnished_admin.made("GET", f"/budgets/Budget of {key['id']}".replace(" ", "%20"))
    assert (found["applies_to"], found["left"]) == ({"keys": [key["id"]]}, {"usd": "10.00"})
    before = (await furnished_admin.made("GET", "/apps/blog/keys"))["items"]
    refused = await furnished_admin("POST", "/apps/blog/keys", {"budget": TEN | {"time_zone": "Nowhere"}})
    assert (refused.status, refused.error["param"]) == (422, "time_zone")
    assert (await furnished_admin.made("GET", "/apps/blog/keys"))["items"] == before


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"name": "monthly"}, 409, "name"),
        ({"applies_to": {"app": "nobody"}}, 422, "applies_to.app"),
        ({"applies_to": {"api": "nothing"}}, 422, "applies_to.api"),
        ({"applies_to": {"keys": ["key_x"]}}, 422, "applies_to.keys[0]"),
        ({"applies_to": {"app": "blog", "api": "openai"}}, 422, "applies_to"),
        ({"amount": {"usd": "0"}}, 422, "amount.usd"),
        ({"amount": {}}, 422, "amount"),
        ({"name": "a/b"}, 422, "name"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
async def test_what_cannot_be_is_refused_in_words(
    furnished_admin: Admin, body: dict[str, object], status: int, param: str
) -> None:
    """The error names the member; nothing is made."""
    refused = await furnished_admin("POST", "/budgets", {"name": "b", **TEN, "applies_to": {"each": "app"}} | body)
    assert (refused.status, refused.error["param"]) == (status, param)


async def test_a_removed_budget_is_gone(furnished_admin: Admin, furnished: Prepared) -> None:
    """And says so."""
    assert (await furnished_admin("DELETE", f"/budgets/{furnished.names['budget']}")).status == 204
    refused = await furnished_admin("GET", "/budgets/monthly")
    assert (refused.status, "tieline budget list" in refused.error["message"]) == (404, True)
