"""What Tieline says was used and what it cost, against the provider's own ledger: to the token and the nano-dollar.

Mixed calls in five providers' shapes (plain, streamed, cut, hung up on, repeated, cached), two workers killed on the
way. Only what the stated bound on loss allows may be missing, and what is missing is shown.
"""

import asyncio
import http.client
import json
import os
import signal
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Program
from tests.e2e.stage import Admin, Node, admin_of, serving, until
from tests.e2e.tie_out import KINDS, NANO, Attempt, Spent, Traffic, furnish, spent

Group = tuple[str, str, str]
"""API, tag and model."""


@pytest.fixture
def sandbox() -> Iterator[str]:
    """The address of a sandbox with nothing in its ledger."""
    program = Program(("sandbox", "--listen", "127.0.0.1:0"))
    yield program.line(r"ready sandbox=(\S+)")[1]
    program.stop()


def ledger(sandbox: str) -> Iterator[dict[str, Any]]:
    """Every line of it."""
    after = 0
    while after is not None:
        connection = http.client.HTTPConnection(sandbox.removeprefix("http://"), timeout=30)
        connection.request("GET", f"/sandbox/ledger?limit=5000&after={after}")
        page = json.loads(connection.getresponse().read())
        connection.close()
        yield from page["items"]
        after = page["next"]


async def counted(admin: Admin) -> dict[Group, Spent]:
    """What Tieline says, by API, tag and model; ``requests`` beside the quantities."""
    found: dict[Group, Spent] = {}
    after = ""
    while True:
        page = await admin.made("GET", f"/usage?by=api,tag,model&bucket=all&limit=200{after}")
        assert page["collapsed"] == 0
        for row in page["items"]:
            nano = int(Decimal(row["cost"]["usd"]) * NANO) if row["cost"] else 0
            used = {
                **row["quantities"],
                "nano": nano,
                "requests": row["requests"],
                "estimated": row["estimated"]["requests"],
            }
            found[row["api"] or "", row["tag"] or "", row["model"] or ""] = used
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


async def kill_on_the_way(node: Node, traffic: Traffic, kills: list[float]) -> None:
    """Kill a worker after a third and after two thirds of the calls."""
    for part in (1, 2):
        await until(lambda part=part: traffic.done >= traffic.count * part // 3, 3_600)  # type: ignore[misc]
        worker = node.children("data")[-part]
        kills.append(time.time())
        os.kill(worker, signal.SIGKILL)


def last_saves(node: Node) -> list[float]:
    """When each process that counted saved last, earliest first."""
    with closing(sqlite3.connect(node.data_dir / "tieline.db")) as connection:
        return sorted(float(at) for (at,) in connection.execute("SELECT at FROM usage_writers"))


def may_be_missing(attempts: list[Attempt], kills: list[float], saves: list[float]) -> set[str]:
    """The marks of requests that were under way at a worker that was killed, or ended there after its last save.

    The workers that were killed saved last before all others: the first kill's first. A save counts what had ended when
    it began, which is told to the second.
    """
    last: dict[str, float] = {}
    for each in attempts:
        last[each.worker] = max(last.get(each.worker, 0.0), each.ended)
    killed = {}
    for kill, saved in zip(kills, saves, strict=False):
        sys.stdout.write(f"killed {kill - saved:.1f} s after its last save began\n")
        near = {worker: abs(seen - kill) for worker, seen in last.items() if worker}
        killed[min(near, key=near.__getitem__)] = saved
    gone = {each.mark for each in attempts if not each.whole}
    return gone | {each.mark for each in attempts if each.worker in killed and each.ended > killed[each.worker] - 1}


async def test_usage_ties_out_with_the_providers_ledger(tmp_path: Path, sandbox: str, soak: bool) -> None:
    """20,000 calls in the soak, some hundreds here."""
    count = int(os.environ.get("TIE_OUT_CALLS", "20000" if soak else "900"))
    async with serving(tmp_path, "--workers", "3") as node, admin_of(node) as admin:
        key = await furnish(admin, sandbox)
        for _ in range(300):  # a process of its own makes the lists at the first start
            if all([(await admin.made("GET", f"/apis/{api}/prices"))["provider"] for api in ("openai", "claude")]):
                break
            await asyncio.sleep(0.2)
        await asyncio.sleep(1.5)  # and every worker hears of it
        traffic, kills = Traffic(node, key, count), list[float]()
        began = time.monotonic()
        await asyncio.gather(traffic.run(), kill_on_the_way(node, traffic, kills))
        took = time.monotonic() - began
        missing = may_be_missing(traffic.attempts, kills, last_saves(node))
        lines = [line for line in ledger(sandbox) if line["mark"]]
        expected, lost = added_up(lines, traffic.attempts, missing)
        asked = Counter(each.kind for each in traffic.attempts)
        for _ in range(10):
            await asyncio.sleep(0.5)
            found = await counted(admin)
            if all(by_tag(found)[tag] == asked[tag] for tag in asked):
                break
    told = by_tag(found)
    sys.stdout.write(f"\n{count} calls in {took:.0f} s, {len(kills)} workers killed, {len(missing)} may be missing\n")
    sys.stdout.writelines(report(expected, found, lost))
    for group in expected.keys() | {
        each for each in found if any(found[each].get(name) for name in ("nano", "output_tokens"))
    }:
        check(group, expected.get(group, {}), found.get(group, {}), lost.get(group, {}))
    for tag, number in asked.items():
        possible = sum(each.mark in missing for each in traffic.attempts if each.kind == tag)
        assert number - possible <= told[tag] <= number, tag


def added_up(
    lines: list[dict[str, Any]], attempts: list[Attempt], missing: set[str]
) -> tuple[dict[Group, Spent], dict[Group, Spent]]:
    """What all lines used, and what may be missing of it.

    Of a stream whose client hung up that is what was on its way to the gateway when it closed the connection.
    """
    kinds: dict[Group, Spent] = defaultdict(Counter)
    lost: dict[Group, Spent] = defaultdict(Counter)
    of_mark = {each.mark: each for each in attempts}
    for line in lines:
        attempt = of_mark[line["mark"]]
        group = KINDS[attempt.kind].api, attempt.kind, line["model"]
        used = spent(line, attempt)
        seen = spent(line, attempt, as_seen=True) if KINDS[attempt.kind].ends == "hung" else used
        for name, amount in used.items():
            kinds[group][name] += amount
            lost[group][name] += amount if line["mark"] in missing else amount - seen.get(name, 0)
    return kinds, lost


def by_tag(found: Mapping[Group, Spent]) -> Counter[str]:
    """Requests by tag."""
    told: Counter[str] = Counter()
    for (_, tag, _), used in found.items():
        told[tag] += used["requests"]
    return told


def check(group: Group, expected: Spent, found: Spent, lost: Spent) -> None:
    """Whether the figures of a group are equal, but for what may be missing."""
    for name in (expected.keys() | found.keys()) - {"requests", "estimated", "reasoning_tokens"}:
        difference = expected.get(name, 0) - found.get(name, 0)
        assert 0 <= difference <= lost.get(name, 0), (group, name, expected, found, lost)


def report(expected: Mapping[Group, Spent], found: Mapping[Group, Spent], lost: Mapping[Group, Spent]) -> Iterator[str]:
    """The two counts and their difference, in tokens read, tokens written and nano-dollars."""
    names = ("input_tokens", "output_tokens", "nano")
    total = [0, 0, 0]
    for group in sorted(expected):
        theirs, ours, gone = expected[group], found.get(group, {}), lost.get(group, {})
        told, may = (" ".join(str(each.get(name, 0)) for name in names) for each in (theirs, gone))
        less = [theirs.get(name, 0) - ours.get(name, 0) for name in names]
        total = [before + now for before, now in zip(total, less, strict=True)]
        yield f"{', '.join(group):50} ledger {told:30} missing {' '.join(map(str, less)):20} of at most {may}\n"
    yield f"missing in all: {total}\n"
