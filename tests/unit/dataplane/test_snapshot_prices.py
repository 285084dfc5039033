"""A worker reads the price lists that its APIs need, once each, and again when they are others."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tests.unit.dataplane.test_snapshot import make
from tests.unit.metering.readings import Used
from tieline.dataplane.snapshot.view import Snapshot
from tieline.ports.prices import PriceListHead, PriceListRow
from tieline.testing.dataplane import MemorySource
from tieline.testing.vault import memory_keyring


def listed(provider: str, version: str, picos: int) -> PriceListRow:
    """A list with one model."""
    pattern = f"https://api\\.{provider}\\.example"
    data = {
        "provider": provider,
        "version": version,
        "pattern": pattern,
        "exact": {"m": 0},
        "rules": [],
        "models": [{"id": "m", "scale": 1, "first_always": True, "prices": [{"rates": {"input_tokens": [picos]}}]}],
    }
    return PriceListRow(PriceListHead(provider, version, pattern), orjson.dumps(data).decode())


def api(name: str, base_url: str, **more: Any) -> Mapping[str, Any]:
    """A definition."""
    return {"tieline": "v1", "api": name, "base_url": base_url, **more}


def nano(snapshot: Snapshot, name: str, tokens: int = 1_000) -> int | None:
    """What so many tokens read cost in nano-dollars, None without a price."""
    table = snapshot.apis[name.encode()].plans["live"].prices
    return table.cost(Used("m", {"input_tokens": tokens}), 0).nano if table is not None else None


OWN = {"m": {"date": "2026-08-21", "source": "https://a.example", "rates": {"input_tokens": {"usd": "1", "per": "1M"}}}}


@pytest.fixture
async def source() -> MemorySource:
    """A store with two lists and APIs that have one, the other, their own prices, and none."""
    source = MemorySource(await memory_keyring())
    source.put_prices(listed("alpha", "1/a", 5_000), listed("beta", "1/a", 7_000))
    source.put_api(api("by_url", "https://api.alpha.example/v1"))
    source.put_api(api("by_name", "http://127.0.0.1:9", prices_from="beta"))
    source.put_api(api("own", "https://api.alpha.example/v1", prices=OWN))
    source.put_api(api("nobodys", "https://api.alpha.example/v1", prices_from="none"))
    source.put_api(api("unknown", "https://gamma.example/v1", prices_from="gamma"))
    return source


async def test_an_api_has_the_list_of_its_provider(source: MemorySource) -> None:
    """By its base URL or by name; its own prices before it; none where it wants none or there is none."""
    snapshot = make(source)
    await snapshot.load()
    found = {name: nano(snapshot, name) for name in ("by_url", "by_name", "own", "nobodys", "unknown")}
    assert found == {"by_url": 5_000, "by_name": 7_000, "own": 1_000_000, "nobodys": None, "unknown": None}


async def test_only_lists_that_an_api_needs_are_read(source: MemorySource) -> None:
    """And each once, however many APIs share it."""
    asked: list[str] = []
    before = source.price_list

    async def price_list(provider: str) -> str | None:
        asked.append(provider)
        return await before(provider)

    source.price_list = price_list  # type: ignore[method-assign]
    source.prices.append(listed("delta", "1/a", 1))
    await make(source).load()
    assert sorted(asked) == ["alpha", "beta", "gamma", "gamma"]


async def test_new_lists_reach_plans_that_are_served(source: MemorySource) -> None:
    """As any change does, also where nothing of an API has changed."""
    snapshot = make(source)
    await snapshot.load()
    source.put_prices(listed("alpha", "1/b", 6_000))
    await snapshot.freshen()
    assert (nano(snapshot, "by_url"), nano(snapshot, "by_name")) == (6_000, None)
