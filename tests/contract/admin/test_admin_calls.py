"""Calls through the admin API: each a part of its API's definition, changed by itself, checked as a whole."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.contract.admin.conftest import Admin
from tieline.ports.drift import DriftRecord
from tieline.storage.drift import SETTLING, add_drifts

ASK: dict[str, Any] = {
    "title": "Ask a model",
    "use_as": "action",
    "method": "POST",
    "path": "/chat",
    "parameters": {"prompt": {"in": "body", "type": "text"}},
    "body": {"type": "json", "template": {"prompt": "<prompt>"}},
}
CALLS = "/apis/echo/calls"


async def echo(admin: Admin) -> None:
    """An API to hang calls on."""
    await admin.made("POST", "/apis", {"name": "echo", "base_url": "https://echo.example"})


@pytest.mark.parametrize("form", ["object", "text"])
async def test_a_call_is_added_and_shown_as_the_definition_has_it(admin: Admin, form: str) -> None:
    """As an object or as YAML; it is in the API's definition from then on, and the revision rises."""
    await echo(admin)
    wanted: Any = ASK if form == "object" else "{method: POST, path: /chat, title: Ask a model, use_as: action}\n"
    reply = await admin("POST", CALLS, {"name": "ask", "definition": wanted})
    assert (reply.status, reply.headers["location"], reply.headers["etag"]) == (201, f"/api/v1{CALLS}/ask", '"2"')
    call = reply.json
    assert (call["title"], call["method"], call["target"], call["door"]) == (
        "Ask a model", "POST", "/chat", "/call/echo/ask",
    )  # fmt: skip
    assert await admin.made("GET", f"{CALLS}/ask") == call
    assert (await admin.made("GET", "/apis/echo"))["definition"]["calls"]["ask"] == call["definition"]


async def test_a_call_is_replaced_and_removed(admin: Admin) -> None:
    """Each change is one revision and one audit event; the same call again is neither."""
    await echo(admin)
    await admin.made("POST", CALLS, {"name": "ask", "definition": ASK})
    for _ in range(2):
        changed = await admin.made("PUT", f"{CALLS}/ask", ASK | {"title": "Ask"})
        assert (changed["title"], changed["revision"]) == ("Ask", 3)
    assert (await admin("DELETE", f"{CALLS}/ask")).status == 204
    assert (await admin("GET", f"{CALLS}/ask")).error["code"] == "not_found"
    kinds = [event["kind"] for event in (await admin.made("GET", "/audit?limit=3"))["items"]]
    assert kinds == ["call.removed", "call.changed", "call.added"]
    assert "calls" not in (await admin.made("GET", "/apis/echo"))["definition"]


async def test_a_call_that_another_walks_on_by_is_kept(admin: Admin) -> None:
    """Its removal is refused, and a change after which it could not ask for those pages, with the other's name."""
    await echo(admin)
    at = {"at": {"in": "query", "optional": True}}
    paging = {"kind": "cursor", "parameter": "at", "next": "next", "call": "more"}
    await admin.made("POST", CALLS, {"name": "more", "definition": {"path": "/more", "parameters": at}})
    first = {"path": "/things", "parameters": at, "pagination": paging}
    await admin.made("POST", CALLS, {"name": "things", "definition": first})
    for reply in (await admin("DELETE", f"{CALLS}/more"), await admin("PUT", f"{CALLS}/more", {"path": "/more"})):
        assert (reply.status, reply.error["code"]) == (422, "invalid_input")
        assert reply.error["param"].startswith("calls.things.pagination")
    assert (await admin("DELETE", f"{CALLS}/things")).status == 204
    assert (await admin("DELETE", f"{CALLS}/more")).status == 204


async def test_calls_come_in_pages_by_name(admin: Admin) -> None:
    """``next`` is the name that the next page comes after, whether it is still there or not."""
    await echo(admin)
    for name in ("c", "a", "d", "b"):
        await admin.made("POST", CALLS, {"name": name, "definition": {"path": f"/{name}"}})
    first = await admin.made("GET", f"{CALLS}?limit=2")
    assert ([each["name"] for each in first["items"]], first["next"]) == (["a", "b"], "b")
    await admin("DELETE", f"{CALLS}/b")
    second = await admin.made("GET", f"{CALLS}?limit=2&after=b")
    assert ([each["name"] for each in second["items"]], second["next"]) == (["c", "d"], None)
    assert (await admin("GET", f"{CALLS}?after=B")).status == 422


@pytest.mark.parametrize(
    ("name", "wanted", "words"),
    [
        ("Ask", ASK, "lower-case"),
        ("__proto__", ASK, "lower-case"),
        ("ask", {"path": "/x", "colour": 1}, 'unknown key "colour"'),
        ("ask", {"path": "/<id>"}, "is no parameter of this call"),
        ("ask", ASK | {"path": "/../x"}, '"/../"'),
        ("ask", ASK | {"parameters": {"__proto__": {}}}, "__proto__"),
        ("ask", ASK | {"parameters": {"prompt": {"type": "file"}}}, "calls.ask"),
        ("ask", {"url": "https://elsewhere.example/x"}, "is not among hosts"),
        ("ask", "path: /x\npath: /y\n", "duplicate key"),
        ("ask", "[1, 2]", "a mapping"),
        ("ask", 7, "must be text"),
        ("ask", {"path": "/x", "headers": [{"name": "Authorization", "value": "Bearer sk-x"}]}, "vault"),
    ],
)
async def test_a_call_that_cannot_be_is_refused(admin: Admin, name: str, wanted: Any, words: str) -> None:
    """By the checks of the whole definition, which tell the place in it; nothing is saved."""
    await echo(admin)
    reply = await admin("POST", CALLS, {"name": name, "definition": wanted})
    assert (reply.status, reply.error["code"]) == (422, "invalid_input")
    assert words in reply.error["message"]
    assert (await admin.made("GET", "/apis/echo"))["revision"] == 1


async def test_a_call_cannot_point_inward(admin: Admin) -> None:
    """A full URL goes to the hosts of the API only, and those are checked like a base URL."""
    await echo(admin)
    for url in ("http://169.254.169.254/latest", "http://127.0.0.1:8601/api/v1/tokens", "http://[::1]/"):
        assert (await admin("POST", CALLS, {"name": "inner", "definition": {"url": url}})).status == 422


async def test_names_of_calls_are_unique_within_an_api(admin: Admin) -> None:
    """A second one is refused; another API may have the same."""
    await echo(admin)
    await admin.made("POST", CALLS, {"name": "ask", "definition": ASK})
    again = await admin("POST", CALLS, {"name": "ask", "definition": {"path": "/other"}})
    assert (again.status, again.error["code"]) == (409, "already_exists")
    await admin.made("POST", "/apis", {"name": "other", "base_url": "https://other.example"})
    await admin.made("POST", "/apis/other/calls", {"name": "ask", "definition": ASK})
    assert (await admin("PUT", "/apis/other/calls/none", ASK)).error["code"] == "not_found"


async def test_an_old_revision_is_refused_for_a_call_too(admin: Admin) -> None:
    """``If-Match`` guards a change and a removal."""
    await echo(admin)
    await admin.made("POST", CALLS, {"name": "ask", "definition": ASK})
    await admin.made("PUT", f"{CALLS}/ask", ASK | {"title": "Ask"})
    for method, body in (("PUT", ASK), ("DELETE", None)):
        refused = await admin(method, f"{CALLS}/ask", body, headers={"If-Match": '"2"'})
        assert (refused.status, refused.error["code"]) == (412, "precondition_failed")
    assert (await admin("DELETE", f"{CALLS}/ask", headers={"If-Match": '"3"'})).status == 204


async def test_of_many_who_add_calls_at_once_none_is_lost(admin: Admin) -> None:
    """Each is put into the definition as it is by then; of those who take one name, one gets it."""
    await echo(admin)
    names = [f"call{number}" for number in range(6)] + ["same"] * 3
    replies = await asyncio.gather(
        *(admin("POST", CALLS, {"name": name, "definition": {"path": "/x"}}) for name in names)
    )
    assert Counter(reply.status for reply in replies) == {201: 7, 409: 2}
    assert len((await admin.made("GET", CALLS))["items"]) == 7
    assert (await admin.made("POST", "/audit/verify"))["ok"]


async def test_the_schema_of_a_call_says_what_it_takes_and_gives(admin: Admin) -> None:
    """Input from its parameters, private ones left out; output from its fields."""
    await admin.made("POST", "/apis", {"name": "openai", "from_catalogue": "openai"})
    schema = await admin.made("GET", "/apis/openai/calls/ask/schema")
    assert (list(schema["input"]["properties"]), schema["input"]["required"]) == (["prompt"], ["prompt"])
    assert schema["output"]["properties"] == {"answer": {"type": "string"}}


async def drifted(admin: Admin) -> Any:
    """What the admin API tells of the drift of the call ``ask``."""
    return [(each["path"], each["count"]) for each in (await admin.made("GET", f"{CALLS}/ask/drift"))["items"]]


async def test_drift_is_told_until_the_answer_is_known_otherwise(admin: Admin) -> None:
    """Most frequent first; a new title leaves the counts, another response or the call's end begins them anew."""
    await echo(admin)
    await admin.made("POST", CALLS, {"name": "ask", "definition": ASK})
    records = [
        DriftRecord("echo", "live", "ask", "a", "type", 2, "integer", "text"),
        DriftRecord("echo", "live", "ask", "b.c", "missing", 5, "text", ""),
        DriftRecord("gone", "live", "ask", "a", "type", 9, "integer", "text"),
    ]
    database = admin.services.store._database  # type: ignore[attr-defined]
    await add_drifts(database, records, admin.clock.now() + SETTLING)
    assert await drifted(admin) == [("b.c", 5), ("a", 2)]
    await admin.made("PUT", f"{CALLS}/ask", ASK | {"title": "Ask"})
    assert await drifted(admin) == [("b.c", 5), ("a", 2)]
    await admin.made("POST", f"{CALLS}/ask/initialize", {"sample": '{"a": 1}', "save": True})
    assert await drifted(admin) == []
    await add_drifts(database, records, admin.clock.now() + SETTLING)
    definition = (await admin.made("GET", "/apis/echo"))["definition"]
    calls = {"ask": ASK | {"response": {"type": "text"}}}
    await admin.made("PUT", "/apis/echo", definition | {"calls": calls})
    assert await drifted(admin) == []
    await add_drifts(database, records, admin.clock.now() + SETTLING)
    assert (await admin("DELETE", f"{CALLS}/ask")).status == 204
    await admin.made("POST", CALLS, {"name": "ask", "definition": ASK})
    assert await drifted(admin) == []
