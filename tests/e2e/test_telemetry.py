"""Traces and metrics as a collector gets them that reads OTLP with OpenTelemetry's own classes."""

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stage import Admin, Line, Node, Reply, admin_of, serving, until
from tests.e2e.upstream import Upstream, upstream
from tests.peers.collector import Collector, attributes, collecting
from tieline.telemetry import semconv
from tieline.telemetry.metrics.families import BY_NAME

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=a,other=b"}
SECRET = "collector-secret-" + "not-a-real-one"


@asynccontextmanager
async def standing(
    home: Path, collector: Collector | None, *options: str
) -> AsyncIterator[tuple[Node, Admin, Upstream, str]]:
    """A node before an upstream, with a key; it tells the collector where there is one."""
    home.mkdir(parents=True)
    (home / "headers").write_text(f"authorization=Bearer%20{SECRET},x-scope=tests\n")
    env = {"TIELINE_OTLP_HEADERS_FILE": str(home / "headers")} if collector is not None else {}
    told = ("--otlp-endpoint", collector.url, *options) if collector is not None else options
    async with upstream() as provider, serving(home, *told, env=env) as node, admin_of(node) as admin:
        await admin.api("service", provider.url, calls={"it": {"path": "/things", "retry": {"attempts": 3}}})
        await admin.credential("service")
        app = await admin.app("app", "service")
        yield node, admin, provider, (await admin.key(app["id"]))["secret"]


async def ask(node: Node, key: str, path: str = "/relay/service/things", **fields: str) -> Reply:
    """One request."""
    line = Line(node.app)
    headers = {"authorization": f"Bearer {key}", **{name.replace("_", "-"): value for name, value in fields.items()}}
    try:
        return await line.send("GET", path, headers)
    except (OSError, EOFError):
        return Reply(0, [])
    finally:
        await line.close()


def of_request(collector: Collector, reply: Reply) -> dict[str, Any]:
    """The spans of one request by name, its own as ``request``; attempts in order as ``attempts``."""
    identity = reply.header("tieline-request-id")
    own = next((s for s in collector.spans if attributes(s).get(semconv.REQUEST_ID) == identity), None)
    if own is None:
        return {}
    inner = [s for s in collector.spans if s.parent_span_id == own.span_id]
    attempts = sorted((s for s in inner if s.kind == s.SPAN_KIND_CLIENT), key=lambda s: s.start_time_unix_nano)
    return {"request": own, "attempts": attempts, "admission": next(s for s in inner if s.name == "admission")}


async def test_a_trace_goes_through(tmp_path: Path) -> None:
    """From the app's span by ours to the upstream's: relayed, called, retried, refused and failed requests."""
    async with collecting() as collector, standing(tmp_path / "node", collector) as (node, _, provider, key):
        relayed = await ask(node, key, **SAMPLED)
        called = await ask(node, key, "/call/service/it", **SAMPLED)
        failed = await ask(node, key, x_play="hang_up", **SAMPLED)
        refused = await ask(node, key, "/relay/nothing/x", **SAMPLED)
        stranger = await ask(node, "tl_live_nothing", **SAMPLED)
        replies = (relayed, called, failed, refused)
        assert await until(lambda: all(of_request(collector, reply) for reply in replies)), collector.problems
        assert collector.problems == []
        assert of_request(collector, stranger) == {}
        for reply in replies:
            spans = of_request(collector, reply)
            everything = [spans["request"], spans["admission"], *spans["attempts"]]
            assert {span.trace_id.hex() for span in everything} == {TRACE}
            assert spans["request"].parent_span_id.hex() == SPAN
            assert spans["request"].trace_state == SAMPLED["tracestate"]
            began, ended = spans["request"].start_time_unix_nano, spans["request"].end_time_unix_nano
            assert all(began <= s.start_time_unix_nano <= s.end_time_unix_nano <= ended + 5_000_000 for s in everything)
            assert abs(ended / 1e9 - time.time()) < 60
        _check_attributes(of_request(collector, relayed), of_request(collector, called), of_request(collector, refused))
        _check_failed(of_request(collector, failed))
        arrived = {a.headers["traceparent"].split("-")[2] for a in provider.arrivals if "traceparent" in a.headers}
        attempts = [s for reply in (relayed, called, failed) for s in of_request(collector, reply)["attempts"]]
        assert {span.span_id.hex() for span in attempts} == arrived  # each sending is the parent of what it set off
        assert all(
            a.headers["tracestate"] == SAMPLED["tracestate"] for a in provider.arrivals if "traceparent" in a.headers
        )
        assert all(h["authorization"] == f"Bearer {SECRET}" and h["x-scope"] == "tests" for h in collector.headers)
        assert {r["service.name"] for r in collector.resources} == {"tieline"}


def _check_attributes(relayed: Mapping[str, Any], called: Mapping[str, Any], refused: Mapping[str, Any]) -> None:
    own = attributes(relayed["request"])
    assert (own["http.request.method"], own["http.response.status_code"], own["http.route"]) == (
        "GET",
        200,
        "/relay/{api}",
    )
    assert (own["tieline.api"], own["url.path"], own["tieline.outcome"]) == ("service", "/things", "complete")
    assert relayed["request"].name == "GET /relay/service"
    assert relayed["request"].kind == relayed["request"].SPAN_KIND_SERVER
    attempt = attributes(relayed["attempts"][0])
    assert (attempt["server.address"], attempt["http.response.status_code"]) == ("127.0.0.1", 200)
    assert attributes(called["request"])["tieline.call"] == "it"
    assert [len(spans["attempts"]) for spans in (relayed, called, refused)] == [1, 1, 0]
    assert attributes(refused["request"])["tieline.code"] == "unknown_api"
    assert refused["request"].status.code == refused["request"].status.STATUS_CODE_ERROR
    assert attributes(refused["admission"])["error.type"] == "unknown_api"


def _check_failed(failed: Mapping[str, Any]) -> None:
    assert attributes(failed["request"])["error.type"] == "upstream_unreachable"
    assert failed["attempts"][-1].status.message == "upstream_unreachable"
    assert "http.response.status_code" not in attributes(failed["attempts"][-1])


async def test_where_it_is_off_the_context_of_clients_passes_as_it_came(tmp_path: Path) -> None:
    """Nothing is begun, changed or sent anywhere."""
    async with standing(tmp_path / "node", None) as (node, _, provider, key):
        await ask(node, key, **SAMPLED)
        await ask(node, key, traceparent="no context at all")
        await ask(node, key)
        seen = [(a.headers.get("traceparent"), a.headers.get("tracestate")) for a in provider.arrivals]
        assert seen == [(SAMPLED["traceparent"], SAMPLED["tracestate"]), ("no context at all", None), (None, None)]


async def test_what_is_not_kept_passes_as_it_came(tmp_path: Path) -> None:
    """A sender that keeps no spans is not overruled; nothing is begun by chance at a share of 0, always at 1."""
    unsampled = f"00-{TRACE}-{SPAN}-00"
    async with collecting() as collector:
        async with standing(tmp_path / "none", collector, "--trace-sample", "0") as (node, _, provider, key):
            await ask(node, key, traceparent=unsampled, tracestate="a=1")
            await ask(node, key)
            await ask(node, key, traceparent="no context at all", tracestate="a=1")
            seen = [(a.headers.get("traceparent"), a.headers.get("tracestate")) for a in provider.arrivals]
            assert seen == [(unsampled, "a=1"), (None, None), (None, None)]
        async with standing(tmp_path / "all", collector, "--trace-sample", "1") as (node, _, provider, key):
            await ask(node, key, traceparent=unsampled)
            reply = await ask(node, key)
            assert await until(lambda: bool(of_request(collector, reply)))
            begun = of_request(collector, reply)["request"]
            assert begun.parent_span_id == b""
            assert provider.arrivals[0].headers["traceparent"] == unsampled
            assert provider.arrivals[1].headers["traceparent"].split("-")[1] == begun.trace_id.hex()
        assert len({span.trace_id for span in collector.spans}) == 1  # the one that was begun


async def test_metrics_are_those_of_the_page(tmp_path: Path) -> None:
    """Each process tells its own under a name of its own; what it counted adds up, in the units of the table."""
    async with collecting() as collector:
        options = ("--otlp-signal", "metrics", "--workers", "2")
        async with standing(tmp_path / "node", collector, *options) as (node, _, _, key):
            for _ in range(12):
                await ask(node, key, **SAMPLED)
            await asyncio.sleep(0.5)
        assert collector.problems == []
        assert collector.spans == []
        names = {resource["service.instance.id"].partition("/")[2] for resource in collector.resources}
        assert names == {"control plane", "data worker 1", "data worker 2"}
        assert {metric.name for metric in collector.metrics} <= BY_NAME.keys()
        last: dict[Any, Any] = {}
        for message in collector.messages:
            for group in getattr(message, "resource_metrics", ()):
                for metric in [metric for scope in group.scope_metrics for metric in scope.metrics]:
                    last[attributes(group.resource)["service.instance.id"], metric.name] = metric
        requests = [point for (_, name), m in last.items() if name == "tieline_requests" for point in m.sum.data_points]
        assert sum(point.as_int for point in requests) == 12
        assert all(m.sum.is_monotonic for (_, name), m in last.items() if name == "tieline_requests")
        durations = [m.histogram for (_, name), m in last.items() if name == "tieline_request_duration_seconds"]
        points = [point for each in durations for point in each.data_points]
        assert sum(point.count for point in points) == 12
        assert all(sum(point.bucket_counts) == point.count for point in points)
        assert all(len(point.bucket_counts) == len(point.explicit_bounds) + 1 for point in points)
        assert 0 < sum(point.sum for point in points) < 60
        assert all(0 < point.start_time_unix_nano <= point.time_unix_nano for point in points)


async def test_a_collector_that_is_away_or_stalls_costs_nobody_anything(tmp_path: Path) -> None:
    """Requests are served as ever, spans beyond a bound are dropped and counted, and the server ends in time."""
    async with collecting() as collector:
        async with standing(tmp_path / "node", collector, "--trace-sample", "1") as (node, _, _, key):
            collector.stalls = True
            lines = [Line(node.app) for _ in range(8)]

            async def many(line: Line) -> list[float]:
                times = []
                for _ in range(300):
                    began = time.monotonic()
                    reply = await line.send("GET", "/relay/service/things", {"authorization": f"Bearer {key}"})
                    assert reply.status == 200
                    times.append(time.monotonic() - began)
                await line.close()
                return times

            times = sorted(seconds for each in await asyncio.gather(*map(many, lines)) for seconds in each)
            sys.stdout.write(f"p99 with a collector that stalls: {times[int(len(times) * 0.99)] * 1000:.1f} ms\n")
            await asyncio.sleep(1.5)
            metrics = Line(node.console)
            shown = (await metrics.send("GET", "/metrics")).body.decode()
            await metrics.close()
            dropped = re.search(r'^tieline_otlp_dropped_total\{signal="traces"\} (\d+)', shown, re.MULTILINE)
            began = time.monotonic()
        assert time.monotonic() - began < 20  # it was told to end, and gave up the rest after three seconds
        assert dropped is None or int(dropped[1]) < 2_400 * 3
        assert "collector" in node.said()
        assert SECRET not in node.said()


@pytest.mark.parametrize("status", [400, 401, 503])
async def test_a_collector_that_refuses_is_told_of_in_the_log(tmp_path: Path, status: int) -> None:
    """Once a minute, with its status; what may be taken later is sent again, what may not is dropped."""
    async with collecting() as collector:
        collector.status, collector.extra = status, "retry-after: 0\r\n"
        options = ("--trace-sample", "1", "--otlp-signal", "traces", "--log-format", "json")
        async with standing(tmp_path / "node", collector, *options) as (node, _, _, key):
            await ask(node, key)
            assert await until(lambda: len(collector.raw) >= (2 if status == 503 else 1))
            if status == 503:
                collector.status = 200
                assert await until(lambda: len(collector.spans) == 3), collector.problems
            else:
                assert await until(lambda: f"it answered {status}" in node.said())
                said = [json.loads(line) for line in node.said().splitlines() if f"it answered {status}" in line]
                assert len(said) == 1
                assert SECRET not in node.said()
