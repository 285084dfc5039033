"""The audit log of a running server: openings of the vault by each worker, none for requests, anchors in the log."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from tests.e2e.stage import KEY_FIELDS, Admin, Node, admin_of, serving, until
from tests.e2e.test_abuse import prepared, uses
from tests.e2e.upstream import upstream


async def openings(admin: Admin, text: str, why: str, count: int) -> list[Any]:
    """The openings that name ``text``, once there are ``count`` or half a minute has passed."""
    found: list[Any] = []
    for _ in range(300):
        events = (await admin.made("GET", f"/audit?kind=vault.opened&text={text}&limit=200"))["items"]
        found = [event for event in events if event["data"]["why"] == why]
        if len(found) >= count:
            break
        await asyncio.sleep(0.1)
    return found


async def test_each_worker_says_what_it_opened_and_requests_say_nothing(tmp_path: Path) -> None:
    """Which credential, which fields, by which worker and why: after the change, and again after a start."""
    async with upstream() as provider, serving(tmp_path, "--workers", "2") as node, admin_of(node) as admin:
        app, key = await prepared(admin, provider, "service")
        credential = (await admin.made("GET", "/audit?kind=credential.put"))["items"][0]["target"]
        found = await openings(admin, credential, "serve", 2)
        assert sorted(event["actor"].rpartition("/")[2] for event in found) == ["data worker 1", "data worker 2"]
        fields = [name for name, _ in KEY_FIELDS]
        for event in found:
            opened = {"of": "credential", "environment": "live", "version": 1, "fields": fields}
            assert (event["target"], event["data"]["opened"][credential]) == ("vault", opened)
        before = await newest(admin)
        assert await uses(node, "service", key, 100) == [200] * 100
        await admin.made("POST", f"/apps/{app}/keys", {})
        after = (await admin.made("GET", "/audit?limit=200"))["items"]
        assert [event["kind"] for event in after if event["seq"] > before] == ["key.created"]
        await admin.made("POST", "/apis/service/verify", {})
        (verified,) = await openings(admin, credential, "verify", 1)
        assert verified["actor"].endswith("/control plane")
        assert (await admin.made("POST", "/audit/verify"))["ok"]
        assert "not-a-real-key" not in json.dumps(after)
    async with serving(tmp_path, "--workers", "2") as node, admin_of(node) as admin:
        last = await openings(admin, credential, "serve", 4)
        assert {event["actor"].rpartition("/")[2] for event in last[:2]} == {"data worker 1", "data worker 2"}
        assert await until(lambda: len(anchors(node)) == 1)
        assert (await admin.made("POST", "/audit/verify", {"anchor": anchors(node)[0]}))["ok"]


async def newest(admin: Admin) -> int:
    """The number of the last event."""
    number: int = (await admin.made("GET", "/audit?limit=1"))["items"][0]["seq"]
    return number


def anchors(node: Node) -> list[str]:
    """The anchors that the server wrote to its log."""
    return re.findall(r"audit\.anchor count=\d+ detail=(\S+)", node.said())
