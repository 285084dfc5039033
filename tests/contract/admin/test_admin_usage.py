"""Usage in the admin API: rows, filters, time zones, pages, CSV and FOCUS."""

import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from tests.contract.admin.conftest import Admin
from tieline.ports.usage import Series, SeriesCount, UsageBatch
from tieline.storage.engine import open_database
from tieline.storage.usage import SqlUsage
from tieline.web.focus import COLUMNS, MANDATORY, OWN

NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
SERIES = Series("live", "app_1", "blog", "key_1", "openai", "ask", "gpt-4.1", "ann", "nightly")
FULL = {
    "requests": 3, "errors": 1, "cached": 1, "retries": 2, "q.input_tokens": 7, "q.audio_ms": 1_250, "priced": 2,
    "cost_nano": 1_234_000, "unpriced": 1, "u.audio_ms": 1_250, "estimated": 1, "estimated_nano": 234_000,
    "e.input_tokens": 2, "unread": 1, "ms.40": 2, "ms.80": 1,
}  # fmt: skip

Row = tuple[datetime, Series, Mapping[str, int]]


async def add(admin: Admin, *rows: Row) -> None:
    """Count as a worker does."""
    database = await open_database(f"sqlite:///{admin.folder}/tieline.db")
    counted = [
        SeriesCount(int(at.timestamp()) // 60 * 60, series, {"requests": 1, **measures})
        for at, series, measures in rows
    ]
    await SqlUsage(database).add(UsageBatch("use_1", 1, counted))
    await database.close()


async def items(admin: Admin, query: str) -> list[dict[str, Any]]:
    """The rows of a query."""
    found: list[dict[str, Any]] = (await admin.made("GET", f"/usage?{query}"))["items"]
    return found


def ago(**time: float) -> datetime:
    """So long before now."""
    return NOW - timedelta(**time)


async def test_a_row_says_all_that_is_known(admin: Admin) -> None:
    """Money as exact text, times in seconds; what has no price and what is a guess apart."""
    await add(admin, (ago(hours=1), SERIES, FULL))
    (row,) = await items(admin, "by=app,key,api,call,model,end_user,tag,environment&bucket=day")
    latency = row.pop("latency_ms")
    assert row == {
        "app": "blog", "app_id": "app_1", "key": "key_1", "api": "openai", "call": "ask", "model": "gpt-4.1",
        "end_user": "ann", "tag": "nightly", "environment": "live", "bucket": "2026-11-23T00:00:00.000Z",
        "until": "2026-11-24T00:00:00.000Z", "other": False, "requests": 3, "errors": 1, "cached": 1, "retries": 2,
        "quantities": {"audio_seconds": 1.25, "input_tokens": 7}, "cost": {"usd": "0.001234"},
        "unpriced": {"requests": 1, "quantities": {"audio_seconds": 1.25}},
        "estimated": {"requests": 1, "cost": {"usd": "0.000234"}, "quantities": {"input_tokens": 2}}, "unread": 1,
    }  # fmt: skip
    assert latency["p50"] < latency["p95"] == latency["p99"]


async def test_what_has_no_price_has_no_cost_of_0(admin: Admin) -> None:
    """It is null, and said to be unpriced."""
    await add(admin, (ago(hours=1), SERIES, {"unpriced": 1, "q.images": 2, "u.images": 2}))
    (row,) = await items(admin, "")
    assert row["cost"] is None
    assert row["unpriced"] == {"requests": 1, "quantities": {"images": 2}}
    assert "app" not in row


async def test_buckets_are_of_the_time_zone_that_is_asked_for(admin: Admin) -> None:
    """A day in Kolkata begins at half past six in the evening of UTC; hours are at half past too."""
    rows: list[Row] = [
        (datetime(2026, 11, 20, hour, minute, tzinfo=UTC), SERIES, {}) for hour in (18, 19) for minute in (10, 40)
    ]
    await add(admin, *rows)
    days = await items(admin, "since=2026-11-19T00:00:00Z&time_zone=Asia/Kolkata")
    assert [(row["bucket"], row["requests"]) for row in days] == [
        ("2026-11-19T18:30:00.000Z", 1),
        ("2026-11-20T18:30:00.000Z", 3),
    ]
    hours = await items(admin, "bucket=hour&since=2026-11-20T00:00:00Z&time_zone=Asia/Kolkata")
    assert [(row["bucket"][11:16], row["requests"]) for row in hours] == [("17:30", 1), ("18:30", 2), ("19:30", 1)]
    assert [row["requests"] for row in await items(admin, "since=2026-11-19T00:00:00Z")] == [4]


async def test_a_day_is_a_day_when_clocks_change(admin: Admin) -> None:
    """Of 25 hours, and its hours follow each other."""
    admin.clock.pass_time(-28 * 86_400)  # the last of October, when clocks in Berlin go back
    rows: list[Row] = [(datetime(2026, 10, 24, 22, tzinfo=UTC) + timedelta(hours=n), SERIES, {}) for n in range(25)]
    await add(admin, *rows)
    query = "since=2026-10-24T22:00:00Z&until=2026-10-25T23:00:00Z&time_zone=Europe/Berlin"
    (day,) = await items(admin, query)
    assert (day["bucket"], day["until"], day["requests"]) == (
        "2026-10-24T22:00:00.000Z",
        "2026-10-25T23:00:00.000Z",
        25,
    )
    assert [row["requests"] for row in await items(admin, f"{query}&bucket=hour")] == [1] * 25


async def test_minutes_reach_back_two_days(admin: Admin) -> None:
    """The answer says how far; what is older is in hours and days."""
    await add(admin, (ago(days=3), SERIES, {}), (ago(hours=3), SERIES, {}))
    answer = await admin.made("GET", "/usage?bucket=minute&since=2026-11-01T00:00:00Z")
    assert answer["reaches_back_to"] == "2026-11-21T07:01:00.000Z"
    assert [row["bucket"] for row in answer["items"]] == ["2026-11-23T04:00:00.000Z"]
    (row,) = await items(admin, "bucket=all")
    assert row["requests"] == 2


async def test_filters_choose_what_is_added_up(admin: Admin) -> None:
    """An app by its name now, which finds what it was called before, and by the name that it had then."""
    app = (await admin.made("POST", "/apps", {"name": "journal"}))["id"]
    old = SERIES._replace(app_id=app, app="diary")
    await add(
        admin, (ago(hours=1), old, {}), (ago(hours=1), SERIES, {}), (ago(hours=1), SERIES._replace(tag="a&b"), {})
    )
    for query, count in (
        ("app=journal", 1),
        ("app=diary", 1),
        (f"app={app}", 1),
        ("app=blog", 2),
        ("app=blog&app=journal", 3),
        (f"tag={quote('a&b')}", 1),
        ("model=gpt*&api=openai&environment=live", 3),
        ("model=g*t", 0),
        ("environment=development", 0),
    ):
        found = await items(admin, query)
        assert sum(row["requests"] for row in found) == count, query


async def test_pages_hold_every_row_once(admin: Admin) -> None:
    """With any limit, while minutes pass."""
    rows: list[Row] = [(ago(minutes=n % 7), SERIES._replace(tag=f"t{n}", end_user="é\"'"), {}) for n in range(23)]
    await add(admin, *rows)
    found: list[tuple[str, str]] = []
    after = ""
    while True:
        page = await admin.made("GET", f"/usage?by=tag,end_user&bucket=minute&limit=5{after}")
        found += [(row["bucket"], row["tag"]) for row in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
        admin.clock.pass_time(60)
    assert len(found) == len(set(found)) == 23


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("by=nothing", "by"),
        ("by=app,app", "by"),
        ("bucket=week", "bucket"),
        ("time_zone=Mars/Olympus", "time_zone"),
        ("time_zone=../../etc/passwd", "time_zone"),
        ("since=2026-11-23T06:00:00Z&until=2026-11-23T05:00:00Z", "since"),
        ("since=2027-01-01T00:00:00Z", "since"),
        ("after=nothing", "after"),
        ("after=W10", "after"),
        ("after=WzAsMSwyXQ", "after"),
        ("tag=%00", "tag"),
        ("format=focus&bucket=minute", "bucket"),
        ("format=focus&time_zone=Europe/Berlin", "bucket"),
        ("nothing=1", "nothing"),
    ],
)
async def test_what_cannot_be_asked_is_refused(admin: Admin, query: str, param: str) -> None:
    """With the parameter that is wrong."""
    reply = await admin("GET", f"/usage?{query}")
    assert (reply.status // 100, reply.error["param"]) == (4, param)


async def test_csv_has_every_row_and_no_formula(admin: Admin) -> None:
    """More than a page; a word from outside never runs in a spreadsheet."""
    rows: list[Row] = [(ago(hours=1), SERIES._replace(tag=f"t{n}"), {}) for n in range(205)]
    await add(admin, (ago(hours=1), SERIES._replace(tag='=HYPERLINK("http://x")'), FULL), *rows)
    reply = await admin("GET", "/usage?by=tag", headers={"Accept": "text/csv"})
    assert reply.headers["content-type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(reply.body.decode())))
    assert len(table) == 206
    (odd,) = [row for row in table if "HYPERLINK" in row["tag"]]
    assert odd["tag"].startswith("'=")
    assert (odd["cost_usd"], odd["unpriced_requests"]) == ("0.001234", "1")
    assert json.loads(odd["quantities"]) == {"audio_seconds": 1.25, "input_tokens": 7}
    assert {row["cost_usd"] for row in table} == {"0.001234", ""}
    assert (await admin("GET", "/usage?by=tag&format=csv")).body == reply.body


async def test_focus_has_the_columns_that_it_must_have(admin: Admin) -> None:
    """A row for each charge; the sum of the costs is the sum of the rows' costs."""
    rest = SERIES._replace(api="", model="", call="", end_user="", tag="")
    await add(
        admin, (ago(hours=1), SERIES, FULL), (ago(days=2), SERIES, {"cost_nano": 5, "priced": 1}), (NOW, rest, {})
    )
    reply = await admin("GET", "/usage?format=focus")
    head, *lines = csv.reader(io.StringIO(reply.body.decode()))
    assert head == [*COLUMNS, *OWN]
    assert set(MANDATORY) <= set(head)
    assert len(set(head)) == len(head)
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    assert sum(Decimal(row["BilledCost"]) for row in rows) == Decimal("0.001234005")
    for row in rows:
        assert (row["ChargeCategory"], row["ChargeClass"], row["BillingCurrency"]) == ("Usage", "", "USD")
        assert row["BilledCost"] == row["EffectiveCost"] == row["ListCost"] == row["ContractedCost"]
        nulls = {"ChargeClass", "Tags", "SubAccountId", "SubAccountName"}
        assert all(row[name] for name in COLUMNS if name not in nulls), row
        begins, ends = (datetime.fromisoformat(row[f"ChargePeriod{end}"]) for end in ("Start", "End"))
        assert ends - begins == timedelta(days=1)
        assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    full = next(row for row in rows if row["x_UnpricedRequests"] == "1")
    assert "no known price" in full["ChargeDescription"]
    assert "estimated" in full["ChargeDescription"]
    assert (full["SubAccountName"], full["ConsumedQuantity"], full["x_Model"]) == ("blog", "3", "gpt-4.1")
    assert json.loads(full["Tags"]) == {"tag": "nightly"}


async def test_a_viewer_may_ask(admin: Admin) -> None:
    """And nobody without a token."""
    assert (await admin("GET", "/usage", role="viewer")).status == 200
    assert (await admin("GET", "/usage", role=None)).status == 401
