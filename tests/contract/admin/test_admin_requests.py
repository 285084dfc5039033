"""Request records in the admin API: filters, pages, one record, and those that come."""

import asyncio
import json
from typing import Any

import pytest

from tests.contract.admin.conftest import RECORDED, Admin
from tests.storage.rows import record
from tieline.ports.requests import AppWords, Sendings, Used
from tieline.storage.recordfiles import DayFiles
from tieline.storage.records import fit

AT = RECORDED.at


async def add(admin: Admin, *records: Any) -> None:
    """Save records beside the store."""
    files = DayFiles(admin.folder / "tieline.requests", fit)
    await files.add(list(records))
    await files.close()


async def ids(admin: Admin, query: str = "") -> list[str]:
    """The ids that a query lists."""
    return [each["id"] for each in (await admin.made("GET", f"/requests?{query}"))["items"]]


async def test_a_record_is_shown_whole(furnished_admin: Admin) -> None:
    """Times in milliseconds, seconds of sound, money as exact text, and the decision in words."""
    app = (await furnished_admin.made("GET", "/apps/blog"))["id"]
    used = Used("gpt-4.1", "flex", {"input_tokens": 7, "audio_ms": 1_250}, 1_500, frozenset({"images"}), estimated=True)
    row = record(
        app_id=app, area="chat", level="request", used=used, sending=Sendings(None, 3.25, None, 1), cache="miss",
        named=AppWords("ann", "nightly"), admission_ms=0.1234567, worker=1, id="req_0651d9c8a1f2030b5e7d45",
    )  # fmt: skip
    await add(furnished_admin, row)
    shown = await furnished_admin.made("GET", f"/requests/{row.id}")
    assert shown["app"] == "blog"
    assert shown["timings"] == {
        "admission_ms": 0.123, "queue_ms": None, "connect_ms": 3.25, "tls_ms": None, "first_byte_ms": 11.25,
        "total_ms": 12.5,
    }  # fmt: skip
    assert (shown["quantities"], shown["cost"]) == ({"input_tokens": 7, "audio_seconds": 1.25}, {"usd": "0.0000015"})
    assert (shown["unpriced"], shown["estimated"], shown["retries"], shown["cache"]) == (["images"], True, 1, "miss")
    assert (shown["end_user"], shown["tag"], shown["worker"]) == ("ann", "nightly", 1)
    assert shown["decision"] == "Allowed as chat: request."


async def test_a_refusal_is_shown_with_its_reason(furnished_admin: Admin) -> None:
    """The words that the client got."""
    row = record(area=None, level=None, status=403, code="missing_permission", outcome="refused", reason="No. Ask.")
    await add(furnished_admin, row)
    (shown,) = (await furnished_admin.made("GET", "/requests?code=missing_permission"))["items"]
    assert (shown["reason"], shown["decision"], shown["cost"], shown["quantities"]) == (
        "No. Ask.",
        "Refused: No. Ask.",
        None,
        None,
    )


async def test_filters_are_parameters(furnished_admin: Admin) -> None:
    """Any value of one, all of several, and ``not_…``; an app by its name too."""
    app = (await furnished_admin.made("GET", "/apps/blog"))["id"]
    rows = [
        record(at=AT + 1, app_id=app, status=404, path="/a b&c=d"),
        record(at=AT + 2, app_id=app, status=503, call="ask"),
        record(at=AT + 3, app_id="app_gone", status=404, key_id="key_9"),
    ]
    await add(furnished_admin, *rows)
    first, second, third = (row.id for row in rows)
    for query, found in (
        ("app=blog", [second, first]),
        (f"app={app}&status=4xx", [first]),
        ("app=app_gone", [third]),
        ("status=404&status=5xx&not_key=key_9", [second, first]),
        ("not_status=2xx&not_call=ask", [third, first]),
        ("path=/a%20b%26c%3Dd", [first]),
        ("since=2026-11-18T20:26:42Z&until=2026-11-18T20:26:43Z", []),
        ("app=nobody", []),
        ("app=blog&limit=1", [second]),
    ):
        assert await ids(furnished_admin, query) == found, query


@pytest.mark.parametrize(
    ("query", "about"),
    [
        ("status=abc", "status"),
        ("not_status=6xx", "not_status"),
        ("status=4xx%00", "status"),
        ("text=a%00b", "text"),
        ("text=", "text"),
        ("since=yesterday", "since"),
        ("since=2026-11-30T10:00:00", "since"),
        ("since=2026-11-30T10:00:00Z&until=2026-11-30T10:00:00Z", "since"),
        ("after=key_1", "after"),
        ("after=2026-11-30", "after"),
        ("limit=201", "limit"),
        ("colour=red", "colour"),
        ("&".join(["api=a"] * 21), "api"),
    ],
)
async def test_what_is_no_filter_is_refused(furnished_admin: Admin, query: str, about: str) -> None:
    """With the parameter's name and what to do, and never by an empty list that looks like an answer."""
    refused = await furnished_admin("GET", f"/requests?{query}")
    assert refused.status == 422
    assert about in refused.error["message"] or refused.error["param"] == about


async def test_pages_follow_one_another(furnished_admin: Admin) -> None:
    """Each record once; the last page says so."""
    rows = [record(at=AT + number) for number in range(7)]
    await add(furnished_admin, *rows)
    found, after = [], ""
    while True:
        page = await furnished_admin.made("GET", f"/requests?limit=3{after}")
        found += [each["id"] for each in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert found == [*(row.id for row in reversed(rows)), RECORDED.id]


async def test_what_is_not_there_is_not_found(furnished_admin: Admin) -> None:
    """And not repeated."""
    for odd in ("req_0000000000000000000000", "x", "sk-" + "not-real"):
        missing = await furnished_admin("GET", f"/requests/{odd}")
        assert missing.status == 404
        assert odd not in missing.error["message"]


async def test_requests_are_streamed_as_they_end(furnished_admin: Admin) -> None:
    """Those that fit the filters, as events; none from before."""
    streaming = asyncio.create_task(furnished_admin("GET", "/requests/stream?seconds=1.5&status=4xx"))
    await asyncio.sleep(0.5)
    rows = [record(at=AT + number, status=200 + 204 * (number % 2)) for number in range(4)]
    await add(furnished_admin, *rows)
    answer = await streaming
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line[6:] for line in answer.body.decode().splitlines() if line.startswith("data: ")]
    assert [json.loads(each)["id"] for each in events] == [row.id for row in rows if row.status == 404]


async def test_a_flood_is_followed_in_part_and_says_so(furnished_admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would come too fast to be shown is passed over; what comes after is there again."""
    monkeypatch.setattr("tieline.controlplane.requests.FOLLOWED_MOST", 5)
    streaming = asyncio.create_task(furnished_admin("GET", "/requests/stream?seconds=2"))
    await asyncio.sleep(0.5)
    await add(furnished_admin, *[record(at=AT + number) for number in range(50)])
    await asyncio.sleep(0.7)
    last = record(at=AT + 60)
    await add(furnished_admin, last)
    body = (await streaming).body.decode()
    assert body.count("event: skipped") == 1
    assert 5 <= body.count("event: request") < 50
    assert last.id in body


async def test_too_many_live_views_are_refused(furnished_admin: Admin) -> None:
    """Each costs the store four questions a second."""
    async with asyncio.TaskGroup() as group:
        open_ = [group.create_task(furnished_admin("GET", "/requests/stream?seconds=1")) for _ in range(20)]
        await asyncio.sleep(0.6)
        refused = await furnished_admin("GET", "/requests/stream?seconds=1")
    assert (refused.status, refused.error["code"]) == (503, "overloaded")
    assert {(await each).status for each in open_} == {200}
    assert (await furnished_admin("GET", "/requests/stream?seconds=0")).status == 200


async def test_recorded_bodies_are_opened_for_editors_and_told(furnished_admin: Admin) -> None:
    """As text, or base64 where they are none; nobody's cache keeps them, and the log says who before it is done."""
    found = await furnished_admin("GET", f"/requests/{RECORDED.id}/bodies", role="editor")
    assert found.headers["cache-control"] == "no-store"
    assert found.json["request"]["body"] == {"text": "hello", "base64": None, "size": 5, "cut": False}
    assert found.json["answer"]["body"] == {"text": None, "base64": "/wA=", "size": 2, "cut": False}
    assert (await furnished_admin("GET", f"/requests/{RECORDED.id}/bodies", role="viewer")).status == 403
    events = (await furnished_admin.made("GET", f"/audit?target={RECORDED.id}"))["items"]
    assert [(event["kind"], event["data"]) for event in events] == [
        ("bodies.opened", {"api": "openai", "app": "app_1"})
    ]


async def test_bodies_that_are_not_there_are_not_found(furnished_admin: Admin) -> None:
    """The error says how to have those of later requests; what is gone meanwhile is not found either."""
    plain = record(id="req_0651d9c8a1f2030b5e7d46")
    await add(furnished_admin, plain)
    reply = await furnished_admin("GET", f"/requests/{plain.id}/bodies")
    assert (reply.status, "record_bodies" in reply.error["message"]) == (404, True)
    furnished_admin.replayer.bodies = None
    assert (await furnished_admin("GET", f"/requests/{RECORDED.id}/bodies")).status == 404
    shown = await furnished_admin.made("GET", f"/requests/{RECORDED.id}")
    assert shown["bodies_until"] == "2106-02-07T06:28:16.000Z"
    assert (await furnished_admin.made("GET", f"/requests/{plain.id}"))["bodies_until"] is None


async def test_what_may_change_something_is_sent_again_once(furnished_admin: Admin) -> None:
    """A second time only if it is said; of many at once one; what only reads as often as anybody likes."""
    action = record(id="req_0651d9c8a1f2030b5e7d46", method="POST", path="/chat")
    await add(furnished_admin, action)
    path = f"/requests/{action.id}/replay"
    replies = await asyncio.gather(*[furnished_admin("POST", path) for _ in range(5)])
    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409]
    assert furnished_admin.replayer.sent == [action.id]
    refused = next(reply for reply in replies if reply.status == 409)
    assert "by token:tok_" in refused.error["message"]
    assert (await furnished_admin("POST", path, {"again": True})).json["raw"] == '{"id": 1}'
    for _ in range(2):
        assert (await furnished_admin("POST", f"/requests/{RECORDED.id}/replay")).status == 200
    events = (await furnished_admin.made("GET", f"/audit?target={action.id}"))["items"]
    assert [event["kind"] for event in events] == ["request.replayed"] * 2


async def test_a_request_that_was_never_sent_is_not_sent_again(furnished_admin: Admin) -> None:
    """One that was refused at the door; and one whose API is gone leaves nothing."""
    refused, gone = (record(id=f"req_0651d9c8a1f2030b5e7d4{n}", api=api) for n, api in ((6, None), (7, "gone")))
    await add(furnished_admin, refused, gone)
    assert (await furnished_admin("POST", f"/requests/{refused.id}/replay")).status == 422
    assert (await furnished_admin("POST", f"/requests/{gone.id}/replay")).status == 404
    assert (await furnished_admin("POST", "/requests/req_0651d9c8a1f2030b5e7d48/replay")).status == 404
    assert furnished_admin.replayer.sent == []
