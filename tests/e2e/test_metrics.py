"""Metrics of a whole node as Prometheus's own parsers read them; the dashboard, alerts and page made of them."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.e2e.stage import Admin, Line, Node, Reply, admin_of, serving, until
from tests.e2e.upstream import Upstream, upstream
from tieline.telemetry.metrics.families import BY_NAME, FAMILIES

DOCS = Path(__file__).resolve().parents[2] / "docs"
OF_GRAFANA = {"$__rate_interval": "5m"}
OF_PROMETHEUS = {"job", "instance", "le"}


@dataclass
class Scraper:
    """Somebody who reads a node's metrics."""

    node: Node

    async def get(self, **headers: str) -> Reply:
        """The answer, with these header fields."""
        line = Line(self.node.console)
        try:
            return await line.send(
                "GET", "/metrics", {name.replace("_", "-"): value for name, value in headers.items()}
            )
        finally:
            await line.close()

    async def families(self) -> dict[str, Metric]:
        """Every family, by name."""
        reply = await self.get()
        assert reply.status == 200
        return {family.name: family for family in parse_text(reply.body.decode())}

    async def sum(self, sample: str, **labels: str) -> float:
        """What the samples with these labels add up to."""
        found = [s for family in (await self.families()).values() for s in family.samples if s.name == sample]
        return float(sum(s.value for s in found if labels.items() <= s.labels.items()))


@asynccontextmanager
async def standing(home: Path, *options: str) -> AsyncIterator[tuple[Node, Admin, Upstream, str]]:
    """A node with two workers, an API and a key."""
    async with upstream() as provider, serving(home, "--workers", "2", *options) as node, admin_of(node) as admin:
        await admin.api("service", provider.url, calls={"it": {"path": "/things"}})
        await admin.credential("service")
        app = await admin.app("app", "service")
        key = (await admin.key(app["id"], limits={"rates": [{"requests": 1_000_000, "per": "day"}]}))["secret"]
        yield node, admin, provider, key


async def ask(node: Node, key: str, count: int, path: str = "/relay/service/things", **fields: str) -> list[Reply]:
    """So many requests on connections of their own."""
    replies = []
    for _ in range(count):
        line = Line(node.app)
        headers = {
            "authorization": f"Bearer {key}",
            **{name.replace("_", "-"): value for name, value in fields.items()},
        }
        replies.append(await line.send("GET", path, headers))
        await line.close()
    return replies


async def test_all_workers_together_and_no_counter_goes_back_when_one_is_killed(tmp_path: Path) -> None:
    """Every answer has what all workers counted, whoever is asked, killed or begun again meanwhile."""
    async with standing(tmp_path / "node") as (node, _, _, key):
        scraper = Scraper(node)
        workers = {reply.worker for reply in await ask(node, key, 40)}
        assert len(workers) == 2
        wanted = {"api": "service", "status": "2xx", "door": "relay"}
        assert await until_is(scraper, 40, "tieline_requests_total", **wanted)
        before = {s.name: s.value for f in (await scraper.families()).values() for s in f.samples if not s.labels}
        victim = node.children("data")[0]
        os.kill(victim, signal.SIGKILL)
        seen = []
        for _ in range(40):
            seen.append(await scraper.sum("tieline_requests_total", **wanted))
            await asyncio.sleep(0.05)
        assert seen == [40.0] * 40
        await until(lambda: len(node.children("data")) == 2)
        assert await until_is(scraper, 3, "tieline_worker_up")
        await ask(node, key, 20)
        assert await until_is(scraper, 60, "tieline_requests_total", **wanted)
        after = {s.name: s.value for f in (await scraper.families()).values() for s in f.samples if not s.labels}
        counters = [f"{family.name}_total" for family in FAMILIES if family.kind == "counter" and not family.labels]
        assert all(after[name] >= before[name] for name in counters)
        assert await scraper.sum("tieline_request_duration_seconds_count", api="service") == 60


async def until_is(scraper: Scraper, value: float, sample: str, **labels: str) -> bool:
    """Whether the sum of samples comes to ``value`` soon."""
    for _ in range(60):
        if await scraper.sum(sample, **labels) == value:
            return True
        await asyncio.sleep(0.1)
    return False


async def test_what_happens_is_counted(tmp_path: Path) -> None:
    """Refusals, upstream errors, strangers, calls, operators, budgets: each in its metric."""
    async with standing(tmp_path / "node") as (node, admin, _, key):
        scraper = Scraper(node)
        budget = {"name": "all", "amount": {"usd": "12.50"}, "period": "month", "applies_to": {"api": "service"}}
        await admin.made("POST", "/budgets", {**budget, "mode": "warn"})
        tokens = {"name": "some", "amount": {"tokens": 1_000}, "period": "day", "applies_to": {"each": "key"}}
        await admin.made("POST", "/budgets", {**tokens, "mode": "warn"})
        await ask(node, key, 3, x_play="hang_up")
        await ask(node, key, 2, "/call/service/it")
        await ask(node, "tl_live_nothing", 4)
        await ask(node, key, 1, "/relay/nothing/x")
        assert await until_is(scraper, 3, "tieline_upstream_errors_total", api="service", reason="upstream_unreachable")
        assert await until_is(scraper, 2, "tieline_requests_total", api="service", door="call")
        assert await until_is(scraper, 4, "tieline_unadmitted_requests_total", code="invalid_app_key")
        assert await until_is(scraper, 1, "tieline_requests_total", api="", code="unknown_api")
        assert await scraper.sum("tieline_budget_amount", budget="all", unit="usd") == 12.5
        assert await scraper.sum("tieline_budget_amount", budget="some", unit="tokens") == 1_000
        assert await scraper.sum("tieline_admin_requests_total", method="POST", status="2xx") >= 5
        routes = {s.labels["route"] for s in (await scraper.families())["tieline_admin_requests"].samples}
        assert "/budgets" in routes
        assert not any("{" not in route and "service" in route for route in routes)
        assert await scraper.sum("tieline_upstream_connections") >= 0
        assert await scraper.sum("tieline_store_write_seconds_count") > 0
        await _in_flight(scraper, node, key)


async def _in_flight(scraper: Scraper, node: Node, key: str) -> None:
    """What is under way counts while it lasts, and no more when its client has left."""
    _, writer = await asyncio.open_connection(*node.app)
    head = f"GET /relay/service/things HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nx-play: stall\r\n\r\n"
    writer.write(head.encode())
    assert await until_is(scraper, 1, "tieline_requests_in_flight")
    writer.transport.abort()
    assert await until_is(scraper, 0, "tieline_requests_in_flight")
    assert await until_is(scraper, 1, "tieline_requests_total", outcome="client_gone", status="none")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Metric]:
    """What a node prints that has counted a little."""

    async def scrape() -> dict[str, Metric]:
        async with standing(tmp_path_factory.mktemp("shown") / "node") as (node, _, _, key):
            await ask(node, key, 2)
            await until_is(Scraper(node), 2, "tieline_requests_total", api="service")
            return await Scraper(node).families()

    return asyncio.run(scrape())


async def test_who_may_read_them(tmp_path: Path) -> None:
    """This machine by its own name without a token; any token; nobody else, and nobody through a proxy."""
    async with serving(tmp_path / "node", "--console-host", "console.example.com") as node, admin_of(node) as admin:
        scraper = Scraper(node)
        minted = await admin.made("POST", "/tokens", {"name": "prometheus", "role": "viewer"})
        told = {"authorization": f"Bearer {minted['secret']}"}
        assert (await scraper.get()).status == 200
        for field in ("x_forwarded_for", "forwarded", "via", "x_real_ip", "x_forwarded_proto"):
            refused = await scraper.get(**{field: "203.0.113.9"})
            assert (refused.status, refused.code) == (401, "invalid_token")
            assert (await scraper.get(**{field: "203.0.113.9"}, **told)).status == 200
        line = Line(node.console)
        for host, status in (
            ("console.example.com", 401),
            ("localhost", 200),
            ("[::1]:8601", 200),
            ("evil.example", 400),
        ):
            reply = await line.ask(f"GET /metrics HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
            assert reply.status == status, host
        await line.close()
        assert (await scraper.get(authorization="Bearer tla_wrong")).status == 401
        await admin.made("DELETE", f"/tokens/{minted['id']}")
        assert (await scraper.get(**told)).status == 401
        app = Line(node.app)
        assert (await app.send("GET", "/metrics")).status == 404
        await app.close()


async def test_openmetrics_is_spoken_where_it_is_wanted(tmp_path: Path) -> None:
    """With what Prometheus itself sends; both answers name their version."""
    async with serving(tmp_path / "node") as node:
        scraper = Scraper(node)
        plain = await scraper.get()
        assert plain.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
        accept = (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
            "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        )
        strict = await scraper.get(accept=accept)
        assert strict.header("content-type").startswith("application/openmetrics-text; version=1.0.0")
        assert {each.name for each in parse_openmetrics(strict.body.decode())} == {family.name for family in FAMILIES}
        text = await scraper.get(accept="text/plain;q=1.0,application/openmetrics-text;q=0.1")
        assert text.header("content-type").startswith("text/plain")


# --- What is made of them


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of the dashboard and of the alerts, and where it stands."""
    dashboard = json.loads((DOCS / "monitoring" / "grafana.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield f"grafana.json, {panel['title']}", target["expr"]
    for variable in dashboard["templating"]["list"]:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", str(variable.get("definition", "")))
        if found is not None:
            yield f"grafana.json, ${variable['name']}", f"sum by ({found[2]}) ({found[1]})"
    for group in yaml.safe_load((DOCS / "monitoring" / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield f"alerts.yml, {rule['alert']}", rule["expr"]


def parts(node: Any) -> Iterator[Any]:
    """A parsed expression and every expression in it."""
    yield node
    for name in ("expr", "vector_selector", "lhs", "rhs", "args"):
        found = getattr(node, name, None) or ()
        for each in found if isinstance(found, list) else (found,):
            if type(each).__module__ == "promql_parser":
                yield from parts(each)


@pytest.mark.parametrize(("place", "expression"), list(expressions()))
def test_every_expression_is_promql_about_what_is_printed(
    shown: dict[str, Metric], place: str, expression: str
) -> None:
    """Its metrics are printed, as the kind that it takes them for, with the labels that it asks for or groups by."""
    for variable, value in OF_GRAFANA.items():
        expression = expression.replace(variable, value)
    parsed = promql_parser.parse(expression)
    labels: set[str] = set()
    selectors = [each for each in parts(parsed) if isinstance(each, promql_parser.VectorSelector)]
    assert selectors, place
    for selector in selectors:
        name = selector.name or ""
        if name == "up":  # Prometheus's own
            return
        family = BY_NAME[re.sub("_(total|bucket|sum|count)$", "", name) if name not in BY_NAME else name]
        assert family.name in shown
        assert (
            name
            in {
                "counter": {f"{family.name}_total"},
                "gauge": {family.name},
                "histogram": {f"{family.name}_{part}" for part in ("bucket", "sum", "count")},
            }[family.kind]
        )
        own = set(family.labels) | OF_PROMETHEUS
        assert {matcher.name for matcher in selector.matchers.matchers} <= own
        labels |= own
    aggregates = [each for each in parts(parsed) if isinstance(each, promql_parser.AggregateExpr)]
    assert {label for each in aggregates for label in (each.modifier.labels if each.modifier else ())} <= labels


def test_every_metric_is_on_the_dashboard() -> None:
    """A metric that nobody looks at is one too many."""
    drawn = " ".join(expression for place, expression in expressions() if place.startswith("grafana"))
    assert [family.name for family in FAMILIES if not re.search(rf"\b{family.name}(_total|_bucket)?\b", drawn)] == []


def test_the_page_lists_what_is_printed(shown: dict[str, Metric]) -> None:
    """docs/metrics.md has each metric with kind, labels and words, and no other."""
    rows = re.findall(
        r"^\| `(tieline_\w+)` \| (\w+) \| (.*?) ?\| (.+) \|$", (DOCS / "metrics.md").read_text(), re.MULTILINE
    )
    wanted = [
        (
            family.name + "_total" * (family.kind == "counter"),
            family.kind,
            ", ".join(f"`{label}`" for label in family.labels),
            family.title,
        )
        for family in FAMILIES
    ]
    assert rows == wanted
    assert shown.keys() == {family.name for family in FAMILIES}


def test_the_scrape_configuration_is_one() -> None:
    """It names the console listener's default port and the file of a token, and includes the alerts."""
    found = yaml.safe_load((DOCS / "monitoring" / "prometheus.yml").read_text())
    assert found["rule_files"] == ["alerts.yml"]
    assert [job["job_name"] for job in found["scrape_configs"]] == ["tieline", "tieline-nodes"]
