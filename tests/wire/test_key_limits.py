"""GET /limits: what the holder of a key may do, and what is left to it."""

import json
import time
from typing import Any

import pytest

from tests.wire.conftest import StartStage
from tests.wire.raw import Message
from tests.wire.stage import PROVIDER_KEY, Stage

LIMITS = {"rates": [{"requests": 4, "per": "day"}], "concurrent": 2, "streams": 1, "body": 1000}
AREAS = [{"area": "files", "title": "Files", "levels": ["read"], "match": ["GET /files"]}]


async def limits(
    stage: Stage, key: str | None = None, method: bytes = b"GET", field: bytes = b"Tieline-Key: "
) -> Message:
    """The answer to a request for what is left."""
    raw = method + b" /limits HTTP/1.1\r\nHost: t\r\n" + field + (key or stage.key).encode() + b"\r\n\r\n"
    return await stage.ask(raw)


async def told(stage: Stage, **how: Any) -> Any:
    """What it says."""
    answer = await limits(stage, **how)
    assert (answer.status, answer.one(b"content-type")) == (200, b"application/json"), answer.body
    assert answer.one(b"cache-control") == b"no-store"
    return json.loads(answer.body)


async def test_it_says_what_is_left_and_takes_nothing(start_stage: StartStage) -> None:
    """The key's and the app's limits with what is left, the API's without: others use that too."""
    stage = await start_stage(title="The API", limits={"rates": [{"requests": 9, "per": "hour"}]})
    stage.worker.source.change_key(stage.key, limits=LIMITS, app_limits={"per_address": {"requests": 5, "per": "day"}})
    await stage.worker.caught_up()
    await stage.get()
    for _ in range(3):
        found = await told(stage)
    assert [(each["of"], each["limit"], each["left"]) for each in found["limits"]] == [
        ("key", "4 requests a day", 3),
        ("key", "2 requests at once", 2),
        ("key", "1 stream at once", 1),
        ("app", "5 requests a day from each address", 4),
    ]
    assert 21_000 < found["limits"][0]["resets_in_seconds"] <= 21_600
    assert found["apis"] == {"api": {"title": "The API", "limits": ["9 requests an hour"]}}
    assert (found["app"], found["environment"], found["mode"], found["body"]) == ("An app", "live", "all", 1000)
    assert (found["expires_at"], found["models"], found["budgets"]) == (None, [], [])
    assert found["may"] == "May do everything on The API."
    records = await stage.worker.recorded(1)
    assert len(records) == 1


async def test_it_says_what_a_restricted_key_may_do(start_stage: StartStage) -> None:
    """Areas in words, of its app's APIs alone; nothing secret."""
    stage = await start_stage(title="The API", areas=AREAS)
    stage.worker.source.put_api({"tieline": "v1", "api": "other", "base_url": "http://127.0.0.1:9"})
    grants = {"mode": "restricted", "grants": {"api": {"files": "read"}}}
    soon = time.time() + 3600
    stage.worker.source.change_key(stage.key, permissions=grants, models=("gpt-4.1*",), expires_at=soon)
    await stage.worker.caught_up()
    answer = await limits(stage, field=b"Authorization: Bearer ")
    found = json.loads(answer.body)
    assert found["apis"] == {"api": {"title": "The API", "limits": [], "areas": {"Files": "read"}}}
    assert (found["mode"], found["models"], found["limits"]) == ("restricted", ["gpt-4.1*"], [])
    assert found["may"] == "May use Files (read) on The API."
    assert found["expires_at"].endswith("Z")
    for secret in (stage.key, PROVIDER_KEY):
        assert secret.encode() not in answer.raw + answer.body


@pytest.mark.parametrize("what", ["unknown", "revoked", "expired", "elsewhere", "none", "post"])
async def test_whoever_may_not_use_the_key_is_not_told(stage: Stage, what: str) -> None:
    """The refusals are those of every other request."""
    source = stage.worker.source
    changes: dict[str, dict[str, Any]] = {
        "revoked": {"revoked": True}, "expired": {"expires_at": 1.0}, "elsewhere": {"from_ip": ("192.0.2.0/24",)}
    }  # fmt: skip
    source.change_key(stage.key, **changes.get(what, {}))
    key = stage.key
    if what == "unknown":
        key = source.put_key("api")
        source.keys.popitem()
    await stage.worker.caught_up()
    field = b"X-Nothing: " if what == "none" else b"Tieline-Key: "
    answer = await limits(stage, key, b"POST" if what == "post" else b"GET", field)
    codes = {
        "unknown": b"invalid_app_key", "revoked": b"revoked_app_key", "expired": b"expired_app_key",
        "elsewhere": b"address_not_allowed", "none": b"missing_app_key", "post": b"method_not_allowed",
    }  # fmt: skip
    assert answer.one(b"tieline-error") == codes[what]
