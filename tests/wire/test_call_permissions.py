"""What a key may run: the level of the area that the filled path belongs to, whatever its parameters say."""

from typing import Any

import pytest

from tests.wire import calling
from tests.wire.calling import error, json_answer
from tests.wire.conftest import StartStage
from tests.wire.raw import saying
from tests.wire.stage import Stage

AREAS: list[dict[str, Any]] = [
    {"area": "files", "title": "Files", "levels": ["read", "write"], "match": ["* /files", "* /files/*"]},
    {"area": "users", "title": "Users", "levels": ["read", "write"], "match": ["* /users", "* /users/*"]},
    {"area": "chat", "title": "Chat", "levels": ["request"], "match": ["* /chat"]},
]
CALLS: dict[str, Any] = {
    "look": {"path": "/files/<id>", "parameters": {"id": {}}},
    "open": {"path": "/files/<id>", "parameters": {"id": {"raw": True}}},
    "find": {"method": "POST", "use_as": "data", "path": "/files", "body": {"type": "json"}},
    "touch": {"use_as": "action", "path": "/files/<id>", "parameters": {"id": {}}},
    "drop": {"method": "DELETE", "path": "/files/<id>", "parameters": {"id": {}}},
    "ask": {"method": "POST", "path": "/chat"},
    "hear": {"use_as": "data", "method": "POST", "path": "/chat"},
    "stray": {"path": "/other"},
    "change": {"use_as": "action", "path": "/other"},
}
FULL = {"files": "write", "chat": "request"}


@pytest.fixture
async def stage(start_stage: StartStage) -> Stage:
    """A worker whose API has three areas and whose upstream takes everything."""
    return await start_stage(saying(json_answer({})), calls=CALLS, areas=AREAS)


def key_for(stage: Stage, mode: str, grants: dict[str, str] | None = None) -> str:
    """A key of this mode with these grants."""
    permissions: dict[str, Any] = {"mode": mode}
    if mode == "restricted":
        permissions["grants"] = {"api": grants or {}}
    return stage.worker.source.put_key("api", permissions=permissions)


@pytest.mark.parametrize(
    ("call", "mode", "grants", "param"),
    [
        ("look", "restricted", {"files": "read"}, ""),
        ("find", "restricted", {"files": "read"}, ""),
        ("find", "read_only", {}, ""),
        ("touch", "restricted", {"files": "write"}, ""),
        ("drop", "restricted", {"files": "write"}, ""),
        ("ask", "restricted", {"chat": "request"}, ""),
        ("hear", "restricted", {"chat": "request"}, ""),
        ("stray", "all", {}, ""),
        ("stray", "read_only", {}, ""),
        ("change", "all", {}, ""),
        ("touch", "restricted", {"files": "read"}, "api:files=write"),
        ("touch", "read_only", {}, "api:files=write"),
        ("drop", "restricted", {"files": "read"}, "api:files=write"),
        ("look", "restricted", {"users": "write"}, "api:files=read"),
        ("hear", "restricted", {"files": "write"}, "api:chat=request"),
        ("ask", "read_only", {}, "api:chat=request"),
        ("stray", "restricted", FULL, None),
        ("change", "read_only", {}, None),
    ],
)
async def test_a_call_needs_the_level_of_its_area(
    stage: Stage, call: str, mode: str, grants: dict[str, str], param: str | None
) -> None:
    """Data reads, an action writes; an area with one level has that one. ``param`` is what is lacking."""
    values = {"id": "1"} if "<id>" in CALLS[call]["path"] else {}
    found = await calling.run(stage, call, values, key=key_for(stage, mode, grants))
    if param == "":
        assert found.status == 200, found.body
    else:
        assert (found.status, error(found)["code"], error(found)["param"]) == (403, "missing_permission", param)
        assert stage.upstream.accepted == 0


@pytest.mark.parametrize(
    "id",
    ["../users/1", "..%2fusers/1", "%2e%2e/users", "./../users", "..;/users", "x/../../users", "..%252fusers", "/users",
     "..\\users", "a/..//../users"],
)  # fmt: skip
@pytest.mark.parametrize("call", ["look", "open"])
async def test_no_value_leads_out_of_its_area(stage: Stage, call: str, id: str) -> None:
    """Neither encoded as one segment nor raw: what is decided on is what is sent."""
    found = await calling.run(stage, call, {"id": id}, key=key_for(stage, "restricted", {"files": "read"}))
    sent = [seen.target for seen in stage.upstream.seen]
    assert found.status in {200, 400, 403}
    assert all(target.startswith(b"/v1/files/") and b".." not in target.lower() for target in sent)
    assert all(b"users" not in target.split(b"/")[3:4] for target in sent)


async def test_a_raw_value_is_decided_on_where_it_leads(stage: Stage) -> None:
    """Several segments are several segments."""
    areas = [*AREAS, {"area": "keys", "title": "Keys", "levels": ["read"], "match": ["GET /files/*/keys"]}]
    await stage.configure(calls=CALLS, areas=areas)
    key = key_for(stage, "restricted", {"files": "read"})
    found = await calling.run(stage, "open", {"id": "1/keys"}, key=key)
    assert error(found)["param"] == "api:keys=read"
    assert (await calling.run(stage, "look", {"id": "1/keys"}, key=key)).status in {200, 403}


async def test_a_whole_url_below_the_base_url_has_its_area(stage: Stage) -> None:
    """Another way to write a path is no way around it."""
    url = f"http://127.0.0.1:{stage.upstream.port}/v1/users"
    await stage.configure(calls={"it": {"url": url}}, areas=AREAS)
    found = await calling.run(stage, "it", key=key_for(stage, "restricted", FULL))
    assert error(found)["param"] == "api:users=read"


async def test_a_whole_url_elsewhere_has_no_area(stage: Stage) -> None:
    """However its path is called: areas are those of the base URL."""
    url = f"http://127.0.0.1:{stage.upstream.port}/files"
    await stage.configure(calls={"it": {"url": url}, "do": {"url": url, "method": "POST"}}, areas=AREAS)
    assert (await calling.run(stage, "it", key=key_for(stage, "restricted", FULL))).status == 403
    assert (await calling.run(stage, "it", key=key_for(stage, "read_only"))).status == 200
    assert (await calling.run(stage, "do", key=key_for(stage, "read_only"))).status == 403
    assert (await calling.run(stage, "do", key=key_for(stage, "all"))).status == 200


async def test_a_permission_that_was_just_given_counts(stage: Stage) -> None:
    """Though the worker has not heard of it yet."""
    key = key_for(stage, "restricted")
    assert (await calling.run(stage, "look", {"id": "1"}, key=key)).status == 403
    stage.worker.source.change_key(key, permissions={"mode": "restricted", "grants": {"api": {"files": "read"}}})
    assert (await calling.run(stage, "look", {"id": "1"}, key=key)).status == 200


async def test_a_permission_that_was_taken_counts(stage: Stage) -> None:
    """Also for an answer that could be given again."""
    key = key_for(stage, "all")
    once = b"Idempotency-Key: once"
    assert (await calling.run(stage, "ask", {}, once, key=key)).status == 200
    stage.worker.source.change_key(key, permissions={"mode": "restricted", "grants": {}})
    await stage.worker.caught_up()
    assert (await calling.run(stage, "ask", {}, once, key=key)).status == 403


async def test_the_record_says_what_it_counted_as(stage: Stage) -> None:
    """Area and level."""
    await calling.run(stage, "find")
    (record,) = await stage.worker.recorded(1)
    assert (record.area, record.level) == ("files", "read")
